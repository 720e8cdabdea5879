package journal_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
)

func call(attemptID, provider string) cloud.Call {
	return cloud.Call{AttemptID: attemptID, Provider: provider, Why: cloud.Unsure, Local: match.Unsure, Cost: 0.5}
}

func TestLedgerSumsByDayAndProvider(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, options(path, c))
	ctx := t.Context()

	ask := func(attemptID, provider string, e cloud.End, decision event.Decision) {
		t.Helper()
		id, err := j.Reserve(ctx, call(attemptID, provider), cloud.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Settle(ctx, id, e); err != nil {
			t.Fatal(err)
		}
		if decision == "" {
			return // the program died, or another provider is asked
		}
		out := eventtest.NoMatch(attemptID)
		out.Decision = decision
		if _, err := j.Append(ctx, out); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := eventtest.AttemptID(1), eventtest.AttemptID(2), eventtest.AttemptID(3)
	ask(first, "deepidv", cloud.End{Sent: 1000, Status: 429, Failure: cloud.Throttled, Took: 100 * time.Millisecond}, "")
	ask(first, "mxface", cloud.End{Sent: 2000, Status: 200, Took: 300 * time.Millisecond, Verdict: match.Match}, event.DecisionMatch)
	ask(second, "deepidv", cloud.End{Sent: 1000, Status: 200, Took: 200 * time.Millisecond, Verdict: match.Unsure}, event.DecisionUnsure)
	c.advance(24 * time.Hour)
	ask(third, "deepidv", cloud.End{Sent: 10, Failure: cloud.Network, Took: time.Second}, event.DecisionError)
	if _, err := j.Reserve(ctx, call(eventtest.AttemptID(4), "deepidv"), cloud.Budget{}); err != nil { // never settled
		t.Fatal(err)
	}

	got, err := journal.ReadLedger(ctx, path) // while it is open
	if err != nil {
		t.Fatal(err)
	}
	today := c.stamp().Time
	day, next := today.Add(-24*time.Hour).Format(time.DateOnly), today.Format(time.DateOnly)
	want := journal.Ledger{Decisions: 3, Changed: 1, Lines: []journal.LedgerLine{
		{Day: day, Provider: "deepidv", Calls: 2, Failed: 1, Sent: 2000, MeanMS: 150, Cost: 1},
		{Day: day, Provider: "mxface", Calls: 1, Sent: 2000, MeanMS: 300, Cost: 0.5},
		{Day: next, Provider: "deepidv", Calls: 2, Failed: 2, Sent: 10, MeanMS: 1000, Cost: 1},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}

func TestOldCallsAreForgotten(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, options(path, c))
	for range 2 {
		if _, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "deepidv"), cloud.Budget{}); err != nil {
			t.Fatal(err)
		}
		c.advance(300 * 24 * time.Hour)
	}
	if err := j.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := journal.ReadLedger(t.Context(), path); err != nil || len(l.Lines) != 1 {
		t.Errorf("after 600 days: %+v, %v; want the newer of two calls", l.Lines, err)
	}
}

// A budget holds however many ask at once, and over restarts.
func TestBudgetIsNeverExceeded(t *testing.T) {
	c := newClock()
	c.reboot(c.stamp().BootID, time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC), true)
	path := filepath.Join(t.TempDir(), "journal.db")
	budget := cloud.Budget{Daily: 5, Monthly: 8}
	spend := func(tries int) (made int64) {
		j, err := journal.Open(t.Context(), options(path, c))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		var calls atomic.Int64
		var all sync.WaitGroup
		for range tries {
			all.Go(func() {
				switch _, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "deepidv"), budget); {
				case err == nil:
					calls.Add(1)
				case !errors.Is(err, cloud.ErrBudget):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if _, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "mxface"), budget); err != nil {
			t.Errorf("another provider's budget: %v", err)
		}
		return calls.Load()
	}
	for _, step := range []struct {
		name string
		wait time.Duration
		want int64
	}{
		{"the first day", 0, 5},
		{"the same day", time.Hour, 0},
		{"the next day, up to the month's", 24 * time.Hour, 3},
		{"the next month", 24 * time.Hour, 5},
	} {
		c.advance(step.wait)
		if step.name == "the next month" {
			c.reboot(c.stamp().BootID, c.stamp().Time.Time, true)
		}
		if got := spend(9); got != step.want {
			t.Errorf("%s: %d calls, want %d", step.name, got, step.want)
		}
	}
	c.reboot("6f1c2a34-9b0d-4c55-8a1e-0d9f3b7c2e11", time.Unix(0, 0), false)
	if got := spend(9); got != 0 {
		t.Errorf("with a clock that began in 1970: %d calls, want none", got)
	}
}

// A journal of the first format is taken over.
func TestLedgerInAnOlderJournal(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(t.Context(), options(path, c))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DROP TABLE calls; DROP TABLE spent; PRAGMA user_version = 1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := journal.ReadLedger(t.Context(), path); err != nil || got.Decisions != 0 || len(got.Lines) != 0 {
		t.Errorf("ledger of the first format: %+v, %v", got, err)
	}
	j = open(t, options(path, c))
	if _, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "deepidv"), cloud.Budget{}); err != nil {
		t.Error(err)
	}
}
