package journal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
)

// filled returns the options of a closed journal with some events.
func filled(t *testing.T) journal.Options {
	t.Helper()
	o := options(filepath.Join(t.TempDir(), "journal.db"), newClock())
	j, err := journal.Open(t.Context(), o)
	must(t, err)
	for i := range 40 {
		add(t, j, eventtest.Match(eventtest.AttemptID(i)))
	}
	must(t, j.Close())
	return o
}

// statement changes a journal's file behind its back.
func statement(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec(text)
	must(t, errors.Join(err, db.Close()))
}

func TestDamagedFilesAreRefusedAndKept(t *testing.T) {
	overwrite := func(from, to int) func(t *testing.T, path string, b []byte) []byte {
		return func(t *testing.T, path string, b []byte) []byte {
			copy(b[from:to], bytes.Repeat([]byte{0xA5}, to-from))
			return b
		}
	}
	for name, change := range map[string]func(t *testing.T, path string, b []byte) []byte{
		"empty":        func(*testing.T, string, []byte) []byte { return nil },
		"short":        func(_ *testing.T, _ string, b []byte) []byte { return b[:60] },
		"text":         func(*testing.T, string, []byte) []byte { return bytes.Repeat([]byte("no journal\n"), 500) },
		"header":       overwrite(0, 16),
		"first page":   overwrite(100, 4096),
		"page unclean": overwrite(4*4096, 12*4096),
		"other database": func(t *testing.T, path string, _ []byte) []byte {
			statement(t, path+".other", "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
			b, err := os.ReadFile(path + ".other")
			must(t, err)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := filled(t)
			statement(t, o.Path, "UPDATE state SET clean = 0; PRAGMA wal_checkpoint(TRUNCATE)")
			b, err := os.ReadFile(o.Path)
			must(t, err)
			bad := change(t, o.Path, b)
			must(t, os.WriteFile(o.Path, bad, 0o600))

			_, err = journal.Open(t.Context(), o)
			wantErr(t, "open", err, journal.ErrDamaged)
			for _, word := range []string{o.Path, "to begin a new journal"} {
				if err != nil && !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not say %q", err, word)
				}
			}
			after, err := os.ReadFile(o.Path)
			must(t, err)
			if !bytes.Equal(after, bad) {
				t.Error("the damaged file was changed")
			}

			must(t, os.Rename(o.Path, o.Path+".damaged")) // the remedy
			j := open(t, o)
			add(t, j, eventtest.Match(eventtest.AttemptID(1)))
		})
	}
}

// What was wrong: a journal of the first format was changed before it was
// checked.
func TestADamagedOlderFileIsNotBroughtUpToDate(t *testing.T) {
	o := filled(t)
	statement(t, o.Path, "DROP TABLE calls; DROP TABLE spent; UPDATE state SET clean = 0; PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)")
	b, err := os.ReadFile(o.Path)
	must(t, err)
	at := bytes.Index(b, []byte(eventtest.AttemptID(20))) // within a page of events
	from := at - at%4096
	copy(b[from:], bytes.Repeat([]byte{0xA5}, 4096))
	must(t, os.WriteFile(o.Path, b, 0o600))

	_, err = journal.Open(t.Context(), o)
	wantErr(t, "open", err, journal.ErrDamaged)
	after, err := os.ReadFile(o.Path)
	must(t, err)
	if !bytes.Equal(after, b) {
		t.Error("the damaged file was changed")
	}
}

func TestMissingState(t *testing.T) {
	o := filled(t)
	statement(t, o.Path, "DELETE FROM state")
	_, err := journal.Open(t.Context(), o)
	wantErr(t, "open", err, journal.ErrDamaged)
}

func TestUnreadableEventsAreReported(t *testing.T) {
	o := filled(t)
	statement(t, o.Path, "UPDATE events SET body = x'7b' WHERE seq = 3")
	j := open(t, o)
	_, err := j.Pending(t.Context(), 100)
	wantErr(t, "pending", err, journal.ErrDamaged)
	if err != nil && !strings.Contains(err.Error(), "event 3") {
		t.Errorf("error %q does not name the event", err)
	}
}

func TestNewerFilesAreRefused(t *testing.T) {
	o := filled(t)
	statement(t, o.Path, "PRAGMA user_version = 3")
	_, err := journal.Open(t.Context(), o)
	wantErr(t, "open", err, journal.ErrNewer)
}

func TestSecondOpenIsRefused(t *testing.T) {
	j, o, _ := begin(t)
	_, err := journal.Open(t.Context(), o)
	wantErr(t, "second open", err, journal.ErrInUse)
	if err != nil && !strings.Contains(err.Error(), o.Path) {
		t.Errorf("error %q does not name the file", err)
	}
	add(t, j, eventtest.Match(eventtest.AttemptID(1)))
}

func TestOpenRefusesBadOptions(t *testing.T) {
	good := options(filepath.Join(t.TempDir(), "journal.db"), newClock())
	for name, change := range map[string]func(o *journal.Options){
		"no path":   func(o *journal.Options) { o.Path = "" },
		"no site":   func(o *journal.Options) { o.Site = "" },
		"no stamp":  func(o *journal.Options) { o.Stamp = nil },
		"too small": func(o *journal.Options) { o.MaxBytes = journal.MinBytes - 1 },
		"no folder": func(o *journal.Options) { o.Path = filepath.Join(filepath.Dir(o.Path), "none", "journal.db") },
		"folder":    func(o *journal.Options) { o.Path = filepath.Dir(o.Path) },
	} {
		o := good
		change(&o)
		if j, err := journal.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", name)
			must(t, j.Close())
		}
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	j, o, _ := begin(t)
	add(t, j, eventtest.Match(eventtest.AttemptID(1)))
	list, err := os.ReadDir(filepath.Dir(o.Path))
	must(t, err)
	names := map[string]bool{}
	for _, f := range list {
		info, err := f.Info()
		must(t, err)
		names[f.Name()] = true
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode())
		}
	}
	for _, want := range []string{"journal.db", "journal.db-wal", "journal.db.lock"} {
		if !names[want] {
			t.Errorf("no file %s", want)
		}
	}
	if names["journal.db.new"] {
		t.Error("the file it was begun in is left")
	}
}

func TestAnInterruptedBeginningIsBegunAgain(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "journal.db"), newClock())
	for _, left := range []string{".new", ".new-wal", ".new-shm"} {
		must(t, os.WriteFile(o.Path+left, []byte("half"), 0o600))
	}
	add(t, open(t, o), eventtest.Match(eventtest.AttemptID(1)))
}

func TestAnyPathWillDo(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b?c%20#d&e=f;g")
	must(t, os.Mkdir(folder, 0o700))
	o := options(filepath.Join(folder, "journal?mode=memory"), newClock())
	add(t, open(t, o), eventtest.Match(eventtest.AttemptID(1)))
	if _, err := os.Stat(o.Path); err != nil {
		t.Error(err)
	}
}

func TestOpenHonoursItsContext(t *testing.T) {
	o := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := journal.Open(ctx, o)
	wantErr(t, "open", err, context.Canceled)
	open(t, o) // and has let go of the lock
}
