package dlib

import (
	"context"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/facegate/facegate/match"
)

// fake is a recognizer that finds what it is told and notes misuse.
type fake struct {
	faces   []match.Face
	err     error
	seen    image.Point     // size of the last picture
	entered chan<- struct{} // told of each call, if not nil
	leave   <-chan struct{} // each call waits for it, if not nil
	running bool
	closed  bool
	misuse  string
}

func (f *fake) recognize(img image.Image) ([]match.Face, error) {
	if f.running || f.closed {
		f.misuse = "called while running or after close"
	}
	f.running = true
	if f.entered != nil {
		f.entered <- struct{}{}
		<-f.leave
	}
	f.running = false
	f.seen = img.Bounds().Size()
	found := make([]match.Face, len(f.faces))
	for i, face := range f.faces {
		face.Points = append([]image.Point(nil), face.Points...)
		found[i] = face
	}
	return found, f.err
}

func (f *fake) close() {
	if f.running || f.closed {
		f.misuse = "closed while running or twice"
	}
	f.closed = true
}

// box returns a face with a box of that size at the origin.
func box(w, h int) match.Face {
	return match.Face{Box: image.Rect(0, 0, w, h), Template: match.Template{1}}
}

// opened returns an engine on f, which finds faces from then on.
func opened(t *testing.T, f *fake, maxSide int, faces ...match.Face) *Engine {
	t.Helper()
	f.faces = []match.Face{box(80, 80)}
	e, err := open(Options{MaxSide: maxSide, Model: match.ModelID{Name: "m"}}, f)
	if err != nil {
		t.Fatal(err)
	}
	f.faces = faces
	return e
}

func TestFacesAreScaledBackAndClipped(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 100, match.Face{
		Box:      image.Rect(10, 10, 60, 200),
		Points:   []image.Point{{20, 30}},
		Template: match.Template{1},
	})

	got, err := e.Faces(t.Context(), image.NewGray(image.Rect(5, 7, 205, 107)), match.Templates)
	if err != nil {
		t.Fatal(err)
	}
	if f.seen != image.Pt(100, 50) {
		t.Errorf("dlib saw %v, want 100x50", f.seen)
	}
	if want := image.Rect(25, 27, 125, 107); got[0].Box != want {
		t.Errorf("box %v, want %v", got[0].Box, want)
	}
	if want := image.Pt(45, 67); got[0].Points[0] != want {
		t.Errorf("point %v, want %v", got[0].Points[0], want)
	}
}

func TestFacesComeLargestFirst(t *testing.T) {
	low := match.Face{Box: image.Rect(0, 50, 20, 70), Template: match.Template{1}}
	e := opened(t, &fake{}, 0, box(10, 10), low, box(30, 30), box(20, 20))
	got, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 100, 100)), match.Boxes)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []image.Rectangle{image.Rect(0, 0, 30, 30), image.Rect(0, 0, 20, 20), low.Box, image.Rect(0, 0, 10, 10)} {
		if got[i].Box != want {
			t.Errorf("face %d is %v, want %v", i, got[i].Box, want)
		}
		if got[i].Template != nil {
			t.Errorf("face %d has a template nobody asked for", i)
		}
	}
}

func TestUnusableTemplateIsAnError(t *testing.T) {
	nan := float32(math.NaN())
	for name, bad := range map[string]match.Template{
		"zeros": {0, 0}, "none": nil, "nan": {1, nan}, "inf": {float32(math.Inf(1))},
	} {
		f := box(10, 10)
		f.Template = bad
		e := opened(t, &fake{}, 0, f)
		if _, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 100, 100)), match.Templates); err == nil {
			t.Errorf("template of %s: no error", name)
		}
	}
}

func TestEmptyPictureHasNoFace(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 0, box(10, 10))
	f.err = errors.New("go-face does not take this")
	faces, err := e.Faces(t.Context(), image.NewGray(image.Rectangle{}), match.Templates)
	if len(faces) != 0 || err != nil {
		t.Errorf("got %v, %v", faces, err)
	}
}

func TestErrorsSayWhatWasDone(t *testing.T) {
	cause := errors.New("jpeg_mem_loader: decode error")
	f := &fake{}
	e := opened(t, f, 0)
	f.err = cause
	_, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9)), match.Boxes)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "find faces with dlib") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledCallDoesNotStart(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 0)
	f.seen = image.Point{}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := e.Faces(ctx, image.NewGray(image.Rect(0, 0, 9, 9)), match.Boxes); !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause", err)
	}
	if f.seen.X != 0 {
		t.Error("dlib was called")
	}
}

func TestOpenRefusesAnEngineThatFindsNothing(t *testing.T) {
	for name, f := range map[string]*fake{
		"no face":   {},
		"two faces": {faces: []match.Face{box(9, 9), box(8, 8)}},
		"zeros":     {faces: []match.Face{{Box: image.Rect(0, 0, 9, 9), Template: match.Template{0}}}},
		"error":     {err: errors.New("no")},
	} {
		if _, err := open(Options{}, f); err == nil {
			t.Errorf("%s: opened", name)
		}
		if !f.closed {
			t.Errorf("%s: models not freed", name)
		}
	}
}

func TestOpenNamesAMissingFile(t *testing.T) {
	for _, missing := range files() {
		dir := modelFolder(t)
		if err := os.Remove(filepath.Join(dir, missing)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, missing)) {
			t.Errorf("error %v does not name %s", err, missing)
		}
	}
}

// modelFolder returns a folder with files of the right names, and nothing in
// them.
func modelFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files() {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScoreIsTheEuclideanDistance(t *testing.T) {
	var e Engine
	inf := match.Score(math.Inf(1))
	for _, c := range []struct {
		a, b match.Template
		want match.Score
	}{
		{match.Template{1, 2}, match.Template{1, 2}, 0},
		{match.Template{0, 0}, match.Template{3, 4}, 5}, // its square would be 25
		{match.Template{3, 4}, match.Template{0, 0}, 5},
		{match.Template{0.3}, match.Template{0}, match.Score(float32(0.3))},
		{match.Template{1, 2}, match.Template{1}, inf},
		{match.Template{}, match.Template{}, inf},
		{nil, nil, inf},
	} {
		if got := e.Score(c.a, c.b); got != c.want {
			t.Errorf("Score(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if got := e.Score(match.Template{float32(math.NaN())}, match.Template{1}); !math.IsNaN(float64(got)) {
		t.Errorf("score of a template that is not a number is %v, want NaN", got)
	}
}

func TestCallsAfterCloseAreErrors(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 0)
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9)), match.Boxes); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if f.misuse != "" {
		t.Error(f.misuse)
	}
	if e.Model().Name != "m" {
		t.Error("a closed engine forgot its model")
	}
}

func TestCloseWaitsForARunningCall(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 0)
	entered, leave := make(chan struct{}), make(chan struct{})
	f.entered, f.leave = entered, leave

	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9)), match.Boxes); err != nil {
			t.Error(err)
		}
	})
	<-entered
	if e.mu.TryLock() {
		e.mu.Unlock()
		t.Error("Close could free the models under a running call")
	}
	wg.Go(func() { _ = e.Close() })
	close(leave)
	wg.Wait()
	if f.misuse != "" || !f.closed {
		t.Errorf("closed %v, %s", f.closed, f.misuse)
	}
}

func TestConcurrentCallsRunOneByOne(t *testing.T) {
	f := &fake{}
	e := opened(t, f, 0, box(10, 10))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := e.Faces(t.Context(), image.NewGray(image.Rect(0, 0, 99, 99)), match.Templates)
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	wg.Go(func() { _ = e.Close() })
	wg.Wait()
	if f.misuse != "" {
		t.Error(f.misuse)
	}
}
