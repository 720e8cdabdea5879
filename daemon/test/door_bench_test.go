//go:build dlib && integration

package test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/attempt/attempttest"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/match"
)

// BenchmarkDecisionToJournal measures from the decision of an attempt to its
// outcome on the disk.
func BenchmarkDecisionToJournal(b *testing.B) {
	benchmarkDoor(b, func(w *watch) time.Duration { return w.recorded.Sub(w.decided) })
}

// BenchmarkJournalToPin measures from the outcome on the disk to the door's
// line being high: the record of the pulse, and the simulated board.
func BenchmarkJournalToPin(b *testing.B) {
	benchmarkDoor(b, func(w *watch) time.Duration { return w.moved.Sub(w.recorded) })
}

// benchmarkDoor runs attempts that open the door, with everything as in the
// daemon but the camera and the matcher, which take no time.
func benchmarkDoor(b *testing.B, span func(w *watch) time.Duration) {
	clock := event.Clock{BootID: eventtest.BootID, ClockSynced: func() bool { return true }}
	j, err := journal.Open(b.Context(), journal.Options{
		Path: filepath.Join(folder(b), "journal.db"), MaxBytes: 64 << 20, Site: "bench", Device: "gate-1", Stamp: clock.Stamp,
	})
	check(b, err)
	w := &watch{Record: j, pin: pin{Output: openPin(b)}}
	shut := make(chan struct{}, 1)
	line := w.line(func(e event.Event) {
		if e.Kind == event.KindAccess && e.Fact == event.PulseEnded {
			shut <- struct{}{}
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	var took []time.Duration
	for b.Loop() {
		_, err := line.Start(b.Context(), attempt.Request{Picture: []byte{1}, Source: "inbox", MayOpen: true})
		check(b, err)
		<-shut
		check(b, line.Ping(b.Context())) // the line is free again
		took = append(took, span(w))
	}
	stop()
	check(b, <-ended)
	check(b, j.Close())
	spread(b, took)
}

// A watch notes when the latest attempt came to each point of its way.
type watch struct {
	attempt.Record
	pin
	decided, recorded time.Time
}

// line returns a line that lets everybody in.
func (w *watch) line(outcome func(event.Event)) *attempt.Line {
	quiet := slog.New(slog.DiscardHandler)
	l := attempt.New()
	l.Frames, l.Camera, l.Matcher, l.Record = attempttest.Instant{}, func() error { return nil }, attempttest.Instant{}, w
	l.Door, l.Lockout, l.Policy = &hal.Door{Output: &w.pin, Log: quiet}, &attempt.Lockout{}, match.Policy{Accept: 0.45, Reject: 0.60}
	l.Deadline, l.Probes, l.Fresh, l.Stalled = time.Minute, 1, time.Minute, time.Minute
	l.Authorise, l.PulseLength = attempt.Always, time.Millisecond
	l.Phase, l.Hint, l.Outcome, l.Log = func(attempt.Phase) {}, func(string, attempt.Hint) {}, outcome, quiet
	return l
}

// Append implements attempt.Record.
func (w *watch) Append(ctx context.Context, e event.Event) (event.Event, error) {
	if e.Kind != event.KindAttempt {
		return w.Record.Append(ctx, e)
	}
	w.decided = time.Now()
	e, err := w.Record.Append(ctx, e)
	w.recorded = time.Now()
	return e, err
}

// A pin notes when it was last turned on.
type pin struct {
	hal.Output
	moved time.Time
}

// Set implements hal.Output.
func (p *pin) Set(on bool) error {
	err := p.Output.Set(on)
	if on {
		p.moved = time.Now()
	}
	return err
}
