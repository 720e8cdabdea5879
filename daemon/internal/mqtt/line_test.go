//go:build integration

package mqtt_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/attempt/attempttest"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
	"github.com/facegate/facegate/match"
)

// The attempt line must not notice that the broker is dead: it never waits for
// the network, and what the client does meanwhile must not hold up the
// journal. Camera and matcher take no time here, so that nothing hides a
// difference. Kiosks with their brokers alive and dead take turns, so that all
// see the same machine.
func TestDecisionsWithTheBrokerDead(t *testing.T) {
	const block = 50
	rounds := count(t, 10, 200)
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	silent := mqtttest.NewProxy(t, m.Address)
	sites := []struct {
		broker string
		url    string
		*kiosk
		line func() time.Duration
		took []time.Duration
	}{
		{broker: "alive", url: "tcp://" + m.Address},
		{broker: "refusing", url: "tcp://127.0.0.1:" + freePort(t)},
		{broker: "silent", url: silent.URL()},
	}
	for i := range sites {
		s := &sites[i]
		s.kiosk = newKiosk(t, "gate-1")
		s.Broker, s.ClientID = s.url, s.broker
		s.line = decide(t, s.kiosk)
		if run(t, s.Client); s.broker != "refusing" {
			s.attempt()
			s.drained() // so it was connected
		}
	}
	silent.Stall(true, true)
	t.Cleanup(func() { silent.Cut(true); silent.Stall(false, false) })
	for range rounds {
		for i := range sites {
			for range block {
				sites[i].took = append(sites[i].took, sites[i].line())
			}
			sites[0].drained()                                  // its deliveries are its own affair
			if err := sites[i].Prune(t.Context()); err != nil { // as the daemon does every ten seconds
				t.Fatal(err)
			}
		}
	}
	alive := p99(sites[0].took)
	for _, s := range sites[1:] {
		dead := p99(s.took)
		ratio := dead.Seconds() / alive.Seconds()
		t.Logf("p99 of the decision: %v with the broker %s, %v with it alive, ratio %.2f (%d decisions each)", dead, s.broker, alive, ratio, rounds*block)
		// A dead broker spares the journal the notes of deliveries, so the
		// ratio is about 1 on a quiet machine. Whoever waits for the network
		// waits for a second or more; less is the noise of a busy one.
		if dead > alive*11/10+150*time.Millisecond {
			t.Errorf("the line notices that the broker is %s", s.broker)
		}
	}
}

// drained waits until the broker has everything.
func (k *kiosk) drained() {
	k.t.Helper()
	late := time.After(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); ; {
		s, err := k.Journal.Stats(k.t.Context())
		if err != nil {
			k.t.Fatal(err)
		}
		if s.Pending == 0 {
			return
		}
		select {
		case <-tick:
		case <-late:
			k.t.Fatalf("%d events are not delivered after a minute", s.Pending)
		}
	}
}

// p99 sorts.
func p99(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}

// decide runs a line whose attempts all match, and returns a function that
// makes one and says how long it took to its outcome.
func decide(t *testing.T, k *kiosk) func() time.Duration {
	l := attempt.New()
	l.Frames, l.Camera, l.Matcher, l.Record = attempttest.Instant{}, func() error { return nil }, attempttest.Instant{}, k.Journal
	l.Lockout, l.Policy = &attempt.Lockout{}, match.Policy{Accept: 0.45, Reject: 0.60}
	l.Deadline, l.Probes, l.Fresh, l.Stalled = time.Minute, 1, time.Minute, time.Minute
	l.Authorise = attempt.Always
	l.Phase, l.Hint, l.Outcome = func(attempt.Phase) {}, func(string, attempt.Hint) {}, func(event.Event) {}
	l.Log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func() time.Duration {
		began := time.Now()
		ticket, err := l.Start(t.Context(), attempt.Request{Picture: []byte{1}, Source: "inbox"})
		if err != nil {
			t.Fatal(err)
		}
		if e := <-ticket.Done; e.Seq == 0 || e.Decision != event.DecisionMatch {
			t.Fatalf("outcome %+v", e)
		}
		took := time.Since(began)
		if err := l.Ping(t.Context()); err != nil { // the line is free again
			t.Fatal(err)
		}
		return took
	}
}
