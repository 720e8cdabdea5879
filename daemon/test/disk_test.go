//go:build dlib && integration

package test

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// ail makes system calls on the journal's files fail or take long, as strace's
// inject= says, until the returned function is called or the daemon ends. strace
// counts the calls of each thread by itself, so that when= is of no use here.
func (s *site) ail(d *daemon, injections ...string) (heal func()) {
	t := s.t
	t.Helper()
	args := []string{"-f", "-o", "/dev/null", "-p", strconv.Itoa(d.cmd.Process.Pid)}
	for _, file := range []string{"", "-wal", "-shm"} {
		args = append(args, "-P", s.path("journal.db"+file))
	}
	for _, i := range injections {
		args = append(args, "-e", "inject="+i)
	}
	strace := exec.Command("strace", args...)
	says, err := strace.StderrPipe()
	must(t, err)
	must(t, strace.Start())
	lines := bufio.NewScanner(says)
	if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
		t.Fatalf("strace (in a container it may need --cap-add SYS_PTRACE): %s", lines.Text())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() { // lest it wait for a reader
		}
		_ = strace.Wait() // says that it was told to end
	}()
	heal = func() {
		_ = strace.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	t.Cleanup(heal)
	return heal
}

// The ways in which a disk takes nothing.
func faults() map[string][]string {
	const writes, syncs = "pwrite64,write,pwritev,ftruncate,fallocate", "fsync,fdatasync"
	return map[string][]string{
		"full":         {writes + ":error=ENOSPC"},
		"read-only":    {writes + ":error=EROFS", syncs + ":error=EROFS"},
		"unwritable":   {writes + ":error=EIO"},
		"not synced":   {syncs + ":error=EIO"},
		"out of quota": {writes + ":error=EDQUOT"},
	}
}

// TestDisk lets the disk fail before an attempt and during one. Nothing opens,
// everybody who can be is told, and the kiosk works again by itself when the disk
// does.
func TestDisk(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, append(unhurried(), "sources: {", "sources: {http: {may_open: true}, ")...)
			d := s.start()
			s.asked("ok", "granted", true)
			s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 1)
			s.delivered()
			s.forget()

			heal := s.ail(d, fault...)
			s.asked("journal_fault", "not_attempted", false)
			s.faulty(1)
			heal()
			d.says(t, `msg="journal is written again"`) // with nobody there
			s.well()
			s.asked("ok", "granted", true)
			s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 2)
			s.delivered()

			s.look("nobody")
			told := make(chan event.Event, 1)
			f := s.follow()
			s.forget()
			go func() {
				e, _ := s.enterOverHTTP()
				told <- e
			}()
			f.until("hint", "look_at_camera")
			heal = s.ail(d, fault...)
			s.look("same")
			e := <-told
			if e.Attempt == nil || e.Reason != event.JournalFault || e.Access != event.Denied || e.Seq != 0 {
				t.Errorf("told %+v with seq %d, want journal_fault denied with seq 0", e.Attempt, e.Seq)
			}
			s.faulty(2)
			if name == "not synced" { // the outcome is in the log, whole
				must(t, d.cmd.Process.Kill())
				await(t, "the daemon's death", d.gone)
				_ = d.cmd.Wait()
				heal()
				d = s.start()
			} else {
				heal()
				s.asked("ok", "granted", true)
				s.well()
				s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 3)
				s.terminate(d)
				d = s.start()
			}
			s.asked("ok", "granted", true)
			s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 1)
			s.terminate(d)

			want := []string{"http ok granted", "http ok granted", "http ok granted", "http interrupted not_attempted", "http ok granted"}
			if name == "not synced" {
				want = slices.Delete(want, 2, 3)
			}
			r := record{events: s.history(), board: s.timeline(), pulse: pulse + time.Second}
			for _, f := range r.faults() {
				t.Error(f)
			}
			expect(t, ended(r.events), want...)
			if n := len(phases(r.board)); n != len(want)-1 {
				t.Errorf("the door moved %d times, want %d", n, len(want)-1)
			}
		})
	}
}

// ended returns the outcomes among events.
func ended(events []event.Event) []event.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return e.Kind != event.KindAttempt })
}

// asked lets the person in over HTTP and checks what is told.
func (s *site) asked(reason event.Reason, access event.Access, recorded bool) event.Event {
	s.t.Helper()
	e, err := s.enterOverHTTP()
	if err != nil || e.Attempt == nil {
		s.t.Fatalf("no outcome: %v", err)
	}
	if e.Reason != reason || e.Access != access || (e.Seq > 0) != recorded {
		s.t.Errorf("told %s %s with seq %d, want %s %s", e.Reason, e.Access, e.Seq, reason, access)
	}
	return e
}

// faulty checks that the kiosk says in every way it has that its journal is at
// fault, after so many outcomes that were not recorded.
func (s *site) faulty(outcomes int) {
	s.t.Helper()
	if !s.rise("lamp-fault", patient) {
		s.t.Error("the fault lamp is dark")
	}
	c := s.client()
	if status, missing := s.readiness(c); status != http.StatusServiceUnavailable || !strings.Contains(missing, "journal: ") {
		s.t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.counted(fmt.Sprintf(`facegate_attempts_total{decision="error",reason="journal_fault",source="http"} %d`, outcomes))
	s.published("status", `"degraded"`)
	s.published("health", `"journal":{"state":"fault"`)
}

// well checks that the kiosk no longer does so.
func (s *site) well() {
	s.t.Helper()
	if status, missing := s.readiness(s.client()); status != http.StatusOK {
		s.t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.published("status", `"online"`)
	s.published("health", `"journal":{"state":"ok"`)
}

// TestSlowDisk has every fsync of the journal take two seconds, as a bad card
// does now and then, and then four, which is too long to let somebody in.
func TestSlowDisk(t *testing.T) {
	for _, tt := range []struct {
		takes  time.Duration
		during bool // only when the attempt has begun
		want   string
		facts  string
		moves  int
	}{
		{2 * time.Second, false, "http ok granted", "pulse_started pulse_ended", 1},
		{4 * time.Second, false, "http journal_fault not_attempted", "", 0},
		{4 * time.Second, true, "http ok granted", "pulse_failed", 0},
	} {
		t.Run(fmt.Sprintf("%v %v", tt.takes, tt.during), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, append(unhurried(), "sources: {", "sources: {http: {may_open: true}, ")...)
			if tt.during {
				s.look("nobody")
			}
			d, ends := s.supervise()
			s.forget()
			slow := fmt.Sprintf("fsync,fdatasync:delay_enter=%d", tt.takes.Microseconds())
			heal := func() {}
			if !tt.during {
				heal = s.ail(d, slow)
			}
			began := time.Now()
			told := make(chan error, 1)
			f := s.follow()
			go func() { _, err := s.enterOverHTTP(); told <- err }()
			if tt.during {
				f.until("hint", "look_at_camera")
				heal = s.ail(d, slow)
				began = time.Now()
				s.look("same")
			}
			must(t, <-told)
			t.Logf("fsync takes %v: outcome told after %v", tt.takes, time.Since(began).Round(time.Millisecond))
			if tt.moves > 0 {
				if !s.rise("door", patient) {
					t.Error("the door did not open")
				}
				t.Logf("fsync takes %v: the door opened after %v", tt.takes, time.Since(began).Round(time.Millisecond))
				s.reach(`facegate_door_facts_total{fact="pulse_ended"}`, 1)
			} else if tt.facts != "" {
				s.reach(`facegate_door_facts_total{fact="pulse_failed"}`, 1)
			}
			heal()
			must(t, d.cmd.Process.Signal(syscall.SIGTERM))
			if e := over(t, ends); e.ended || d.cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("the watchdog ended it: %v, %v\n%s", e.ended, d.cmd.ProcessState, d.log.String())
			}
			want := tt.facts
			if want == "pulse_failed" && strings.Contains(d.log.String(), "journal not written") {
				// Something else was before it at the disk, for four seconds more. It
				// was told without a number, and the next start closes the pulse.
				t.Log("the pulse's end was not recorded in time")
				s.terminate(s.start())
				want = "pulse_interrupted"
			}
			s.sound(tt.moves)
			events := s.history()
			expect(t, ended(events), tt.want)
			var facts []string
			for _, e := range events {
				if e.Kind == event.KindAccess {
					facts = append(facts, string(e.Fact))
				}
			}
			if got := strings.Join(facts, " "); got != want {
				t.Errorf("facts %q, want %q\n%s", got, want, d.log.String())
			}
		})
	}
}
