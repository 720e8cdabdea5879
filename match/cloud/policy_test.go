package cloud_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
)

const (
	never    = math.MaxInt64
	hedge    = 120 * time.Millisecond
	deadline = time.Second
)

// A behaviour is what a provider does, with what the policy makes of it
// written beside it.
type behaviour struct {
	name  string
	score func(accept, reject float64) float64
	side  cloud.Side
	err   error
	stall bool
	spent bool // the ledger has no budget left
	lost  bool // the ledger fails

	verdict match.Verdict
	kind    cloud.Kind // the failure or skip it is
}

func failing(k cloud.Kind) error {
	return &cloud.Failure{Kind: k, Provider: "fake", Err: errors.New("by script")}
}

func scores(x float64) func(float64, float64) float64 {
	return func(float64, float64) float64 { return x }
}

func behaviours() []behaviour {
	all := []behaviour{
		{name: "far above accept", score: func(a, _ float64) float64 { return 2 * a }, verdict: match.Match},
		{name: "at accept", score: func(a, _ float64) float64 { return a }, verdict: match.Match},
		{name: "just below accept", score: func(a, _ float64) float64 { return math.Nextafter(a, 0) }},
		{name: "between", score: func(a, r float64) float64 { return (a + r) / 2 }},
		{name: "just above reject", score: func(a, r float64) float64 { return math.Nextafter(r, a) }},
		{name: "at reject", score: func(_, r float64) float64 { return r }, verdict: match.NoMatch},
		{name: "below zero", score: scores(-1), verdict: match.NoMatch},
		{name: "not a number", score: scores(math.NaN()), kind: cloud.Server},
		{name: "infinite", score: scores(math.Inf(1)), kind: cloud.Server},
		{name: "minus infinite", score: scores(math.Inf(-1)), kind: cloud.Server},
		{name: "plain error", err: errors.New("plain"), kind: cloud.Server},
		{name: "nil failure", err: (*cloud.Failure)(nil), kind: cloud.Server},
		{name: "kind of the asker's", err: failing(cloud.Overdue), kind: cloud.Server},
		{name: "stall", stall: true},
		{name: "spent", spent: true, kind: cloud.Spent},
		{name: "not recorded", lost: true, kind: cloud.Unkept},
	}
	for _, side := range []cloud.Side{cloud.Live, cloud.ID, cloud.Both, cloud.Unknown} {
		// With a score that would open, if it were looked at.
		all = append(all, behaviour{name: "no face " + side.String(), side: side, score: func(a, _ float64) float64 { return a }})
	}
	for _, k := range []cloud.Kind{cloud.Throttled, cloud.Unauthorised, cloud.Quota, cloud.Network, cloud.Server, cloud.Rejected} {
		all = append(all, behaviour{name: string(k), err: failing(k), kind: k})
	}
	return all
}

// A scenario is one row of the table: what each provider does, and when.
type scenario struct {
	quorum int
	hedge  time.Duration
	why    cloud.Why
	local  string
	does   []behaviour
	after  []time.Duration
}

func (s scenario) String() string {
	var names []string
	for i, b := range s.does {
		names = append(names, fmt.Sprintf("%s after %v", b.name, s.after[i]))
	}
	return fmt.Sprintf("quorum %d, hedge %v, %s: %s", s.quorum, s.hedge, s.why, strings.Join(names, ", "))
}

func name(who int) string { return [...]string{"one", "two", "three", "four"}[who] }

// thresholds are in each provider's own scale.
func thresholds(who int) (accept, reject float64) {
	scale := [...]float64{100, 1, 10}[who]
	return 0.8 * scale, 0.4 * scale
}

func (b behaviour) skipped() bool { return b.spent || b.lost }

// refusing is what the ledger takes to refuse a call of a provider.
func refusing(who int) time.Duration { return time.Duration(who+1) * 10 * time.Millisecond }

// takes is how long a provider is through after it was chosen.
func (s scenario) takes(who int) time.Duration {
	b := s.does[who]
	switch {
	case b.skipped():
		return refusing(who)
	case b.stall:
		return never
	}
	return s.after[who]
}

// A moment is when one provider is through.
type moment struct {
	who         int
	asked, ends time.Duration
}

// moments says when each provider would be asked and through if nothing ended
// the asking: as many as must agree at once, one more as soon as one of them
// fails or is skipped, or has not answered for the hedge.
func (s scenario) moments() []moment {
	var all []moment
	spare := time.Duration(never)
	if s.hedge > 0 {
		spare = s.hedge
	}
	for i, b := range s.does {
		m := moment{who: i}
		if i < s.quorum {
			m.ends = s.takes(i)
			if b.kind != "" && b.kind != cloud.Rejected {
				spare = min(spare, m.ends)
			}
		} else {
			m.asked, m.ends = spare, never
			if took := s.takes(i); took < never && spare < never {
				m.ends = spare + took
			}
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b moment) int { return cmp.Compare(a.ends, b.ends) })
	return all
}

// documented is the policy as the documents tell it. It knows one spare
// provider at most.
func documented(s scenario) cloud.Result {
	var failed, skipped cloud.Kind
	var sent int64
	var agreeing []int
	all := s.moments()
	result := func(r cloud.Result, at time.Duration) cloud.Result {
		for _, m := range all {
			if !s.does[m.who].skipped() && (m.asked < at) {
				r.Calls++
			}
		}
		r.Sent, r.Took = sent, at
		return r
	}
	by := func(who int, r cloud.Result) cloud.Result {
		r.Answered, r.Provider = true, name(who)
		r.Accept, r.Reject = thresholds(who)
		r.Score = s.does[who].score(r.Accept, r.Reject)
		return r
	}
	for i, m := range all {
		b := s.does[m.who]
		if m.ends >= deadline {
			break
		}
		if !b.skipped() {
			sent += 1000 + int64(m.who)
		}
		switch {
		case b.kind == cloud.Rejected:
			return result(cloud.Result{Failure: cloud.Rejected}, m.ends)
		case b.skipped():
			skipped = b.kind
		case b.kind != "":
			failed = b.kind
		case b.verdict == match.Unsure:
			return result(by(m.who, cloud.Result{Missing: b.side}), m.ends)
		default:
			agreeing = append(agreeing, m.who)
		}
		if len(agreeing) == s.quorum {
			first := slices.Min(agreeing)
			r := by(first, cloud.Result{Verdict: b.verdict})
			if last := slices.Max(agreeing); last != first {
				r.Provider += "+" + name(last)
				if s.does[first].verdict != s.does[last].verdict {
					r.Verdict = match.Unsure
				}
			}
			return result(r, m.ends)
		}
		if toCome := len(all) - i - 1; len(agreeing)+toCome < s.quorum {
			return result(cloud.Result{Failure: cmp.Or(failed, skipped)}, m.ends)
		}
	}
	return result(cloud.Result{Failure: cloud.Overdue}, deadline)
}

// A failingLedger fails for some providers, and takes its time to refuse.
type failingLedger struct {
	*cloudtest.Ledger
	lost    map[string]bool
	refuses map[string]time.Duration
}

func (l failingLedger) Reserve(ctx context.Context, c cloud.Call, b cloud.Budget) (int64, error) {
	var id int64
	err := errors.New("disk full")
	if !l.lost[c.Provider] {
		id, err = l.Ledger.Reserve(ctx, c, b)
	}
	if err != nil {
		time.Sleep(l.refuses[c.Provider])
	}
	return id, err
}

// check asks in a bubble and compares with the policy.
func (s scenario) check(t *testing.T) {
	ledger := failingLedger{new(cloudtest.Ledger), map[string]bool{}, map[string]time.Duration{}}
	a := &cloud.Asker{Deadline: deadline, Hedge: s.hedge, Quorum: s.quorum, Ledger: ledger, Log: slog.New(slog.DiscardHandler)}
	reserved := 0
	for i, b := range s.does {
		answer := cloud.Answer{Missing: b.side, Sent: 1000 + int64(i)}
		accept, reject := thresholds(i)
		if b.score != nil {
			answer.Score = b.score(accept, reject)
		}
		step := cloudtest.Step{After: s.after[i], Stall: b.stall, Answer: answer, Err: b.err}
		e := cloud.Entry{Provider: &cloudtest.Provider{Is: name(i), Script: cloudtest.Always(step)}, Accept: accept, Reject: reject, Cost: float64(i)}
		if b.spent {
			e.Budget.Monthly = 1
			if _, err := ledger.Ledger.Reserve(t.Context(), cloud.Call{Provider: name(i)}, e.Budget); err != nil {
				t.Fatal(err)
			}
			reserved++
		}
		ledger.lost[name(i)], ledger.refuses[name(i)] = b.lost, refusing(i)
		a.Entries = append(a.Entries, e)
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	got := a.Ask(t.Context(), cloud.Question{}, cloud.Context{AttemptID: "a1", Why: s.why, Local: s.local})
	a.Close()
	if want := documented(s); got != want {
		t.Errorf("%v:\n got %+v\nwant %+v", s, got, want)
	}
	s.checkOpening(t, got)
	s.checkRows(t, got, ledger.Rows()[reserved:])
}

// checkOpening holds whatever the policy says otherwise.
func (s scenario) checkOpening(t *testing.T, got cloud.Result) {
	explicit := 0
	for _, b := range s.does {
		if b.verdict == match.Match {
			explicit++
		}
	}
	if got.Verdict == match.Match && (explicit < s.quorum || !got.Answered || got.Missing != cloud.Neither) {
		t.Errorf("%v: opens by %+v", s, got)
	}
	if got.Answered == (got.Failure != "") || got.Answered == (got.Provider == "") {
		t.Errorf("%v: answered and failed, or neither: %+v", s, got)
	}
}

// checkRows compares the ledger with what the providers did.
func (s scenario) checkRows(t *testing.T, got cloud.Result, rows []cloudtest.Row) {
	if len(rows) != got.Calls {
		t.Errorf("%v: %d calls, %d in the ledger", s, got.Calls, len(rows))
	}
	ends := map[string]moment{}
	for _, m := range s.moments() {
		ends[name(m.who)] = m
	}
	for _, r := range rows {
		m := ends[r.Call.Provider]
		b := s.does[m.who]
		call := cloud.Call{AttemptID: "a1", Provider: name(m.who), Why: s.why, Local: s.local, Cost: float64(m.who)}
		want := cloud.End{Sent: 1000 + int64(m.who), Failure: b.kind, Verdict: b.verdict, Missing: b.side, Took: min(m.ends, got.Took) - m.asked}
		if m.ends > got.Took || m.ends >= deadline {
			want.Failure, want.Verdict, want.Missing = cloud.Cancelled, match.Unsure, cloud.Neither
			if got.Failure == cloud.Overdue {
				want.Failure = cloud.Overdue
			}
		}
		if !r.Settled || r.Call != call || r.End != want {
			t.Errorf("%v: %s in the ledger:\n got %+v\nwant %+v %+v", s, name(m.who), r, call, want)
		}
	}
}

// Every combination of answers, order, hedging and quorum gives the documented
// result and ledger.
func TestPolicy(t *testing.T) {
	all := behaviours()
	spares := slices.DeleteFunc(behaviours(), func(b behaviour) bool {
		return !slices.Contains([]string{"at accept", "at reject", "between", "no face live", "network", "rejected", "stall", "spent"}, b.name)
	})
	for _, first := range all {
		t.Run(first.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, s := range scenarios(first, all, spares) {
					for _, s.hedge = range []time.Duration{0, hedge} {
						s.why, s.local = cloud.Unsure, "unsure"
						s.check(t)
						s.why = cloud.EngineDown
						s.check(t)
					}
				}
			})
		})
	}
}

// scenarios returns all that begin with one behaviour. No two moments of one
// are the same.
func scenarios(first behaviour, all, spares []behaviour) []scenario {
	var list []scenario
	for _, early := range []time.Duration{100 * ms, 200 * ms} {
		list = append(list, scenario{quorum: 1, does: []behaviour{first}, after: []time.Duration{early}})
		for _, second := range all {
			two := []behaviour{first, second}
			list = append(list,
				scenario{quorum: 1, does: two, after: []time.Duration{early, 37 * ms}},
				scenario{quorum: 1, does: two, after: []time.Duration{early, 150 * ms}},
				scenario{quorum: 2, does: two, after: []time.Duration{early, 150 * ms}})
			for _, third := range spares {
				list = append(list, scenario{quorum: 2, does: []behaviour{first, second, third}, after: []time.Duration{early, 150 * ms, 37 * ms}})
			}
		}
	}
	return list
}
