package inbox

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/daemon/internal/attempt"
)

// A starter keeps the pictures of the attempts that it was told to start.
type starter struct{ pictures [][]byte }

func (s *starter) Start(_ context.Context, r attempt.Request) (attempt.Ticket, error) {
	s.pictures = append(s.pictures, r.Picture)
	return attempt.Ticket{}, nil
}

// Whatever a file is called, it is left alone or removed, is an attempt at most
// once, and its name is in no log.
func FuzzTake(f *testing.F) {
	const person = "MUSTERMANN_ERIKA"
	f.Add("", ".jpg", []byte("picture"))
	f.Add(".", ".jpg", []byte("picture"))
	f.Add("", ".part", []byte("picture"))
	f.Add("a\nb=", "\xff.tmp", []byte{})
	f.Add("-- ", "", []byte{})
	dir := f.TempDir()
	var line starter
	var log bytes.Buffer
	var refused []Cause
	in, err := Open(Parts{
		Dir: dir, Line: &line, Refused: func(c Cause) { refused = append(refused, c) },
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(in.folder.close)
	f.Fuzz(func(t *testing.T, before, after string, contents []byte) {
		name := before + person + after
		if strings.ContainsAny(name, "/\x00") || len(name) > unix.NAME_MAX {
			return
		}
		line.pictures, refused = nil, nil
		log.Reset()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // as if noticed twice
			in.take(t.Context(), arrival{name: name, moved: true})
		}
		_, err := os.Lstat(path)
		unfinished := name[0] == '.' || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp")
		if left := err == nil; left != unfinished {
			t.Errorf("%q is left: %v", name, left)
		}
		_ = os.Remove(path)
		switch {
		case unfinished:
			if len(line.pictures)+len(refused) > 0 {
				t.Errorf("%q was taken", name)
			}
		case len(contents) == 0:
			if len(line.pictures) > 0 || len(refused) != 1 || refused[0] != Empty {
				t.Errorf("%q, empty: %d attempts, refused %v", name, len(line.pictures), refused)
			}
		case len(line.pictures) != 1 || !bytes.Equal(line.pictures[0], contents) || len(refused) > 0:
			t.Errorf("%q: %d attempts, refused %v", name, len(line.pictures), refused)
		}
		if strings.Contains(log.String(), person) {
			t.Errorf("the log holds the name: %s", log.String())
		}
	})
}
