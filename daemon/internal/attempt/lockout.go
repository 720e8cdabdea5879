package attempt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// A Key is what mismatches are counted by.
type Key struct {
	Source     string
	SubjectRef string // "" when the caller names no ID
}

// text hides the reference: the journal keeps a digest, no word of the caller's.
func (k Key) text() string {
	if k.SubjectRef == "" {
		return "source:" + k.Source
	}
	sum := sha256.Sum256([]byte(k.SubjectRef))
	return "ref:" + hex.EncodeToString(sum[:])
}

// Failures is where counts survive a restart; the journal is one.
type Failures interface {
	// Failures returns the mismatches in a row, the time of the last, and
	// until when the key must wait.
	Failures(ctx context.Context, key string) (count int, last, until time.Time, err error)
	SetFailures(ctx context.Context, key string, count int, last, until time.Time) error
	ClearFailures(ctx context.Context, key string) error
}

// Lockout slows down whoever keeps failing, in the shape of NIST SP 800-63B:
// after After failures in a row each further try must wait, at first Delay,
// doubling up to Max; after Disable failures the ID is blocked for Block.
//
// A named ID is counted by itself, and both no_match and unsure count. Where
// the caller names no ID, all that can be counted is the way the photo came:
// then only no_match counts and the wait never exceeds Delay, so that one
// person cannot shut a kiosk for everybody.
type Lockout struct {
	Store   Failures
	After   int // 0: no lockout
	Delay   time.Duration
	Max     time.Duration
	Disable int
	Block   time.Duration
	Forget  time.Duration // counts this old no longer count
	Log     *slog.Logger
}

// Wait returns how long the key must wait before its next attempt, 0 if it
// need not. A store that cannot be read makes it wait: nothing opens on a
// count that is not known.
func (l *Lockout) Wait(ctx context.Context, k Key, now time.Time) time.Duration {
	if l.After == 0 {
		return 0
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	count, last, until, err := l.Store.Failures(ctx, k.text())
	if err != nil {
		l.Log.Error("lockout not read", "source", k.Source, "err", err)
		return l.Delay
	}
	if l.forgotten(count, last, now) {
		return 0
	}
	// A clock that was stepped back must not lock anybody out for longer than
	// the delay that was meant.
	return min(max(0, until.Sub(now)), l.delay(k, count))
}

// Note counts the outcome of an attempt.
func (l *Lockout) Note(ctx context.Context, k Key, d event.Decision, now time.Time) {
	if l.After == 0 {
		return
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	if err := l.note(ctx, k, d, now); err != nil {
		l.Log.Error("lockout not written", "source", k.Source, "err", err)
	}
}

func (l *Lockout) note(ctx context.Context, k Key, d event.Decision, now time.Time) error {
	switch {
	case d == event.DecisionMatch:
		return l.Store.ClearFailures(ctx, k.text())
	case d == event.DecisionNoMatch:
	case d == event.DecisionUnsure && k.SubjectRef != "":
	default:
		return nil
	}
	count, last, _, err := l.Store.Failures(ctx, k.text())
	if err != nil {
		return err
	}
	if l.forgotten(count, last, now) {
		count = 0
	}
	count++
	return l.Store.SetFailures(ctx, k.text(), count, now, now.Add(l.delay(k, count)))
}

func (l *Lockout) forgotten(count int, last, now time.Time) bool {
	return count == 0 || now.Sub(last) > l.Forget
}

// delay is the wait that count failures earn.
func (l *Lockout) delay(k Key, count int) time.Duration {
	switch {
	case count < l.After:
		return 0
	case k.SubjectRef == "":
		return l.Delay
	case count >= l.Disable:
		return l.Block
	}
	d := l.Delay
	for range count - l.After {
		if d *= 2; d >= l.Max {
			return l.Max
		}
	}
	return d
}
