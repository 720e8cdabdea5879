//go:build dlib && cgo

package dlib

import (
	"image"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/models"
)

// engine opens dlib on the true models.
func engine(tb testing.TB, maxSide int) *Engine {
	tb.Helper()
	dir := matchtest.Folder(tb, "FACEGATE_MODELS")
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

func TestSamePersonIsNearAndOthersAreFar(t *testing.T) {
	e := engine(t, 800)
	obama := matchtest.Only(t, e, matchtest.Portrait(t, "obama.jpg"))
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
		got := e.Score(obama.Template, matchtest.Only(t, e, matchtest.Portrait(t, c.name)).Template)
		t.Logf("obama.jpg to %s: %.3f", c.name, got)
		if got <= c.above || got > c.top {
			t.Errorf("distance to %s is %.3f, want above %v, at most %v", c.name, got, c.above, c.top)
		}
	}
}

func TestGreyPictureIsTheSamePerson(t *testing.T) { matchtest.GreyIsTheSame(t, engine(t, 800), 0.3) }

func TestScaledPictureHasItsFaceWhereItWas(t *testing.T) {
	img := matchtest.Portrait(t, "obama.jpg")
	full := matchtest.Only(t, engine(t, 10_000), img)
	small := matchtest.Only(t, engine(t, 400), img)
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

func TestTwoFacesComeLargestFirst(t *testing.T) { matchtest.LargestFirst(t, engine(t, 0), 0.3) }

func TestConcurrentUseAndCloseDoNotCrash(t *testing.T) {
	matchtest.ClosesWhileUsed(t, engine(t, 0), matchtest.Frame(matchtest.Portrait(t, "obama.jpg")), ErrClosed)
}

func TestDamagedModelIsAnError(t *testing.T) {
	for _, damaged := range files() {
		dir := t.TempDir()
		for _, name := range files() {
			data, err := os.ReadFile(filepath.Join(matchtest.Folder(t, "FACEGATE_MODELS"), name))
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
		"one":  matchtest.Frame(matchtest.Portrait(b, "obama.jpg")),
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
	face := matchtest.Portrait(b, "obama.jpg")
	draw.Draw(img, face.Bounds().Add(image.Pt(300, 300)), face, image.Point{}, draw.Src)
	for b.Loop() {
		matchtest.Only(b, e, img)
	}
}

// BenchmarkOpen is the loading of the models and the first face.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		e, err := Open(Options{Dir: matchtest.Folder(b, "FACEGATE_MODELS")})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
