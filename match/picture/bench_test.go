package picture_test

import (
	"image"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// texture is a picture with detail, so that a JPEG of it has a usual size.
func texture(width, height int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	noise := uint32(1)
	for i := range img.Y {
		noise = noise*1664525 + 1013904223
		img.Y[i] = uint8(128+(i%width/8+i/width/8)%64) + uint8(noise>>29)
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = uint8(100+i%40), uint8(120+i%30)
	}
	return img
}

func jpegOf(b *testing.B, img image.Image) []byte {
	b.Helper()
	data, err := picture.JPEG(img, 85)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func BenchmarkFrameYUYV(b *testing.B) {
	data := make([]byte, 640*480*2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := picture.Frame("yuyv", 640, 480, 0, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrameNV12(b *testing.B) {
	data := make([]byte, 640*480*3/2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := picture.Frame("nv12", 640, 480, 0, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrameJPEG(b *testing.B) {
	data := jpegOf(b, texture(640, 480))
	b.ReportMetric(float64(len(data)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := picture.Frame("jpeg", 0, 0, 0, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJPEG(b *testing.B) {
	img := texture(640, 480)
	b.ReportAllocs()
	for b.Loop() {
		jpegOf(b, img)
	}
}

func BenchmarkDecode12MP(b *testing.B) {
	data := jpegOf(b, texture(4000, 3000))
	b.ReportMetric(float64(len(data)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := picture.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScale12MP(b *testing.B) {
	img := texture(4000, 3000)
	b.ReportAllocs()
	for b.Loop() {
		picture.Scale(img, 1600)
	}
}

func BenchmarkRotate12MP(b *testing.B) {
	img := texture(4000, 3000)
	b.ReportAllocs()
	for b.Loop() {
		picture.Rotate(img, 1)
	}
}
