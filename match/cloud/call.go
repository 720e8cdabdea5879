package cloud

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/facegate/facegate/match"
)

// How long the ledger may take. Neither is cut short when the asking ends, so
// that what was counted is settled; Ask waits for neither longer than its
// Deadline.
const (
	reserveTime = time.Second
	settleTime  = 5 * time.Second
)

// A line is a provider with what is known of it.
type line struct {
	Entry
	breaker breaker
	health  change // of the calls, for the log
	budget  change
}

// call asks one provider, or says why it is skipped, and keeps the ledger.
func (r *round) call(ctx context.Context, index int) {
	l := r.lines[index]
	probe, ok := l.breaker.admit(time.Now())
	if !ok {
		r.tell(ctx, event{index: index, failure: Broken})
		return
	}
	id, skip := r.asker.reserve(ctx, l, r.context)
	if skip != "" {
		l.breaker.release(probe)
		r.tell(ctx, event{index: index, failure: skip})
		return
	}
	if !r.tell(ctx, event{index: index, began: true}) {
		l.breaker.release(probe)
		r.asker.settle(ctx, l, id, End{Failure: ended(ctx)})
		return
	}
	e, end := r.compare(ctx, l, probe)
	e.index = index
	if !r.tell(ctx, e) {
		end.Failure, end.Verdict, end.Missing = ended(ctx), match.Unsure, Neither
	}
	r.asker.settle(ctx, l, id, end)
}

// compare makes the call and tells the breaker how it went.
func (r *round) compare(ctx context.Context, l *line, probe bool) (event, End) {
	limit := l.Timeout
	if limit == 0 {
		limit = r.asker.Deadline
	}
	within, stop := context.WithTimeout(ctx, limit)
	defer stop()
	started := time.Now()
	answer, err := l.Provider.Compare(within, r.question)
	took := time.Since(started)
	end := End{Sent: answer.Sent, Status: answer.Status, Took: took}
	f := l.failure(answer, err)
	if f == nil {
		l.breaker.pass(probe)
		r.asker.note(l, r.context, nil)
		end.Missing = answer.Missing
		if answer.Missing == Neither {
			end.Verdict = l.verdict(answer.Score)
		}
		return event{called: true, answer: answer, verdict: end.Verdict}, end
	}
	end.Failure = f.Kind
	if over(ctx) {
		// A tenth is for what the ledger took: a single provider whose Timeout
		// is the Deadline never gets all of it.
		f = nil
		if took >= limit-limit/10 {
			f = &Failure{Kind: Network, Provider: l.Provider.Name(), Err: fmt.Errorf("no answer within %v", took)}
		}
	}
	r.blame(l, probe, f)
	return event{called: true, failure: end.Failure, answer: answer}, end
}

// blame tells the breaker and the log of a failure; nil means that the call
// says nothing about the service.
func (r *round) blame(l *line, probe bool, f *Failure) {
	if f == nil {
		l.breaker.release(probe)
		return
	}
	r.asker.note(l, r.context, f)
	if f.Kind == Rejected {
		l.breaker.release(probe)
		return
	}
	if wait := l.breaker.fail(probe, time.Now(), f); wait > 0 {
		r.asker.Log.Warn("provider paused", "provider", l.Provider.Name(), "wait", wait, "err", f)
	}
}

// failure returns what a call failed with, or nil. Whatever a provider may not
// return counts as a fault of the service.
func (l *line) failure(answer Answer, err error) *Failure {
	f := &Failure{Kind: Server, Provider: l.Provider.Name(), Status: answer.Status, Err: err}
	if err == nil {
		if answer.Missing != Neither || finite(answer.Score) {
			return nil
		}
		f.Err = fmt.Errorf("score %v is not a number", answer.Score)
		return f
	}
	if given, ok := errors.AsType[*Failure](err); ok && given != nil {
		switch given.Kind {
		case Throttled, Unauthorised, Quota, Network, Server, Rejected:
			return given
		}
	}
	return f
}

// reserve counts the call in the ledger, or says why it can't be made.
func (a *Asker) reserve(ctx context.Context, l *line, c Context) (id int64, skip Kind) {
	write, stop := context.WithTimeout(context.WithoutCancel(ctx), reserveTime)
	defer stop()
	name := l.Provider.Name()
	id, err := a.Ledger.Reserve(write, Call{AttemptID: c.AttemptID, Provider: name, Why: c.Why, Local: c.Local, Cost: l.Cost}, l.Budget)
	if errors.Is(err, ErrBudget) {
		if changed, _ := l.budget.to(string(Spent)); changed {
			a.Log.Warn("provider's budget used up", "provider", name, "attempt", c.AttemptID)
		}
		return 0, Spent
	}
	if err != nil {
		if changed, _ := a.reserving.to(string(Unkept)); changed {
			a.Log.Error("call not recorded, so not made", "provider", name, "attempt", c.AttemptID, "err", err)
		}
		return 0, Unkept
	}
	l.budget.to("")
	if changed, times := a.reserving.to(""); changed {
		a.Log.Info("calls are recorded again", "provider", name, "failures", times)
	}
	return id, ""
}

// settle records in the ledger how the call ended.
func (a *Asker) settle(ctx context.Context, l *line, id int64, e End) {
	write, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	if err := a.Ledger.Settle(write, id, e); err != nil {
		if changed, _ := a.settling.to(string(Unkept)); changed {
			a.Log.Error("end of a call not recorded", "provider", l.Provider.Name(), "err", err)
		}
		return
	}
	if changed, times := a.settling.to(""); changed {
		a.Log.Info("ends of calls are recorded again", "provider", l.Provider.Name(), "failures", times)
	}
}

// note logs a provider's failure, or that it answers, if the last call went
// otherwise.
func (a *Asker) note(l *line, c Context, f *Failure) {
	name := l.Provider.Name()
	if f == nil {
		if changed, times := l.health.to(""); changed {
			a.Log.Info("provider answers again", "provider", name, "attempt", c.AttemptID, "failures", times)
		}
		return
	}
	if changed, _ := l.health.to(string(f.Kind)); changed {
		a.Log.Warn("provider failed", "provider", name, "attempt", c.AttemptID, "err", f)
	}
}

// A change tells what is new from what repeats. At first all is well, which is
// the empty text.
type change struct {
	mu sync.Mutex
	// mu guards the following
	last  string
	times int // that all was not well, since it last was
}

// to reports whether now differs from the last time, and how often all was not
// well until now.
func (c *change) to(now string) (changed bool, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, times = now != c.last, c.times
	c.last = now
	c.times++
	if now == "" {
		c.times = 0
	}
	return changed, times
}
