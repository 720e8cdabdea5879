package cloud_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
)

func after(k cloud.Kind, retry time.Duration) cloudtest.Step {
	return cloudtest.Step{Err: &cloud.Failure{Kind: k, Provider: "one", RetryAfter: retry, Err: errors.New("by script")}}
}

// What a number of calls in a row does to the breaker.
func TestBreakerOpens(t *testing.T) {
	stall := cloudtest.Step{Stall: true}
	tests := []struct {
		name     string
		step     cloudtest.Step
		calls    int
		settings cloud.BreakerSettings
		timeout  time.Duration // of the provider
		hedged   bool          // another one answers soon
		open     time.Duration // 0: it is closed
		failures int
		since    time.Duration // the last failure
	}{
		{name: "answers", step: matching(0), calls: 20},
		{name: "no face", step: cloudtest.Step{Answer: cloud.Answer{Missing: cloud.Live}}, calls: 20},
		{name: "rejected", step: after(cloud.Rejected, time.Hour), calls: 20},
		{name: "network, one short", step: after(cloud.Network, 0), calls: 4, failures: 4},
		{name: "network", step: after(cloud.Network, 0), calls: 5, open: 30 * time.Second, failures: 5},
		{name: "server", step: after(cloud.Server, 0), calls: 5, open: 30 * time.Second, failures: 5},
		{name: "throttled", step: after(cloud.Throttled, 0), calls: 5, open: 30 * time.Second, failures: 5},
		{name: "settings", step: after(cloud.Server, 0), calls: 2, settings: cloud.BreakerSettings{Failures: 2, Open: time.Minute}, open: time.Minute, failures: 2},
		{name: "unauthorised", step: after(cloud.Unauthorised, 0), calls: 1, open: 5 * time.Minute, failures: 1},
		{name: "quota", step: after(cloud.Quota, 0), calls: 1, open: 5 * time.Minute, failures: 1},
		{name: "refusals never close for more than an hour", step: after(cloud.Quota, 0), calls: 1, settings: cloud.BreakerSettings{Open: time.Hour}, open: time.Hour, failures: 1},
		{name: "asked for longer", step: after(cloud.Throttled, 2*time.Minute), calls: 1, open: 2 * time.Minute, failures: 1},
		{name: "asked for less", step: after(cloud.Throttled, time.Second), calls: 1, open: time.Second, failures: 1},
		{name: "asked for too long", step: after(cloud.Server, 100*time.Hour), calls: 1, open: time.Hour, failures: 1},
		{name: "asked for the past", step: after(cloud.Server, -time.Hour), calls: 1, failures: 1},
		{name: "cut off by the deadline", step: stall, timeout: 2 * deadline, calls: 20},
		{name: "cut off by the deadline, its own time up", step: stall, timeout: deadline, calls: 5, open: 30 * time.Second, failures: 5},
		{name: "no time of its own", step: stall, calls: 5, open: 30 * time.Second, failures: 5},
		{name: "its own time up", step: stall, timeout: 100 * ms, calls: 5, open: 30 * time.Second, failures: 5},
		{name: "cut off by another's answer", step: stall, hedged: true, calls: 20},
		{name: "failed before another's answer", step: cloudtest.Step{After: hedge + 10*ms, Err: failing(cloud.Server)}, hedged: true, calls: 5, open: 30 * time.Second, failures: 5, since: 40 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := asker(tt.step)
				a.Breaker = tt.settings
				a.Entries[0].Timeout = tt.timeout
				if tt.hedged {
					b, _ := asker(matching(0), matching(50*ms))
					a.Entries, a.Hedge = append(a.Entries, b.Entries[1]), hedge
				}
				for range tt.calls {
					ask(t.Context(), a)
					synctest.Wait()
				}
				want := cloud.State{Provider: "one", Breaker: cloud.Closed, Failures: tt.failures}
				if tt.open > 0 {
					want.Breaker, want.Until = cloud.Opened, time.Now().Add(tt.open-tt.since)
				}
				got := a.States()[0]
				if !got.Until.Equal(want.Until) {
					t.Errorf("open until %v, want %v", got.Until, want.Until)
				}
				if want.Until = got.Until; got != want || calls(a, 0) != tt.calls {
					t.Errorf("got %+v after %d calls, want %+v", got, calls(a, 0), want)
				}
				a.Close()
			})
		})
	}
}

// scripted returns an Asker of one provider that takes the steps one by one.
func scripted(steps ...cloudtest.Step) (*cloud.Asker, *cloudtest.Ledger) {
	a, ledger := asker(cloudtest.Step{})
	a.Entries[0].Provider.(*cloudtest.Provider).Script = func(call int) cloudtest.Step { return steps[call] }
	return a, ledger
}

// state fails the test unless the only breaker is in that state.
func state(t *testing.T, a *cloud.Asker, want cloud.BreakerState, when string) {
	t.Helper()
	if got := a.States()[0]; got.Breaker != want {
		t.Errorf("%s: %+v, want %s", when, got, want)
	}
}

func TestBreakerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := after(cloud.Network, 0)
		slow.After = 100 * ms
		a, ledger := scripted(after(cloud.Network, 0), after(cloud.Rejected, 0), slow, cloudtest.Step{Stall: true}, matching(100*ms), after(cloud.Network, 0))
		a.Breaker = cloud.BreakerSettings{Failures: 2, Open: time.Minute}
		a.Entries[0].Timeout = time.Hour
		defer a.Close()
		ask(t.Context(), a)
		ask(t.Context(), a) // a rejected picture is not a success either
		ask(t.Context(), a)
		state(t, a, cloud.Opened, "after two failures")
		if got := ask(t.Context(), a); got.Failure != cloud.Broken || got.Calls != 0 || got.Took != 0 || len(ledger.Rows()) != 3 {
			t.Errorf("while open: %+v", got)
		}
		time.Sleep(time.Minute - 1)
		state(t, a, cloud.Opened, "just before the time is over")
		time.Sleep(time.Nanosecond)
		state(t, a, cloud.Probing, "when the time is over")

		ask(t.Context(), a)
		synctest.Wait()
		state(t, a, cloud.Probing, "after a probe that was cut off")

		ledger.Reserving = func(context.Context) error { return cloud.ErrBudget }
		ask(t.Context(), a)
		ledger.Reserving = nil
		state(t, a, cloud.Probing, "after a probe that was not made")

		var both [2]cloud.Result
		var asking sync.WaitGroup
		for i := range both {
			asking.Go(func() { both[i] = ask(t.Context(), a) })
		}
		asking.Wait()
		if both[0].Answered == both[1].Answered || both[0].Failure+both[1].Failure != cloud.Broken {
			t.Errorf("two at once: %+v", both)
		}
		if got := a.States()[0]; got != (cloud.State{Provider: "one", Breaker: cloud.Closed}) {
			t.Errorf("after an answer: %+v", got)
		}
		ask(t.Context(), a)
		state(t, a, cloud.Closed, "after one failure more")
	})
}

func TestFailedProbeOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := scripted(after(cloud.Quota, 0), after(cloud.Server, 0), matching(0))
		defer a.Close()
		ask(t.Context(), a)
		time.Sleep(5 * time.Minute)
		ask(t.Context(), a)
		state(t, a, cloud.Opened, "after the probe failed")
		time.Sleep(30 * time.Second)
		if got := ask(t.Context(), a); !got.Answered {
			t.Errorf("second probe: %+v", got)
		}
		state(t, a, cloud.Closed, "after the second probe")
	})
}

// A call that began before the breaker opened neither closes it nor takes from
// the time that the service asked for.
func TestOlderCallsDoNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := after(cloud.Throttled, time.Second)
		late.After = 300 * ms
		a, _ := scripted(matching(200*ms), late, after(cloud.Throttled, time.Hour))
		var asking sync.WaitGroup
		for range 3 {
			asking.Go(func() { ask(t.Context(), a) })
			synctest.Wait()
		}
		asking.Wait()
		if got := a.States()[0]; got.Breaker != cloud.Opened || time.Until(got.Until) != time.Hour-300*ms {
			t.Errorf("got %+v", got)
		}
		a.Close()
	})
}
