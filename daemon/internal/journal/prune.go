package journal

import (
	"context"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

const (
	chunkRows  = 512 // events removed in one transaction, at most
	chunkBytes = 16  // or this part of MaxBytes
	saveAfter  = 64  // commits, until the log is written back outside of a commit
)

// Prune removes what the bounds no longer allow: calls of compare services more
// than a year old; delivered events that were kept long enough; undelivered
// ones that are too old, which a gap event then names; and the oldest of all
// while the journal is too large.
func (j *Journal) Prune(ctx context.Context) error {
	kept, err := j.expired(ctx, "deliveries", j.opts.KeepDelivered)
	if err != nil {
		return err
	}
	if err := j.inSteps(ctx, func(t *tx) (bool, error) { return t.remove(kept, "") }); err != nil {
		return err
	}

	if j.opts.MaxAge > 0 {
		old, err := j.expired(ctx, "events", j.opts.MaxAge)
		if err != nil {
			return err
		}
		if err := j.inSteps(ctx, func(t *tx) (bool, error) { return t.removeOld(old) }); err != nil {
			return err
		}
	}

	if err := j.inSteps(ctx, func(t *tx) (bool, error) { return false, t.forgetCalls() }); err != nil {
		return err
	}
	if err := j.inSteps(ctx, (*tx).makeRoom); err != nil {
		return err
	}
	return j.inSteps(ctx, (*tx).shrink)
}

// inSteps runs step in one transaction after another while there is more to
// do, so that an append never waits for long.
func (j *Journal) inSteps(ctx context.Context, step func(t *tx) (more bool, err error)) error {
	for more := true; more; {
		err := j.write(ctx, "prune", func(t *tx) (err error) {
			more, err = step(t)
			return err
		})
		if err != nil {
			return err
		}
		if err := j.writeBack(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removeOld drops events to seq to if some of them were never delivered.
// Delivered ones alone stay as long as KeepDelivered says.
func (t *tx) removeOld(to int64) (more bool, err error) {
	var delivered int64
	if err := t.row("SELECT delivered FROM state").Scan(&delivered); err != nil || to <= delivered {
		return false, err
	}
	return t.remove(to, event.CauseAge)
}

// makeRoom drops the oldest events if the journal is too large: one chunk,
// which is more than an event takes. The newest event always stays.
func (t *tx) makeRoom() (more bool, err error) {
	_, used, err := t.pages()
	if err != nil || used <= t.j.maxPages {
		return false, err
	}
	var last int64
	if err := t.row("SELECT last_seq FROM state").Scan(&last); err != nil {
		return false, err
	}
	return t.remove(last-1, event.CauseBytes)
}

// shrink gives pages back to the file system. The file has too many only if
// MaxBytes is less than it was: free pages are used before new ones.
func (t *tx) shrink() (more bool, err error) {
	before, used, err := t.pages()
	if err != nil || before <= t.j.maxPages || before == used {
		return false, err
	}
	if err := t.exec("PRAGMA incremental_vacuum(256)"); err != nil {
		return false, err
	}
	after, _, err := t.pages()
	return after < before, err
}

// pages returns the size of the file and how much of it is in use.
func (t *tx) pages() (all, used int64, err error) {
	var free int64
	err = t.row("SELECT p.page_count, f.freelist_count FROM pragma_page_count p, pragma_freelist_count f").Scan(&all, &free)
	return all, all - free, err
}

// expired returns the newest seq in table that is known to be older than age,
// 0 if none. Rows are in the order of time, so that one whose clock can't be
// trusted is as old as the next that can, and the first young one ends it.
func (j *Journal) expired(ctx context.Context, table string, age time.Duration) (int64, error) {
	const op = "look for old events"
	rows, err := j.reader.QueryContext(ctx, "SELECT seq, boot_id, ts_ms, mono_ms, synced FROM "+table+" ORDER BY seq")
	if err != nil {
		return 0, explain(j.opts.Path, op, err)
	}
	defer rows.Close()

	now := j.opts.Stamp()
	var newest int64
	for rows.Next() {
		var s stamp
		if err := rows.Scan(&s.seq, &s.bootID, &s.tsMS, &s.monoMS, &s.synced); err != nil {
			return 0, explain(j.opts.Path, op, err)
		}
		old, known := s.age(now)
		if !known {
			continue
		}
		if old <= age {
			break
		}
		newest = s.seq
	}
	return newest, explain(j.opts.Path, op, rows.Err())
}

// A stamp is when a row was written.
type stamp struct {
	seq          int64
	bootID       string
	tsMS, monoMS int64
	synced       bool
}

// age returns how old s is, and whether that can be relied upon: within one
// boot it can; across boots only if both wall clocks were right. A board
// without a battery begins each boot in the past.
func (s stamp) age(now event.Stamp) (d time.Duration, known bool) {
	if s.bootID == now.BootID {
		return time.Duration(now.MonoMS-s.monoMS) * time.Millisecond, true
	}
	wall := time.Duration(now.Time.UnixMilli()-s.tsMS) * time.Millisecond
	return max(wall, 0), s.synced && now.ClockSynced
}

// remove removes one chunk of the oldest events, to seq to at most. Those that
// were not delivered are named by a gap event with cause.
func (t *tx) remove(to int64, cause string) (more bool, err error) {
	var delivered int64
	if err := t.row("SELECT delivered FROM state").Scan(&delivered); err != nil {
		return false, err
	}
	first, chunk, err := t.chunk(to)
	if err != nil || first == 0 {
		return false, err
	}

	if lost := max(first, delivered+1); lost <= chunk {
		if err := t.gap(lost, chunk, cause); err != nil {
			return false, err
		}
	}
	for _, q := range []string{
		"DELETE FROM events WHERE seq <= ?",
		"DELETE FROM deliveries WHERE seq <= ?",
		"DELETE FROM pulses WHERE seq <= ? AND state = 'closed'",
		"UPDATE state SET pruned = ?",
	} {
		if err := t.exec(q, chunk); err != nil {
			return false, err
		}
	}
	return chunk < to, nil
}

// chunk returns the first event and the last that may go in one transaction.
func (t *tx) chunk(to int64) (first, last int64, err error) {
	rows, err := t.raw.Query("SELECT seq, length(body) FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", to, chunkRows)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()

	var sum int64
	for sum < t.j.opts.MaxBytes/chunkBytes && rows.Next() {
		var n int64
		if err := rows.Scan(&last, &n); err != nil {
			return 0, 0, err
		}
		if first == 0 {
			first = last
		}
		sum += n
	}
	return first, last, rows.Err()
}

// gap appends the event that names from..to, which are about to be removed
// undelivered. What a gap event among them named is named again.
func (t *tx) gap(from, to int64, cause string) error {
	g := event.Gap{From: uint64(from), To: uint64(to), Undelivered: int(to - from + 1), Cause: cause}
	earlier, err := t.gapsWithin(from, to)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		g.From = min(g.From, e.From)
		g.Undelivered += e.Undelivered
	}

	if _, err := t.insert(event.Event{Kind: event.KindGap, Gap: &g}); err != nil {
		return err
	}
	t.j.opts.Log.Warn("undelivered events dropped", "from", g.From, "to", g.To, "count", g.Undelivered, "cause", cause)
	return nil
}

// writeBack copies the log into the file if it has grown, beside the writers
// and not in one of their commits.
func (j *Journal) writeBack(ctx context.Context) error {
	if j.unsaved.Load() < saveAfter {
		return nil
	}
	j.unsaved.Store(0)
	var busy, log, done int
	if err := j.reader.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done); err != nil {
		return explain(j.opts.Path, "write the log back", err)
	}
	return nil
}
