package journal_test

import (
	"database/sql"
	"errors"
	"math/rand/v2"
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
	return cloud.Call{AttemptID: attemptID, Provider: provider, Why: cloud.Unsure, Local: "unsure", Cost: 0.5}
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
	ask(third, "mxface", cloud.End{Sent: 10, Failure: cloud.Cancelled, Took: time.Second}, "")         // too late: another answered
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
		{Day: next, Provider: "mxface", Calls: 1, CutOff: 1, Sent: 10, MeanMS: 1000, Cost: 0.5},
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

// A decision is changed only by one that opens or refuses.
func TestChangedDecisionsWithTheEngineDown(t *testing.T) {
	j, o, _ := begin(t)
	for n, decision := range []event.Decision{event.DecisionMatch, event.DecisionNoMatch, event.DecisionUnsure, event.DecisionError} {
		id := eventtest.AttemptID(n)
		c := call(id, "deepidv")
		c.Why, c.Local = cloud.EngineDown, "error"
		_, err := j.Reserve(t.Context(), c, cloud.Budget{})
		must(t, err)
		e := eventtest.NoMatch(id)
		e.Decision = decision
		add(t, j, e)
	}
	if l, err := journal.ReadLedger(t.Context(), o.Path); err != nil || l.Decisions != 4 || l.Changed != 2 {
		t.Errorf("%d of %d decisions changed, %v, want 2 of 4", l.Changed, l.Decisions, err)
	}
}

// What was wrong: an identifier was used again once its row was gone, so that
// the end of one call was written to another.
func TestCallsNeverShareAnIdentifier(t *testing.T) {
	j, _, c := begin(t)
	first := reserve(t, j)
	c.advance(600 * day)
	must(t, j.Prune(t.Context()))
	if second := reserve(t, j); second <= first {
		t.Errorf("call %d after call %d", second, first)
	}
}

// What was wrong: calls made before the clock was set were those of 1970, and
// gone at the first prune.
func TestCallsMadeBeforeTheClockIsSet(t *testing.T) {
	for name, sync := range map[string]func(j *journal.Journal){
		"a call dates them":  func(j *journal.Journal) { reserve(t, j) },
		"a prune dates them": func(j *journal.Journal) { must(t, j.Prune(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			j, o, c := begin(t)
			right := c.stamp().Time.Time
			c.reboot(eventtest.BootID, time.Unix(0, 0), false)
			for range 3 {
				reserve(t, j)
			}
			must(t, j.Prune(t.Context()))
			lines := func() []journal.LedgerLine {
				l, err := journal.ReadLedger(t.Context(), o.Path)
				must(t, err)
				return l.Lines
			}
			if l := lines(); len(l) != 1 || l[0].Day != "unknown" || l[0].Calls != 3 {
				t.Errorf("before the clock is set: %+v, want 3 calls of an unknown day", l)
			}

			c.reboot(eventtest.BootID, right, true)
			sync(j)
			if l := lines(); len(l) != 1 || l[0].Day != right.Format(time.DateOnly) || l[0].Calls < 3 {
				t.Errorf("after: %+v, want 3 calls at least, of %v", l, right)
			}
			c.advance(401 * day)
			must(t, j.Prune(t.Context()))
			if l := lines(); len(l) != 0 {
				t.Errorf("more than a year later: %+v, want none", l)
			}
		})
	}
}

// reserve makes a call of deepidv.
func reserve(t *testing.T, j *journal.Journal) int64 {
	t.Helper()
	id, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "deepidv"), cloud.Budget{})
	must(t, err)
	return id
}

// calls returns how many calls of deepidv a budget allows now, and makes them.
func calls(t *testing.T, j *journal.Journal, b cloud.Budget, tries int) (made int) {
	t.Helper()
	for range tries {
		_, err := j.Reserve(t.Context(), call(eventtest.AttemptID(1), "deepidv"), b)
		switch {
		case err == nil:
			made++
		case !errors.Is(err, cloud.ErrBudget):
			t.Fatal(err)
		}
	}
	return made
}

// What was wrong: one call at a boot with the clock in 2099 removed the counts
// of the real month and began another budget.
func TestBudgetWithAnUnsynchronisedClock(t *testing.T) {
	at := func(year, month, date int) time.Time {
		return time.Date(year, time.Month(month), date, 12, 0, 0, 0, time.UTC)
	}
	type boot struct {
		at     time.Time
		synced bool
		tries  int
		want   int // calls made
	}
	for name, boots := range map[string][]boot{
		"ahead, back and forth": {
			{at(2026, 1, 20), true, 9, 5}, {at(2099, 1, 1), false, 9, 0}, {at(2099, 1, 2), false, 9, 0}, {at(2150, 3, 1), false, 9, 0},
			{at(1970, 1, 1), false, 9, 0}, {at(2026, 1, 21), true, 9, 3}, {at(2026, 1, 22), true, 9, 0}, {at(2026, 2, 1), true, 9, 5},
		},
		"never right until now": {
			{at(1970, 1, 1), false, 9, 5}, {at(2099, 1, 1), false, 9, 0}, {at(2010, 1, 1), false, 9, 0},
			{at(2026, 1, 20), true, 9, 0}, {at(2026, 1, 21), true, 9, 3}, {at(2026, 2, 1), true, 9, 5},
		},
		"taken over by the next day": {
			{at(2026, 1, 20), true, 1, 1}, {at(2026, 1, 1), false, 9, 4}, {at(2026, 1, 21), true, 9, 1},
			{at(2026, 1, 1), false, 9, 0}, {at(2026, 1, 22), true, 9, 2}, {at(2026, 1, 23), true, 9, 0},
		},
		"months without a right clock": {
			{at(2026, 1, 20), true, 9, 5}, {at(2026, 2, 20), false, 9, 0}, {at(2026, 3, 20), false, 9, 0}, {at(2026, 4, 20), true, 9, 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			o := options(filepath.Join(scratch(t), "journal.db"), c)
			for i, b := range boots {
				c.reboot(eventtest.BootID, b.at, b.synced)
				j, err := journal.Open(t.Context(), o)
				must(t, err)
				if got := calls(t, j, cloud.Budget{Daily: 5, Monthly: 8}, b.tries); got != b.want {
					t.Errorf("boot %d, %v: %d calls, want %d", i+1, b.at, got, b.want)
				}
				must(t, j.Close())
			}
		})
	}
}

// Whatever the clock shows while it is not synchronised, no real day and no
// real month has more calls than it may.
func TestBudgetWithAnyClock(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 0))
		c := newClock()
		o := options(filepath.Join(scratch(t), "journal.db"), c)
		budget := cloud.Budget{Daily: 5, Monthly: 12}
		made := map[string]int{} // by real day and by real month
		for now := time.Date(2026, 1, 20, 0, 0, 0, 0, time.UTC); now.Year() == 2026; now = now.Add(time.Duration(random.IntN(72)) * time.Hour) {
			synced, shown := random.IntN(3) == 0, now
			if !synced {
				shown = now.Add(time.Duration(random.IntN(7)-3) * time.Duration(random.IntN(60*24)) * time.Hour)
			}
			c.reboot(eventtest.BootID, shown, synced)
			j, err := journal.Open(t.Context(), o)
			must(t, err)
			if random.IntN(2) == 0 {
				must(t, j.Prune(t.Context()))
			}
			n := calls(t, j, budget, random.IntN(8))
			must(t, j.Close())
			for period, most := range map[string]int{now.Format("2006-01-02"): budget.Daily, now.Format("2006-01"): budget.Monthly} {
				if made[period] += n; made[period] > most {
					t.Fatalf("seed %d: %d calls in %s, at most %d are allowed", seed, made[period], period, most)
				}
			}
		}
		if made["2026-12"] == 0 {
			t.Errorf("seed %d: no call in December: the budget is stuck", seed)
		}
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
