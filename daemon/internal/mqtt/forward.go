package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/facegate/facegate/daemon/internal/event"
)

const (
	batch     = 64               // events asked of the outbox at once
	window    = 16               // events on the wire without acknowledgement
	late      = 10 * time.Second // an event older than this is historical
	journalIn = 2 * time.Second  // for recording a delivery while things end
	retryIn   = time.Second      // after a fault of the journal
)

// forward sends the outbox's events, oldest first, until ctx ends. Each is
// acknowledged by the broker before it counts as delivered, so after a lost
// connection up to a window of them is sent again.
func (s *session) forward(ctx context.Context) error {
	for {
		changed := s.Outbox.Changed()
		sent, err := s.forwardBatch(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case sent:
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// forwardBatch reports whether there may be more to send at once. Its error
// is the connection's; a fault of the journal is logged and waited out.
func (s *session) forwardBatch(ctx context.Context) (bool, error) {
	events, err := s.Outbox.Pending(ctx, batch)
	if err != nil {
		return true, s.journalFault(ctx, "read pending events", err)
	}
	if len(events) == 0 {
		return false, nil
	}
	through, err := s.send(ctx, events, s.historical)
	if through == 0 {
		return false, err
	}
	for i := range events {
		if events[i].Seq <= through {
			s.setLast(&events[i])
		}
	}
	// What the broker has must be recorded even while everything ends.
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalIn)
	defer cancel()
	if derr := s.Outbox.Delivered(dctx, through); derr != nil && err == nil {
		return true, s.journalFault(ctx, "record delivered events", derr)
	}
	return true, err
}

func (s *session) journalFault(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	s.journalError(what, err)
	select {
	case <-time.After(retryIn):
	case <-ctx.Done():
	}
	return nil
}

// journalError logs a fault of the journal, at most once in ten seconds.
func (r *run) journalError(what string, err error) {
	if n, ok := r.journal.allow(time.Now()); ok {
		r.Log.Error("journal fault", "doing", what, "err", err, "more", n)
	}
}

// A flight is an event that was sent and is not yet acknowledged.
type flight struct {
	seq        uint64
	historical bool
	token      paho.Token
}

// send publishes events in order, keeping at most a window of them
// unacknowledged, and returns the seq up to which all are acknowledged.
func (s *session) send(ctx context.Context, events []event.Event, historical func(*event.Event) bool) (through uint64, err error) {
	var flying []flight
	land := func() error {
		f := flying[0]
		if err := await(ctx, f.token); err != nil {
			return fmt.Errorf("publish event %d: %w", f.seq, err)
		}
		flying, through = flying[1:], f.seq
		s.stats.sent.Add(1)
		if f.historical {
			s.stats.historical.Add(1)
		}
		return nil
	}
	for _, e := range events { // a copy, to be marked
		if len(flying) == window {
			if err := land(); err != nil {
				return through, err
			}
		}
		e.Historical = historical(&e)
		payload, err := json.Marshal(e)
		if err != nil {
			return through, fmt.Errorf("encode event %d: %w", e.Seq, err)
		}
		token, err := s.publish(ctx, message{s.topic("event/" + string(e.Kind)), 1, false, payload})
		if err != nil {
			return through, err
		}
		flying = append(flying, flight{e.Seq, e.Historical, token})
	}
	for len(flying) > 0 {
		if err := land(); err != nil {
			return through, err
		}
	}
	return through, nil
}

// historical says whether a consumer should not take e for something that
// happens now: it was sent before, it is from an earlier boot or connection,
// or it is old. The wall clock is not asked: it may have been set since. It notes
// that e is being sent.
func (s *session) historical(e *event.Event) bool {
	again := e.Seq <= s.sent
	s.sent = max(s.sent, e.Seq)
	made := time.Duration(e.MonoMS) * time.Millisecond
	return again || e.BootID != s.BootID || made < s.began || event.SinceBoot()-made > late
}

func always(*event.Event) bool { return true }
