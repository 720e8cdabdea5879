package cloudtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
)

func TestProviderFollowsItsScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []cloudtest.Step{
			{After: time.Second, Answer: cloud.Answer{Score: 7, Sent: 3}},
			cloudtest.Fail("fake", cloud.Quota),
			{Stall: true, Answer: cloud.Answer{Sent: 4}},
			{Deaf: true, After: time.Minute, Answer: cloud.Answer{Score: 8}},
		}
		p := &cloudtest.Provider{Is: "fake", Script: func(call int) cloudtest.Step { return steps[call] }}
		want := []struct {
			score float64
			sent  int64
			kind  cloud.Kind
			took  time.Duration
		}{{7, 3, "", time.Second}, {0, 0, cloud.Quota, 0}, {0, 4, cloud.Network, 5 * time.Second}, {8, 0, "", time.Minute}}
		for i, w := range want {
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			started := time.Now()
			a, err := p.Compare(ctx, cloud.Question{})
			stop()
			var kind cloud.Kind
			if f, ok := errors.AsType[*cloud.Failure](err); ok {
				kind = f.Kind
			}
			if a.Score != w.score || a.Sent != w.sent || kind != w.kind || time.Since(started) != w.took {
				t.Errorf("call %d: %+v, %v after %v, want %+v", i, a, err, time.Since(started), w)
			}
		}
		if p.Calls() != len(want) || p.Most() != 1 {
			t.Errorf("%d calls, %d at once", p.Calls(), p.Most())
		}
	})
}

func TestLedgerCountsByDayAndMonthInUTC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight in UTC, 1 January 2000
		l := new(cloudtest.Ledger)
		budget := cloud.Budget{Daily: 2, Monthly: 3}
		call := cloud.Call{Provider: "fake"}
		for i, wait := range []time.Duration{0, 0, 0, 24 * time.Hour, 0, 30 * 24 * time.Hour} {
			time.Sleep(wait)
			_, err := l.Reserve(t.Context(), call, budget)
			if spent := i == 2 || i == 4; errors.Is(err, cloud.ErrBudget) != spent {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if _, err := l.Reserve(t.Context(), cloud.Call{Provider: "other"}, budget); err != nil {
			t.Errorf("another provider: %v", err)
		}
		if err := l.Settle(t.Context(), 1, cloud.End{Sent: 9}); err != nil {
			t.Error(err)
		}
		if err := l.Settle(t.Context(), 1, cloud.End{}); err == nil {
			t.Error("a call was settled twice")
		}
		if rows := l.Rows(); len(rows) != 5 || !rows[0].Settled || rows[0].End.Sent != 9 || rows[1].Settled {
			t.Errorf("rows: %+v", rows)
		}
	})
}
