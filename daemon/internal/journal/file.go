package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	applicationID = 0x66676a6c // "fgjl" in the file's header
	schemaVersion = 2
	ledgerVersion = 2 // has the ledger
	pageSize      = 4096
)

// tables is version 1 of the file.
const tables = `
CREATE TABLE state (
	one        INTEGER PRIMARY KEY CHECK (one = 1),
	journal_id TEXT    NOT NULL,
	last_seq   INTEGER NOT NULL, -- of the newest event
	delivered  INTEGER NOT NULL, -- all to here are acknowledged
	pruned     INTEGER NOT NULL, -- all to here were acknowledged or named by a gap, and are removed
	opens      INTEGER NOT NULL, -- how often the file was opened
	clean      INTEGER NOT NULL  -- whether it was closed since
) STRICT;
CREATE TABLE events (
	seq        INTEGER PRIMARY KEY,
	kind       TEXT    NOT NULL,
	attempt_id TEXT    NOT NULL,
	boot_id    TEXT    NOT NULL,
	ts_ms      INTEGER NOT NULL,
	mono_ms    INTEGER NOT NULL,
	synced     INTEGER NOT NULL,
	body       BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_outcome ON events (attempt_id) WHERE kind = 'attempt';
CREATE TABLE deliveries ( -- when the events to seq were acknowledged
	seq        INTEGER PRIMARY KEY,
	boot_id    TEXT    NOT NULL,
	ts_ms      INTEGER NOT NULL,
	mono_ms    INTEGER NOT NULL,
	synced     INTEGER NOT NULL
) STRICT;
CREATE TABLE under_way (
	attempt_id TEXT    PRIMARY KEY,
	source     TEXT    NOT NULL,
	opens      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pulses (
	attempt_id TEXT    PRIMARY KEY,
	seq        INTEGER NOT NULL, -- of the attempt event
	state      TEXT    NOT NULL CHECK (state IN ('granted', 'started', 'closed')),
	opens      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE nonces (
	hash       BLOB    PRIMARY KEY,
	expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (
	key        TEXT    PRIMARY KEY,
	count      INTEGER NOT NULL,
	last_ms    INTEGER NOT NULL,
	until_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;`

// connect opens a pool of at most conns connections to the file. Everything
// a connection must be is in its name, because a pool replaces connections;
// more is what sets it apart.
func connect(path string, conns int, more url.Values) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"off"},
		"_synchronous":  {synchronous},
		"_txlock":       {"immediate"},
	}
	maps.Copy(q, more)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// create writes an empty journal. It appears under its name only when it is
// whole, so that an empty or half-written file is always damage, never a
// beginning.
func create(ctx context.Context, path string) error {
	temp := path + ".new"
	for _, left := range []string{temp, temp + "-wal", temp + "-shm"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}

	// Both stay with the file. Setting auto_vacuum is a write, so that a
	// connection that did it again would wait for the writer.
	db, err := connect(temp, 1, url.Values{"_auto_vacuum": {"INCREMENTAL"}, "_journal_mode": {"WAL"}})
	if err != nil {
		return err
	}
	if err := errors.Join(createTables(ctx, db), db.Close()); err != nil {
		return err
	}
	if err := syncFile(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFile(filepath.Dir(path))
}

func createTables(ctx context.Context, db *sql.DB) error {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, fmt.Sprintf("%s; %s; PRAGMA application_id = %d; PRAGMA user_version = %d", tables, ledgerTables, applicationID, schemaVersion))
	if err == nil {
		_, err = t.ExecContext(ctx, "INSERT INTO state VALUES (1, ?, 0, 0, 0, 0, 1)", rand.Text())
	}
	if err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Commit()
}

// syncFile makes a file or the names in a folder durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lock makes sure that this process alone has the journal. The lock ends with
// the process, however that ends; the file beside the journal stays.
func lock(path string) (*os.File, error) {
	side := path + ".lock"
	f, err := os.OpenFile(side, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("journal %s: lock: %w (give the folder and what is in it to the user that runs facegate)", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: lock: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("journal %s: lock %s: %w", path, side, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		return nil, fmt.Errorf("journal %s: %w (process %s holds %s)", path, ErrInUse, strings.TrimSpace(string(holder)), side)
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: lock %s: %w", path, side, err), f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: lock %s: %w", path, side, err), f.Close())
	}
	return f, nil
}

// checkHeader refuses a file that is not a journal, before SQLite has touched
// it.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	defer f.Close()

	var h [100]byte // https://www.sqlite.org/fileformat.html, section 1.3
	if _, err := io.ReadFull(f, h[:]); err != nil {
		return damaged(path, fmt.Sprintf("read its header: %v", err))
	}
	if string(h[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(h[68:]) != applicationID {
		return damaged(path, "not a facegate journal")
	}
	return nil
}

// version returns the format of the file. One that this program does not know
// how to keep is refused.
func (j *Journal) version(ctx context.Context) (int, error) {
	var version int
	if err := j.writer.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, explain(j.opts.Path, "open", err)
	}
	if version > schemaVersion {
		return 0, fmt.Errorf("journal %s: %w (it has format %d, this program knows %d: update facegate)", j.opts.Path, ErrNewer, version, schemaVersion)
	}
	return version, nil
}

// migrate brings an older journal up to date.
func (j *Journal) migrate(ctx context.Context, version int) error {
	if version >= ledgerVersion {
		return nil
	}
	return j.write(ctx, "bring up to date", func(t *tx) error {
		return t.exec(fmt.Sprintf("%s; PRAGMA user_version = %d", ledgerTables, schemaVersion))
	})
}

// checkPages reads every page, which finds what an unclean end may have left.
func checkPages(ctx context.Context, path string, db *sql.DB) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return explain(path, "check", err)
	}
	if answer != "ok" {
		return damaged(path, answer)
	}
	return nil
}
