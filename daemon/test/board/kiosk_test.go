//go:build linux && board

package board

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

const (
	// patient is for what takes a while: an emulated board computes a hundredth
	// of what a real one does.
	patient = 150 * time.Second
	place   = "facegate/test/board/" // in front of every topic
)

// A kiosk is facegate on a board, and those that it deals with.
type kiosk struct {
	t     *testing.T
	board *Board
	share string // folder of the host that is /mnt on the board
	watch *Watcher
	site  *mqtttest.Consumer
	ear   *ear
	seq   uint64 // of the last event that was waited for
}

// A setup is what a kiosk has that others have not.
type setup struct {
	broker  []string // lines of the broker's configuration
	devices []string // arguments for QEMU
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s: not set (make board sets it)", name)
	}
	return v
}

// newKiosk boots a board and installs the release on it, not yet started.
func newKiosk(t *testing.T) *kiosk {
	t.Helper()
	return newKioskWith(t, setup{})
}

func newKioskWith(t *testing.T, s setup) *kiosk {
	t.Helper()
	k := &kiosk{t: t, share: t.TempDir()}
	broker := mqtttest.StartMosquitto(t, append(s.broker, "allow_anonymous true")...)
	k.site = mqtttest.Consume(t, broker.Address, place, mqtttest.Login{ID: "site"})
	k.ear = listen(t, broker.Address)
	_, port, err := net.SplitHostPort(broker.Address)
	must(t, err)
	must(t, Share{
		Release: env(t, "FACEGATE_RELEASE"), Models: env(t, "FACEGATE_MODELS"), Pictures: env(t, "FACEGATE_PICTURES"),
		Script: "install.sh", Broker: "tcp://" + net.JoinHostPort(HostAddress, port),
	}.Lay(k.share))
	began := time.Now()
	k.board, err = Boot(t.Context(), Config{Dir: env(t, "FACEGATE_BOARD"), Share: k.share, Console: io.Discard, Devices: s.devices})
	must(t, err)
	t.Cleanup(func() { must(t, k.board.Close()) })
	t.Logf("booted in %v", time.Since(began).Round(time.Second))
	k.watch = k.board.Monitor.Watch()
	t.Cleanup(func() { must(t, k.watch.Stop()) })
	k.run("/bin/bash /mnt/install.sh")
	k.film("same")
	return k
}

// run runs a script on the board.
func (k *kiosk) run(script string) string {
	k.t.Helper()
	ctx, cancel := context.WithTimeoutCause(k.t.Context(), patient, fmt.Errorf("not within %v", patient))
	defer cancel()
	out, err := k.board.Run(ctx, script)
	if err != nil {
		log, _ := k.board.Run(k.t.Context(), "journalctl --no-pager --lines 40")
		k.t.Fatalf("%s: %v\n%s", script, err, log)
	}
	return out
}

// film changes what the camera sees.
func (k *kiosk) film(name string) {
	k.t.Helper()
	k.run("systemctl stop 'film@*' && systemctl start film@" + name)
}

// present gives the daemon an ID photo, as scanner software does.
func (k *kiosk) present(id string) {
	k.t.Helper()
	k.run("cd /var/lib/facegate/inbox && cp /mnt/" + id + " scan.tmp && mv scan.tmp scan.jpg")
}

// outcome presents an ID to an idle daemon and returns once a line shows what came
// of it: the wanted one, or attention. An attempt that has run into its deadline,
// as an emulated board of a busy machine may, is made again, twice at most.
func (k *kiosk) outcome(id string, wanted int) (began time.Time) {
	k.t.Helper()
	for again := 2; ; again-- {
		k.await("idle", on(ready))
		began = time.Now()
		k.present(id)
		failed := false
		k.await("the outcome", func(levels byte) bool {
			failed = !on(wanted)(levels) && on(attention)(levels)
			return failed || on(wanted)(levels)
		})
		if !failed {
			return began
		}
		e := k.events(1)[0]
		if e.Attempt == nil || e.Reason != event.Timeout || again == 0 {
			k.t.Fatalf("event %+v, want another", e)
		}
		k.t.Logf("once more: not done within the deadline, milliseconds by stage: %v", e.StageMS)
	}
}

// await waits until the lines are as wanted.
func (k *kiosk) await(what string, wanted func(levels byte) bool) time.Time {
	k.t.Helper()
	at, err := k.watch.Await(what, wanted, patient)
	if err != nil {
		log, _ := k.board.Run(k.t.Context(), "journalctl --no-pager --unit facegate --unit 'film@*' --lines 20")
		k.t.Fatalf("%v\nheard\n%v%s", err, k.ear, log)
	}
	return at
}

func on(line int) func(byte) bool  { return func(levels byte) bool { return levels>>line&1 == 1 } }
func off(line int) func(byte) bool { return func(levels byte) bool { return levels>>line&1 == 0 } }

// events waits for the next n events at the site's broker.
func (k *kiosk) events(n int) []event.Event {
	k.t.Helper()
	k.site.Until(k.seq + uint64(n))
	all := k.site.Events[k.seq:]
	k.seq += uint64(n)
	return all[:n]
}

// kept checks that the lines outside of the mask were off all the time since.
func (k *kiosk) kept(since time.Time, mask byte) {
	k.t.Helper()
	for _, c := range k.watch.Changes(since) {
		if c.Levels&^mask != 0 {
			k.t.Errorf("lines %08b, want none on but of %08b:\n%v", c.Levels, mask, k.watch)
			return
		}
	}
}

// count is how often a test repeats what can be repeated.
func count(t *testing.T) uint64 {
	t.Helper()
	return number(t, "COUNT", 1)
}

// steps runs one step after the other. What follows a failure starts from where
// it should not, and is left out.
func (k *kiosk) steps(t *testing.T, all []step) {
	for _, s := range all {
		ok := t.Run(s.name, func(t *testing.T) {
			began := time.Now()
			k.t = t
			s.run(k)
			t.Logf("took %v; at most %v between two looks at the lines", time.Since(began).Round(time.Second), k.watch.Longest().Round(time.Millisecond))
		})
		if !ok {
			break
		}
	}
}

type step struct {
	name string
	run  func(*kiosk)
}
