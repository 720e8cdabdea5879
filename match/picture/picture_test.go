package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// Every file in testdata shows the same four fields.
func corners() [4]color.RGBA {
	return [4]color.RGBA{{200, 32, 32, 255}, {32, 180, 32, 255}, {32, 32, 200, 255}, {220, 220, 220, 255}}
}

// luma is the brightness of the fields, for grey pictures.
func luma() [4]uint8 { return [4]uint8{82, 119, 51, 220} }

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func near(a, b uint8, by int) bool { return int(a)-int(b) <= by && int(b)-int(a) <= by }

// checkCorners compares the middles of img's four fields with the fields that
// order names.
func checkCorners(t *testing.T, img image.Image, order [4]int) {
	t.Helper()
	b := img.Bounds()
	for i, field := range order {
		x := b.Min.X + b.Dx()/4 + i%2*b.Dx()/2
		y := b.Min.Y + b.Dy()/4 + i/2*b.Dy()/2
		got := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
		want := corners()[field]
		if !near(got.R, want.R, 8) || !near(got.G, want.G, 8) || !near(got.B, want.B, 8) || got.A != 255 {
			t.Errorf("field %d at (%d,%d) is %v, want %v", i, x, y, got, want)
		}
	}
}

func TestDecodeReadsEveryFormat(t *testing.T) {
	for _, name := range []string{
		"baseline.jpg", "progressive.jpg", "cmyk.jpg", "ratio411.jpg", "restart.jpg",
		"rgb.png", "rgb48.png", "palette.png", "interlaced.png",
		"rgb.bmp", "palette.bmp",
		"rgb.tif", "lzw.tif", "deflate.tif", "packbits.tif", "msb16.tif", "pages.tif", "turned.tif",
	} {
		t.Run(name, func(t *testing.T) {
			img, err := picture.Decode(read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := img.Bounds(); got != image.Rect(0, 0, 48, 32) {
				t.Fatalf("bounds %v, want 48x32", got)
			}
			switch img.(type) {
			case *image.YCbCr, *image.RGBA:
			default:
				t.Errorf("type %T", img)
			}
			checkCorners(t, img, [4]int{0, 1, 2, 3})
		})
	}
}

func TestDecodeReadsGreyPictures(t *testing.T) {
	for name, want := range map[string][4]uint8{
		"grey.jpg": {68, 138, 44, 220}, "grey16.tif": {68, 138, 44, 220}, "group4.tif": {0, 255, 0, 255},
	} {
		img, err := picture.Decode(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		grey, ok := img.(*image.Gray)
		if !ok {
			t.Errorf("%s is a %T", name, img)
			continue
		}
		for i := range want {
			if got := grey.GrayAt(12+i%2*24, 8+i/2*16).Y; !near(got, want[i], 3) {
				t.Errorf("%s field %d is %d, want %d", name, i, got, want[i])
			}
		}
	}
}

func TestTransparencyBecomesWhite(t *testing.T) {
	src := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	src.SetNRGBA(1, 0, color.NRGBA{200, 0, 0, 128})
	img, err := picture.Decode(encodePNG(t, src))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.At(0, 0); got != (color.RGBA{255, 255, 255, 255}) {
		t.Errorf("transparent pixel is %v", got)
	}
	if got := img.At(1, 0).(color.RGBA); !near(got.R, 227, 2) || !near(got.G, 127, 2) || got.A != 255 {
		t.Errorf("half transparent pixel is %v", got)
	}
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pngHeader is the start of a PNG that promises a size and has no pixels.
func pngHeader(width, height uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return withSum(append(append(out, chunk...), 0, 0, 0, 0))
}

// withSum sets the sum of a PNG's header.
func withSum(data []byte) []byte {
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

// resized changes the size in a baseline JPEG's frame header.
func resized(t testing.TB, data []byte, width, height uint16) []byte {
	t.Helper()
	out := bytes.Clone(data)
	at := bytes.Index(out, []byte{0xff, 0xc0})
	if at < 0 {
		t.Fatal("no frame header")
	}
	binary.BigEndian.PutUint16(out[at+5:], height)
	binary.BigEndian.PutUint16(out[at+7:], width)
	return out
}

// patchedTIFF sets the width and height of a little-endian TIFF.
func patchedTIFF(t testing.TB, data []byte, width, height uint32) []byte {
	t.Helper()
	out := bytes.Clone(data)
	ifd := out[binary.LittleEndian.Uint32(out[4:])+2:]
	for ; len(ifd) >= 12; ifd = ifd[12:] {
		switch binary.LittleEndian.Uint16(ifd) {
		case 256:
			binary.LittleEndian.PutUint16(ifd[2:], 4) // LONG
			binary.LittleEndian.PutUint32(ifd[8:], width)
		case 257:
			binary.LittleEndian.PutUint16(ifd[2:], 4)
			binary.LittleEndian.PutUint32(ifd[8:], height)
			return out
		}
	}
	t.Fatal("no size")
	return nil
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	small := image.NewGray(image.Rect(0, 0, 16, 16))
	bmpHeader := bytes.Clone(read(t, "rgb.bmp"))
	binary.LittleEndian.PutUint32(bmpHeader[18:], 30000)
	binary.LittleEndian.PutUint32(bmpHeader[22:], 30000)
	scans := append(bytes.Clone(read(t, "progressive.jpg")), bytes.Repeat([]byte{0xff, 0xda}, 200)...)
	for _, test := range []struct {
		name    string
		data    []byte
		problem picture.Problem
		text    string
	}{
		{"nothing", nil, picture.Empty, "picture is empty"},
		{"too many bytes", make([]byte, picture.MaxBytes+1<<20), picture.TooLarge,
			"picture has more than 15 MiB (save it as JPEG or scan at a lower resolution)"},
		{"huge JPEG", resized(t, read(t, "baseline.jpg"), 30000, 30000), picture.TooLarge,
			"picture is 30000x30000 pixels, at most 40 megapixels (scan at a lower resolution)"},
		{"huge PNG", pngHeader(30000, 30000), picture.TooLarge,
			"picture is 30000x30000 pixels, at most 40 megapixels (scan at a lower resolution)"},
		{"huge BMP", bmpHeader, picture.TooLarge,
			"picture is 30000x30000 pixels, at most 40 megapixels (scan at a lower resolution)"},
		{"huge TIFF", patchedTIFF(t, read(t, "deflate.tif"), 30000, 30000), picture.TooLarge,
			"picture is 30000x30000 pixels, at most 40 megapixels (scan at a lower resolution)"},
		{"long PNG", pngHeader(70000, 3), picture.TooLarge, "picture is 70000x3 pixels, at most 65535 on a side"},
		{"many scans", scans, picture.Damaged, "JPEG picture has"},
		{"no pixels", resized(t, encodeJPEG(t, small), 0, 16), picture.Damaged, "picture has no pixels (0x16)"},
		{"PNG without pixels", pngHeader(100, 100), picture.Truncated, "PNG picture is cut off (send it again)"},
		{"text", []byte("<!DOCTYPE html>"), picture.Format, "not a JPEG, PNG, BMP or TIFF picture"},
		{"PDF", []byte("%PDF-1.7"), picture.Format, "but a PDF document"},
		{"HEIC", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"), picture.Format, "but HEIC"},
		{"WebP", []byte("RIFF\x00\x00\x00\x00WEBPVP8 "), picture.Format, "but WebP"},
		{"GIF", []byte("GIF89a"), picture.Format, "but GIF"},
		{"base64", []byte("/9j/4AAQSkZJRgABAQ"), picture.Format, "but base64"},
		{"JPEG in TIFF", read(t, "jpegin.tif"), picture.Format, "this kind of TIFF picture is not supported"},
		{"damaged PNG", flipped(read(t, "rgb.png"), 60), picture.Damaged, "PNG picture is damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := picture.Decode(test.data)
			got, ok := errors.AsType[*picture.Error](err)
			if !ok {
				t.Fatalf("error %v (%T)", err, err)
			}
			if got.Problem != test.problem || !strings.Contains(got.Error(), test.text) {
				t.Errorf("%s: %q, want %s: %q", got.Problem, got, test.problem, test.text)
			}
		})
	}
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x55
	return data
}

// A picture of any format that ends early must never pass for a whole one.
func TestDecodeNoticesEveryTruncation(t *testing.T) {
	for _, name := range []string{"baseline.jpg", "progressive.jpg", "restart.jpg", "grey.jpg", "rgb.png", "rgb.bmp"} {
		data := read(t, name)
		for n := 4; n < len(data); n++ {
			_, err := picture.Decode(data[:n])
			got, ok := errors.AsType[*picture.Error](err)
			if !ok {
				t.Fatalf("%s: first %d of %d bytes: error %v", name, n, len(data), err)
			}
			if got.Problem != picture.Truncated {
				t.Fatalf("%s: first %d of %d bytes: %s: %v", name, n, len(data), got.Problem, got)
			}
		}
	}
}

// TIFF keeps what it needs anywhere in the file, so a cut may look like
// damage, or cost nothing. It must never cost pixels.
func TestTruncatedTIFFLosesNoPixels(t *testing.T) {
	for _, name := range []string{"rgb.tif", "lzw.tif", "deflate.tif", "packbits.tif", "msb16.tif"} {
		data := read(t, name)
		whole, err := picture.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		for n := 4; n < len(data); n++ {
			img, err := picture.Decode(data[:n])
			if err == nil && !bytes.Equal(img.(*image.RGBA).Pix, whole.(*image.RGBA).Pix) {
				t.Fatalf("%s: first %d of %d bytes: another picture", name, n, len(data))
			}
		}
	}
}

// The promise of 30,000 x 30,000 pixels must not cost memory.
func TestHugePictureAllocatesNothing(t *testing.T) {
	data := resized(t, read(t, "baseline.jpg"), 30000, 30000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := picture.Decode(data); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("allocated %d bytes", got)
	}
}

// withExif puts an orientation into a JPEG.
func withExif(data []byte, order binary.ByteOrder, orientation uint16) []byte {
	tiff := make([]byte, 26)
	copy(tiff, "II*\x00")
	if order == binary.BigEndian {
		copy(tiff, "MM\x00*")
	}
	order.PutUint32(tiff[4:], 8)
	order.PutUint16(tiff[8:], 1)
	order.PutUint16(tiff[10:], 0x0112)
	order.PutUint16(tiff[12:], 3)
	order.PutUint32(tiff[14:], 1)
	order.PutUint16(tiff[18:], orientation)
	body := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(body) + 2)}, body...)
	return append(out, data[2:]...)
}

func TestDecodeTurnsUpright(t *testing.T) {
	for orientation, want := range map[uint16]struct {
		order   [4]int
		swapped bool
	}{
		0: {[4]int{0, 1, 2, 3}, false}, // not a value
		1: {[4]int{0, 1, 2, 3}, false},
		2: {[4]int{1, 0, 3, 2}, false},
		3: {[4]int{3, 2, 1, 0}, false},
		4: {[4]int{2, 3, 0, 1}, false},
		5: {[4]int{0, 2, 1, 3}, true},
		6: {[4]int{2, 0, 3, 1}, true},
		7: {[4]int{3, 1, 2, 0}, true},
		8: {[4]int{1, 3, 0, 2}, true},
		9: {[4]int{0, 1, 2, 3}, false}, // not a value
	} {
		for _, name := range []string{"baseline.jpg", "cmyk.jpg", "ratio411.jpg"} {
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				img, err := picture.Decode(withExif(read(t, name), order, orientation))
				if err != nil {
					t.Errorf("%s orientation %d: %v", name, orientation, err)
					continue
				}
				size := image.Pt(48, 32)
				if want.swapped {
					size = image.Pt(32, 48)
				}
				if got := img.Bounds().Size(); got != size {
					t.Errorf("%s orientation %d: size %v, want %v", name, orientation, got, size)
				}
				checkCorners(t, img, want.order)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(pngHeader(30000, 30000))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Big pictures within the limits are slow and find nothing new.
		if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && c.Width*c.Height > 1<<18 && c.Width*c.Height <= picture.MaxPixels {
			return
		}
		img, err := picture.Decode(data)
		if err != nil {
			if _, ok := errors.AsType[*picture.Error](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		b := img.Bounds()
		if b.Min != (image.Point{}) || b.Empty() || b.Dx()*b.Dy() > picture.MaxPixels {
			t.Fatalf("bounds %v", b)
		}
		img.At(b.Max.X-1, b.Max.Y-1)
	})
}
