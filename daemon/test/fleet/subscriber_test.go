//go:build fleet

package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// filter is for the events of the whole fleet.
const filter = topic + "+/event/+"

// A subscriber counts the events of all kiosks. It has a lasting session, and
// comes back whenever it is thrown out or refused.
//
// It does what docs/fleet.md asks of every consumer: it drops what it has, and
// holds back what comes before its turn until the gap is filled. After a lost
// connection both engines may hand it older events behind newer ones: JetStream
// sends again what was not acknowledged, but only after ack_wait.
type subscriber struct {
	t      *testing.T
	engine engine
	want   int // events of each kiosk
	wg     sync.WaitGroup
	cancel context.CancelFunc

	// mu guards the following
	mu                        sync.Mutex
	kiosks                    map[string]*sequence
	passed                    int // events passed on, in order
	again, late, logins       int
	lastArrival               time.Time
	longest                   time.Duration
	kioskCount, wrongJournals int
}

// A sequence is one kiosk's events.
type sequence struct {
	journal string
	passed  uint64          // every event to here
	early   map[uint64]bool // held back
}

func subscribe(t *testing.T, e engine, kiosks, events int) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscriber{t: t, engine: e, want: events, cancel: cancel, kiosks: map[string]*sequence{}, kioskCount: kiosks}
	ready := make(chan struct{})
	s.wg.Go(func() { s.run(ctx, sync.OnceFunc(func() { close(ready) })) })
	t.Cleanup(s.stop)
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatal("the subscriber is not connected after a minute")
	}
	return s
}

func (s *subscriber) stop() {
	s.cancel()
	s.wg.Wait()
}

// run makes one connection after another.
func (s *subscriber) run(ctx context.Context, ready func()) {
	for ctx.Err() == nil {
		if err := s.session(ctx, ready); err != nil && ctx.Err() == nil {
			s.t.Logf("subscriber: %v", err)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// session makes one connection and serves it.
func (s *subscriber) session(ctx context.Context, ready func()) error {
	conn, err := s.engine.dialHost()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "counter", Lasting: true})
	if err != nil {
		return err
	}
	err = s.receive(p, ready)
	_ = conn.Close()
	for { // what came, and was acknowledged, while p waited for something else
		m, nothing := p.Next()
		if nothing != nil {
			return err
		}
		s.take(m)
	}
}

// receive takes messages until the connection breaks.
func (s *subscriber) receive(p *mqtttest.Peer, ready func()) error {
	if err := p.Subscribe(filter, 1); err != nil {
		return err
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	ready()
	for {
		m, err := p.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = p.Subscribe(filter, 1); err == nil { // the same again, as a sign of life
				continue
			}
		}
		if err != nil {
			return err
		}
		s.take(m)
	}
}

// take counts a message.
func (s *subscriber) take(m mqtttest.Message) {
	device, _, _ := strings.Cut(strings.TrimPrefix(m.Topic, topic), "/")
	var e struct {
		Seq     uint64 `json:"seq"`
		Journal string `json:"journal_id"`
		Device  string `json:"device"`
	}
	if err := json.Unmarshal(m.Payload, &e); err != nil || e.Device != device || e.Seq == 0 {
		s.t.Errorf("%s: %v: %s", m.Topic, err, m.Payload)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.longest = max(s.longest, now.Sub(s.lastArrival))
	s.lastArrival = now
	k := s.kiosks[device]
	if k == nil {
		k = &sequence{journal: e.Journal, early: map[uint64]bool{}}
		s.kiosks[device] = k
	}
	switch {
	case e.Journal != k.journal:
		s.wrongJournals++
	case e.Seq <= k.passed || k.early[e.Seq]:
		s.again++
		return
	case len(k.early) > 0:
		s.late++
	}
	k.early[e.Seq] = true
	for k.early[k.passed+1] {
		delete(k.early, k.passed+1)
		k.passed++
		s.passed++
	}
}

// count is how many events were passed on, in order.
func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed
}

// watchSilence begins to look for the longest time without an event.
func (s *subscriber) watchSilence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastArrival, s.longest = time.Now(), 0
}

func (s *subscriber) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

// check demands every event of every kiosk.
func (s *subscriber) check() {
	s.t.Helper()
	if len(s.kiosks) != s.kioskCount || s.wrongJournals > 0 {
		s.t.Errorf("events of %d kiosks arrived, want %d; %d with a strange journal", len(s.kiosks), s.kioskCount, s.wrongJournals)
	}
	for device, k := range s.kiosks {
		if k.passed != uint64(s.want) || len(k.early) > 0 {
			s.t.Errorf("%s: events to %d arrived, and %d after a gap, want %d", device, k.passed, len(k.early), s.want)
		}
	}
}
