package picture_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

func TestFrameReadsRawFormats(t *testing.T) {
	for _, test := range []struct {
		name                  string
		format                string
		width, height, stride int
		data                  []byte
		ratio                 image.YCbCrSubsampleRatio
		y, cb, cr             []byte
	}{
		{"yuyv", "yuyv", 2, 2, 0, []byte{1, 2, 3, 4, 5, 6, 7, 8}, image.YCbCrSubsampleRatio422,
			[]byte{1, 3, 5, 7}, []byte{2, 6}, []byte{4, 8}},
		{"yuyv padded", "yuyv", 2, 2, 6, []byte{1, 2, 3, 4, 0, 0, 5, 6, 7, 8}, image.YCbCrSubsampleRatio422,
			[]byte{1, 3, 5, 7}, []byte{2, 6}, []byte{4, 8}},
		{"yuyv odd", "yuyv", 3, 1, 0, []byte{1, 2, 3, 4, 5, 6, 7, 8}, image.YCbCrSubsampleRatio422,
			[]byte{1, 3, 5}, []byte{2, 6}, []byte{4, 8}},
		{"nv12", "nv12", 2, 2, 0, []byte{1, 2, 3, 4, 5, 6}, image.YCbCrSubsampleRatio420,
			[]byte{1, 2, 3, 4}, []byte{5}, []byte{6}},
		{"nv12 odd and padded", "nv12", 3, 3, 5,
			[]byte{1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 7, 8, 9, 0, 0, 10, 11, 12, 13, 0, 14, 15, 16, 17}, image.YCbCrSubsampleRatio420,
			[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{10, 12, 14, 16}, []byte{11, 13, 15, 17}},
	} {
		t.Run(test.name, func(t *testing.T) {
			img, err := picture.Frame(test.format, test.width, test.height, test.stride, test.data)
			if err != nil {
				t.Fatal(err)
			}
			got := img.(*image.YCbCr)
			if got.SubsampleRatio != test.ratio || got.Rect != image.Rect(0, 0, test.width, test.height) {
				t.Errorf("%v %v", got.SubsampleRatio, got.Rect)
			}
			if !bytes.Equal(got.Y, test.y) || !bytes.Equal(got.Cb, test.cb) || !bytes.Equal(got.Cr, test.cr) {
				t.Errorf("planes %v %v %v, want %v %v %v", got.Y, got.Cb, got.Cr, test.y, test.cb, test.cr)
			}
		})
	}
}

func TestWidenStretchesTheRangeOfRawFormats(t *testing.T) {
	data := []byte{16, 16, 235, 240, 0, 128, 255, 128}
	img, err := picture.Frame("yuyv", 2, 2, 0, data)
	if err != nil {
		t.Fatal(err)
	}
	got := picture.Widen(img).(*image.YCbCr)
	if want := []byte{0, 255, 0, 255}; !bytes.Equal(got.Y, want) {
		t.Errorf("luma %v, want %v", got.Y, want)
	}
	if cb, cr := []byte{0, 128}, []byte{255, 128}; !bytes.Equal(got.Cb, cb) || !bytes.Equal(got.Cr, cr) {
		t.Errorf("chroma %v and %v, want %v and %v", got.Cb, got.Cr, cb, cr)
	}
	raw := []byte{16, 125, 235}
	grey, err := picture.Frame("grey", 3, 1, 0, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := picture.Widen(grey).(*image.Gray).Pix, []byte{0, 127, 255}; !bytes.Equal(got, want) || raw[0] != 16 {
		t.Errorf("grey %v from %v, want %v", got, raw, want)
	}
}

func TestFrameReadsGreyWithoutCopy(t *testing.T) {
	data := []byte{1, 2, 3, 0, 4, 5, 6, 0}
	img, err := picture.Frame("grey", 3, 2, 4, data)
	if err != nil {
		t.Fatal(err)
	}
	grey := img.(*image.Gray)
	if got := grey.GrayAt(2, 1).Y; got != 6 {
		t.Errorf("pixel is %d, want 6", got)
	}
	if &grey.Pix[0] != &data[0] {
		t.Error("copied")
	}
}

func TestFrameRefusesShortData(t *testing.T) {
	for _, test := range []struct {
		format                string
		width, height, stride int
		bytes                 int
		problem               picture.Problem
	}{
		{"yuyv", 4, 2, 0, 15, picture.Truncated},
		{"yuyv", 4, 2, 12, 19, picture.Truncated},
		{"yuyv", 3, 1, 0, 7, picture.Truncated},
		{"yuyv", 4, 2, 7, 100, picture.Damaged},
		{"nv12", 4, 2, 0, 11, picture.Truncated},
		{"nv12", 3, 3, 0, 19, picture.Truncated},
		{"nv12", 3, 3, 3, 100, picture.Damaged},
		{"grey", 4, 2, 0, 7, picture.Truncated},
		{"grey", 4, 2, -4, 100, picture.Damaged},
		{"grey", 0, 2, 0, 7, picture.Damaged},
		{"grey", -1, -1, 0, 7, picture.Damaged},
		{"grey", 30000, 30000, 0, 7, picture.TooLarge},
		{"grey", 4, 2, 0, 0, picture.Empty},
		{"jpeg", 4, 2, 0, 0, picture.Empty},
		{"h264", 4, 2, 0, 100, picture.Format},
		{"jpeg", 4, 2, 0, 100, picture.Damaged},
	} {
		_, err := picture.Frame(test.format, test.width, test.height, test.stride, make([]byte, test.bytes))
		if got, ok := errors.AsType[*picture.Error](err); !ok || got.Problem != test.problem {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// withoutTables removes the Huffman tables from a JPEG of image/jpeg, which
// uses the standard ones.
func withoutTables(t testing.TB, data []byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, 0xc4})
	if at < 0 {
		t.Fatal("no tables")
	}
	length := 2 + int(data[at+2])<<8 + int(data[at+3])
	return append(bytes.Clone(data[:at]), data[at+length:]...)
}

func TestFrameFillsInHuffmanTables(t *testing.T) {
	src, err := picture.Decode(read(t, "rgb.png"))
	if err != nil {
		t.Fatal(err)
	}
	whole := encodeJPEG(t, src)
	bare := withoutTables(t, whole)
	if _, err := picture.Decode(bare); err == nil {
		t.Fatal("a still picture without tables was accepted: the test shows nothing")
	}
	img, err := picture.Frame("jpeg", 0, 0, 0, bare)
	if err != nil {
		t.Fatal(err)
	}
	checkCorners(t, img, [4]int{0, 1, 2, 3})
	want, err := picture.Frame("jpeg", 0, 0, 0, whole)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(img.(*image.YCbCr).Y, want.(*image.YCbCr).Y) {
		t.Error("the standard tables differ from the encoder's")
	}
}

func TestFrameReadsJPEG(t *testing.T) {
	data := append(read(t, "baseline.jpg"), 0, 0, 0xff, 0xd8, 7) // what follows the end is padding
	img, err := picture.Frame("jpeg", 9999, 1, 5, data)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds(); got != image.Rect(0, 0, 48, 32) {
		t.Errorf("bounds %v", got)
	}
	checkCorners(t, img, [4]int{0, 1, 2, 3})
	if _, err := picture.Frame("jpeg", 48, 32, 0, resized(t, read(t, "baseline.jpg"), 65000, 65000)); err == nil {
		t.Error("a damaged size was believed")
	}
}

func TestJPEGAlwaysHasThreeComponents(t *testing.T) {
	grey := image.NewGray(image.Rect(3, 5, 20, 18)) // odd on purpose
	for i := range grey.Pix {
		grey.Pix[i] = uint8(10 * (i % grey.Stride))
	}
	wide := image.NewGray16(image.Rect(0, 0, 5, 5))
	for _, img := range []image.Image{grey, wide, image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black})} {
		data, err := picture.JPEG(img, 95)
		if err != nil {
			t.Fatal(err)
		}
		got, err := picture.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		colour, ok := got.(*image.YCbCr)
		if !ok {
			t.Errorf("%T became %T", img, got)
			continue
		}
		if colour.Rect.Size() != img.Bounds().Size() {
			t.Errorf("size %v, want %v", colour.Rect.Size(), img.Bounds().Size())
		}
		for i := range colour.Cb {
			if colour.Cb[i] != 128 || colour.Cr[i] != 128 {
				t.Fatalf("%T has colour", img)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add("yuyv", 2, 2, 0, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add("nv12", 3, 3, 5, make([]byte, 24))
	f.Add("grey", 3, 2, 4, make([]byte, 8))
	f.Add("jpeg", 0, 0, 0, withoutTables(f, encodeJPEG(f, image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio420))))
	f.Add("jpeg", 0, 0, 0, read(f, "restart.jpg"))
	f.Fuzz(func(t *testing.T, format string, width, height, stride int, data []byte) {
		img, err := picture.Frame(format, width, height, stride, data)
		if err != nil {
			if _, ok := errors.AsType[*picture.Error](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		b := img.Bounds()
		if b.Min != (image.Point{}) || b.Empty() {
			t.Fatalf("bounds %v", b)
		}
		if format != "jpeg" && b.Size() != image.Pt(width, height) {
			t.Fatalf("size %v, want %dx%d", b.Size(), width, height)
		}
		img.At(b.Max.X-1, b.Max.Y-1)
	})
}
