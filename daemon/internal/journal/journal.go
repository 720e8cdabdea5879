// Package journal is the record of what happened, on the disk before anything
// else hears of it.
//
// A journal is one SQLite file with everything that must outlive the program:
// the events with their sequence numbers, which of them a broker has taken,
// attempts and pulses under way, used nonces, lockout counters, and the ledger of
// calls to compare services. It holds no picture and no template.
//
// The life of an attempt in it:
//
//	Begin            the attempt is known, in case the program dies
//	Append(attempt)  the one outcome; with access granted, also the right to one pulse
//	StartPulse       that right is used up; only then may the relay move
//	Append(access)   pulse_ended or pulse_failed
//
// Each step is fsynced when its call returns. What a death leaves open,
// [Journal.Recover] closes with an event at the next start.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// MinBytes is the least that [Options.MaxBytes] may be. Package config says so
// to the operator, and a test of package main holds the two equal.
const MinBytes = 4 << 20

// Options says where a journal is and what bounds it. All but MaxAge,
// KeepDelivered and Log are required.
type Options struct {
	Path          string        // the file; its folder must exist
	MaxBytes      int64         // of the file and its write-ahead log together
	MaxAge        time.Duration // of events not delivered; 0: any
	KeepDelivered time.Duration // how long delivered events stay for replay
	Site, Device  string        // put into every event
	Stamp         func() event.Stamp
	Log           *slog.Logger // nil: silent
}

// A Journal is an open journal. Its methods may be called concurrently. A
// context ends only the wait for other writers: a write that has begun is
// carried through, so that its result is never in doubt.
type Journal struct {
	opts     Options
	id       string
	opens    int64         // tells this run from earlier ones
	lock     *os.File      // held until Close
	writer   *sql.DB       // one connection
	reader   *sql.DB       // its own connections, so that reads don't hold up writes
	turn     chan struct{} // holds one token while somebody writes
	changed  chan struct{}
	maxPages int64        // of the file without its log
	unsaved  atomic.Int64 // commits since the log was last written back
	fault    atomic.Pointer[error]
}

// Open opens the journal, or begins a new one if there is no file. A file
// that can't be used is refused and left as it is.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if o.Path == "" || o.Site == "" || o.Device == "" || o.Stamp == nil {
		return nil, errors.New("journal: path, site, device and stamp are required")
	}
	if o.MaxBytes < MinBytes {
		return nil, fmt.Errorf("journal.max_bytes: %d is too small (at least %d)", o.MaxBytes, MinBytes)
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", o.Path, err)
	}
	o.Path = path
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}

	l, err := lock(o.Path)
	if err != nil {
		return nil, err
	}
	j := &Journal{opts: o, lock: l, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.release())
	}
	return j, nil
}

// open does what follows the lock.
func (j *Journal) open(ctx context.Context) error {
	path := j.opts.Path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(ctx, path); err != nil {
			return explain(path, "create", err)
		}
		j.opts.Log.Info("journal begun", "path", path)
	}
	if err := checkHeader(path); err != nil {
		return err
	}

	// The log may take an eighth of the bound: one part that SQLite writes
	// back at, and as much again for one large transaction.
	walPages := min(max(j.opts.MaxBytes/16/pageSize, 16), 1000)
	j.maxPages = j.opts.MaxBytes/pageSize - 2*walPages - 16

	var err error
	if j.writer, err = connect(path, 1, url.Values{"_pragma": {
		fmt.Sprintf("wal_autocheckpoint(%d)", walPages), fmt.Sprintf("journal_size_limit(%d)", walPages*pageSize),
	}}); err != nil {
		return explain(path, "open", err)
	}
	if j.reader, err = connect(path, 2, url.Values{"_query_only": {"on"}}); err != nil {
		return explain(path, "open", err)
	}
	return j.begin(ctx)
}

// begin reads the state and marks the journal as open.
func (j *Journal) begin(ctx context.Context) error {
	version, err := j.version(ctx)
	if err != nil {
		return err
	}
	var clean bool
	var last int64
	err = j.writer.QueryRowContext(ctx, "SELECT journal_id, last_seq, clean FROM state").Scan(&j.id, &last, &clean)
	if errors.Is(err, sql.ErrNoRows) {
		return damaged(j.opts.Path, "it has lost its state")
	}
	if err != nil {
		return explain(j.opts.Path, "open", err)
	}
	if !clean {
		if err := checkPages(ctx, j.opts.Path, j.writer); err != nil {
			return err
		}
	}
	if err := j.migrate(ctx, version); err != nil {
		return err
	}

	err = j.write(ctx, "open", func(t *tx) error {
		return t.row("UPDATE state SET opens = opens + 1, clean = 0 RETURNING opens").Scan(&j.opens)
	})
	if err != nil {
		return err
	}
	j.opts.Log.Info("journal open", "path", j.opts.Path, "journal", j.id, "seq", last, "clean", clean)
	return nil
}

// ID returns the journal's identifier, which it keeps for its life.
func (j *Journal) ID() string { return j.id }

// Changed returns a channel that receives after events have been appended.
// It has room for one signal and serves one receiver.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

// Close ends the journal. No other method may be running or be called after.
func (j *Journal) Close() error {
	ctx := context.Background()
	err := j.write(ctx, "close", func(t *tx) error {
		return t.exec("UPDATE state SET clean = 1")
	})
	return errors.Join(err, j.release())
}

// release closes what is open, the lock last.
func (j *Journal) release() error {
	var errs []error
	for _, db := range []*sql.DB{j.reader, j.writer} {
		if db != nil {
			errs = append(errs, explain(j.opts.Path, "close", db.Close()))
		}
	}
	return errors.Join(append(errs, j.lock.Close())...)
}

// Fault returns why the disk did not take the last write that it was asked to
// take, nil if it did.
func (j *Journal) Fault() error {
	if err := j.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// Retry writes something if the last write failed, to see whether the disk is
// well again, and returns what [Journal.Fault] then returns.
func (j *Journal) Retry(ctx context.Context) error {
	if j.Fault() == nil {
		return nil
	}
	return j.write(ctx, "try the disk", func(t *tx) error {
		t.written = true
		return t.overwrite()
	})
}

// write runs do in one transaction, which is on the disk when write returns
// nil, and undone otherwise.
func (j *Journal) write(ctx context.Context, op string, do func(t *tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("journal: %s: %w", op, context.Cause(ctx))
	}
	select {
	case j.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("journal: %s: %w", op, context.Cause(ctx))
	}
	defer func() { <-j.turn }()

	t, err := j.transact(do)
	if err != nil {
		explained := explain(j.opts.Path, op, err)
		if ofDisk(err) {
			j.fault.Store(&explained)
		}
		return explained
	}
	if t.appended || t.written {
		j.fault.Store(nil)
	}
	j.unsaved.Add(1)
	if t.appended {
		select {
		case j.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// transact is one transaction of the writer, whose turn it is.
func (j *Journal) transact(do func(t *tx) error) (*tx, error) {
	raw, err := j.writer.Begin() // without a context, see Journal
	if err != nil {
		return nil, err
	}
	t := &tx{raw: raw, j: j}
	if err := do(t); err != nil {
		_ = raw.Rollback() // err says more; SQLite drops an open transaction in any case
		return nil, err
	}
	if err := commit(raw); err != nil {
		j.bury()
		return nil, err
	}
	return t, nil
}

// bury makes sure that a transaction which could not be committed stays undone.
// Its pages are in the log already, whole, if only the fsync failed: were the
// program to end now, the next one would find them there and take for granted
// what everybody was told had failed. The next commit goes to the same place in
// the log; this is one that says nothing.
//
// The disk may well fail again, which is no news; what counts is the log in
// memory, that the next program will read.
func (j *Journal) bury() {
	raw, err := j.writer.Begin()
	if err != nil {
		return
	}
	if err := (&tx{raw: raw}).overwrite(); err != nil {
		_ = raw.Rollback()
		return
	}
	_ = commit(raw)
}

// A tx is a running transaction.
type tx struct {
	raw      *sql.Tx
	j        *Journal
	appended bool // an event
	written  bool // something that the disk surely had to take
}

// overwrite writes a page as it is. That takes two changes: SQLite does not write
// a row that stays the same.
func (t *tx) overwrite() error {
	const flip = "UPDATE state SET clean = 1 - clean"
	return errors.Join(t.exec(flip), t.exec(flip))
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.raw.Exec(query, args...)
	return err
}

// count runs a statement and returns how many rows it changed.
func (t *tx) count(query string, args ...any) (int64, error) {
	r, err := t.raw.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *tx) row(query string, args ...any) *sql.Row {
	return t.raw.QueryRow(query, args...)
}
