package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// Pending returns, in order, the first limit events that are not yet
// acknowledged.
func (j *Journal) Pending(ctx context.Context, limit int) ([]event.Event, error) {
	return j.read(ctx, "read pending events",
		"SELECT seq, body FROM events WHERE seq > (SELECT delivered FROM state) ORDER BY seq LIMIT ?", max(limit, 0))
}

// Range returns, in order, at most limit events from seq from to seq to, both
// included, whether acknowledged or not. Events that were removed are missing.
func (j *Journal) Range(ctx context.Context, from, to uint64, limit int) ([]event.Event, error) {
	return j.read(ctx, "read a range of events",
		"SELECT seq, body FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
		int64(min(from, math.MaxInt64)), int64(min(to, math.MaxInt64)), max(limit, 0))
}

// read returns the events that query selects.
func (j *Journal) read(ctx context.Context, op, query string, args ...any) ([]event.Event, error) {
	rows, err := j.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(j.opts.Path, op, err)
	}
	defer rows.Close()

	var out []event.Event
	for rows.Next() {
		var seq uint64
		var body sql.RawBytes
		if err := rows.Scan(&seq, &body); err != nil {
			return nil, explain(j.opts.Path, op, err)
		}
		var e event.Event
		if err := json.Unmarshal(body, &e); err != nil || e.Seq != seq {
			return nil, damaged(j.opts.Path, fmt.Sprintf("event %d is unreadable", seq))
		}
		out = append(out, e)
	}
	return out, explain(j.opts.Path, op, rows.Err())
}

// Delivered notes that a broker has acknowledged every event to seq through.
func (j *Journal) Delivered(ctx context.Context, through uint64) error {
	err := j.write(ctx, fmt.Sprintf("note delivery to %d", through), func(t *tx) error {
		var last, before int64
		if err := t.row("SELECT last_seq, delivered FROM state").Scan(&last, &before); err != nil {
			return err
		}
		if through > uint64(last) {
			return fmt.Errorf("the newest event is %d", last)
		}
		if int64(through) <= before {
			return nil
		}
		s := j.opts.Stamp()
		return errors.Join(
			t.exec("UPDATE state SET delivered = ?", int64(through)),
			t.exec("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?)", int64(through), s.BootID, s.Time.UnixMilli(), s.MonoMS, s.ClockSynced))
	})
	if err != nil {
		return err
	}
	return j.writeBack(ctx)
}

// Stats describes a journal at one moment.
type Stats struct {
	First, Last   uint64        // seq of the oldest and newest event that are there; First is Last+1 if none
	Delivered     uint64        // every event to here is acknowledged
	Pruned        uint64        // every event to here is removed: it was acknowledged, or a gap names it
	Pending       int           // events not acknowledged
	OldestPending time.Duration // age of the oldest of these, as far as the clocks tell; 0 if none
	Bytes         int64         // on the disk, the write-ahead log included
}

// Stats returns the figures of now.
func (j *Journal) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var oldest stamp
	err := j.reader.QueryRowContext(ctx, `
		SELECT s.last_seq, s.delivered, s.pruned,
			coalesce(e.seq, 0), coalesce(e.boot_id, ''), coalesce(e.ts_ms, 0), coalesce(e.mono_ms, 0), coalesce(e.synced, 0)
		FROM state s LEFT JOIN events e ON e.seq = (SELECT min(seq) FROM events WHERE seq > s.delivered)`).
		Scan(&s.Last, &s.Delivered, &s.Pruned, &oldest.seq, &oldest.bootID, &oldest.tsMS, &oldest.monoMS, &oldest.synced)
	if err != nil {
		return Stats{}, explain(j.opts.Path, "read figures", err)
	}
	s.First = s.Pruned + 1
	if oldest.seq > 0 {
		s.Pending = int(int64(s.Last) - oldest.seq + 1)
		age, _ := oldest.age(j.opts.Stamp())
		s.OldestPending = age
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(j.opts.Path + suffix); err == nil {
			s.Bytes += info.Size()
		}
	}
	return s, nil
}

// gapsWithin returns the gap events from seq from to seq to.
func (t *tx) gapsWithin(from, to int64) ([]event.Gap, error) {
	rows, err := t.raw.Query("SELECT body FROM events WHERE kind = 'gap' AND seq BETWEEN ? AND ?", from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var out []event.Gap
	for rows.Next() {
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var e event.Event
		if err := json.Unmarshal(body, &e); err != nil || e.Gap == nil {
			return nil, damaged(t.j.opts.Path, "a gap event is unreadable")
		}
		out = append(out, *e.Gap)
	}
	return out, rows.Err()
}
