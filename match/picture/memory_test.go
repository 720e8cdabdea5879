package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// headerOf changes the depth and colour type in a PNG header without pixels.
func headerOf(width, height uint32, depth, colour, interlace byte) []byte {
	data := pngHeader(width, height)
	data[24], data[25], data[28] = depth, colour, interlace
	return withSum(data)
}

// frameOf is the start of a JPEG with a frame header and nothing else.
func frameOf(marker byte, width, height uint16, components ...byte) []byte {
	data := []byte{0xff, 0xd8, 0xff, marker, 0, byte(8 + len(components)*3), 8}
	data = binary.BigEndian.AppendUint16(data, height)
	data = binary.BigEndian.AppendUint16(data, width)
	data = append(data, byte(len(components)))
	for i, factors := range components {
		data = append(data, byte(i+1), factors, 0)
	}
	return append(data, 0xff, 0xda, 0, 2) // DecodeConfig stops here
}

// What a kind of picture takes in memory decides how many pixels it may have,
// before anything is allocated.
func TestCostlyKindsMayHaveFewerPixels(t *testing.T) {
	strips := func(compression uint16, width, height uint32) []byte {
		return tiffHeader(width, height, compression)
	}
	for _, test := range []struct {
		name     string
		accepted []byte // but for its missing pixels
		refused  []byte
		text     string
	}{
		{"baseline 4:2:0", frameOf(0xc0, 5000, 8000, 0x22, 0x11, 0x11), frameOf(0xc0, 5001, 8000, 0x22, 0x11, 0x11), "at most 40 megapixels"},
		{"baseline 4:4:4", frameOf(0xc0, 5000, 6100, 0x11, 0x11, 0x11), frameOf(0xc0, 5000, 6200, 0x11, 0x11, 0x11), "at most 30.6 megapixels for a JPEG without subsampled colour (scan at"},
		{"progressive of a phone", frameOf(0xc2, 4032, 3024, 0x22, 0x11, 0x11), frameOf(0xc2, 4200, 3024, 0x22, 0x11, 0x11), "at most 12.2 megapixels for a progressive JPEG (save it as a baseline JPEG or scan at a lower resolution)"},
		{"progressive grey", frameOf(0xc2, 4000, 4600, 0x11), frameOf(0xc2, 4100, 4600, 0x11), "at most 18.4 megapixels for a progressive JPEG"},
		{"PNG", headerOf(4000, 5700, 8, 2, 0), headerOf(4000, 5800, 8, 2, 0), "at most 23.0 megapixels for a PNG (save"},
		{"interlaced PNG", headerOf(3000, 3800, 8, 2, 1), headerOf(3000, 3900, 8, 2, 1), "at most 11.5 megapixels for a PNG, interlaced"},
		{"PNG with transparency", headerOf(3000, 3800, 8, 6, 0), headerOf(3000, 3900, 8, 6, 0), "at most 11.5 megapixels for a PNG with transparency"},
		{"PNG of 16 bits", headerOf(2500, 3000, 16, 2, 0), headerOf(2500, 3100, 16, 2, 0), "at most 7.6 megapixels for a PNG of 16 bits a colour"},
		{"grey PNG of 16 bits", headerOf(5000, 6100, 16, 0, 0), headerOf(5000, 6200, 16, 0, 0), "at most 30.6 megapixels for a PNG"},
		{"plain grey TIFF in one strip", strips(1, 5000, 8000), strips(8, 5000, 8000), "at most 3.6 megapixels for a TIFF compressed in large strips"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := picture.Decode(test.accepted)
			got, ok := errors.AsType[*picture.Error](err)
			if !ok || got.Problem == picture.TooLarge {
				t.Errorf("accepted size: %v", err)
			}
			_, err = picture.Decode(test.refused)
			got, ok = errors.AsType[*picture.Error](err)
			if !ok || got.Problem != picture.TooLarge || !strings.Contains(got.Error(), test.text) {
				t.Errorf("refused size: %v, want %q", err, test.text)
			}
		})
	}
}

// tiffHeader is the start of a grey TIFF in one strip.
func tiffHeader(width, height uint32, compression uint16) []byte {
	data := []byte("II*\x00\x08\x00\x00\x00\x05\x00")
	entry := func(tag uint16, value uint32) {
		data = binary.LittleEndian.AppendUint16(data, tag)
		data = binary.LittleEndian.AppendUint16(data, 4) // LONG
		data = binary.LittleEndian.AppendUint32(data, 1)
		data = binary.LittleEndian.AppendUint32(data, value)
	}
	entry(256, width)
	entry(257, height)
	entry(258, 8) // bits a sample
	entry(259, uint32(compression))
	entry(262, 1) // black is zero
	return append(data, 0, 0, 0, 0)
}

func TestTransparentColourCountsAsTransparency(t *testing.T) {
	src := image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.White, color.Black})
	data := bytes.Replace(encodePNG(t, src), []byte("IDAT"), []byte("tRNSIDAT"), 1) // in what place does not matter here
	binary.BigEndian.PutUint32(data[16:], 4000)
	binary.BigEndian.PutUint32(data[20:], 4500)
	_, err := picture.Decode(withSum(data))
	if got, ok := errors.AsType[*picture.Error](err); ok && got.Problem == picture.TooLarge {
		t.Errorf("a palette needs no more for a transparent colour: %v", err)
	}
	_, err = picture.Decode(append(headerOf(3000, 4000, 8, 2, 0), "\x00\x00\x00\x06tRNS"...))
	if got, ok := errors.AsType[*picture.Error](err); !ok || got.Problem != picture.TooLarge {
		t.Errorf("a transparent colour of 12 megapixels: %v", err)
	}
}

func TestLargePictureIsShrunk(t *testing.T) {
	src := image.NewGray(image.Rect(0, 0, 2*picture.KeptSide, 40))
	img, err := picture.Decode(encodePNG(t, src))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds(); got != image.Rect(0, 0, picture.KeptSide, 20) {
		t.Errorf("bounds %v", got)
	}
}
