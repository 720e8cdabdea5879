// Package mqtttest holds stand-ins for what the MQTT client needs from the
// journal, and a broker that misbehaves.
package mqtttest

import (
	"context"
	"sync"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/mqtt"
)

// AttemptID is that of every event appended.
const AttemptID = "01KJM2Z8Q4T0V6W9X3Y5A7BCDE"

// JournalID is that of every event appended.
const JournalID = "QF3ZB6T5N7H2MJ4KXW6ACD7LYE"

// A Journal is an outbox, a history and a memory of nonces without a disk. The
// zero value is empty and ready for use, by several goroutines.
type Journal struct {
	BootID string        // of the events appended
	Age    time.Duration // of the events appended
	Clock  time.Duration // how far the wall clock was ahead when they were made

	// mu guards the following
	mu        sync.Mutex
	events    []event.Event
	delivered uint64
	changed   chan struct{}
	nonces    map[string]bool
	err       error
}

var (
	_ mqtt.Outbox  = (*Journal)(nil)
	_ mqtt.History = (*Journal)(nil)
	_ mqtt.Nonces  = (*Journal)(nil)
)

// Append adds a decided attempt with the next seq and returns that seq.
func (j *Journal) Append() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	seq := uint64(len(j.events) + 1)
	j.events = append(j.events, event.Event{
		V: event.Version, Kind: event.KindAttempt, Seq: seq, JournalID: JournalID, Site: "hall", Device: "gate-1",
		Stamp: event.Stamp{
			BootID: j.BootID, Time: event.Time{Time: time.Now().Add(j.Clock - j.Age)}, MonoMS: (event.SinceBoot() - j.Age).Milliseconds(),
		},
		AttemptID: AttemptID,
		Attempt:   &event.Attempt{Decision: event.DecisionMatch, Reason: event.OK, Source: "http", Route: "local", Access: event.NotAttempted},
	})
	close(j.change())
	j.changed = nil
	return seq
}

// change is called with mu held.
func (j *Journal) change() chan struct{} {
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}

// Fail makes everything return err, until it is called with nil.
func (j *Journal) Fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

// Through is the highest seq recorded as delivered.
func (j *Journal) Through() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.delivered
}

// Pending implements mqtt.Outbox.
func (j *Journal) Pending(_ context.Context, limit int) ([]event.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.slice(j.delivered+1, uint64(len(j.events)), limit), j.err
}

// Delivered implements mqtt.Outbox.
func (j *Journal) Delivered(_ context.Context, through uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.delivered = max(j.delivered, through)
	}
	return j.err
}

// Changed implements mqtt.Outbox.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.change()
}

// Range implements mqtt.History.
func (j *Journal) Range(_ context.Context, from, to uint64, limit int) ([]event.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.slice(from, min(to, uint64(len(j.events))), limit), j.err
}

func (j *Journal) slice(from, to uint64, limit int) []event.Event {
	if j.err != nil || from > to {
		return nil
	}
	to = min(to, from+uint64(limit)-1)
	return append([]event.Event(nil), j.events[from-1:to]...)
}

// UseNonce implements mqtt.Nonces; it forgets nothing.
func (j *Journal) UseNonce(_ context.Context, nonce string, _ time.Time) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return false, j.err
	}
	if j.nonces == nil {
		j.nonces = map[string]bool{}
	}
	fresh := !j.nonces[nonce]
	j.nonces[nonce] = true
	return fresh, nil
}
