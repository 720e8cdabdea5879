//go:build linux && board

package board

import (
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// What is seen from outside comes at most so much later than it happens on a
// busy machine.
const late = 500 * time.Millisecond

// The whole work of a kiosk, on one board, one after the other.
func TestBoard(t *testing.T) {
	k := newKiosk(t)
	k.steps(t, []step{
		{"starting drives nothing", starts},
		{"the same person", samePerson},
		{"systemd is content", contents},
		{"another person", otherPerson},
		{"an ID without a face", noFaceOnID},
		{"killed with the door open", killed},
		{"nobody, until it is stopped", nobody},
		{"safe drives nothing", safe},
	})
}

func starts(k *kiosk) {
	began := time.Now()
	k.run("systemctl start facegate")
	k.t.Logf("ready in %v", time.Since(began).Round(time.Second))
	k.await("lamp ready", on(ready))
	k.kept(time.Time{}, 1<<ready)
}

// The daemon has said that it is ready, has fed the watchdog for longer than it
// can go hungry, and is as confined as the unit says.
func contents(k *kiosk) {
	state := k.run("systemctl show facegate --property ActiveState,SubState,NRestarts,User,WatchdogUSec")
	for _, want := range []string{"ActiveState=active\n", "SubState=running\n", "NRestarts=0\n", "User=facegate\n", "WatchdogUSec=8s\n"} {
		if !strings.Contains(state, want) {
			k.t.Errorf("no %q in\n%s", want, state)
		}
	}
	k.run("systemd-analyze security facegate --no-pager --threshold=20")
}

// decided waits for the outcome of the attempt that begins now.
func (k *kiosk) decided(id string, shown int, decision event.Decision, reason event.Reason) {
	k.t.Helper()
	k.outcome(id, shown)
	e := k.events(1)[0]
	if e.Attempt == nil || e.Decision != decision || e.Reason != reason {
		k.t.Fatalf("event %+v, want %s, %s", e, decision, reason)
	}
	k.t.Logf("%s, %s, milliseconds by stage: %v", e.Decision, e.Reason, e.StageMS)
}

func samePerson(k *kiosk) {
	began := time.Now()
	k.decided("id.jpg", granted, event.DecisionMatch, event.OK)
	facts := k.events(2)
	k.await("the door's end", off(door))
	pulses := k.watch.Pulses(door, began)
	if len(pulses) != 1 {
		k.t.Fatalf("%d pulses:\n%v", len(pulses), k.watch)
	}
	length := pulses[0].To.Sub(pulses[0].From)
	told := time.Duration(facts[1].MeasuredMS * float64(time.Millisecond))
	k.t.Logf("door open for %v, as the daemon says for %v", length.Round(time.Millisecond), told.Round(time.Millisecond))
	if length < pulse-late || length > pulse+late || (length-told).Abs() > late {
		k.t.Errorf("pulse of %v, want %v and what the daemon says: %v", length, pulse, told)
	}
	if facts[0].Fact != event.PulseStarted || facts[1].Fact != event.PulseEnded {
		k.t.Errorf("facts %s and %s", facts[0].Fact, facts[1].Fact)
	}
}

func otherPerson(k *kiosk) {
	k.film("other")
	began := time.Now()
	k.decided("id.jpg", denied, event.DecisionNoMatch, event.BelowThreshold)
	k.kept(began, 1<<ready|1<<busy|1<<granted|1<<denied)
}

func noFaceOnID(k *kiosk) {
	began := time.Now()
	k.decided("blank.jpg", attention, event.DecisionError, event.NoFaceID)
	k.kept(began, 1<<ready|1<<busy|1<<denied|1<<attention)
}

// nobody shows an ID and leaves; then the daemon is stopped. The attempt that
// still waits for a face ends with it, and is told before.
func nobody(k *kiosk) {
	k.film("nobody")
	k.await("idle", on(ready))
	began := time.Now()
	k.present("id.jpg")
	k.hears(began, "hint", "look_at_camera")
	stop := time.Now()
	k.run("systemctl stop facegate")
	k.t.Logf("stopped in %v", time.Since(stop).Round(10*time.Millisecond))
	e := k.events(1)[0]
	if e.Attempt == nil || e.Decision != event.DecisionError || e.Reason != event.Interrupted {
		k.t.Errorf("event %+v, want interrupted", e)
	}
	k.await("all off", func(levels byte) bool { return levels == 0 })
	k.kept(began, 1<<ready|1<<busy|1<<attention)
}

// safe stands for ExecStopPost where no daemon was before.
func safe(k *kiosk) {
	began := time.Now()
	out := k.run("setpriv --reuid facegate --regid facegate --init-groups facegate safe --config /etc/facegate/facegate.yaml")
	k.kept(began, 0)
	if n := strings.Count(out, ": off\n"); n != 7 {
		k.t.Errorf("%d lines off, want 7:\n%s", n, out)
	}
}
