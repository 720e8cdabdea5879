package replay

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"testing"
)

func jpegOf(t testing.TB, width int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, 8))
	for i := range img.Pix {
		img.SetGray(i%width, i/width, color.Gray{uint8(i * 37)})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// withThumbnail puts a whole JPEG into a segment of another.
func withThumbnail(data, thumbnail []byte) []byte {
	n := len(thumbnail) + 2
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, byte(n >> 8), byte(n)}, thumbnail...)
	return append(out, data[2:]...)
}

func split(t *testing.T, stream []byte) (widths []int, dropped uint64) {
	t.Helper()
	s := newSplitter(bytes.NewReader(stream))
	for {
		p, err := s.next()
		if err == io.EOF {
			return widths, s.dropped
		}
		if err != nil {
			t.Fatal(err)
		}
		widths = append(widths, p.width)
	}
}

func TestSplit(t *testing.T) {
	one, two := jpegOf(t, 16), jpegOf(t, 24)
	huge := bytes.Clone(one)
	at := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[at+5:], []byte{0xff, 0xff, 0xff, 0xff})
	restart := bytes.Index(one, []byte{0xff, 0xda})
	for _, test := range []struct {
		name    string
		stream  []byte
		widths  []int
		dropped uint64
	}{
		{"nothing", nil, nil, 0},
		{"no picture", []byte("text \xff\xff\xff text"), nil, 0},
		{"two", slices.Concat(one, two), []int{16, 24}, 0},
		{"padding between", slices.Concat(one, make([]byte, 100), two, []byte{0xff}), []int{16, 24}, 0},
		{"thumbnail", withThumbnail(two, one), []int{24}, 0},
		{"cut off in the data", slices.Concat(one[:len(one)-3], two), []int{24}, 1},
		{"cut off at the end", slices.Concat(one, two[:len(two)-2]), []int{16}, 1},
		{"only starts", bytes.Repeat([]byte{0xff, 0xd8}, 5), nil, 5},
		{"bad length", slices.Concat([]byte{0xff, 0xd8, 0xff, 0xe0, 0, 1}, two), []int{24}, 1},
		{"no size", slices.Concat([]byte{0xff, 0xd8, 0xff, 0xd9}, two), []int{24}, 1},
		{"too many pixels", slices.Concat(huge, two), []int{24}, 1},
		{"fill bytes", slices.Concat(one[:restart], []byte{0xff, 0xff}, one[restart:], two), []int{16, 24}, 0},
	} {
		widths, dropped := split(t, test.stream)
		if !slices.Equal(widths, test.widths) || dropped != test.dropped {
			t.Errorf("%s: %v and %d dropped, want %v and %d", test.name, widths, dropped, test.widths, test.dropped)
		}
	}
}

func TestSplitIsBounded(t *testing.T) {
	// A picture that never ends must not fill the memory.
	endless := io.MultiReader(bytes.NewReader(jpegOf(t, 16)[:200]), io.LimitReader(zeros{}, 3*maxBytes))
	s := newSplitter(endless)
	if _, err := s.next(); err != io.EOF {
		t.Errorf("error %v", err)
	}
	if cap(s.buf) > 2*maxBytes {
		t.Errorf("the buffer grew to %d bytes", cap(s.buf))
	}
	// And a file that is no recording is given up.
	s = newSplitter(zeros{})
	if _, err := s.next(); err != io.EOF {
		t.Errorf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func FuzzSplit(f *testing.F) {
	one, two := jpegOf(f, 16), jpegOf(f, 24)
	f.Add(slices.Concat(one, two))
	f.Add(slices.Concat(one[:50], two))
	f.Add(withThumbnail(two, one))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newSplitter(bytes.NewReader(stream))
		total := 0
		for {
			p, err := s.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(p.data, []byte{0xff, 0xd8}) || !bytes.HasSuffix(p.data, []byte{0xff, 0xd9}) {
				t.Fatalf("not a whole picture: % x", p.data)
			}
			if !bytes.Contains(stream, p.data) {
				t.Fatal("a picture that is not in the stream")
			}
			if p.width <= 0 || p.height <= 0 {
				t.Fatalf("size %dx%d", p.width, p.height)
			}
			if total += len(p.data); total > len(stream) {
				t.Fatal("more bytes than there were")
			}
		}
	})
}
