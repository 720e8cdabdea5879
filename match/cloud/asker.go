package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/facegate/facegate/match"
)

// An Entry is one provider as the operator configured it.
type Entry struct {
	Provider       Provider
	Accept, Reject float64       // in the provider's scale: at or above Accept match, at or below Reject no match
	Timeout        time.Duration // for one call; 0: the Asker's Deadline, which bounds it anyway
	Budget         Budget
	Cost           float64 // units per call, for the ledger
}

// verdict judges a score. Thresholds in the wrong order, as in a zero Entry,
// make everything unsure.
func (e Entry) verdict(score float64) match.Verdict {
	switch {
	case !(e.Reject < e.Accept):
		return match.Unsure
	case score >= e.Accept:
		return match.Match
	case score <= e.Reject:
		return match.NoMatch
	}
	return match.Unsure
}

// An Asker asks the providers about two faces, in order, until one answers.
//
// The next provider is asked when one is skipped or fails in a way that
// [Kind.Next] allows, and with Hedge also when one is slow. An answer ends the
// asking, also one that finds no face or lies between the thresholds. Every
// call is in the ledger before it is made; without a record there is no call.
//
// With a Quorum of 2, two providers are asked at once and both have to give the
// same explicit verdict; the next provider takes the place of one that fails.
// An answer that rules an agreement out ends the asking as well.
//
// Its methods may be called concurrently. It must not be copied or changed once
// in use.
type Asker struct {
	Entries  []Entry       // in order
	Deadline time.Duration // for all together
	Hedge    time.Duration // ask the next one too when the last asked has not answered for so long; 0: never
	Quorum   int           // providers that must agree: 1 or 2
	Breaker  BreakerSettings
	Ledger   Ledger
	Log      *slog.Logger

	once      sync.Once
	lines     []*line
	reserving change // how the ledger's Reserve goes, for the log
	settling  change // how its Settle goes
	calls     sync.WaitGroup

	mu sync.Mutex
	// mu guards the following
	closed bool
}

// Check returns all problems of the settings, one per line, or nil.
func (a *Asker) Check() error {
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	wrong(len(a.Entries) == 0, "providers: none is configured (name at least one)")
	wrong(a.Deadline <= 0, "deadline: %v must be more than 0s (3s is usual)", a.Deadline)
	wrong(a.Hedge < 0, "hedge: %v must not be negative (0s turns it off)", a.Hedge)
	wrong(a.Quorum != 1 && a.Quorum != 2, "quorum: %d must be 1 or 2", a.Quorum)
	wrong(a.Quorum == 2 && len(a.Entries) == 1, "quorum: 2 providers must agree but 1 is configured (add one, or set 1)")
	wrong(a.Breaker.Failures < 0, "breaker.failures: %d must not be negative (0 means %d)", a.Breaker.Failures, DefaultFailures)
	wrong(a.Breaker.Open < 0 || a.Breaker.Open > maxOpen, "breaker.open: %v must be between 0s and %v (0s means %v)", a.Breaker.Open, maxOpen, DefaultOpen)
	wrong(a.Ledger == nil, "ledger: missing (no call is made without a record)")
	wrong(a.Log == nil, "log: missing")
	seen := make(map[string]bool)
	for i, e := range a.Entries {
		if e.Provider == nil || e.Provider.Name() == "" {
			problems = append(problems, fmt.Errorf("providers: number %d has no name", i+1))
			continue
		}
		name := e.Provider.Name()
		wrong(seen[name], "providers: %s is configured twice (remove one)", name)
		seen[name] = true
		wrong(!finite(e.Accept), "%s.accept: %v must be a finite number", name, e.Accept)
		wrong(!finite(e.Reject), "%s.reject: %v must be a finite number", name, e.Reject)
		wrong(finite(e.Accept) && finite(e.Reject) && e.Reject >= e.Accept, "%s.reject: %v must be below accept, %v", name, e.Reject, e.Accept)
		wrong(e.Timeout < 0, "%s.timeout: %v must not be negative (0s means the deadline)", name, e.Timeout)
		wrong(e.Budget.Daily < 0, "%s.budget.daily: %d must not be negative (0 means no bound)", name, e.Budget.Daily)
		wrong(e.Budget.Monthly < 0, "%s.budget.monthly: %d must not be negative (0 means no bound)", name, e.Budget.Monthly)
		wrong(!finite(e.Cost) || e.Cost < 0, "%s.cost: %v must be a number of at least 0", name, e.Cost)
	}
	return errors.Join(problems...)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// A Context says what an Asker is asked for.
type Context struct {
	AttemptID string
	Why       Why
	Local     string // what the device alone decided: unsure, or error with EngineDown
}

// Ask asks the providers. It returns before the Deadline is over, counted from
// its start, and soon after ctx ended; an answer that comes later is none.
// Calls that are still running then are cancelled, and have ended and are in
// the ledger when Close returns. An Asker that Check refuses matches nothing,
// or nobody.
func (a *Asker) Ask(ctx context.Context, q Question, c Context) Result {
	started := time.Now()
	if !a.enter() {
		return Result{Failure: Cancelled}
	}
	defer a.calls.Done()
	ctx, stop := context.WithTimeout(ctx, a.Deadline)
	defer stop()
	r := round{asker: a, question: q, context: c, lines: a.ready(), events: make(chan event)}
	result := r.run(ctx)
	result.Took = time.Since(started)
	return result
}

// enter counts the caller among those that Close waits for, unless it is late.
func (a *Asker) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.calls.Add(1)
	return true
}

// ready returns the providers with their breakers.
func (a *Asker) ready() []*line {
	a.once.Do(func() {
		for _, e := range a.Entries {
			a.lines = append(a.lines, &line{Entry: e, breaker: breaker{settings: a.Breaker}})
		}
	})
	return a.lines
}

// Close lets no further Ask begin and waits until the running ones are over,
// and all their calls ended and settled. It cancels none of them: their callers
// do.
func (a *Asker) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.calls.Wait()
}

// A State is a provider's, for health and metrics.
type State struct {
	Provider string
	Breaker  BreakerState
	Until    time.Time // of an open breaker, when a probe is allowed; else zero
	Failures int       // in a row
}

// States returns the state of every provider, in the configured order.
func (a *Asker) States() []State {
	now := time.Now()
	var states []State
	for _, l := range a.ready() {
		s := l.breaker.state(now)
		s.Provider = l.Provider.Name()
		states = append(states, s)
	}
	return states
}
