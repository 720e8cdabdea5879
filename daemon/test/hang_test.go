//go:build dlib && integration

package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// The bounds of systemd/facegate.service, and of a pulse.
const (
	hungry   = 8 * time.Second
	aborting = time.Second
	mostOpen = 10 * time.Second // that a door may be open whatever happens, and a pulse at most
)

// An ending is how a supervised daemon ended.
type ending struct {
	fed, gone, safe time.Time // the last sign of life; the daemon's end; outputs made safe
	ended           bool      // the watchdog had to end it
	err             error     // of making them safe
}

// supervise starts a daemon and does for it what systemd does with the unit:
// if it gives no sign of life for WatchdogSec it is aborted, and killed if that
// does not end it within TimeoutAbortSec; then the outputs are made safe.
func (s *site) supervise() (*daemon, <-chan ending) {
	s.t.Helper()
	said := s.systemd()
	s.env = append(s.env, fmt.Sprintf("WATCHDOG_USEC=%d", hungry.Microseconds()))
	d := s.start()
	ends := make(chan ending, 1)
	go func() {
		e := ending{fed: time.Now()}
		for alive := true; alive; {
			select {
			case message := <-said:
				if strings.Contains(message, "WATCHDOG=1") {
					e.fed = time.Now()
				}
			case <-time.After(time.Until(e.fed.Add(hungry))):
				e.ended, alive = true, false
				_ = d.cmd.Process.Signal(syscall.SIGABRT)
				_ = d.cmd.Process.Signal(syscall.SIGCONT) // as systemd does: what is stopped takes no other signal
				select {
				case <-d.gone:
				case <-time.After(aborting):
					_ = d.cmd.Process.Kill()
					<-d.gone
				}
			case <-d.gone:
				alive = false
			}
		}
		_ = d.cmd.Wait()
		e.gone = time.Now()
		if out, err := exec.Command(os.Getenv("FACEGATE_BINARY"), "safe", "--config", s.path("facegate.yaml")).CombinedOutput(); err != nil {
			e.err = fmt.Errorf("safe: %w: %s", err, out)
		}
		e.safe = time.Now()
		ends <- e
	}()
	return d, ends
}

// over waits for the end of a supervised daemon.
func over(t *testing.T, ends <-chan ending) ending {
	t.Helper()
	select {
	case e := <-ends:
		must(t, e.err)
		return e
	case <-time.After(2 * patient):
		t.Fatal("the daemon did not end")
		return ending{}
	}
}

// failing has the engine of a supervised daemon fail in C during an attempt:
// "abort" or "hang", at its next call.
func (s *site) failing(how string) (d *daemon, ends <-chan ending, at time.Time) {
	s.t.Helper()
	library, file := s.path("malloc.so"), s.path("failing")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, "failing/malloc.c").CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	s.env = append(s.env, "LD_PRELOAD="+library, "FAILING="+file)
	d, ends = s.supervise()
	s.forget()
	s.drop()
	if !s.rise("lamp-busy", patient) {
		s.t.Fatal("no attempt began")
	}
	must(s.t, os.WriteFile(file+".tmp", []byte(how), 0o600))
	must(s.t, os.Rename(file+".tmp", file))
	return d, ends, time.Now()
}

// computing are the edits for an attempt that computes for a while.
func computing() []string {
	return []string{"deadline: 3s, frames: 1", "deadline: 20s, frames: 9, spacing: 50ms"}
}

// afterwards checks what a daemon that was ended has left to the next one, and
// that this one does its work.
func (s *site) afterwards(d *daemon, outcomes ...string) {
	s.t.Helper()
	begun := s.left(0)
	s.env = nil
	next := s.start()
	s.drop()
	next.says(s.t, `msg="attempt ended".* decision=match reason=ok access=granted`)
	s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 1)
	s.terminate(next)
	r := record{events: s.history(), said: append(d.said, next.said...), begun: begun}
	var f findings
	f.sequence(r.events)
	f.outcomes(r)
	f.facts(r.events)
	for _, fault := range f {
		s.t.Error(fault)
	}
	var all []event.Event
	for _, e := range r.events {
		if e.Kind == event.KindAttempt {
			all = append(all, e)
		}
	}
	expect(s.t, all, append(outcomes, "inbox ok granted")...)
	if s.t.Failed() {
		s.t.Logf("the next daemon wrote\n%s", next.log.String()) // the one before may have left a long trace
	}
}

// TestAbortingMatcher has the engine call abort.
func TestAbortingMatcher(t *testing.T) {
	t.Parallel()
	s := newSite(t, computing()...)
	d, ends, aborted := s.failing("abort")
	e := over(t, ends)
	t.Logf("matcher aborted: ended after %v, outputs safe after %v", e.gone.Sub(aborted).Round(time.Millisecond), e.safe.Sub(aborted).Round(time.Millisecond))
	if e.ended || d.cmd.ProcessState.ExitCode() != 2 || !strings.Contains(d.log.String(), "SIGABRT: abort") {
		t.Errorf("ended by the watchdog: %v, %v", e.ended, d.cmd.ProcessState)
	}
	s.dark("after the abort")
	s.afterwards(d, "inbox interrupted not_attempted")
}

// TestHungMatcher has a call of the engine not return. The attempt ends without
// a verdict, and the daemon is ended.
func TestHungMatcher(t *testing.T) {
	t.Parallel()
	const hang = 3 * time.Second
	s := newSite(t, append(computing(), "models:", fmt.Sprintf("match: {hang: %v}\nmodels:", hang))...)
	d, ends, hung := s.failing("hang")
	d.says(t, `msg="attempt ended".* decision=error reason=engine_fault access=not_attempted`)
	told := time.Since(hung)
	e := over(t, ends)
	t.Logf("matcher hung: engine_fault after %v, ended by the watchdog after %v, outputs safe after %v",
		told.Round(time.Millisecond), e.gone.Sub(hung).Round(time.Millisecond), e.safe.Sub(hung).Round(time.Millisecond))
	if !e.ended {
		t.Errorf("ended by itself: %v", d.cmd.ProcessState)
	}
	s.dark("after the watchdog")
	s.afterwards(d, "inbox engine_fault not_attempted")
}

// TestStoppedWhileTheDoorIsOpen stops the whole daemon, so that it cannot shut
// the door itself.
func TestStoppedWhileTheDoorIsOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t, append(unhurried(), "pulse: 300ms", "pulse: 2s")...)
	d, ends := s.supervise()
	s.forget()
	s.drop()
	if !s.rise("door", patient) {
		t.Fatal("the door did not open")
	}
	must(t, d.cmd.Process.Signal(syscall.SIGSTOP))
	stopped := time.Now()
	e := over(t, ends)
	s.dark("after the watchdog")
	all := phases(s.timeline())
	if len(all) != 1 || all[0].down.IsZero() {
		t.Fatalf("the door moved %+v", all)
	}
	open := all[0].down.Sub(all[0].up)
	t.Logf("daemon stopped with the door open: ended after %v, outputs safe after %v, the door was open for %v",
		e.gone.Sub(stopped).Round(time.Millisecond), e.safe.Sub(stopped).Round(time.Millisecond), open.Round(time.Millisecond))
	if !e.ended || open > mostOpen+2*time.Second {
		t.Errorf("ended by the watchdog: %v; the door was open for %v", e.ended, open)
	}
	s.edit("pulse: 2s", "pulse: 300ms")
	s.afterwards(d, "inbox ok granted")
}
