package replay_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/capture/replay"
)

// Pictures are told apart by their width.
func jpegOf(t testing.TB, width int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewYCbCr(image.Rect(0, 0, width, 8), image.YCbCrSubsampleRatio420), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func pngOf(t testing.TB, width int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, 8))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	img.SetRGBA(0, 0, color.RGBA{0, 0, 0, 255})
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func write(t testing.TB, path string, parts ...[]byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, paths ...string) *replay.Camera {
	t.Helper()
	c, err := replay.Open(replay.Config{Paths: paths, FPS: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// widths reads n frames, checks that each is what it says, and returns their
// widths.
func widths(t testing.TB, c *replay.Camera, n int) []int {
	t.Helper()
	var out []int
	for range n {
		var f capture.Frame
		if err := c.Read(t.Context(), &f); err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		if f.Format != capture.JPEG || img.Bounds() != image.Rect(0, 0, f.Width, f.Height) || f.Time.IsZero() {
			t.Fatalf("frame %s %dx%d is a picture of %v", f.Format, f.Width, f.Height, img.Bounds())
		}
		out = append(out, f.Width)
	}
	return out
}

func same(t testing.TB, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("frames %v, want %v", got, want)
	}
}

func TestPlaysEverythingInOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/folder/b.jpg", jpegOf(t, 12))
	write(t, dir+"/folder/a.png", pngOf(t, 11))
	write(t, dir+"/folder/README", []byte("not a picture"))
	write(t, dir+"/folder/.hidden.jpg", jpegOf(t, 99))
	write(t, dir+"/folder/sub/c.jpg", jpegOf(t, 98))
	write(t, dir+"/record.mjpeg", jpegOf(t, 21), jpegOf(t, 22), jpegOf(t, 23))
	write(t, dir+"/one.jpg", jpegOf(t, 31))
	c := open(t, dir+"/one.jpg", dir+"/folder", dir+"/record.mjpeg")
	same(t, widths(t, c, 14), 31, 11, 12, 21, 22, 23, 31, 11, 12, 21, 22, 23, 31, 11)
	if c.Skipped() != 0 {
		t.Errorf("%d skipped", c.Skipped())
	}
}

func TestRepeatsOnePicture(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/one.png", pngOf(t, 31))
	same(t, widths(t, open(t, dir+"/one.png"), 3), 31, 31, 31)
	same(t, widths(t, open(t, dir), 3), 31, 31, 31)
}

func TestPassesOverDamagedPictures(t *testing.T) {
	dir := t.TempDir()
	good := jpegOf(t, 21)
	write(t, dir+"/a.mjpeg", good[:len(good)-3], jpegOf(t, 22), []byte("--boundary\r\n"), jpegOf(t, 23), good[:40])
	write(t, dir+"/b.png", pngOf(t, 24)[:60])
	c := open(t, dir)
	same(t, widths(t, c, 5), 22, 23, 22, 23, 22)
	if c.Skipped() != 7 { // three in each round, and the first again
		t.Errorf("%d skipped, want 7", c.Skipped())
	}
}

// A demonstration exchanges the scene by swapping a symbolic link.
func TestSwappedLinkShowsAtTheNextFrame(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/one/a.mjpeg", jpegOf(t, 11), jpegOf(t, 12), jpegOf(t, 13))
	write(t, dir+"/two/a.mjpeg", jpegOf(t, 21), jpegOf(t, 22))
	old := time.Now().Add(-time.Hour)
	for _, scene := range []string{"one", "two"} {
		if err := os.Chtimes(filepath.Join(dir, scene), old, old); err != nil { // alike but for identity
			t.Fatal(err)
		}
	}
	link := func(target string) {
		t.Helper()
		if err := os.Symlink(target, dir+"/new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir+"/new", dir+"/scene"); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	c := open(t, dir+"/scene")
	same(t, widths(t, c, 2), 11, 12)
	link("two")
	same(t, widths(t, c, 3), 21, 22, 21)
	link("one")
	same(t, widths(t, c, 1), 11)
}

func TestChangedFolderIsListedAnew(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.jpg", jpegOf(t, 11))
	c := open(t, dir)
	same(t, widths(t, c, 2), 11, 11)
	write(t, dir+"/b.jpg", jpegOf(t, 12)) // within the clock's tick, most likely
	same(t, widths(t, c, 2), 11, 12)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	same(t, widths(t, c, 2), 11, 12)
	if err := os.Remove(dir + "/a.jpg"); err != nil {
		t.Fatal(err)
	}
	same(t, widths(t, c, 2), 12, 12)
}

func TestChangedPictureIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.png", pngOf(t, 11))
	c := open(t, dir+"/a.png")
	same(t, widths(t, c, 2), 11, 11)
	write(t, dir+"/a.png", pngOf(t, 300))
	same(t, widths(t, c, 2), 300, 300)
}

func TestWhatDisappearsIsGone(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"emptied": func(dir string) error { return os.Remove(dir + "/a.jpg") },
		"spoiled": func(dir string) error { return os.WriteFile(dir+"/a.jpg", []byte("text"), 0o644) },
	} {
		dir := t.TempDir() + "/scene"
		write(t, dir+"/a.jpg", jpegOf(t, 11))
		c := open(t, dir)
		same(t, widths(t, c, 1), 11)
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		var f capture.Frame
		if err := c.Read(t.Context(), &f); !errors.Is(err, capture.ErrGone) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.jpg", jpegOf(t, 11))
	if err := os.Mkdir(dir+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		config replay.Config
		want   string
	}{
		{replay.Config{}, "open replay: no path is given"},
		{replay.Config{Paths: []string{dir + "/none"}}, "no such file"},
		{replay.Config{Paths: []string{dir + "/a.jpg", dir + "/empty"}}, "/empty is empty"},
		{replay.Config{Paths: []string{dir + "/a.jpg"}, FPS: 1001}, "1001 frames a second (give 1 to 1000)"},
	} {
		if _, err := replay.Open(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestKeepsTheRate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.jpg", jpegOf(t, 11))
	synctest.Test(t, func(t *testing.T) {
		c, err := replay.Open(replay.Config{Paths: []string{dir}, FPS: 10})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var times []time.Duration
		var f capture.Frame
		read := func() {
			t.Helper()
			if err := c.Read(t.Context(), &f); err != nil {
				t.Fatal(err)
			}
			times = append(times, f.Time.Sub(begin))
		}
		read()
		read()
		time.Sleep(time.Second) // a late reader
		read()
		read()
		want := []time.Duration{0, 100, 1100, 1200}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(times, want) || f.Seq != 4 {
			t.Errorf("frames at %v, want %v; seq %d", times, want, f.Seq)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, stop)
		defer cancel()
		if err := c.Read(ctx, &f); err != stop {
			t.Errorf("error %v, want the cause", err)
		}
	})
}

func TestReadReusesRoom(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.jpg", jpegOf(t, 11))
	c := open(t, dir)
	f := capture.Frame{Data: make([]byte, 1, 64<<10)}
	room := &f.Data[0]
	if err := c.Read(t.Context(), &f); err != nil || &f.Data[0] != room {
		t.Errorf("%v; reused %v", err, &f.Data[0] == room)
	}
}
