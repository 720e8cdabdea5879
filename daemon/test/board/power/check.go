package power

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
)

// A Report is what became of a journal.
type Report struct {
	Opened    bool     `json:"opened"`
	Promised  int      `json:"promised"`  // events
	Lost      int      `json:"lost"`      // of these
	Recovered int      `json:"recovered"` // events that the start had to append
	Faults    []string `json:"faults,omitempty"`
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// A checker holds a journal to promises.
type checker struct {
	*Report
	path     string
	promises []Promise
	j        *journal.Journal
	stats    journal.Stats
	events   []event.Event // after the recovery
}

// Check starts from the journal at path as the daemon does, and goes on with
// it. What was promised must be there, what was not may be; never may anything
// have happened twice, or be left open.
func Check(ctx context.Context, path string, promises []Promise) Report {
	c := checker{Report: &Report{}, path: path, promises: promises}
	for _, p := range promises {
		if p.Kept == Appended {
			c.Promised++
		}
	}
	if err := c.check(ctx); err != nil {
		c.fault("%v", err)
	}
	if !c.Opened {
		c.Lost = c.Promised
	}
	return *c.Report
}

func (c *checker) check(ctx context.Context) (err error) {
	if _, err := os.Stat(c.path); c.last(Opened) != nil && err != nil {
		return err // a new one is none that was promised
	}
	o, err := options(c.path)
	if err != nil {
		return err
	}
	if c.j, err = journal.Open(ctx, o); err != nil {
		return err
	}
	c.Opened = true
	defer func() { err = errors.Join(err, c.j.Close()) }()
	for _, step := range []func(context.Context) error{c.found, c.recover, c.settled, c.noSecondPulse, c.counters, c.goesOn} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// last returns the last promise of a kind, nil if there is none.
func (c *checker) last(k Kept) *Promise {
	for i := len(c.promises) - 1; i >= 0; i-- {
		if c.promises[i].Kept == k {
			return &c.promises[i]
		}
	}
	return nil
}

// read reads all events, and looks whether any is missing.
func (c *checker) read(ctx context.Context) (err error) {
	if c.stats, err = c.j.Stats(ctx); err != nil {
		return err
	}
	if c.events, err = c.j.Range(ctx, 1, no, no); err != nil {
		return err
	}
	for i, e := range c.events {
		if want := c.stats.First + uint64(i); e.Seq != want || e.JournalID != c.j.ID() {
			c.fault("event %d of journal %s where %d should be, of %s", e.Seq, e.JournalID, want, c.j.ID())
		}
	}
	if got, want := uint64(len(c.events)), c.stats.Last-c.stats.Pruned; got != want {
		c.fault("%d events, the state says %d to %d", got, c.stats.First, c.stats.Last)
	}
	return nil
}

// found looks for what was promised, before anything is recovered.
func (c *checker) found(ctx context.Context) error {
	if p := c.last(Opened); p != nil && p.ID != c.j.ID() {
		c.fault("journal %s is another than the promised %s", c.j.ID(), p.ID)
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	if c.stats.Pruned > c.stats.Delivered {
		c.fault("events to %d are removed, and only those to %d delivered", c.stats.Pruned, c.stats.Delivered)
	}
	there := map[uint64]string{}
	for _, e := range c.events {
		there[e.Seq] = text(e)
	}
	for _, p := range c.promises {
		if p.Kept != Appended || p.Event.Seq <= c.stats.Pruned {
			continue
		}
		switch there[p.Event.Seq] {
		case text(*p.Event):
		case "":
			c.Lost++
			c.fault("event %d is not there", p.Event.Seq)
		default:
			c.Lost++
			c.fault("event %d is not what was promised", p.Event.Seq)
		}
	}
	return nil
}

// text is all that there is to an event.
func text(e event.Event) string {
	data, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// recover does what the daemon does when it starts. One attempt was under way
// at most, or one pulse.
func (c *checker) recover(ctx context.Context) error {
	done, err := c.j.Recover(ctx)
	if err != nil {
		return err
	}
	c.Recovered = len(done)
	if len(done) > 1 {
		c.fault("%d events recovered: %s", len(done), text(done[0]))
	}
	if again, err := c.j.Recover(ctx); err != nil || len(again) > 0 {
		c.fault("recovered twice: %d events, %v", len(again), err)
	}
	return c.read(ctx)
}

// settled looks whether each attempt has one outcome, and each pulse that was
// granted one end.
func (c *checker) settled(context.Context) error {
	outcomes, granted, starts, ends := map[string]int{}, map[string]bool{}, map[string]int{}, map[string]int{}
	for _, e := range c.events {
		switch {
		case e.Kind == event.KindAttempt:
			outcomes[e.AttemptID]++
			granted[e.AttemptID] = e.Access == event.Granted
		case e.Kind == event.KindAccess && e.Fact == event.PulseStarted:
			starts[e.AttemptID]++
		case e.Kind == event.KindAccess:
			ends[e.AttemptID]++
		}
	}
	for id, n := range outcomes {
		if want := map[bool]int{true: 1}[granted[id]]; n != 1 || starts[id] > want || ends[id] != want {
			c.fault("attempt %s: %d outcomes, granted %v, %d starts and %d ends of a pulse", id, n, granted[id], starts[id], ends[id])
		}
	}
	if p := c.last(Begun); p != nil && outcomes[p.ID] == 0 {
		c.fault("attempt %s had begun, and has no outcome", p.ID)
	}
	return nil
}

// noSecondPulse looks whether the door would open again for an attempt that
// may have had its pulse.
func (c *checker) noSecondPulse(ctx context.Context) error {
	const recent = 3
	for _, e := range c.events[max(0, len(c.events)-recent):] {
		if _, err := c.j.StartPulse(ctx, e.AttemptID, pulse); err == nil {
			c.fault("attempt %s could open the door again", e.AttemptID)
		}
	}
	return nil
}

// counters looks for what is not an event.
func (c *checker) counters(ctx context.Context) error {
	if p := c.last(Delivered); p != nil && c.stats.Delivered < p.Seq {
		c.fault("delivered to %d, promised was %d", c.stats.Delivered, p.Seq)
	}
	if p := c.last(Failures); p != nil {
		count, _, _, err := c.j.Failures(ctx, key)
		if err != nil {
			return err
		}
		if uint64(count) < p.Seq {
			c.fault("%d failures counted, promised were %d", count, p.Seq)
		}
	}
	if p := c.last(NonceUsed); p != nil {
		fresh, err := c.j.UseNonce(ctx, p.ID, time.Now().Add(time.Hour))
		if err != nil {
			return err
		}
		if fresh {
			c.fault("nonce %s can be used again", p.ID)
		}
	}
	if p := c.last(Reserved); p != nil {
		l, err := journal.ReadLedger(ctx, c.path)
		if err != nil {
			return err
		}
		var calls uint64
		for _, line := range l.Lines {
			calls += uint64(line.Calls)
		}
		if calls < p.Seq {
			c.fault("%d calls in the ledger, promised were %d", calls, p.Seq)
		}
	}
	return nil
}

// goesOn makes one more attempt.
func (c *checker) goesOn(ctx context.Context) error {
	id := eventtest.AttemptID(no)
	if err := c.j.Begin(ctx, id, key); err != nil {
		return err
	}
	e, err := c.j.Append(ctx, eventtest.NoMatch(id))
	if err != nil {
		return err
	}
	if e.Seq != c.stats.Last+1 {
		c.fault("the next event is %d, after %d", e.Seq, c.stats.Last)
	}
	return nil
}
