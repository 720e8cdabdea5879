//go:build dlib && integration

package test

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// The bounds of systemd/facegate.service, and of a pulse.
const (
	hungry   = 8 * time.Second
	stopping = 6 * time.Second
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
// does not end it; then the outputs are made safe.
func (s *site) supervise() (*daemon, <-chan ending) {
	s.t.Helper()
	said := s.systemd()
	// One thread computes: another of OpenBLAS's may stand still and nobody misses it.
	s.env = append(s.env, fmt.Sprintf("WATCHDOG_USEC=%d", hungry.Microseconds()), "OPENBLAS_NUM_THREADS=1")
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
				case <-time.After(stopping):
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

// abortInC has the thread of the daemon that computes in C end as if it had called
// abort, and returns when. An attempt must be under way.
func abortInC(t *testing.T, pid int) (at time.Time) {
	t.Helper()
	from, to := goText(t, pid)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // to the kernel, who traces is a thread; never unlocked, so that it ends with this function
		tid, err := stopInC(pid, from, to)
		if err == nil {
			at = time.Now()
			_, _, _ = syscall.Syscall(syscall.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(syscall.SIGABRT))
			_ = syscall.PtraceDetach(tid)
		}
		done <- err
	}()
	must(t, <-done)
	return at
}

// stopInC seizes the busiest thread until it catches one outside of Go's code,
// which it leaves stopped.
func stopInC(pid int, from, to uint64) (tid int, err error) {
	for over := time.Now().Add(patient); time.Now().Before(over); {
		tid, err := busiest(pid)
		if err != nil {
			return 0, err
		}
		if tid == 0 || ptrace(ptraceSeize, tid, 0, 0) != nil {
			continue
		}
		if err := ptrace(ptraceInterrupt, tid, 0, 0); err != nil {
			return 0, err
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(tid, &status, syscall.WALL, nil); err != nil {
			return 0, err
		}
		if at, computing := counter(pid, tid); computing && (at < from || at >= to) {
			return tid, nil
		}
		if err := syscall.PtraceDetach(tid); err != nil && err != syscall.ESRCH { // which has ended
			return 0, err
		}
	}
	return 0, errors.New("no thread computes in C")
}

// busiest returns the thread that has used most of the processor in a moment,
// 0 if none runs.
func busiest(pid int) (tid int, err error) {
	before, err := ticks(pid)
	if err != nil {
		return 0, err
	}
	time.Sleep(30 * time.Millisecond)
	after, err := ticks(pid)
	most := 0
	for id, n := range after {
		if used := n - before[id]; used > most {
			tid, most = id, used
		}
	}
	return tid, err
}

// ticks returns how long each thread that runs now has run.
func ticks(pid int) (map[int]int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	all := map[int]int{}
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the name, see proc_pid_stat(5)
		fields := strings.Fields(rest)
		const state, utime = 0, 11 // the 3rd and the 14th of all
		tid, err := strconv.Atoi(task.Name())
		used, err2 := strconv.Atoi(fields[utime])
		if err == nil && err2 == nil && fields[state] == "R" {
			all[tid] = used
		}
	}
	return all, err
}

// counter returns the program counter of a stopped thread, false if it is in
// the kernel.
func counter(pid, tid int) (at uint64, computing bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 || fields[0] != "-1" { // see proc_pid_syscall(5)
		return 0, false
	}
	at, err = strconv.ParseUint(strings.TrimPrefix(fields[2], "0x"), 16, 64)
	return at, err == nil
}

// goText returns where the program has its Go code.
func goText(t *testing.T, pid int) (from, to uint64) {
	t.Helper()
	f, err := elf.Open(fmt.Sprintf("/proc/%d/exe", pid))
	must(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	must(t, err)
	for _, s := range symbols {
		switch s.Name {
		case "runtime.text":
			from = s.Value
		case "runtime.etext":
			to = s.Value
		}
	}
	if from == 0 || to <= from {
		t.Fatalf("the program's Go code is from %#x to %#x", from, to)
	}
	return from, to
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

// TestAbortingMatcher has the thread that computes call abort.
func TestAbortingMatcher(t *testing.T) {
	t.Parallel()
	s := newSite(t, computing()...)
	d, ends := s.supervise()
	s.forget()
	s.drop()
	if !s.rise("lamp-busy", patient) {
		t.Fatal("no attempt began")
	}
	aborted := abortInC(t, d.cmd.Process.Pid)
	e := over(t, ends)
	t.Logf("matcher aborted: ended after %v, outputs safe after %v", e.gone.Sub(aborted).Round(time.Millisecond), e.safe.Sub(aborted).Round(time.Millisecond))
	if e.ended || d.cmd.ProcessState.ExitCode() != 2 || !strings.Contains(d.log.String(), "SIGABRT: abort") {
		t.Errorf("ended by the watchdog: %v, %v", e.ended, d.cmd.ProcessState)
	}
	s.dark("after the abort")
	s.afterwards(d, "inbox interrupted not_attempted")
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
