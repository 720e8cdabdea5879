//go:build integration && cgo && linux && (amd64 || arm64)

package onnx

import (
	"errors"
	"image"
	"image/draw"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/picture"
)

// set returns the model set that the tests run on and its folder: faceplugin,
// or the one in FACEGATE_EDGE, for which make test-edge is.
func set(tb testing.TB) (models.Set, string) {
	tb.Helper()
	name, dir := "faceplugin", matchtest.Folder(tb, "FACEGATE_MODELS")
	if edge := os.Getenv("FACEGATE_EDGE"); edge != "" {
		name, dir = "edge", edge
	}
	s, err := models.Open(dir, name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Verify(dir); err != nil {
		tb.Fatal(err)
	}
	return s, dir
}

func options(tb testing.TB) Options {
	tb.Helper()
	s, dir := set(tb)
	return Options{Dir: dir, Set: s, Runtime: filepath.Join(matchtest.Folder(tb, "FACEGATE_MODELS"), models.RuntimeFile)}
}

// engine opens the engine on the true models.
func engine(tb testing.TB) *Engine {
	tb.Helper()
	e, err := Open(options(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// frame puts img into a picture of 640x480 as a camera delivers it.
func frame(tb testing.TB, img image.Image) image.Image {
	tb.Helper()
	data, err := picture.JPEG(matchtest.Frame(img), 95)
	if err != nil {
		tb.Fatal(err)
	}
	decoded, err := picture.Decode(data)
	if err != nil {
		tb.Fatal(err)
	}
	return decoded
}

// golden are the distances of obama.jpg to the portraits, as measured.
func golden(set string) map[string]match.Score {
	return map[string]map[string]match.Score{
		"faceplugin": {"obama.jpg": 0, "obama2.jpg": 0.301, "obama3.jpg": 0.272, "biden.jpg": 1.061},
		"edge":       {"obama.jpg": 0, "obama2.jpg": 0.280, "obama3.jpg": 0.250, "biden.jpg": 1.006},
	}[set]
}

func TestSamePersonIsNearAndOthersAreFar(t *testing.T) {
	e := engine(t)
	s, _ := set(t)
	obama := matchtest.Only(t, e, matchtest.Portrait(t, "obama.jpg"))
	if len(obama.Template) != s.Networks.Embedder.Output || len(obama.Points) != 5 {
		t.Errorf("template of %d, %d points; want %d, 5", len(obama.Template), len(obama.Points), s.Networks.Embedder.Output)
	}
	const tolerance = 0.02 // processors round differently
	for name, want := range golden(s.Name) {
		got := e.Score(obama.Template, matchtest.Only(t, e, matchtest.Portrait(t, name)).Template)
		t.Logf("obama.jpg to %s: %.4f", name, got)
		if got < want-tolerance || got > want+tolerance {
			t.Errorf("distance to %s is %.3f, want %.3f", name, got, want)
		}
	}
}

func TestPointsAreThoseOfTheFace(t *testing.T) {
	e := engine(t)
	// Looked up in the picture by eye.
	want := []image.Point{{442, 214}, {551, 213}, {496, 271}, {442, 317}, {549, 317}}
	for i, p := range matchtest.Only(t, e, matchtest.Portrait(t, "obama.jpg")).Points {
		if d := p.Sub(want[i]); math.Hypot(float64(d.X), float64(d.Y)) > 8 {
			t.Errorf("point %d at %v, want %v", i, p, want[i])
		}
	}
}

func TestGreyPictureIsTheSamePerson(t *testing.T) { matchtest.GreyIsTheSame(t, engine(t), 0.15) }

// What went wrong: a program that ended without closing its engine, in which a call
// may run, could panic in its last moments.
func TestDroppedEngineDoesNotPanic(t *testing.T) {
	if _, err := Open(options(t)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the finalizers run on their own, after each
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
}

// judging opens an engine that tells people from pictures, until the test ends.
func judging(t *testing.T) (Options, *Engine) {
	t.Helper()
	o := options(t)
	o.PAD = true
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return o, e
}

// What the networks say of the portraits holds their crop, colours and classes to
// what was measured. To them a file is no print: see docs/pad.md.
func TestLive(t *testing.T) {
	o, e := judging(t)
	for name, want := range goldenLive(o.Set.Name) {
		img := matchtest.Portrait(t, strings.TrimPrefix(name, "on a wall: "))
		if strings.HasPrefix(name, "on a wall: ") {
			img = frame(t, img)
		}
		got, err := e.Live(t.Context(), img, matchtest.Only(t, e, img).Box)
		t.Logf("%s: %.4f", name, got)
		if err != nil || math.Abs(got-want) > 0.05 { // processors round differently
			t.Errorf("%s: %.3f, %v, want %.3f", name, got, err, want)
		}
	}
}

// goldenLive are the likelihoods of a person, as measured.
func goldenLive(set string) map[string]float64 {
	return map[string]map[string]float64{
		"faceplugin": {"obama2.jpg": 0.982, "on a wall: obama2.jpg": 0.987, "on a wall: obama3.jpg": 0.790},
		"edge":       {"obama2.jpg": 0.963, "on a wall: obama2.jpg": 0.029, "on a wall: obama3.jpg": 0.953},
	}[set]
}

// The same face small, in a camera's frame, is the same person.
func TestFrameIsTheSamePerson(t *testing.T) {
	e := engine(t)
	img := matchtest.Portrait(t, "obama.jpg")
	got := e.Score(matchtest.Only(t, e, img).Template, matchtest.Only(t, e, frame(t, img)).Template)
	t.Logf("portrait to frame: %.3f", got)
	if got > 0.15 {
		t.Errorf("distance of a portrait to itself in a frame is %.3f", got)
	}
}

func TestNoFaceIsNoError(t *testing.T) {
	e := engine(t)
	for _, size := range []image.Point{{640, 480}, {1, 1}, {1, 10000}, {10000, 1}, {7, 9}, {79, 79}, {3, 80}, {4000, 3000}} {
		img := image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420)
		for i := range img.Y {
			img.Y[i] = byte(i * 7 % 251)
		}
		faces, err := e.Faces(t.Context(), img, match.Templates)
		if len(faces) != 0 || err != nil {
			t.Errorf("%v: %d faces, %v", size, len(faces), err)
		}
	}
}

func TestTwoFacesComeLargestFirst(t *testing.T) { matchtest.LargestFirst(t, engine(t), 0.2) }

// Through C too, a frame without a face costs no memory of Go's, and one with
// a face that of the answer.
func TestFramesAllocateNothing(t *testing.T) {
	e := engine(t)
	for _, c := range []struct {
		name string
		img  image.Image
		most float64
	}{
		{"no face", image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio422), 0},
		{"one face", frame(t, matchtest.Portrait(t, "obama.jpg")), 3}, // the faces, its points, its template
	} {
		n := testing.AllocsPerRun(5, func() {
			if _, err := e.Faces(t.Context(), c.img, match.Templates); err != nil {
				t.Error(err)
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations a frame, want at most %v", c.name, n, c.most)
		}
	}
}

func TestConcurrentUseAndCloseDoNotCrash(t *testing.T) {
	matchtest.ClosesWhileUsed(t, engine(t), frame(t, matchtest.Portrait(t, "obama.jpg")), ErrClosed)
}

// Engines share the runtime and nothing else.
func TestSeveralEnginesAtOnce(t *testing.T) {
	o := options(t)
	img := frame(t, matchtest.Portrait(t, "obama.jpg"))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			e, err := Open(o)
			if err != nil {
				t.Error(err)
				return
			}
			faces, err := e.Faces(t.Context(), img, match.Templates)
			if err := errors.Join(err, e.Close()); err != nil || len(faces) != 1 {
				t.Errorf("%d faces, %v", len(faces), err)
			}
		})
	}
	wg.Wait()
}

func TestDamagedModelIsAnError(t *testing.T) {
	o := options(t)
	o.PAD = true
	for _, damaged := range o.Set.Files {
		dir := t.TempDir()
		for _, f := range o.Set.Files {
			data, err := os.ReadFile(filepath.Join(o.Dir, f.Name))
			if err != nil {
				t.Fatal(err)
			}
			if f.Name == damaged.Name {
				data = data[:len(data)/2]
			}
			if err := os.WriteFile(filepath.Join(dir, f.Name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		bad := o
		bad.Dir = dir
		if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), damaged.Name) {
			t.Errorf("half of %s: %v, want an error with folder and file", damaged.Name, err)
		}
	}
}

// A description that does not fit its files is found out before the first
// face.
func TestNetworkOfAnotherShapeIsAnError(t *testing.T) {
	for name, change := range map[string]func(n *models.Networks){
		"output":   func(n *models.Networks) { n.Embedder.Output++ },
		"input":    func(n *models.Networks) { n.Embedder.Size = 96 },
		"embedder": func(n *models.Networks) { n.Embedder.File = n.Detector.File },
		"detector": func(n *models.Networks) { n.Detector.File = n.Embedder.File },
	} {
		o := options(t)
		change(&o.Set.Networks)
		_, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), ".onnx: ") || !strings.Contains(err.Error(), "put") {
			t.Errorf("%s: %v, want the file and its input or output", name, err)
		}
	}
}

func TestMissingRuntimeSaysWhatToDo(t *testing.T) {
	o := options(t)
	o.Runtime = filepath.Join(t.TempDir(), models.RuntimeFile)
	_, err := Open(o)
	if err == nil || !strings.Contains(err.Error(), o.Runtime) || !strings.Contains(err.Error(), "facegate models pull onnxruntime") {
		t.Errorf("got %v", err)
	}
}

// What is no library can only be tried in a process that has none open yet.
func TestWrongRuntimeSaysWhatToDo(t *testing.T) {
	const inner = "FACEGATE_WRONG_RUNTIME"
	if path := os.Getenv(inner); path != "" {
		o := options(t)
		o.Runtime = path
		_, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "facegate models pull onnxruntime") {
			t.Errorf("got %v", err)
		}
		return
	}
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := filepath.Glob("/lib/*-linux-gnu*/libm.so.6") // a library, but another
	if err != nil || len(other) == 0 {
		t.Fatalf("libm: %v", err)
	}
	for _, path := range []string{text, other[0]} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongRuntimeSaysWhatToDo$", "-test.v")
		cmd.Env = append(os.Environ(), inner+"="+path)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%s: %v: %s", path, err, out)
		}
	}
}

// BenchmarkEngine is the way from a frame of 640x480 to its face, and from the
// face to its template, in processor time, each beside what the networks alone
// take of it.
func BenchmarkEngine(b *testing.B) {
	e := engine(b)
	p := newPixels(frame(b, matchtest.Portrait(b, "obama.jpg")))
	run := func(n *network) func() {
		return func() {
			if err := n.run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	detect := func() {
		if err := e.detect(b.Context(), p); err != nil || len(e.faces) != 1 {
			b.Fatalf("%d faces, %v", len(e.faces), err)
		}
	}
	embed := func() {
		if _, err := e.embedder.template(p, e.faces[0].points); err != nil {
			b.Fatal(err)
		}
	}
	detect()
	for _, c := range []struct {
		name string
		all  func()
		nets func()
	}{
		{"frame-to-faces", detect, func() {
			run(e.detector.net)()
			if e.marker != nil {
				run(e.marker.net)()
			}
		}},
		{"face-to-template", embed, run(e.embedder.net)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var all, nets []time.Duration
			for b.Loop() { // in turns, so that both meet the same machine
				began := matchtest.Processor()
				c.all()
				between := matchtest.Processor()
				c.nets()
				all, nets = append(all, between-began), append(nets, matchtest.Processor()-between)
			}
			slices.Sort(all)
			slices.Sort(nets)
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			b.ReportMetric(ms(all[0]), "min-cpu-ms")
			b.ReportMetric(ms(all[len(all)/2]), "p50-cpu-ms")
			b.ReportMetric(ms(nets[0]), "nets-min-cpu-ms")
			b.ReportMetric(ms(nets[len(nets)/2]), "nets-p50-cpu-ms")
			b.ReportMetric(ms(all[len(all)/2])/ms(nets[len(nets)/2]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkID is a large ID picture.
func BenchmarkID(b *testing.B) {
	e := engine(b)
	img := image.NewRGBA(image.Rect(0, 0, 1000, 1000))
	face, _ := picture.Scale(matchtest.Portrait(b, "obama.jpg"), 700)
	draw.Draw(img, face.Bounds().Add(image.Pt(300, 300)), face, image.Point{}, draw.Src)
	for b.Loop() {
		matchtest.Only(b, e, img)
	}
}

// BenchmarkOpen is the loading of the models.
func BenchmarkOpen(b *testing.B) {
	o := options(b)
	for b.Loop() {
		e, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
