//go:build dlib && cgo

package dlib

import (
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/picture"
)

// env returns a folder that make prepares.
func env(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv(name)
	if dir == "" {
		tb.Fatalf("%s: not set (make test sets it)", name)
	}
	return dir
}

// engine opens dlib on the true models.
func engine(tb testing.TB, maxSide int) *Engine {
	tb.Helper()
	dir := env(tb, "FACEGATE_MODELS")
	if err := models.Verify(dir, "dlib"); err != nil {
		tb.Fatal(err)
	}
	e, err := Open(Options{Dir: dir, MaxSide: maxSide})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

// portrait returns a picture of the demo set.
func portrait(tb testing.TB, name string) image.Image {
	tb.Helper()
	f, err := os.Open(filepath.Join(env(tb, "FACEGATE_PICTURES"), name))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, err := jpeg.Decode(f)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// frame puts img, shrunk to 440 pixels, into a grey 640x480 picture.
func frame(img image.Image) image.Image {
	small, _ := picture.Scale(img, 440)
	out := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{Y: 120}), image.Point{}, draw.Src)
	draw.Draw(out, small.Bounds().Add(image.Pt(100, 20)), small, image.Point{}, draw.Src)
	return out
}

// only returns the one face in img.
func only(tb testing.TB, e *Engine, img image.Image) match.Face {
	tb.Helper()
	faces, err := e.Faces(tb.Context(), img, match.Templates)
	if err != nil {
		tb.Fatal(err)
	}
	if len(faces) != 1 {
		tb.Fatalf("%d faces, want 1", len(faces))
	}
	return faces[0]
}

func TestSamePersonIsNearAndOthersAreFar(t *testing.T) {
	e := engine(t, 800)
	obama := only(t, e, portrait(t, "obama.jpg"))
	if len(obama.Template) != 128 || len(obama.Points) != 5 {
		t.Errorf("template of %d, %d points; want 128, 5", len(obama.Template), len(obama.Points))
	}
	for _, c := range []struct {
		name       string
		above, top match.Score
	}{
		{"obama.jpg", -1, 0},
		{"obama2.jpg", 0.2, 0.45},
		{"obama3.jpg", 0.2, 0.45},
		{"biden.jpg", 0.7, 1},
	} {
		got := e.Score(obama.Template, only(t, e, portrait(t, c.name)).Template)
		t.Logf("obama.jpg to %s: %.3f", c.name, got)
		if got <= c.above || got > c.top {
			t.Errorf("distance to %s is %.3f, want above %v, at most %v", c.name, got, c.above, c.top)
		}
	}
}

func TestGreyPictureIsTheSamePerson(t *testing.T) {
	e := engine(t, 800)
	colour := portrait(t, "obama.jpg")
	grey := image.NewGray(colour.Bounds())
	draw.Draw(grey, grey.Bounds(), colour, colour.Bounds().Min, draw.Src)
	got := e.Score(only(t, e, colour).Template, only(t, e, grey).Template)
	t.Logf("colour to grey: %.3f", got)
	if got > 0.3 {
		t.Errorf("distance of a picture to its grey copy is %.3f", got)
	}
}

func TestScaledPictureHasItsFaceWhereItWas(t *testing.T) {
	img := portrait(t, "obama.jpg")
	full := only(t, engine(t, 10_000), img)
	small := only(t, engine(t, 400), img)
	whole := full.Box.Union(small.Box)
	both := full.Box.Intersect(small.Box)
	if share := float64(both.Dx()*both.Dy()) / float64(whole.Dx()*whole.Dy()); share < 0.6 {
		t.Errorf("box %v at full size, %v when scaled: %.2f in common", full.Box, small.Box, share)
	}
	for i, p := range small.Points {
		if d := p.Sub(full.Points[i]); math.Hypot(float64(d.X), float64(d.Y)) > 25 {
			t.Errorf("point %d at %v at full size, %v when scaled", i, full.Points[i], p)
		}
	}
}

func TestNoFaceIsNoError(t *testing.T) {
	e := engine(t, 0)
	for _, size := range []image.Point{{640, 480}, {1, 1}, {1, 3000}, {3000, 1}, {7, 9}, {79, 79}, {1, 80}} {
		img := image.NewGray(image.Rectangle{Max: size})
		for i := range img.Pix {
			img.Pix[i] = byte(i * 7 % 251)
		}
		faces, err := e.Faces(t.Context(), img, match.Templates)
		if len(faces) != 0 || err != nil {
			t.Errorf("%v: %d faces, %v", size, len(faces), err)
		}
	}
}

func TestTwoFacesComeLargestFirst(t *testing.T) {
	e := engine(t, 0)
	large, _ := picture.Scale(portrait(t, "obama.jpg"), 700)
	small, _ := picture.Scale(portrait(t, "biden.jpg"), 700)
	for name, left := range map[string]image.Image{"large left": large, "small left": small} {
		right := small
		if left == small {
			right = large
		}
		img := image.NewRGBA(image.Rect(0, 0, left.Bounds().Dx()+right.Bounds().Dx(), 700))
		draw.Draw(img, left.Bounds(), left, image.Point{}, draw.Src)
		draw.Draw(img, right.Bounds().Add(image.Pt(left.Bounds().Dx(), 0)), right, image.Point{}, draw.Src)

		faces, err := e.Faces(t.Context(), img, match.Templates)
		if err != nil || len(faces) != 2 {
			t.Fatalf("%s: %d faces, %v", name, len(faces), err)
		}
		if d := e.Score(faces[0].Template, only(t, e, large).Template); d > 0.3 {
			t.Errorf("%s: the first face is at %.3f from the larger one (%v, %v)", name, d, faces[0].Box, faces[1].Box)
		}
	}
}

func TestConcurrentUseAndCloseDoNotCrash(t *testing.T) {
	e := engine(t, 0)
	img := frame(portrait(t, "obama.jpg"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				faces, err := e.Faces(t.Context(), img, match.Templates)
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil || len(faces) != 1 {
					t.Errorf("%d faces, %v", len(faces), err)
					return
				}
				wg.Go(func() { _ = e.Close() })
			}
		})
	}
	wg.Wait()
}

func TestDamagedModelIsAnError(t *testing.T) {
	for _, damaged := range files() {
		dir := t.TempDir()
		for _, name := range files() {
			data, err := os.ReadFile(filepath.Join(env(t, "FACEGATE_MODELS"), name))
			if err != nil {
				t.Fatal(err)
			}
			if name == damaged {
				data = data[:len(data)/2]
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("half of %s: %v, want an error with the folder", damaged, err)
		}
	}
}

// BenchmarkFaces is one 640x480 frame to its face and template.
func BenchmarkFaces(b *testing.B) {
	e := engine(b, 0)
	for name, img := range map[string]image.Image{
		"one":  frame(portrait(b, "obama.jpg")),
		"none": image.NewRGBA(image.Rect(0, 0, 640, 480)),
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := e.Faces(b.Context(), img, match.Templates); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
			b.ReportMetric(at(0.50), "p50-ms")
			b.ReportMetric(at(0.99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkID is a large ID picture, scaled to DefaultMaxSide first.
func BenchmarkID(b *testing.B) {
	e := engine(b, 0)
	img := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	face := portrait(b, "obama.jpg")
	draw.Draw(img, face.Bounds().Add(image.Pt(300, 300)), face, image.Point{}, draw.Src)
	for b.Loop() {
		only(b, e, img)
	}
}

// BenchmarkOpen is the loading of the models and the first face.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		e, err := Open(Options{Dir: env(b, "FACEGATE_MODELS")})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
