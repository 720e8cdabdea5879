//go:build integration

package mqtt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// count is how often something is to happen: few times, or COUNT times but not
// more than makes sense.
func count(t *testing.T, few, most int) int {
	t.Helper()
	text, ok := os.LookupEnv("COUNT")
	if !ok {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("COUNT=%q: want a number from 1", text)
	}
	return min(n, most)
}

// A kiosk is a client with a journal on a disk of memory, where the disk's
// own pace does not blur what is measured.
type kiosk struct {
	*mqtt.Client
	*journal.Journal
	t        *testing.T
	attempts int
}

func newKiosk(t *testing.T, device string) *kiosk {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fg")
	if err != nil {
		t.Fatal(err)
	}
	clock := event.Clock{BootID: eventtest.BootID, ClockSynced: func() bool { return true }}
	j, err := journal.Open(t.Context(), journal.Options{
		Path: filepath.Join(dir, "journal.db"), MaxBytes: 256 << 20, KeepDelivered: time.Minute, Site: "hall", Device: device, Stamp: clock.Stamp,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(j.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	c, _ := newClient()
	c.Device, c.Outbox, c.History, c.Nonces = device, j, j, j
	return &kiosk{Client: c, Journal: j, t: t}
}

// attempt appends the outcome of one more attempt.
func (k *kiosk) attempt() {
	k.t.Helper()
	k.attempts++
	if _, err := k.Append(context.Background(), eventtest.NoMatch(eventtest.AttemptID(k.attempts))); err != nil {
		k.t.Fatal(err)
	}
}

// delivered is the highest seq that the journal counts as delivered.
func (k *kiosk) delivered() uint64 {
	s, err := k.Journal.Stats(context.Background())
	if err != nil {
		k.t.Error(err)
	}
	return s.Delivered
}

// serves runs the kiosk against b for the length of body, in a bubble.
func (b *badBroker) serves(t *testing.T, k *kiosk, body func()) {
	t.Helper()
	k.Dial = b.dial
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	body()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	b.wg.Wait()
}

// An arrivals checks the events of one kiosk as a broker gets them.
type arrivals struct {
	t     *testing.T
	last  uint64 // every event to here has arrived
	acked uint64 // and every event to here was acknowledged
	again int    // events that came more than once
}

// take notes the event that p publishes, if it does.
func (a *arrivals) take(p mqtttest.Packet) uint64 {
	if eventSeq(a.t, p) == 0 {
		return 0
	}
	m, err := mqtttest.ParseMessage(p)
	if err != nil {
		a.t.Error(err)
	}
	return a.note(m)
}

// note does so for the message of an event.
func (a *arrivals) note(m mqtttest.Message) uint64 {
	seq := field[uint64](a.t, m, "seq")
	switch {
	case seq <= a.last:
		a.again++
		if !field[bool](a.t, m, "historical") {
			a.t.Errorf("event %d came again without saying so", seq)
		}
	case seq == a.last+1:
		a.last = seq
	default:
		a.t.Errorf("event %d came after %d", seq, a.last)
	}
	return seq
}

// The nth connection fails at its nth packet: after CONNECT, after SUBSCRIBE,
// after each kind of PUBLISH and each of the first events, and in all states
// of the window.
func TestFaultAtEveryPacket(t *testing.T) {
	packets := count(t, 25, 100)
	for _, fault := range []atPacket{
		{name: "closes", do: func([]byte) ([]byte, error) { return nil, errHangUp }},
		{name: "answers and closes", do: func(answer []byte) ([]byte, error) { return answer, errHangUp }, acks: true},
		{name: "answers by half and closes", do: func(answer []byte) ([]byte, error) { return answer[:len(answer)/2], errHangUp }},
		{name: "is silent from then on", do: func([]byte) ([]byte, error) { return nil, nil }, mute: true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fault.each(t, packets) })
		})
	}
}

// An atPacket is what a broker may do when it has read a packet.
type atPacket struct {
	name string
	do   func(answer []byte) ([]byte, error) // given that of a sound broker
	acks bool                                // the answer goes out
	mute bool                                // so is it with all later packets
}

// each has the broker fail at each of the first packets.
func (f atPacket) each(t *testing.T, packets int) {
	k := newKiosk(t, "gate-1")
	k.SetInfo(map[string]any{"v": 1})
	k.SetHealth(map[string]any{"v": 1})
	got := arrivals{t: t}
	var mu sync.Mutex                                         // guards what the broker notes
	seen, failed := map[int]int{}, make([]time.Time, packets) // packets and time by connection
	b := &badBroker{on: func(n int, p mqtttest.Packet) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		seq := got.take(p)
		seen[n]++
		answer, err := polite(p)
		at := n <= packets && seen[n] == n
		if at {
			failed[n-1] = time.Now()
		}
		if !at || f.acks {
			got.acked = max(got.acked, seq)
		}
		if at || f.mute && n <= packets && seen[n] > n {
			return f.do(answer)
		}
		return answer, err
	}}
	b.serves(t, k, func() {
		for len(b.connections()) <= packets {
			k.attempt()
			time.Sleep(10 * time.Second)
			d := k.delivered()
			mu.Lock()
			if d > got.acked {
				t.Errorf("delivered through %d, the broker has acknowledged %d", d, got.acked)
			}
			mu.Unlock()
		}
		time.Sleep(3 * time.Minute)
	})
	if got.last != uint64(k.attempts) || k.delivered() != got.last {
		t.Errorf("broker has %d of %d events, journal says %d", got.last, k.attempts, k.delivered())
	}
	atAnEasyPace(t, failed, b.connections()[1:])
	t.Logf("%d connections, %d events, %d of them again", len(b.connections()), got.last, got.again)
}

// atAnEasyPace checks that the connection after each that failed came neither
// at once nor late. The longest wait is a minute; before it, silence is noticed
// within 45 s.
func atAnEasyPace(t *testing.T, failed, again []time.Time) {
	t.Helper()
	for i, at := range failed {
		if wait := again[i].Sub(at); wait < 500*time.Millisecond || wait > 105*time.Second {
			t.Errorf("%s from the fault of connection %d to the next", wait, i+1)
		}
	}
}

// A day without a broker: what waits in the journal must not come to weigh on
// the memory, neither while it waits nor while it is sent.
func TestBacklogOfADay(t *testing.T) {
	for _, tt := range []struct {
		name string
		dead func(p mqtttest.Packet) ([]byte, error)
	}{
		{"refused", nil},
		{"never acknowledged", func(p mqtttest.Packet) ([]byte, error) {
			if p.Type == mqtttest.Publish {
				return nil, nil
			}
			return polite(p)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { backlog(t, count(t, 500, 20_000), tt.dead) })
		})
	}
}

const day = 24 * time.Hour

func backlog(t *testing.T, events int, dead func(mqtttest.Packet) ([]byte, error)) {
	k := newKiosk(t, "gate-1")
	before := settled()
	got := arrivals{t: t}
	var sound atomic.Bool
	var dials atomic.Int64 // refused
	var most int64
	b := &badBroker{on: func(_ int, p mqtttest.Packet) ([]byte, error) {
		if !sound.Load() {
			return dead(p)
		}
		if got.take(p)%500 == 1 {
			most = max(most, settled())
		}
		return polite(p)
	}}
	if dead == nil {
		b.refuse = func() error {
			if sound.Load() {
				return nil
			}
			dials.Add(1)
			return syscall.ECONNREFUSED
		}
	}
	b.serves(t, k, func() {
		for range events {
			k.attempt()
			time.Sleep(day / time.Duration(events))
		}
		held := settled()
		if d := k.delivered(); d != 0 {
			t.Errorf("delivered through %d with no broker", d)
		}
		tried := int(dials.Load()) + len(b.connections())
		if tried < 1000 || tried > 3000 {
			t.Errorf("%d connections in a day", tried)
		}
		sound.Store(true)
		began := time.Now()
		for k.delivered() < uint64(events) && time.Since(began) < 5*time.Minute {
			time.Sleep(time.Second)
		}
		t.Logf("%d events, %d connections while the broker was dead, all delivered %s after its return", events, tried, time.Since(began).Round(time.Second))
		most = max(held, most) - before
	})
	if got.last != uint64(events) || got.again != 0 || k.delivered() != got.last {
		t.Errorf("broker has %d of %d events, %d of them twice, journal says %d", got.last, events, got.again, k.delivered())
	}
	t.Logf("the heap grew by %d KiB at most", most>>10)
	if most > 4<<20 {
		t.Error("too much")
	}
}

// settled is the size of the heap without garbage, in bytes.
func settled() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
