package mqtttest

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// A Consumer is a subscriber to events with a lasting session that comes back
// whenever it is thrown out, drops what it has seen, and holds each event to
// the schema.
type Consumer struct {
	Peer   *Peer
	Events []event.Event // in order of first arrival
	Again  int           // events that came more than once

	t             testing.TB
	address, root string
	login         Login
	seen          map[uint64]bool
}

// Consume returns a consumer that has subscribed to the events below root,
// which ends with a slash.
func Consume(t testing.TB, address, root string, l Login) *Consumer {
	t.Helper()
	l.Lasting = true
	c := &Consumer{t: t, address: address, root: root, login: l, seen: map[uint64]bool{}}
	c.Login()
	t.Cleanup(c.Leave)
	return c
}

// Login comes back after Leave, or after the broker was away.
func (c *Consumer) Login() {
	c.t.Helper()
	var err error
	if c.Peer, err = NewPeer(Dial(c.t, c.address), c.login); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Peer.Subscribe(c.root+"event/#", 1); err != nil {
		c.t.Fatal(err)
	}
}

// Leave goes away without a word; the broker keeps what comes meanwhile.
func (c *Consumer) Leave() { _ = c.Peer.Close() }

// Until takes events until the one with that seq has come.
func (c *Consumer) Until(last uint64) {
	c.t.Helper()
	for !c.seen[last] {
		m, err := c.Peer.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("event %d did not arrive, got %v", last, c.Seqs())
		}
		if err != nil {
			c.Login()
			continue
		}
		c.take(m)
	}
}

func (c *Consumer) take(m Message) {
	c.t.Helper()
	eventtest.Validate(c.t, m.Payload)
	var e event.Event
	if err := json.Unmarshal(m.Payload, &e); err != nil {
		c.t.Fatalf("%s: %v: %s", m.Topic, err, m.Payload)
	}
	if c.seen[e.Seq] {
		c.Again++
		return
	}
	c.seen[e.Seq] = true
	c.Events = append(c.Events, e)
}

// Seqs lists the events in order of first arrival.
func (c *Consumer) Seqs() []uint64 {
	var all []uint64
	for _, e := range c.Events {
		all = append(all, e.Seq)
	}
	return all
}

// Check demands the events 1 to n, in order and none missing.
func (c *Consumer) Check(n int) {
	c.t.Helper()
	for i, seq := range c.Seqs() {
		if seq != uint64(i+1) {
			c.t.Fatalf("consumer got %v, want 1 to %d", c.Seqs(), n)
		}
	}
	if len(c.Events) != n {
		c.t.Errorf("consumer got %d events, want %d", len(c.Events), n)
	}
	c.t.Logf("%d events, %d of them again", len(c.Events), c.Again)
}
