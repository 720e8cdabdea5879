package cloud_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
)

const ms = time.Millisecond

// asker returns an Asker whose providers take the given steps in every call,
// with thresholds 80 and 40.
func asker(steps ...cloudtest.Step) (*cloud.Asker, *cloudtest.Ledger) {
	ledger := new(cloudtest.Ledger)
	a := &cloud.Asker{Deadline: deadline, Quorum: 1, Ledger: ledger, Log: slog.New(slog.DiscardHandler)}
	for i, s := range steps {
		p := &cloudtest.Provider{Is: name(i), Script: cloudtest.Always(s)}
		a.Entries = append(a.Entries, cloud.Entry{Provider: p, Accept: 80, Reject: 40})
	}
	return a, ledger
}

func matching(after time.Duration) cloudtest.Step {
	return cloudtest.Step{After: after, Answer: cloud.Answer{Score: 90, Sent: 10}}
}

func ask(ctx context.Context, a *cloud.Asker) cloud.Result {
	return a.Ask(ctx, cloud.Question{Live: []byte("live"), ID: []byte("id")}, cloud.Context{AttemptID: "a1", Why: cloud.Unsure})
}

func calls(a *cloud.Asker, i int) int { return a.Entries[i].Provider.(*cloudtest.Provider).Calls() }

func TestAskEndsInTime(t *testing.T) {
	stall, deaf := cloudtest.Step{Stall: true}, cloudtest.Step{After: time.Minute, Deaf: true}
	slowly := func(context.Context) error { time.Sleep(10 * time.Second); return nil }
	tests := []struct {
		name   string
		steps  []cloudtest.Step
		set    func(*cloud.Asker, *cloudtest.Ledger)
		parent time.Duration // until its deadline
		cancel time.Duration // until it is cancelled
		took   time.Duration
		kind   cloud.Kind
		calls  int
	}{
		{name: "stall", steps: []cloudtest.Step{stall}, took: deadline, kind: cloud.Overdue, calls: 1},
		{name: "provider that does not listen", steps: []cloudtest.Step{deaf}, took: deadline, kind: cloud.Overdue, calls: 1},
		{name: "answer just in time", steps: []cloudtest.Step{matching(deadline - 1)}, took: deadline - 1, calls: 1},
		{name: "answer at the deadline", steps: []cloudtest.Step{matching(deadline)}, took: deadline, kind: cloud.Overdue, calls: 1},
		{name: "failure just before the deadline", steps: []cloudtest.Step{{After: deadline - 1, Err: failing(cloud.Network)}, matching(1)}, took: deadline, kind: cloud.Overdue, calls: 2},
		{name: "caller's deadline", steps: []cloudtest.Step{stall}, parent: 300 * ms, took: 300 * ms, kind: cloud.Overdue, calls: 1},
		{name: "caller gives up", steps: []cloudtest.Step{stall}, cancel: 300 * ms, took: 300 * ms, kind: cloud.Cancelled, calls: 1},
		{name: "caller gave up before", steps: []cloudtest.Step{matching(0)}, cancel: -1, kind: cloud.Cancelled},
		{name: "slow reservation", steps: []cloudtest.Step{matching(0)}, took: deadline, kind: cloud.Overdue,
			set: func(_ *cloud.Asker, l *cloudtest.Ledger) { l.Reserving = slowly }},
		{name: "slow settlement", steps: []cloudtest.Step{matching(5)}, took: 5, calls: 1,
			set: func(_ *cloud.Asker, l *cloudtest.Ledger) { l.Settling = slowly }},
		{name: "timeout, then the next", steps: []cloudtest.Step{stall, matching(5 * ms)}, took: 205 * ms, calls: 2,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Entries[0].Timeout = 200 * ms }},
		{name: "timeout, and no next", steps: []cloudtest.Step{stall}, took: 200 * ms, kind: cloud.Network, calls: 1,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Entries[0].Timeout = 200 * ms }},
		{name: "timeout beyond the deadline", steps: []cloudtest.Step{stall}, took: deadline, kind: cloud.Overdue, calls: 1,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Entries[0].Timeout = time.Hour }},
		{name: "timeout of the deadline", steps: []cloudtest.Step{stall, matching(0)}, took: deadline, kind: cloud.Overdue, calls: 1,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Entries[0].Timeout = deadline }},
		{name: "each slow one is hedged", steps: []cloudtest.Step{stall, stall, matching(5 * ms), matching(0)}, took: 2*hedge + 5*ms, calls: 3,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Hedge = hedge }},
		{name: "the hedge counts from the last asked", steps: []cloudtest.Step{{After: 100 * ms, Err: failing(cloud.Server)}, stall, matching(0)}, took: 100*ms + hedge, calls: 3,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Hedge = hedge }},
		{name: "no deadline", steps: []cloudtest.Step{matching(0)}, kind: cloud.Overdue,
			set: func(a *cloud.Asker, _ *cloudtest.Ledger) { a.Deadline = 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if tt.parent > 0 {
					ctx, stop = context.WithTimeout(ctx, tt.parent)
					defer stop()
				}
				if tt.cancel < 0 {
					stop()
				} else if tt.cancel > 0 {
					defer time.AfterFunc(tt.cancel, stop).Stop()
				}
				a, ledger := asker(tt.steps...)
				if tt.set != nil {
					tt.set(a, ledger)
				}
				started := time.Now()
				got := ask(ctx, a)
				if took := time.Since(started); took != tt.took || got.Took != tt.took {
					t.Errorf("returned after %v and says %v, want %v", took, got.Took, tt.took)
				}
				if got.Failure != tt.kind || got.Calls != tt.calls || got.Answered != (tt.kind == "") {
					t.Errorf("got %+v, want failure %q and %d calls", got, tt.kind, tt.calls)
				}
				a.Close()
				for _, r := range ledger.Rows() {
					if !r.Settled {
						t.Errorf("not settled: %+v", r)
					}
				}
			})
		})
	}
}

// The calls that nobody waits for any more are not forgotten, only waited for
// elsewhere.
func TestCloseWaitsForStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ledger := asker(cloudtest.Step{After: time.Minute, Deaf: true, Answer: cloud.Answer{Score: 90, Sent: 7, Status: 200}})
		started := time.Now()
		ask(t.Context(), a)
		a.Close()
		if took := time.Since(started); took != time.Minute {
			t.Errorf("closed after %v", took)
		}
		want := cloud.End{Sent: 7, Status: 200, Failure: cloud.Overdue, Took: time.Minute}
		if rows := ledger.Rows(); len(rows) != 1 || rows[0].End != want {
			t.Errorf("got %+v, want %+v", rows, want)
		}
		if got := ask(t.Context(), a); got != (cloud.Result{Failure: cloud.Cancelled}) || calls(a, 0) != 1 {
			t.Errorf("asked after Close: %+v", got)
		}
	})
}

// A call that the ledger takes too long to record is never made, but settled
// once recorded.
func TestNoCallWithoutRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ledger := asker(matching(0), matching(0))
		a.Deadline = 500 * ms
		ledger.Reserving = func(context.Context) error { time.Sleep(600 * ms); return nil }
		if got := ask(t.Context(), a); got.Failure != cloud.Overdue || got.Calls != 0 {
			t.Errorf("got %+v", got)
		}
		a.Close()
		want := cloud.End{Failure: cloud.Overdue}
		if rows := ledger.Rows(); len(rows) != 1 || !rows[0].Settled || rows[0].End != want || calls(a, 0) != 0 {
			t.Errorf("%d calls, rows %+v", calls(a, 0), rows)
		}
	})
}

func TestLedgerIsGivenBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ledger := asker(matching(0))
		a.Deadline = time.Hour
		ledger.Reserving = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		if got := ask(t.Context(), a); got.Failure != cloud.Unkept || got.Took != time.Second {
			t.Errorf("reserve: got %+v", got)
		}
		ledger.Reserving = nil
		var left error
		ledger.Settling = func(ctx context.Context) error {
			left = ctx.Err()
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		a.Entries[0].Provider.(*cloudtest.Provider).Script = cloudtest.Always(cloudtest.Step{Stall: true})
		ask(ctx, a)
		started := time.Now()
		a.Close()
		if took := time.Since(started); took != 5*time.Second || left != nil {
			t.Errorf("settle: began with %v and took %v", left, took)
		}
	})
}

func TestPicturesReachTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := asker(matching(0))
		ask(t.Context(), a)
		a.Close()
		if q := a.Entries[0].Provider.(*cloudtest.Provider).Last(); string(q.Live) != "live" || string(q.ID) != "id" {
			t.Errorf("got %q", q)
		}
	})
}

// The same trouble is told once, and its end.
func TestLogTellsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		a, ledger := asker(cloudtest.Step{})
		a.Log = slog.New(slog.NewTextHandler(&text, nil))
		a.Breaker.Failures = 100
		broken := errors.New("disk full")
		provider := a.Entries[0].Provider.(*cloudtest.Provider)
		round := func(reserving, settling, calling error) {
			ledger.Reserving = func(context.Context) error { return reserving }
			ledger.Settling = func(context.Context) error { return settling }
			provider.Script = cloudtest.Always(cloudtest.Step{Err: calling})
			ask(t.Context(), a)
			synctest.Wait()
		}
		for _, r := range [][3]error{{}, {broken}, {nil, broken}, {nil, nil, failing(cloud.Server)}, {cloud.ErrBudget}, {}} {
			for range 3 {
				round(r[0], r[1], r[2])
			}
		}
		a.Close()
		for _, want := range []string{
			"call not recorded, so not made", "calls are recorded again", "end of a call not recorded", "ends of calls are recorded again",
			"provider failed", "provider answers again", "provider's budget used up",
		} {
			if n := strings.Count(text.String(), `msg="`+want+`"`); n != 1 {
				t.Errorf("%q logged %d times", want, n)
			}
		}
		if n := strings.Count(text.String(), "\n"); n != 7 {
			t.Errorf("%d lines:\n%s", n, text.String())
		}
	})
}

func TestCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		want string // of the error; empty: none
		set  func(*cloud.Asker)
	}{
		{"", func(*cloud.Asker) {}},
		{"", func(a *cloud.Asker) { a.Quorum, a.Hedge = 2, time.Second }},
		{"providers: none is configured", func(a *cloud.Asker) { a.Entries = nil }},
		{"deadline: 0s must be more than 0s", func(a *cloud.Asker) { a.Deadline = 0 }},
		{"deadline: -1s must be more", func(a *cloud.Asker) { a.Deadline = -time.Second }},
		{"hedge: -1s must not be negative", func(a *cloud.Asker) { a.Hedge = -time.Second }},
		{"quorum: 0 must be 1 or 2", func(a *cloud.Asker) { a.Quorum = 0 }},
		{"quorum: 3 must be 1 or 2", func(a *cloud.Asker) { a.Quorum = 3 }},
		{"quorum: 2 providers must agree but 1 is configured", func(a *cloud.Asker) { a.Quorum, a.Entries = 2, a.Entries[:1] }},
		{"breaker.failures: -1", func(a *cloud.Asker) { a.Breaker.Failures = -1 }},
		{"breaker.open: -1s", func(a *cloud.Asker) { a.Breaker.Open = -time.Second }},
		{"breaker.open: 2h0m0s must be between 0s and 1h0m0s", func(a *cloud.Asker) { a.Breaker.Open = 2 * time.Hour }},
		{"ledger: missing", func(a *cloud.Asker) { a.Ledger = nil }},
		{"log: missing", func(a *cloud.Asker) { a.Log = nil }},
		{"providers: number 2 has no name", func(a *cloud.Asker) { a.Entries[1].Provider = nil }},
		{"providers: number 2 has no name", func(a *cloud.Asker) { a.Entries[1].Provider = &cloudtest.Provider{} }},
		{"providers: one is configured twice", func(a *cloud.Asker) { a.Entries[1] = a.Entries[0] }},
		{"two.accept: NaN must be a finite number", func(a *cloud.Asker) { a.Entries[1].Accept = nan }},
		{"two.accept: +Inf must be", func(a *cloud.Asker) { a.Entries[1].Accept = inf }},
		{"two.reject: NaN must be", func(a *cloud.Asker) { a.Entries[1].Reject = nan }},
		{"two.reject: -Inf must be", func(a *cloud.Asker) { a.Entries[1].Reject = -inf }},
		{"two.reject: 80 must be below accept, 80", func(a *cloud.Asker) { a.Entries[1].Reject = 80 }},
		{"two.reject: 81 must be below", func(a *cloud.Asker) { a.Entries[1].Reject = 81 }},
		{"one.timeout: -1s", func(a *cloud.Asker) { a.Entries[0].Timeout = -time.Second }},
		{"one.budget.daily: -1", func(a *cloud.Asker) { a.Entries[0].Budget.Daily = -1 }},
		{"one.budget.monthly: -2", func(a *cloud.Asker) { a.Entries[0].Budget.Monthly = -2 }},
		{"one.cost: NaN", func(a *cloud.Asker) { a.Entries[0].Cost = nan }},
		{"one.cost: -0.5", func(a *cloud.Asker) { a.Entries[0].Cost = -0.5 }},
		{"deadline: 0s must be more than 0s (3s is usual)\nquorum: 3 must be 1 or 2", func(a *cloud.Asker) { a.Deadline, a.Quorum = 0, 3 }},
	}
	for _, tt := range tests {
		a, _ := asker(matching(0), matching(0))
		tt.set(a)
		got := ""
		if err := a.Check(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") || strings.Count(got, "\n") != strings.Count(tt.want, "\n") {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// What Check refuses opens nothing all the same.
func TestRefusedSettingsMatchNothing(t *testing.T) {
	nan := math.NaN()
	for _, thresholds := range [][2]float64{{0, 0}, {80, 80}, {40, 80}, {nan, 0}, {0, nan}, {nan, nan}, {math.Inf(-1), 0}} {
		synctest.Test(t, func(t *testing.T) {
			a, _ := asker(matching(0))
			a.Entries[0].Accept, a.Entries[0].Reject = thresholds[0], thresholds[1]
			if got := ask(t.Context(), a); got.Verdict != match.Unsure {
				t.Errorf("thresholds %v: %+v", thresholds, got)
			}
			a.Quorum = 3
			a.Entries[0].Accept, a.Entries[0].Reject = 80, 40
			if got := ask(t.Context(), a); got.Verdict != match.Unsure || got.Answered {
				t.Errorf("quorum of 3: %+v", got)
			}
			a.Close()
		})
	}
}
