//go:build linux && board

package board

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

const (
	// openAtMost is the longest that a door is open, whatever becomes of the
	// program.
	openAtMost = 10 * time.Second
	// hang is match.hang in these tests: more than a call of the engine takes on
	// an emulated board.
	hang = 30 * time.Second
	// watchdog is WatchdogSec of the unit.
	watchdog = 8 * time.Second
	// failing is the file that has the engine fail.
	failing = "/run/facegate/failing"
)

// Every way in which the process can end or stand still, on one board.
func TestProcess(t *testing.T) {
	k := newKiosk(t)
	k.failing()
	k.run("sed -i 's/hang: 1m/hang: " + hang.String() + "/' /etc/facegate/facegate.yaml")
	k.run("systemctl start facegate")
	var all []step
	for range count(t) {
		all = append(all,
			step{"stopped with the door open", stopped},
			step{"stuck in a call of the engine", stuck},
			step{"killed with the door open", killed},
			step{"aborted with the door open", aborted},
		)
	}
	k.steps(t, all)
}

// failing has the daemon's engine fail in C when it is told to, see
// daemon/test/failing/malloc.c.
func (k *kiosk) failing() {
	k.t.Helper()
	cmd := exec.Command("aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-o", filepath.Join(k.share, "malloc.so"), "../failing/malloc.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %s", err, out)
	}
	k.run("cp /mnt/malloc.so /usr/lib/ && mkdir /etc/systemd/system/facegate.service.d && cd /etc/systemd/system/facegate.service.d && " +
		"printf '[Service]\nEnvironment=LD_PRELOAD=/usr/lib/malloc.so FAILING=" + failing + "\n' >failing.conf && systemctl daemon-reload")
}

// starting is what the board needs to start the program once and do nothing.
func (k *kiosk) starting() time.Duration {
	k.t.Helper()
	began := time.Now()
	k.run("facegate version")
	return time.Since(began)
}

func (k *kiosk) pid() string {
	k.t.Helper()
	return strings.TrimSpace(k.run("systemctl show facegate --property MainPID --value"))
}

// harmed opens the door for a person, does something to the process, and waits
// until the door is shut again and the daemon is back. The door must be shut
// within the limit.
func (k *kiosk) harmed(what, script string, limit time.Duration) {
	k.t.Helper()
	k.await("idle", on(ready))
	limit += 3 * k.starting()
	script = strings.ReplaceAll(script, "PID", k.pid())
	began := k.outcome("id.jpg", door)
	ordered := time.Now()
	k.run(script)
	done := time.Now()
	k.await("the door's end", off(door))
	k.await("the daemon's return", on(ready))
	pulses := k.watch.Pulses(door, began)
	if len(pulses) != 1 {
		k.t.Fatalf("%d pulses:\n%v", len(pulses), k.watch)
	}
	closed := pulses[0].To
	k.t.Logf("%s: door shut %v to %v after, limit %v; open for %v of %v, ready again after %v", what, short(closed.Sub(done)), short(closed.Sub(ordered)),
		short(limit), short(pulses[0].To.Sub(pulses[0].From)), pulse, short(time.Since(ordered)))
	if closed.Sub(done) > limit {
		k.t.Errorf("%s: door shut too late", what)
	}
	facts := k.events(3)
	if facts[0].Decision != event.DecisionMatch || facts[1].Fact != event.PulseStarted || facts[2].Fact != event.PulseInterrupted {
		k.t.Errorf("events %+v", facts)
	}
}

// A line keeps its level when its process dies, so that the door stays open
// until the unit's ExecStopPost closes it. That may take a second, and what an
// emulated board needs longer for starting programs.
func killed(k *kiosk) {
	k.film("same")
	k.harmed("killed", "kill -KILL PID", time.Second)
}

// aborted ends the process as abort(3) does in the engine.
func aborted(k *kiosk) {
	k.harmed("aborted", "kill -ABRT PID", time.Second)
}

// stopped is a process of which no thread runs any more.
func stopped(k *kiosk) {
	before := k.kills()
	k.harmed("stopped", "kill -STOP PID", openAtMost)
	if n := k.kills() - before; n != 1 {
		k.t.Errorf("ended by the watchdog %d times, want 1", n)
	}
}

// kills counts how often the watchdog has ended the daemon.
func (k *kiosk) kills() int {
	k.t.Helper()
	return strings.Count(k.run("journalctl --no-pager --unit facegate"), "Watchdog timeout")
}

// stuck is an engine that does not come back. The attempt ends without a
// verdict, and the process is ended.
func stuck(k *kiosk) {
	k.film("same")
	k.await("idle", on(ready))
	before := k.kills()
	began := time.Now()
	k.present("id.jpg")
	k.await("the attempt", on(busy))
	k.run("echo hang >" + failing)
	hung := time.Now()
	ended := k.await("the attempt's end", on(attention))
	e := k.events(1)[0]
	if e.Attempt == nil || e.Decision != event.DecisionError || e.Reason != event.EngineFault {
		k.t.Errorf("event %+v, want engine_fault", e)
	}
	k.run(fmt.Sprintf("until [ $(journalctl --no-pager --unit facegate | grep -c 'Watchdog timeout') -gt %d ]; do sleep 0.2; done", before))
	over := time.Now()
	k.await("the daemon's return", on(ready))
	limit := hang + watchdog + 3*k.starting()
	k.t.Logf("hung at most %v after the photo: engine_fault %v later, ended by the watchdog %v later, limit %v; ready again %v later",
		short(hung.Sub(began)), short(ended.Sub(hung)), short(over.Sub(hung)), short(limit), short(time.Since(hung)))
	if over.Sub(hung) > limit {
		k.t.Error("ended too late")
	}
	if n := k.kills() - before; n != 1 {
		k.t.Errorf("ended by the watchdog %d times, want 1", n)
	}
	if n := len(k.watch.Pulses(door, began)); n != 0 {
		k.t.Errorf("door opened %d times", n)
	}
}
