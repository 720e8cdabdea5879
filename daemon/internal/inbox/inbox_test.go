package inbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/daemon/internal/attempt"
)

// A bench is an inbox with fakes around it. What it does comes out of log, in
// order: "attempt N bytes", "refused CAUSE", or the phrase of a log record.
type bench struct {
	dir string
	in  *Inbox
	log chan string

	// mu guards the following
	mu      sync.Mutex
	err     error // returned by Start
	lines   bytes.Buffer
	request attempt.Request // the last one
	there   bool            // whether any file lay in the folder when the last attempt began
	names   []string        // of all files, which must not be logged
}

func (b *bench) Start(_ context.Context, r attempt.Request) (attempt.Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return attempt.Ticket{}, b.err
	}
	b.request = r
	b.there = false
	for _, name := range b.names {
		if _, err := os.Lstat(filepath.Join(b.dir, name)); err == nil {
			b.there = true
		}
	}
	b.log <- fmt.Sprintf("attempt %d bytes", len(r.Picture))
	return attempt.Ticket{}, nil
}

// Write takes a line of the log.
func (b *bench) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, phrase := range []string{"inbox ready", "inbox lost"} {
		if strings.Contains(string(line), phrase) {
			b.log <- phrase
		}
	}
	return b.lines.Write(line)
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: filepath.Join(t.TempDir(), "inbox"), log: make(chan string, 1024)}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	in, err := Open(Parts{
		Dir: b.dir, MayOpen: true, Line: b, Refused: func(c Cause) { b.log <- "refused " + string(c) },
		Log: slog.New(slog.NewTextHandler(b, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.in = in
	return b
}

// run runs the inbox until the test ends, and holds it to its promises. What
// it does before it is ready comes in first.
func (b *bench) run(t *testing.T, first ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.in.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		began := time.Now()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Run ended %v after it was told to", took)
		}
		for _, name := range b.names {
			if strings.Contains(b.lines.String(), name) {
				t.Errorf("the log holds the name %s", name)
			}
		}
	})
	b.expect(t, append(first, "inbox ready")...)
}

// expect waits for what must come next.
func (b *bench) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, want := range want {
		select {
		case got := <-b.log:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing, want %q", want)
		}
	}
}

// write writes a file in the folder.
func (b *bench) write(t *testing.T, name string, size int) {
	t.Helper()
	b.mu.Lock()
	b.names = append(b.names, name)
	b.mu.Unlock()
	if err := os.WriteFile(filepath.Join(b.dir, name), bytes.Repeat([]byte{7}, size), 0o600); err != nil {
		t.Fatal(err)
	}
}

// move renames a file into place, made elsewhere by make.
func (b *bench) move(t *testing.T, name string, make func(path string) error) {
	t.Helper()
	b.mu.Lock()
	b.names = append(b.names, name)
	b.mu.Unlock()
	path := filepath.Join(filepath.Dir(b.dir), "outside")
	if err := make(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(b.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func filled(size int) func(string) error {
	return func(path string) error { return os.WriteFile(path, make([]byte, size), 0o600) }
}

// settle has all that came before noticed, by a file that comes after it.
func (b *bench) settle(t *testing.T) {
	t.Helper()
	b.write(t, "settle.jpg", 77)
	b.expect(t, "attempt 77 bytes")
}

func TestFileBecomesAnAttempt(t *testing.T) {
	b := open(t)
	b.run(t)
	b.write(t, "MUSTERMANN_ERIKA.jpg", 100)
	b.expect(t, "attempt 100 bytes")
	b.mu.Lock()
	if r := b.request; r.Source != "inbox" || !r.MayOpen || r.SubjectRef != "" || !bytes.Equal(r.Picture, bytes.Repeat([]byte{7}, 100)) {
		t.Errorf("source %q, may open %v, ref %q, picture %x", r.Source, r.MayOpen, r.SubjectRef, r.Picture)
	}
	if b.there {
		t.Error("the file was still there when the attempt began")
	}
	b.mu.Unlock()
	b.move(t, "scan.png", filled(200))
	b.expect(t, "attempt 200 bytes")
	b.move(t, "largest", filled(MaxPicture))
	b.expect(t, fmt.Sprintf("attempt %d bytes", MaxPicture))
	if left := b.left(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestHalfWrittenFilesAreLeftAlone(t *testing.T) {
	b := open(t)
	b.run(t)
	for _, name := range []string{".hidden.jpg", "scan.jpg.part", "scan.tmp"} {
		b.write(t, name, 10)
	}
	b.write(t, "made-first.jpg", 0)
	b.settle(t)
	if left := b.left(t); len(left) != 4 {
		t.Errorf("left: %v, want all four", left)
	}
	if err := os.Rename(filepath.Join(b.dir, "scan.jpg.part"), filepath.Join(b.dir, "scan.jpg")); err != nil {
		t.Fatal(err)
	}
	b.expect(t, "attempt 10 bytes")
	b.write(t, "made-first.jpg", 20)
	b.expect(t, "attempt 20 bytes")
}

func TestFilesThatCannotBeUsedAreRemoved(t *testing.T) {
	b := open(t)
	b.run(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		make func(string) error
		want Cause
	}{
		{"empty", filled(0), Empty},
		{"too large", filled(MaxPicture + 1), TooLarge},
		{"link", func(path string) error { return os.Symlink(secret, path) }, NotAFile},
		{"dangling link", func(path string) error { return os.Symlink(secret+"x", path) }, NotAFile},
		{"named pipe", func(path string) error { return unix.Mkfifo(path, 0o600) }, NotAFile},
		{"socket", func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return l.Close()
		}, NotAFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.move(t, "file-of-"+tt.name, tt.make)
			b.expect(t, "refused "+string(tt.want))
			if left := b.left(t); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf("what the link led to: %q, %v", text, err)
	}
}

// The second file must not wait for the person after.
func TestFileWhileBusyIsRemoved(t *testing.T) {
	b := open(t)
	b.run(t)
	b.mu.Lock()
	b.err = attempt.ErrBusy
	b.mu.Unlock()
	b.write(t, "second.jpg", 10)
	b.expect(t, "refused busy")
	b.mu.Lock()
	b.err = attempt.ErrStopped
	b.mu.Unlock()
	b.write(t, "third.jpg", 10)
	b.expect(t, "refused stopping")
	b.mu.Lock()
	b.err = nil
	b.mu.Unlock()
	b.settle(t)
	if left := b.left(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatLiesThereAtStartIsRemovedUnread(t *testing.T) {
	b := open(t)
	b.write(t, "of-yesterday.jpg", 10)
	b.write(t, "being-written.part", 10)
	if err := os.Mkdir(filepath.Join(b.dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.run(t, "refused left_over")
	b.settle(t)
	if got := strings.Join(b.left(t), " "); got != "being-written.part folder" {
		t.Errorf("left: %s", got)
	}
}

func TestWhatIsNeverCompletedIsRemoved(t *testing.T) {
	b := open(t)
	b.write(t, "old.part", 10)
	b.write(t, "old-empty", 0)
	// A copy that kept the time of its original is not old.
	long := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, "old.part"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := b.in.sweep(time.Now().Add(abandoned-time.Minute), false); err != nil {
		t.Fatal(err)
	}
	if left := b.left(t); len(left) != 2 {
		t.Errorf("after nine minutes: %v", left)
	}
	if err := b.in.sweep(time.Now().Add(abandoned+time.Minute), false); err != nil {
		t.Fatal(err)
	}
	b.expect(t, "refused abandoned", "refused abandoned")
	if left := b.left(t); len(left) > 0 {
		t.Errorf("after eleven minutes: %v", left)
	}
	b.in.folder.close()
}

func TestFolderThatGoesAndComesBack(t *testing.T) {
	for name, remove := range map[string]func(string) error{
		"removed": os.RemoveAll,
		"renamed": func(dir string) error { return os.Rename(dir, dir+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.run(t)
			b.settle(t)
			if err := remove(b.dir); err != nil {
				t.Fatal(err)
			}
			b.expect(t, "inbox lost")
			if b.in.Fault() == nil {
				t.Error("no fault while the folder is gone")
			}
			if err := os.Mkdir(b.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			b.expect(t, "inbox ready")
			if err := b.in.Fault(); err != nil {
				t.Errorf("fault after the folder came back: %v", err)
			}
			b.settle(t)
		})
	}
}

func TestOpenNamesTheKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such folder",
		file:                       "not a folder",
	} {
		_, err := Open(Parts{Dir: path})
		if err == nil || !strings.HasPrefix(err.Error(), "sources.inbox.dir: "+path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestNoticesThatAreCutShortAreRefused(t *testing.T) {
	notice := make([]byte, unix.SizeofInotifyEvent)
	notice[12], notice[15] = 200, 200 // a name longer than what follows, in either byte order
	if _, err := arrivals(notice); err == nil {
		t.Error("a name beyond the end was read")
	}
}
