//go:build dlib && integration

package test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// TestStop stops the daemon in each of its states.
func TestStop(t *testing.T) {
	for name, c := range map[string]struct {
		camera string
		reach  func(s *site) bool // brings the daemon into the state
		right  func(e []event.Event) bool
	}{
		"idle": {"same", func(*site) bool { return true }, func(e []event.Event) bool { return len(e) == 0 }},
		"looking at the id": {"same", func(s *site) bool {
			s.drop()
			began := s.rise("lamp-busy", patient)
			time.Sleep(30 * time.Millisecond) // the journal comes before; the outcome says what was under way
			return began
		}, func(e []event.Event) bool {
			if len(e) != 1 {
				return false
			}
			_, looked := e[0].StageMS["id"]
			return e[0].Reason == event.Interrupted && looked && e[0].FramesSeen == 0
		}},
		"looking for a face": {"nobody", func(s *site) bool {
			s.drop()
			began := s.rise("lamp-busy", patient)
			time.Sleep(1500 * time.Millisecond) // half the deadline; the outcome says whether frames were seen
			return began
		}, func(e []event.Event) bool {
			return len(e) == 1 && e[0].Reason == event.Interrupted && e[0].FramesSeen > 0
		}},
		"door open": {"same", func(s *site) bool {
			s.drop()
			return s.rise("door", patient)
		}, func(e []event.Event) bool {
			return len(e) == 3 && e[0].Access == event.Granted && e[1].Fact == event.PulseStarted && e[2].Fact == event.PulseEnded
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			must(t, os.Remove(s.path("camera")))
			must(t, os.Symlink(c.camera, s.path("camera")))
			d := s.start()
			s.forget()
			if !c.reach(s) {
				t.Fatal("the state was not reached")
			}
			s.terminate(d)
			r := record{events: s.history(), board: s.timeline(), said: d.said, pulse: pulse}
			for _, f := range r.faults() {
				t.Error(f)
			}
			if !c.right(r.events) {
				t.Errorf("wrong events:\n%s", d.log.String())
			}
		})
	}
}

// TestImpatientStop tells the daemon to stop three times over, as a terminal
// and a supervisor do together, while the door is open.
func TestImpatientStop(t *testing.T) {
	s := newSite(t, fmt.Sprintf("pulse: %v", pulse), "pulse: 5s")
	d := s.start()
	s.forget()
	s.drop()
	if !s.rise("door", patient) {
		t.Fatal("the door did not open")
	}
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		must(t, d.cmd.Process.Signal(sig))
	}
	s.terminate(d)
}
