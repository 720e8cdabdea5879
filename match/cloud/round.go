package cloud

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/facegate/facegate/match"
)

// A round is one asking. All of it belongs to the goroutine of Ask; the calls
// have goroutines of their own and tell it what happens, or find that it is
// over.
type round struct {
	asker    *Asker
	question Question
	context  Context
	lines    []*line
	events   chan event // without a buffer: what was sent was taken into account

	next    int // the line to ask next
	running int
	answers []event
	calls   int
	sent    int64
	failed  Kind // the last call's
	skipped Kind // the last skip's
}

// An event is what a call tells.
type event struct {
	index   int  // of the line
	began   bool // the call is about to be made; nothing else is set
	called  bool // else it was skipped
	failure Kind // empty with an answer
	answer  Answer
	verdict match.Verdict
}

// run asks until there is a result or ctx ends.
func (r *round) run(ctx context.Context) Result {
	need := max(r.asker.Quorum, 1)
	hedge := time.NewTimer(r.asker.Hedge)
	defer hedge.Stop()
	if r.asker.Hedge <= 0 {
		hedge.Stop()
	}
	more := need
	for {
		if r.launch(ctx, more) && r.asker.Hedge > 0 {
			hedge.Reset(r.asker.Hedge)
		}
		more = 0
		if over(ctx) {
			return r.unanswered(ended(ctx))
		}
		if r.running+len(r.answers) < need {
			return r.unanswered(cmp.Or(r.failed, r.skipped))
		}
		select {
		case <-ctx.Done():
			return r.unanswered(ended(ctx))
		case <-hedge.C:
			more = 1
		case e := <-r.events:
			result, done, replace := r.take(e, need)
			if done {
				return result
			}
			if replace {
				more = 1
			}
		}
	}
}

// launch asks up to n more providers and reports whether it asked any.
func (r *round) launch(ctx context.Context, n int) bool {
	first := r.next
	for ; n > 0 && r.next < len(r.lines) && !over(ctx); n-- {
		index := r.next
		r.next++
		r.running++
		r.asker.calls.Go(func() { r.call(ctx, index) })
	}
	return r.next > first
}

// take takes an event into account. It returns the result if this was the
// last one, and whether another provider is to be asked in its place.
func (r *round) take(e event, need int) (result Result, done, replace bool) {
	if e.began {
		r.calls++
		return Result{}, false, false
	}
	r.running--
	r.sent += e.answer.Sent
	if e.failure == "" {
		r.answers = append(r.answers, e)
		done = len(r.answers) >= need || e.verdict == match.Unsure
		return r.answered(e), done, false
	}
	if e.called {
		r.failed = e.failure
	} else {
		r.skipped = e.failure
	}
	if !e.failure.Next() {
		return r.unanswered(e.failure), true, false
	}
	return Result{}, false, true
}

// answered is the result when last has answered: its own if that rules an
// agreement out, else of all who did.
func (r *round) answered(last event) Result {
	deciders := []event{last}
	if last.verdict != match.Unsure {
		deciders = slices.SortedFunc(slices.Values(r.answers), func(a, b event) int { return cmp.Compare(a.index, b.index) })
	}
	first := deciders[0]
	entry := r.lines[first.index].Entry
	result := Result{
		Verdict: first.verdict, Missing: first.answer.Missing, Provider: entry.Provider.Name(),
		Score: first.answer.Score, Accept: entry.Accept, Reject: entry.Reject,
		Answered: true, Calls: r.calls, Sent: r.sent,
	}
	for _, d := range deciders[1:] {
		result.Provider += "+" + r.lines[d.index].Provider.Name()
		if d.verdict != first.verdict {
			result.Verdict = match.Unsure
		}
	}
	return result
}

func (r *round) unanswered(why Kind) Result {
	return Result{Failure: why, Calls: r.calls, Sent: r.sent}
}

// tell reports whether the round took the event into account. At the deadline
// it is too late.
func (r *round) tell(ctx context.Context, e event) bool {
	if over(ctx) {
		return false
	}
	select {
	case r.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// over says whether nobody waits any more, also if the timer that says so has
// not run yet.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// ended says why a call that nobody waits for any more is over.
func ended(ctx context.Context) Kind {
	if errors.Is(ctx.Err(), context.Canceled) {
		return Cancelled
	}
	return Overdue
}
