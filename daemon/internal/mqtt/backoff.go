package mqtt

import (
	"math/rand/v2"
	"time"
)

const (
	minWait = time.Second
	maxWait = time.Minute
	// A connection that lasted this long ends a series of failures.
	stable = 30 * time.Second
	// One that was lost this soon may have been taken over by another client.
	soon = 5 * time.Second
)

// A backoff says how long to wait before the next connection: 1 s, doubled up
// to 60 s, each shortened by up to half at random so that a fleet does not
// come back in step. The zero value begins a series.
type backoff struct {
	failures int
}

func (b *backoff) reset() { b.failures = 0 }

func (b *backoff) next() time.Duration {
	wait := maxWait
	if b.failures < 6 { // 2^6 s is past the maximum
		wait = min(maxWait, minWait<<b.failures)
	}
	b.failures++
	return wait - rand.N(wait/2)
}
