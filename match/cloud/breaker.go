package cloud

import (
	"sync"
	"time"
)

// The defaults of a breaker.
const (
	DefaultFailures = 5
	DefaultOpen     = 30 * time.Second
)

// maxOpen bounds how long a breaker stays open, whatever a service asks for.
const maxOpen = time.Hour

// BreakerSettings say when a provider is left alone for a while.
//
// Failures of the service in a row open its breaker: no answer, a fault,
// throttling. A refused key or an empty account open it at once and for ten
// times as long, as they need the operator. A service that says how long it
// wants to be left alone gets that, but no more than an hour. Then one call at
// a time is let through; an answer closes the breaker, a failure opens it
// again.
//
// A call that was cut off because another provider answered or the deadline
// was over says nothing about the service, unless it had taken nearly all of
// its own Timeout. A rejected picture never does.
type BreakerSettings struct {
	Failures int           // in a row that open it; 0: DefaultFailures
	Open     time.Duration // how long it then stays open, at most an hour; 0: DefaultOpen
}

// A BreakerState says whether a provider is asked.
type BreakerState string

// The states of a breaker.
const (
	Closed  BreakerState = "closed"  // it is asked
	Opened  BreakerState = "open"    // it is not
	Probing BreakerState = "probing" // by one call at a time
)

// A breaker keeps one provider's failures.
type breaker struct {
	settings BreakerSettings

	mu sync.Mutex
	// mu guards the following
	failures int       // in a row
	until    time.Time // no call before; zero: closed
	probe    bool      // one is running
}

// admit says whether a call may be made now and whether it is a probe. One
// that may must be followed by pass, fail or release.
func (b *breaker) admit(now time.Time) (probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return false, true
	}
	if now.Before(b.until) || b.probe {
		return false, false
	}
	b.probe = true
	return true, true
}

// release ends a call that says nothing about the service.
func (b *breaker) release(probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probe = false
	}
}

// pass ends a call with an answer. One that began before the breaker opened
// does not close it.
func (b *breaker) pass(probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probe, b.until = false, time.Time{}
	}
	b.failures = 0
}

// fail ends a call with a failure. If that opened a closed breaker it returns
// for how long, else 0.
func (b *breaker) fail(probe bool, now time.Time, f *Failure) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	closed := b.until.IsZero()
	b.failures++
	if probe {
		b.probe = false
	}
	wait := min(max(f.RetryAfter, 0), maxOpen)
	switch {
	case f.Kind == Unauthorised || f.Kind == Quota:
		wait = max(wait, min(10*b.settings.open(), maxOpen))
	case probe || b.failures >= b.settings.limit():
		wait = max(wait, b.settings.open())
	}
	if wait == 0 {
		return 0
	}
	if end := now.Add(wait); end.After(b.until) {
		b.until = end
	}
	if !closed {
		return 0
	}
	return wait
}

// state returns what there is to know, but the provider's name.
func (b *breaker) state(now time.Time) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return State{Breaker: Closed, Failures: b.failures}
	case now.Before(b.until):
		return State{Breaker: Opened, Until: b.until, Failures: b.failures}
	}
	return State{Breaker: Probing, Failures: b.failures}
}

func (s BreakerSettings) limit() int {
	if s.Failures == 0 {
		return DefaultFailures
	}
	return s.Failures
}

func (s BreakerSettings) open() time.Duration {
	if s.Open == 0 {
		return DefaultOpen
	}
	return s.Open
}
