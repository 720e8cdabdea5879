package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/picture"
)

// A painted engine has a model, as real ones do.
type painted struct{ matchtest.Engine }

func (*painted) Model() match.ModelID {
	return match.ModelID{Engine: "painted", Name: "painted", SHA256: strings.Repeat("5a", 32)}
}

func openPainted() (match.Engine, error) { return new(painted), nil }

// paintPeople makes a folder of n people with two pictures each, who are three
// hundredths apart and two of whose pictures differ by up to two.
func paintPeople(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for p := range n {
		for i := range 2 {
			page := matchtest.Page(120, 120)
			matchtest.Paint(page, image.Rect(20, 20, 100, 100), matchtest.Person(3+3*p+r.IntN(3)))
			paintFile(t, filepath.Join(dir, fmt.Sprintf("person%02d", p), fmt.Sprintf("%d.jpg", i)), page)
		}
	}
	return dir
}

func paintFile(t *testing.T, path string, img image.Image) {
	t.Helper()
	data, err := picture.JPEG(img, 95)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data), 0o600)
}

func people(t *testing.T, dir string) []person {
	t.Helper()
	all, err := readPeople(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Pictures that show nobody, or are none, are named and left out; of two faces
// the larger counts.
func TestCalibratePaintedPeople(t *testing.T) {
	dir := paintPeople(t, 20)
	two := matchtest.Page(200, 120)
	matchtest.Paint(two, image.Rect(10, 10, 50, 50), 150)
	matchtest.Paint(two, image.Rect(90, 20, 170, 100), 7)
	paintFile(t, filepath.Join(dir, "person00", "two.jpg"), two)
	paintFile(t, filepath.Join(dir, "person01", "nobody.jpg"), matchtest.Page(50, 50))
	write(t, filepath.Join(dir, "person01", "text.png"), "hello", 0o600)
	write(t, filepath.Join(dir, "person01", "notes.txt"), "hello", 0o600)
	write(t, filepath.Join(dir, "read.me"), "hello", 0o600)

	var said bytes.Buffer
	c, err := calibrate(t.Context(), openPainted, people(t, dir), &said)
	if err != nil {
		t.Fatal(err)
	}
	c.Source = "painted"
	want := calibration.Counts{Pictures: 41, Faceless: 1, Genuine: 22, Impostor: 41*40/2 - 22}
	if c.People != 20 || c.Counts != want || c.Engine != "painted" || c.SHA256 != strings.Repeat("5a", 32) {
		t.Errorf("got %d people, %+v, %s", c.People, c.Counts, c.SHA256)
	}
	for _, line := range []string{"person01/nobody.jpg: no face found, left out\n", "person01/text.png: left out: not a JPEG, PNG, BMP or TIFF picture"} {
		if !strings.Contains(said.String(), line) || strings.Contains(said.String(), "notes.txt") {
			t.Errorf("said %q, want %q", said.String(), line)
		}
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := calibration.Parse(data); err != nil {
		t.Error(err)
	}
	// Two pictures of a person differ by about 0.02, two neighbours by
	// 0.03, and few are neighbours.
	if rate, _ := c.FMR(0.04); rate > 0.1 || c.FNMR(0.05) > 0.05 {
		t.Errorf("FMR %v at 0.04, FNMR %v at 0.05", rate, c.FNMR(0.05))
	}
	var told bytes.Buffer
	if err := summary(&told, c); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "accept_fmr: 0.0001 refused: FMR of 0.0001 cannot be told from 20 people") {
		t.Errorf("summary:\n%s", &told)
	}
}

func TestCalibrateSaysWhatIsMissing(t *testing.T) {
	one := t.TempDir()
	page := matchtest.Page(120, 120)
	matchtest.Paint(page, image.Rect(20, 20, 100, 100), 7)
	paintFile(t, filepath.Join(one, "ann", "1.jpg"), page)
	paintFile(t, filepath.Join(one, "ann", "2.jpg"), page)
	single := t.TempDir()
	paintFile(t, filepath.Join(single, "ann", "1.jpg"), page)
	paintFile(t, filepath.Join(single, "bob", "1.jpg"), page)
	for _, tt := range []struct {
		name, dir string
		open      func() (match.Engine, error)
		want      string
	}{
		{"one person", one, openPainted, "pictures: 1 people with a face in a picture, at least 2 are needed"},
		{"one picture each", single, openPainted, "pictures: nobody has two pictures with a face (put a second picture into some of the folders)"},
		{"no engine", one, func() (match.Engine, error) { return nil, errors.New("no such engine") }, "no such engine"},
		{"a failing engine", one, func() (match.Engine, error) { return &painted{matchtest.Engine{Fail: errors.New("hot")}}, nil }, "/1.jpg: hot"},
	} {
		_, err := calibrate(t.Context(), tt.open, people(t, tt.dir), io.Discard)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "/2.jpg", "/1.jpg"), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	for name, dir := range map[string]string{"no folder": one + "/none", "no folders": filepath.Join(one, "ann"), "nothing": t.TempDir()} {
		if _, err := readPeople(dir); err == nil || !strings.HasPrefix(err.Error(), "pictures: ") || !strings.Contains(err.Error(), "one folder of pictures per person") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever stops a long calibration does not wait for its end, and finds no half
// a file.
func TestCalibrateCanBeStopped(t *testing.T) {
	dir := paintPeople(t, 20)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	var seen atomic.Int32
	open := func() (match.Engine, error) {
		return &stopping{seen: &seen, stop: func() { cancel(stop) }}, nil
	}
	if _, err := calibrate(ctx, open, people(t, dir), io.Discard); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if n := int(seen.Load()); n > 3+runtime.GOMAXPROCS(0) {
		t.Errorf("%d pictures were looked at, three before the stop", n)
	}
	out := filepath.Join(t.TempDir(), "site.json")
	o, err := newOutput(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.drop()
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// stopping is an engine at whose third picture somebody loses patience.
type stopping struct {
	painted
	seen *atomic.Int32
	stop func()
}

func (s *stopping) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	if s.seen.Add(1) == 3 {
		s.stop()
	}
	return s.painted.Faces(context.WithoutCancel(ctx), img, want)
}

func TestOutputIsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	o, err := newOutput(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is written")
	}
	if err := o.write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	o.drop()
	if data, err := os.ReadFile(path); err != nil || string(data) != "x" {
		t.Errorf("got %q, %v", data, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := newOutput(filepath.Join(dir, "none", "a.json"), nil); err == nil || !strings.Contains(err.Error(), "folder that this user may write to") {
		t.Errorf("no folder: %v", err)
	}
}
