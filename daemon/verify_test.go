package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/picture"
)

// paint writes a picture with persons, each 0.5 apart from the one before, in
// boxes, and returns its path.
func paint(t *testing.T, name string, boxes ...image.Rectangle) string {
	t.Helper()
	page := matchtest.Page(640, 480)
	for i, box := range boxes {
		matchtest.Paint(page, box, matchtest.Person(10+50*i))
	}
	data, err := picture.JPEG(page, 95)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	write(t, path, string(data), 0o600)
	return path
}

// Scripts read the JSON: codes are those of events, and every picture that was
// looked at tells how many faces it shows.
func TestVerifyTellsFacesAndReasons(t *testing.T) {
	cfg := config.Default()
	cfg.Quality.MinSharpness = 0 // painted faces have no detail
	cfg.Match.Accept, cfg.Match.Reject = 0.45, 0.60
	portrait, bystander := image.Rect(100, 100, 300, 300), image.Rect(400, 100, 480, 180)
	good := paint(t, "good.jpg", portrait)
	two := paint(t, "two.jpg", portrait, image.Rect(400, 100, 560, 260))
	text := filepath.Join(t.TempDir(), "text.jpg")
	write(t, text, "hello", 0o600)
	large := filepath.Join(t.TempDir(), "large.jpg")
	write(t, large, "", 0o600)
	if err := os.Truncate(large, 40<<20); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, id, live          string
		verdict, reason, detail string
		idFaces, liveFaces      int // -1: the picture is not told of
	}{
		{"match", good, good, "match", "", "", 1, 1},
		{"a bystander", good, paint(t, "by.jpg", portrait, bystander), "match", "", "", 1, 2},
		{"nobody", good, paint(t, "empty.jpg"), "unusable", "no_face_live", "no face", 1, 0},
		{"two people", good, two, "unusable", "multi_face_live", "many faces", 1, 2},
		{"a small face", good, paint(t, "small.jpg", image.Rect(100, 100, 160, 160)), "unusable", "quality_size", "face small (size 6", 1, 1},
		{"no picture", good, text, "unusable", "unreadable", "not a JPEG", 1, -1},
		{"too large", good, large, "unusable", "unreadable", "picture has more than 15 MiB (", 1, -1},
		{"no file", good, text + ".none", "unusable", "unreadable", "no such file", 1, -1},
		{"no id", paint(t, "blank.jpg"), good, "unusable", "no_face_id", "no face on the ID", 0, -1},
		{"two on the id", two, good, "unusable", "id_ambiguous", "two different faces", 2, -1},
		{"a small id", paint(t, "smallid.jpg", image.Rect(100, 100, 150, 150)), good, "unusable", "id_face_too_small", "face on the ID is ", 1, -1},
		{"id no picture", text, good, "unusable", "id_unreadable", "not a JPEG", -1, -1},
		{"id no file", text + ".none", good, "unusable", "id_unreadable", "no such file", -1, -1},
	} {
		c, err := compareFiles(t.Context(), new(matchtest.Engine), cfg, []string{tt.id, tt.live})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var out, lines bytes.Buffer
		if err := c.print(&out, true); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Verdict, Reason, Detail string
			ID                      *struct{ Faces, Size int }
			Live                    []struct {
				Faces int
				Score *float64
			}
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Verdict != tt.verdict || got.Reason != tt.reason || !strings.Contains(got.Detail, tt.detail) || (got.Detail == "") != (tt.detail == "") {
			t.Errorf("%s: got %q, %q, %q, want %q, %q, %q", tt.name, got.Verdict, got.Reason, got.Detail, tt.verdict, tt.reason, tt.detail)
		}
		id, live := -1, -1
		if got.ID != nil {
			id = got.ID.Faces
		}
		if len(got.Live) > 0 {
			live = got.Live[0].Faces
		}
		if id != tt.idFaces || live != tt.liveFaces {
			t.Errorf("%s: got %d and %d faces, want %d and %d", tt.name, id, live, tt.idFaces, tt.liveFaces)
		}
		if id == 1 && got.ID.Size == 0 {
			t.Errorf("%s: the size of the ID's face is missing", tt.name)
		}
		if err := c.print(&lines, false); err != nil {
			t.Fatal(err)
		}
		if id >= 0 && !strings.Contains(lines.String(), fmt.Sprintf("  %s  %d face", tt.id, id)) {
			t.Errorf("%s: the text does not tell of the ID's %d faces:\n%s", tt.name, id, lines.String())
		}
	}
}
