package power

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/match/cloud"
)

const (
	pulse    = 700 * time.Millisecond // in events alone
	key      = "http"                 // of the lockout counter
	provider = "azure"
	no       = 1 << 20 // events that no journal here has
)

// options are the daemon's, with bounds so small that the journal is written
// back and pruned all the time.
func options(path string) (journal.Options, error) {
	boot, err := event.BootID(event.BootIDFile)
	if err != nil {
		return journal.Options{}, err
	}
	clock := event.Clock{BootID: boot, ClockSynced: func() bool { return true }}
	return journal.Options{
		Path: path, MaxBytes: journal.MinBytes, KeepDelivered: 500 * time.Millisecond,
		Site: "test", Device: "board", Stamp: clock.Stamp,
	}, nil
}

// A worker makes attempts, and tells each promise that the journal gives.
type worker struct {
	*journal.Journal
	tell func(Promise) error
}

// Work opens the journal at path as the daemon does, and makes n attempts. It
// calls tell after each call of the journal, with what that has promised.
func Work(ctx context.Context, path string, n int, tell func(Promise) error) (err error) {
	o, err := options(path)
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	w := worker{j, tell}
	if err := w.start(ctx); err != nil {
		return err
	}
	s, err := j.Stats(ctx)
	if err != nil {
		return err
	}
	for i := range n {
		// The number of events is one that no attempt has had before.
		if err := w.attempt(ctx, i, eventtest.AttemptID(int(s.Last)+i+1)); err != nil {
			return fmt.Errorf("attempt %d: %w", i, err)
		}
	}
	return nil
}

// start does what the daemon does before the first attempt. All that it finds
// is promised from now on, since anybody may be told of it.
func (w worker) start(ctx context.Context) error {
	if err := w.tell(Promise{Kept: Opened, ID: w.ID()}); err != nil {
		return err
	}
	if _, err := w.Recover(ctx); err != nil {
		return err
	}
	if err := w.tell(Promise{Kept: Recovered}); err != nil {
		return err
	}
	events, err := w.Range(ctx, 1, no, no)
	if err != nil {
		return err
	}
	for i := range events {
		if err := w.tell(Promise{Kept: Appended, Event: &events[i]}); err != nil {
			return err
		}
	}
	return nil
}

// attempt makes attempt number i: begun, decided, the door opened or not, and
// delivered now and then.
func (w worker) attempt(ctx context.Context, i int, id string) error {
	if err := w.then(Promise{Kept: Begun, ID: id}, w.Begin(ctx, id, key)); err != nil {
		return err
	}
	var err error
	switch i % 4 {
	case 0:
		err = w.open(ctx, id, event.PulseEnded)
	case 1:
		err = w.refuse(ctx, i, id)
	case 2:
		err = w.ask(ctx, i, id)
	case 3:
		err = w.command(ctx, id)
	}
	if err != nil {
		return err
	}
	if i%3 == 2 {
		return w.deliver(ctx)
	}
	return nil
}

// then tells p unless there was an error.
func (w worker) then(p Promise, err error) error {
	if err != nil {
		return err
	}
	return w.tell(p)
}

func (w worker) append(ctx context.Context, e event.Event) error {
	stored, err := w.Append(ctx, e)
	return w.then(Promise{Kept: Appended, Event: &stored}, err)
}

// open lets attempt id through.
func (w worker) open(ctx context.Context, id string, end event.AccessFact) error {
	if err := w.append(ctx, eventtest.Match(id)); err != nil {
		return err
	}
	started, err := w.StartPulse(ctx, id, pulse)
	if err := w.then(Promise{Kept: Appended, Event: &started}, err); err != nil {
		return err
	}
	return w.append(ctx, eventtest.Access(id, end))
}

// refuse does not let attempt id through, and counts that.
func (w worker) refuse(ctx context.Context, i int, id string) error {
	if err := w.append(ctx, eventtest.NoMatch(id)); err != nil {
		return err
	}
	count, _, _, err := w.Failures(ctx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	return w.then(Promise{Kept: Failures, Seq: uint64(count + 1)}, w.SetFailures(ctx, key, count+1, now, now.Add(time.Minute)))
}

// ask has a compare service decide attempt id.
func (w worker) ask(ctx context.Context, i int, id string) error {
	call, err := w.Reserve(ctx, cloud.Call{AttemptID: id, Provider: provider, Why: cloud.Unsure, Local: "unsure", Cost: 0.001}, cloud.Budget{})
	if err := w.then(Promise{Kept: Reserved, Seq: uint64(call)}, err); err != nil {
		return err
	}
	if err := w.Settle(ctx, call, cloud.End{Sent: 40_000, Status: 200, Took: time.Second}); err != nil {
		return err
	}
	return w.open(ctx, id, event.PulseFailed)
}

// command opens the door because a command with a nonce says so.
func (w worker) command(ctx context.Context, id string) error {
	_, err := w.UseNonce(ctx, id, time.Now().Add(time.Hour))
	if err := w.then(Promise{Kept: NonceUsed, ID: id}, err); err != nil {
		return err
	}
	return w.open(ctx, id, event.PulseEnded)
}

// deliver has a broker acknowledge most of the events, and removes old ones.
func (w worker) deliver(ctx context.Context) error {
	events, err := w.Pending(ctx, no)
	if err != nil || len(events) < 2 {
		return err
	}
	through := events[len(events)-2].Seq
	if err := w.then(Promise{Kept: Delivered, Seq: through}, w.Delivered(ctx, through)); err != nil {
		return err
	}
	return w.Prune(ctx)
}
