package matchtest

import (
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// Folder returns a folder that make prepares and names in the environment.
func Folder(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv(name)
	if dir == "" {
		tb.Fatalf("%s: not set (make test sets it)", name)
	}
	return dir
}

// Processor returns the processor time that the process has taken. Where one
// thread computes, it tells of a machine that others use what the clock would
// of a quiet one, but for their share of its caches.
func Processor() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // only for a wrong argument
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Portrait returns a picture of the demo set.
func Portrait(tb testing.TB, name string) image.Image {
	tb.Helper()
	f, err := os.Open(filepath.Join(Folder(tb, "FACEGATE_PICTURES"), name))
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

// Frame puts img, shrunk to 440 pixels, into a grey picture of 640x480.
func Frame(img image.Image) *image.RGBA {
	small, _ := picture.Scale(img, 440)
	out := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{Y: 120}), image.Point{}, draw.Src)
	draw.Draw(out, small.Bounds().Add(image.Pt(100, 20)), small, small.Bounds().Min, draw.Src)
	return out
}

// Only returns the one face in img, with its template.
func Only(tb testing.TB, e match.Engine, img image.Image) match.Face {
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

// GreyIsTheSame checks that a portrait and its grey copy score at most most.
func GreyIsTheSame(t *testing.T, e match.Engine, most match.Score) {
	t.Helper()
	colour := Portrait(t, "obama.jpg")
	grey := image.NewGray(colour.Bounds())
	draw.Draw(grey, grey.Bounds(), colour, colour.Bounds().Min, draw.Src)
	got := e.Score(Only(t, e, colour).Template, Only(t, e, grey).Template)
	t.Logf("colour to grey: %.3f", got)
	if got > most {
		t.Errorf("distance of a picture to its grey copy is %.3f", got)
	}
}

// LargestFirst checks that of two faces the larger one comes first, wherever it
// is: it scores at most most against itself alone.
func LargestFirst(t *testing.T, e match.Engine, most match.Score) {
	t.Helper()
	large, _ := picture.Scale(Portrait(t, "obama.jpg"), 700)
	small, _ := picture.Scale(Portrait(t, "biden.jpg"), 700)
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
		if d := e.Score(faces[0].Template, Only(t, e, large).Template); d > most {
			t.Errorf("%s: the first face is at %.3f from the larger one (%v, %v)", name, d, faces[0].Box, faces[1].Box)
		}
	}
}

// ClosesWhileUsed checks that an engine may be closed while it looks at img, of
// one face: from then on its error is closed.
func ClosesWhileUsed(t *testing.T, e match.Engine, img image.Image, closed error) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				faces, err := e.Faces(t.Context(), img, match.Templates)
				if errors.Is(err, closed) {
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
