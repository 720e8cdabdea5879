package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	maxNonces   = 4096
	maxFailures = 5000
	nonceGrace  = 5 * time.Minute // kept past their expiry, in case the clock steps back
)

// UseNonce notes a nonce as used and reports whether it was fresh. The note
// is kept until after expires, which must be ahead. While more are in use than
// the journal will hold, UseNonce returns an error: forgetting one would let
// its command be sent again.
func (j *Journal) UseNonce(ctx context.Context, nonce string, expires time.Time) (fresh bool, err error) {
	hash := sha256.Sum256([]byte(nonce))
	err = j.write(ctx, "note a nonce", func(t *tx) error {
		now := j.opts.Stamp().Time
		if !expires.After(now.Time) {
			return fmt.Errorf("it expired %v ago", now.Sub(expires))
		}
		if err := t.exec("DELETE FROM nonces WHERE expires_ms < ?", now.Add(-nonceGrace).UnixMilli()); err != nil {
			return err
		}
		n, err := t.count("INSERT INTO nonces VALUES (?, ?) ON CONFLICT DO NOTHING", hash[:], expires.UnixMilli())
		if err != nil || n == 0 {
			return err
		}
		var count int
		if err := t.row("SELECT count(*) FROM nonces").Scan(&count); err != nil {
			return err
		}
		if count > maxNonces {
			return fmt.Errorf("%d are in use already (send fewer commands, or let them expire sooner)", maxNonces)
		}
		fresh = true
		return nil
	})
	return fresh && err == nil, err
}

// Failures returns the lockout counter of key: how many mismatches in a row,
// when the last was, and until when no attempt is taken. Without a counter
// all are zero.
func (j *Journal) Failures(ctx context.Context, key string) (count int, last, until time.Time, err error) {
	var lastMS, untilMS int64
	err = j.reader.QueryRowContext(ctx, "SELECT count, last_ms, until_ms FROM failures WHERE key = ?", key).Scan(&count, &lastMS, &untilMS)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, time.Time{}, explain(j.opts.Path, "read a lockout counter", err)
	}
	return count, fromMS(lastMS), fromMS(untilMS), nil
}

// SetFailures stores the lockout counter of key. Times are kept to the
// millisecond. Of too many keys, those that lock nobody out are forgotten
// first, then the oldest.
func (j *Journal) SetFailures(ctx context.Context, key string, count int, last, until time.Time) error {
	return j.write(ctx, "store a lockout counter", func(t *tx) error {
		err := t.exec("INSERT INTO failures VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = excluded.count, last_ms = excluded.last_ms, until_ms = excluded.until_ms",
			key, count, toMS(last), toMS(until))
		if err != nil {
			return err
		}
		var keys int
		if err := t.row("SELECT count(*) FROM failures").Scan(&keys); err != nil || keys <= maxFailures {
			return err
		}
		return t.exec(`DELETE FROM failures WHERE key IN
			(SELECT key FROM failures WHERE key <> ? ORDER BY until_ms > ?, last_ms LIMIT ?)`,
			key, j.opts.Stamp().Time.UnixMilli(), maxFailures/16)
	})
}

// ClearFailures forgets the lockout counter of key, if there is one.
func (j *Journal) ClearFailures(ctx context.Context, key string) error {
	return j.write(ctx, "clear a lockout counter", func(t *tx) error {
		return t.exec("DELETE FROM failures WHERE key = ?", key)
	})
}

// toMS returns t in milliseconds, 0 for the zero time.
func toMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
