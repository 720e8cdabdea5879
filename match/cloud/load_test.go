package cloud_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
)

// unsteady is a script of which half the calls fail and a tenth stalls. The
// others match.
func unsteady(seed uint64) func(int) cloudtest.Step {
	return func(call int) cloudtest.Step {
		dice := rand.New(rand.NewPCG(seed, uint64(call)))
		step := cloudtest.Step{
			After:  time.Duration(dice.IntN(800)) * time.Millisecond,
			Answer: cloud.Answer{Score: 90, Sent: 1000},
		}
		switch p := dice.Float64(); {
		case p < 0.5:
			kinds := []cloud.Kind{cloud.Network, cloud.Server, cloud.Throttled}
			step.Err = failing(kinds[dice.IntN(len(kinds))])
		case p < 0.6:
			step.Stall = true
		}
		return step
	}
}

// Two hundred askings, many at once, of providers that are hardly fit for it.
// A goroutine that is left would fail the bubble.
func TestLoad(t *testing.T) {
	tests := []struct {
		name   string
		quorum int
		hedge  time.Duration
	}{{"one", 1, 0}, {"hedged", 1, 300 * ms}, {"two agree", 2, 300 * ms}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, ledger := asker(cloudtest.Step{}, cloudtest.Step{}, cloudtest.Step{})
				a.Quorum, a.Hedge, a.Deadline = tt.quorum, tt.hedge, 3*time.Second
				a.Breaker = cloud.BreakerSettings{Failures: 5, Open: time.Second}
				for i := range a.Entries {
					a.Entries[i].Provider.(*cloudtest.Provider).Script = unsteady(uint64(i))
					a.Entries[i].Cost, a.Entries[i].Timeout = 1, 2*time.Second
				}
				a.Entries[0].Budget.Daily = 60
				a.Entries[1].Budget.Monthly = 90
				ledger.Reserving = func(context.Context) error { time.Sleep(3 * ms); return nil }
				ledger.Settling = ledger.Reserving
				results := askAtOnce(t, a, 200)
				a.Close()
				checkLoad(t, a, ledger, results)
			})
		})
	}
}

// askAtOnce begins an asking every 50 ms.
func askAtOnce(t *testing.T, a *cloud.Asker, n int) []cloud.Result {
	results := make([]cloud.Result, n)
	var asking sync.WaitGroup
	for i := range results {
		asking.Go(func() {
			started := time.Now()
			results[i] = ask(t.Context(), a)
			if took := time.Since(started); took > a.Deadline {
				t.Errorf("asking %d took %v", i, took)
			}
		})
		time.Sleep(50 * ms)
	}
	asking.Wait()
	return results
}

func checkLoad(t *testing.T, a *cloud.Asker, ledger *cloudtest.Ledger, results []cloud.Result) {
	made, matched := 0, 0
	for _, r := range results {
		made += r.Calls
		if r.Verdict == match.Match {
			matched++
		}
	}
	if matched == 0 || matched == len(results) {
		t.Errorf("%d of %d matched", matched, len(results))
	}
	rows := map[string]int{}
	began, agreeing := 0, 0
	for _, r := range ledger.Rows() {
		rows[r.Call.Provider]++
		switch {
		case !r.Settled:
			t.Errorf("not settled: %+v", r)
		case r.End.Verdict == match.Match:
			agreeing++
		}
		if r.End.Sent > 0 {
			began++
		}
	}
	total := 0
	for i := range a.Entries {
		total += calls(a, i)
	}
	// Reserved calls that came too late to be made are rows, but no calls.
	if made != total || began != total || len(ledger.Rows()) < total {
		t.Errorf("providers were called %d times, the results say %d, the ledger %d", total, made, began)
	}
	if agreeing < matched*a.Quorum {
		t.Errorf("%d matches by %d agreeing answers in the ledger", matched, agreeing)
	}
	if rows["one"] != 60 || rows["two"] > 90 {
		t.Errorf("over budget, or below: %v", rows)
	}
}
