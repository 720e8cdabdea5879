//go:build dlib && cgo

package dlib

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// fields is a picture of four fields of 16 pixels, of different colours.
func fields(img draw.Image) draw.Image {
	b := img.Bounds()
	for i, c := range fieldColours() {
		at := image.Rect(0, 0, 16, 16).Add(b.Min).Add(image.Pt(i%2*16, i/2*16))
		draw.Draw(img, at, image.NewUniform(c), image.Point{}, draw.Src)
	}
	return img
}

func fieldColours() [4]color.RGBA {
	return [4]color.RGBA{{200, 30, 30, 255}, {30, 180, 30, 255}, {30, 30, 200, 255}, {220, 220, 220, 255}}
}

// subsampled is fields with chroma of a ratio.
func subsampled(ratio image.YCbCrSubsampleRatio) image.Image {
	img := image.NewYCbCr(image.Rect(0, 0, 32, 32), ratio)
	for i, c := range fieldColours() {
		luma, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
		for y := i / 2 * 16; y < i/2*16+16; y++ {
			for x := i % 2 * 16; x < i%2*16+16; x++ {
				img.Y[img.YOffset(x, y)], img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = luma, cb, cr
			}
		}
	}
	return img
}

// Every kind of picture, and a part of it that begins at an odd place, comes
// out as a colour JPEG with the same colours in the same places.
func TestEncode(t *testing.T) {
	whole := image.Rect(0, 0, 32, 32)
	kinds := map[string]image.Image{
		"rgba":  fields(image.NewRGBA(whole)),
		"moved": fields(image.NewRGBA(whole.Add(image.Pt(-5, 9)))),
		"alpha": fields(image.NewNRGBA(whole)),
		"grey":  fields(image.NewGray(whole)),
		"wide":  fields(image.NewGray16(whole)),
		"cmyk":  fields(image.NewCMYK(whole)),
	}
	for _, r := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		kinds[r.String()] = subsampled(r)
	}
	for name, img := range kinds {
		b := img.Bounds()
		for _, part := range []image.Rectangle{b, {Min: b.Min.Add(image.Pt(3, 5)), Max: b.Max.Sub(image.Pt(1, 2))}} {
			t.Run(fmt.Sprintf("%s/%v", name, part), func(t *testing.T) { checkEncoded(t, picture.Crop(img, part)) })
		}
	}
}

func checkEncoded(t *testing.T, img image.Image) {
	t.Helper()
	data, err := encode(img, jpegQuality)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.ColorModel() != color.YCbCrModel {
		t.Error("not a colour JPEG, which go-face would refuse")
	}
	b := img.Bounds()
	if got.Bounds().Size() != b.Size() {
		t.Fatalf("size %v, want %v", got.Bounds().Size(), b.Size())
	}
	for _, at := range []image.Point{{6, 6}, {22, 6}, {6, 22}, {22, 22}} {
		r, g, b, _ := img.At(b.Min.X+at.X, b.Min.Y+at.Y).RGBA()
		is := color.RGBAModel.Convert(got.At(at.X, at.Y)).(color.RGBA)
		for i, want := range []uint32{r >> 8, g >> 8, b >> 8} {
			if c := int([]uint8{is.R, is.G, is.B}[i]); max(c-int(want), int(want)-c) > 8 {
				t.Errorf("colour at %v is %v, want %v", at, is, []uint32{r >> 8, g >> 8, b >> 8})
				break
			}
		}
	}
}

// What libjpeg cannot write is an error and not the end of the process.
func TestEncodeRefuses(t *testing.T) {
	if _, err := encode(image.NewGray(image.Rect(0, 0, 70000, 1)), jpegQuality); err == nil {
		t.Error("a picture of 70000 pixels became a JPEG")
	}
}

func BenchmarkEncode(b *testing.B) {
	frame := image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420)
	for i := range frame.Y {
		frame.Y[i] = uint8(i * i >> 8)
	}
	for b.Loop() {
		if _, err := encode(frame, jpegQuality); err != nil {
			b.Fatal(err)
		}
	}
}
