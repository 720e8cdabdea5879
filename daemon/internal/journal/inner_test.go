package journal

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

func openInner(t *testing.T) *Journal {
	t.Helper()
	j, err := Open(t.Context(), Options{
		Path: filepath.Join(t.TempDir(), "journal.db"), MaxBytes: MinBytes, Site: "hq", Device: "gate-1",
		Stamp: func() event.Stamp { return eventtest.Stamp(0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// What makes an event durable when Append returns. Fails under the build tag
// brokensync, as it should.
func TestEveryConnectionSyncsAtEveryCommit(t *testing.T) {
	j := openInner(t)
	for range 2 {
		for name, db := range map[string]*sql.DB{"writer": j.writer, "reader": j.reader} {
			for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "auto_vacuum": "2", "foreign_keys": "0"} {
				var got string
				if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s of the %s = %s, %v, want %s", pragma, name, got, err, want)
				}
			}
		}
		j.writer.SetMaxIdleConns(0) // the second time with another connection
		j.reader.SetMaxIdleConns(0)
	}
	if j.writer.Stats().MaxOpenConnections != 1 {
		t.Error("there may be more than one writer")
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	j := openInner(t)
	var pages int
	if err := j.writer.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := j.writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
	var err error
	var stored uint64
	for n := 0; n < 100 && err == nil; n++ {
		var e event.Event
		if e, err = j.Append(t.Context(), eventtest.Match(eventtest.AttemptID(n))); err == nil {
			stored = e.Seq
		}
	}
	if err == nil || !strings.Contains(err.Error(), "disk full (free space") || !strings.Contains(err.Error(), j.opts.Path) {
		t.Fatalf("append to a full disk: %v", err)
	}

	if _, err := j.writer.Exec("PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	e, err := j.Append(t.Context(), eventtest.Match(eventtest.AttemptID(200)))
	if err != nil || e.Seq != stored+1 {
		t.Errorf("with space again: event %d, %v, want %d", e.Seq, err, stored+1)
	}
}

func TestAReadOnlyDiskIsSaid(t *testing.T) {
	j := openInner(t)
	if _, err := j.writer.Exec("PRAGMA query_only = on"); err != nil {
		t.Fatal(err)
	}
	_, err := j.Append(t.Context(), eventtest.Match(eventtest.AttemptID(1)))
	if err == nil || !strings.Contains(err.Error(), "not writable (check the owner") {
		t.Errorf("append to a read-only disk: %v", err)
	}
	if _, err := j.writer.Exec("PRAGMA query_only = off"); err != nil {
		t.Fatal(err)
	}
}

// A fault lasts until the disk has taken something.
func TestAFaultLastsUntilTheDiskIsWell(t *testing.T) {
	j := openInner(t)
	fault := func(when string, want bool) {
		t.Helper()
		if got := j.Fault(); (got != nil) != want {
			t.Errorf("%s: fault %v", when, got)
		}
	}
	readOnly := func(on string) {
		t.Helper()
		if _, err := j.writer.Exec("PRAGMA query_only = " + on); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(n int) error { return j.Begin(t.Context(), eventtest.AttemptID(n), "http") }
	if err := errors.Join(begin(1), j.Retry(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := begin(1); !errors.Is(err, ErrDuplicate) {
		t.Fatal(err)
	}
	fault("an attempt that began twice", false)

	readOnly("on")
	if begin(2) == nil {
		t.Fatal("a read-only disk took a write")
	}
	fault("read-only", true)
	if j.Retry(t.Context()) == nil {
		t.Error("a read-only disk is well")
	}
	fault("tried again", true)

	readOnly("off")
	if err := j.write(t.Context(), "do nothing", func(*tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	fault("nothing was written since", true)
	before, err := os.ReadFile(j.opts.Path + "-wal")
	if err == nil {
		err = j.Retry(t.Context())
	}
	if after, err2 := os.ReadFile(j.opts.Path + "-wal"); err != nil || err2 != nil || bytes.Equal(before, after) {
		t.Errorf("tried the disk: %v, %v, nothing written: %v", err, err2, bytes.Equal(before, after))
	}
	fault("well again", false)

	readOnly("on")
	_ = begin(3)
	readOnly("off")
	if _, err := j.Append(t.Context(), eventtest.Match(eventtest.AttemptID(1))); err != nil {
		t.Fatal(err)
	}
	fault("an event was written", false)
}

func TestTheWaitForTheWriterEndsWithTheContext(t *testing.T) {
	j := openInner(t)
	j.turn <- struct{}{} // somebody writes
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, cause)
	defer cancel()
	if err := j.Begin(ctx, eventtest.AttemptID(1), "http"); !errors.Is(err, cause) {
		t.Errorf("begin: %v, want %v", err, cause)
	}
	if list, err := j.Pending(t.Context(), 1); err != nil || len(list) != 0 {
		t.Errorf("read while somebody writes: %v, %v", list, err)
	}
	<-j.turn
	if err := j.Begin(t.Context(), eventtest.AttemptID(1), "http"); err != nil {
		t.Errorf("begin after the wait: %v", err)
	}
}

func TestReadsDoNotWaitForAnOpenTransaction(t *testing.T) {
	j := openInner(t)
	if _, err := j.Append(t.Context(), eventtest.Match(eventtest.AttemptID(1))); err != nil {
		t.Fatal(err)
	}
	err := j.write(t.Context(), "test", func(w *tx) error {
		if _, err := w.insert(eventtest.Match(eventtest.AttemptID(2))); err != nil {
			return err
		}
		list, err := j.Pending(t.Context(), 10)
		if err != nil || len(list) != 1 {
			t.Errorf("pending beside a transaction: %d events, %v, want the 1 before it", len(list), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheLogIsWrittenBack(t *testing.T) {
	j := openInner(t)
	for n := range saveAfter {
		if err := j.Begin(t.Context(), eventtest.AttemptID(n), "http"); err != nil {
			t.Fatal(err)
		}
	}
	if j.unsaved.Load() < saveAfter {
		t.Fatalf("%d commits counted", j.unsaved.Load())
	}
	if err := j.writeBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	var busy, log, done int
	if err := j.reader.QueryRow("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done); err != nil {
		t.Fatal(err)
	}
	if busy != 0 || log != done || j.unsaved.Load() != 0 {
		t.Errorf("busy %d, %d of %d pages written back, %d commits counted", busy, done, log, j.unsaved.Load())
	}
}

// fill inserts many rows in one transaction.
func fill(t *testing.T, j *Journal, n int, insert string) {
	t.Helper()
	err := j.write(t.Context(), "fill", func(w *tx) error {
		return w.exec("WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < ?) "+insert, n)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoncesAreBounded(t *testing.T) {
	j := openInner(t)
	now := eventtest.Stamp(0).Time.Time
	fill(t, j, maxNonces, fmt.Sprintf("INSERT INTO nonces SELECT randomblob(32), %d FROM c", now.Add(time.Minute).UnixMilli()))
	if fresh, err := j.UseNonce(t.Context(), "one more", now.Add(time.Minute)); err == nil || fresh {
		t.Errorf("nonce beyond the bound: %v, %v, want an error", fresh, err)
	}
	if err := j.write(t.Context(), "test", func(w *tx) error {
		return w.exec("UPDATE nonces SET expires_ms = ?", now.Add(-time.Hour).UnixMilli())
	}); err != nil {
		t.Fatal(err)
	}
	if fresh, err := j.UseNonce(t.Context(), "one more", now.Add(time.Minute)); err != nil || !fresh {
		t.Errorf("nonce after the others expired: %v, %v, want fresh", fresh, err)
	}
	var left int
	if err := j.reader.QueryRow("SELECT count(*) FROM nonces").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d nonces are left, %v, want 1", left, err)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	j := openInner(t)
	now := eventtest.Stamp(0).Time.Time
	set := func(key string, last, until time.Time) {
		t.Helper()
		if err := j.SetFailures(t.Context(), key, 5, last, until); err != nil {
			t.Fatal(err)
		}
	}
	set("locked", now.Add(-time.Hour), now.Add(time.Hour))
	set("oldest", now.Add(-time.Hour), now.Add(-time.Minute))
	fill(t, j, maxFailures-2, fmt.Sprintf("INSERT INTO failures SELECT n, 1, %d + n, 0 FROM c", now.Add(-time.Minute).UnixMilli()))
	set("new", now.Add(-2*time.Hour), time.Time{})

	for key, want := range map[string]int{"locked": 5, "new": 5, "oldest": 0, "1": 0, "4999": 0, "4998": 1} {
		if got, _, _, err := j.Failures(t.Context(), key); err != nil || got != want {
			t.Errorf("failures of %s = %d, %v, want %d", key, got, err, want)
		}
	}
	var keys int
	if err := j.reader.QueryRow("SELECT count(*) FROM failures").Scan(&keys); err != nil || keys > maxFailures {
		t.Errorf("%d keys, %v, want at most %d", keys, err, maxFailures)
	}
}
