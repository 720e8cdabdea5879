//go:build dlib && cgo

package picture_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// plainJPEGs are what cameras deliver.
func plainJPEGs(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range []string{"baseline.jpg", "restart.jpg", "grey.jpg"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = data
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, texture(641, 479), nil); err != nil {
		t.Fatal(err)
	}
	all["odd sides"] = out.Bytes()
	return all
}

// The two decoders round differently, but never by more than a step or two.
func TestTurboSeesTheSame(t *testing.T) {
	for name, data := range plainJPEGs(t) {
		var frames picture.Frames
		got, err := frames.Next("jpeg", 0, 0, 0, data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got.Bounds() != want.Bounds() {
			t.Errorf("%s: %v, want %v", name, got.Bounds(), want.Bounds())
		}
		most := 0
		for y := range want.Bounds().Dy() {
			for x := range want.Bounds().Dx() {
				for i, v := range samples(got, x, y) {
					most = max(most, v-samples(want, x, y)[i], samples(want, x, y)[i]-v)
				}
			}
		}
		if most > 2 {
			t.Errorf("%s: a sample differs by %d", name, most)
		}
	}
}

// samples are luma and chroma of a pixel.
func samples(img image.Image, x, y int) []int {
	switch m := img.(type) {
	case *image.YCbCr:
		c := m.YCbCrAt(x, y)
		return []int{int(c.Y), int(c.Cb), int(c.Cr)}
	case *image.Gray:
		return []int{int(m.GrayAt(x, y).Y)}
	}
	return nil
}

// In the steady state a frame costs no memory, which also shows that it was not
// image/jpeg that decoded it.
func TestFramesShareMemory(t *testing.T) {
	for name, data := range plainJPEGs(t) {
		var frames picture.Frames
		next := func() {
			if _, err := frames.Next("jpeg", 0, 0, 0, data); err != nil {
				t.Fatal(err)
			}
		}
		next()
		if n := testing.AllocsPerRun(20, next); n > 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}

// A frame is refused where image/jpeg refuses it, wherever it ends, and whatever a
// byte of it has become.
func TestTurboLeavesWhatIsWrong(t *testing.T) {
	for name, data := range plainJPEGs(t) {
		for n := 1; n < len(data); n += 1 + len(data)/500 {
			same(t, name, data[:n])
			damaged := bytes.Clone(data)
			damaged[n] ^= 0x5a
			same(t, name, damaged)
		}
	}
}

// same checks that a frame is refused by both decoders, or by neither.
func same(t *testing.T, name string, data []byte) {
	t.Helper()
	_, err := picture.Frame("jpeg", 0, 0, 0, data)
	_, slow := jpeg.Decode(bytes.NewReader(data))
	if (err == nil) != (slow == nil) {
		t.Errorf("%s: %v, and image/jpeg says %v", name, err, slow)
	}
}

// A camera each of whose frames has something that libjpeg-turbo complains about has
// them decoded once, and one whose frames now and then have, by libjpeg-turbo.
func TestPeculiarCameraIsLeftToTheOther(t *testing.T) {
	plain := plainJPEGs(t)["baseline.jpg"]
	end := len(plain) - 2
	filled := slices.Concat(plain[:end], make([]byte, 100), plain[end:]) // before the mark that ends it
	var frames picture.Frames
	next := func(data []byte) {
		if _, err := frames.Next("jpeg", 0, 0, 0, data); err != nil {
			t.Fatal(err)
		}
	}
	free := func(data []byte) bool { return testing.AllocsPerRun(1, func() { next(data) }) == 0 }
	for range 100 {
		next(filled)
		next(plain)
	}
	if !free(plain) || free(filled) {
		t.Error("which one decodes cannot be told by what is allocated")
	}
	for range 50 {
		next(filled)
	}
	if free(plain) {
		t.Error("every frame is still decoded twice")
	}
}
