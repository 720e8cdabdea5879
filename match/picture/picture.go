// Package picture turns bytes into pixels: [Decode] reads the still pictures
// that people and scanners send, [Frame] the frames that cameras deliver, and
// a few functions cut, turn, shrink and write pictures on the way to an
// engine. It finds no faces and keeps nothing.
//
//	bytes ─► size ─► format by content ─► dimensions ─► pixels ─► upright
//
// The bytes come from outside, so every limit is checked before the memory
// that it protects is allocated. All pictures made here are one of
// [*image.YCbCr], [*image.Gray] or an opaque [*image.RGBA], with eight bits a
// sample. Kinds that take more memory to decode than [MaxMemory] may have fewer
// pixels: a progressive JPEG, or a PNG of 16 bits a sample. Decode one at a time.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// The limits of a picture.
const (
	MaxBytes  = 15 << 20   // 15 MiB as a file
	MaxPixels = 40_000_000 // 40 megapixels
	MaxSide   = 65_535     // pixels, what JPEG can express; it also bounds the padding of TIFF tiles
)

// KeptSide is the longest side of a decoded picture, in pixels: larger ones are
// shrunk to it. A sheet of A4 scanned at 300 dots per inch is not.
const KeptSide = 3600

// A Problem is the kind of reason why a picture can't be used.
type Problem string

// The problems, a closed list.
const (
	Empty     Problem = "empty"     // no bytes at all
	TooLarge  Problem = "too_large" // more bytes or pixels than the limits allow
	Format    Problem = "format"    // not a picture, or of a kind that is not read
	Truncated Problem = "truncated" // it ends too early
	Damaged   Problem = "damaged"   // anything else that is wrong with its bytes
)

// An Error says why a picture can't be used, in words for an operator.
type Error struct {
	Problem Problem
	text    string
}

// Error returns the reason, with the remedy where there is one.
func (e *Error) Error() string { return e.text }

func fault(p Problem, format string, args ...any) error {
	return &Error{Problem: p, text: fmt.Sprintf(format, args...)}
}

// A codec reads one format.
type codec struct {
	name   string
	magic  string
	size   func(data []byte) (width, height int64) // as promised by the header; 0 if it can't be told
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

func codecs() []codec {
	return []codec{
		jpegCodec(),
		{"PNG", "\x89PNG", pngSize, png.DecodeConfig, png.Decode},
		{"TIFF", "II*\x00", tiffSize, tiff.DecodeConfig, tiff.Decode},
		{"TIFF", "MM\x00*", tiffSize, tiff.DecodeConfig, tiff.Decode},
		{"BMP", "BM", bmpSize, bmp.DecodeConfig, bmp.Decode},
	}
}

func jpegCodec() codec {
	return codec{"JPEG", "\xff\xd8", unknownSize, jpeg.DecodeConfig, jpeg.Decode}
}

// Decode reads a JPEG, PNG, BMP or TIFF picture, told apart by content, and
// turns it upright by its EXIF or TIFF orientation. Transparency becomes
// white. A side is [KeptSide] pixels at most: longer ones are shrunk. Of a TIFF with several pages the first is read. Every error is an
// [*Error]. The result does not refer to data.
func Decode(data []byte) (image.Image, error) {
	if len(data) == 0 {
		return nil, fault(Empty, "picture is empty")
	}
	if len(data) > MaxBytes {
		return nil, fault(TooLarge, "picture has more than %d MiB (save it as JPEG or scan at a lower resolution)", MaxBytes>>20)
	}
	for _, c := range codecs() {
		if bytes.HasPrefix(data, []byte(c.magic)) {
			return c.read(data)
		}
	}
	return nil, fault(Format, "not a JPEG, PNG, BMP or TIFF picture%s", looksLike(data))
}

// read decodes data after looking at what its header promises.
func (c codec) read(data []byte) (image.Image, error) {
	turn := upright
	switch c.name {
	case "JPEG":
		if err := checkScans(data); err != nil {
			return nil, err
		}
		turn = exifOrientation(scanJPEG(data).exif)
	case "TIFF":
		turn = exifOrientation(data)
	}
	// On 32-bit machines the decoders refuse huge pictures in other words.
	if width, height := c.size(data); width != 0 && height != 0 {
		if err := checkSize(width, height); err != nil {
			return nil, err
		}
	}
	config, err := c.config(bytes.NewReader(data))
	if err != nil {
		return nil, c.fault(data, err)
	}
	if err := checkSize(int64(config.Width), int64(config.Height)); err != nil {
		return nil, err
	}
	if err := c.makeRoom(data, config); err != nil {
		return nil, err
	}
	img, err := c.decode(bytes.NewReader(data))
	if err != nil {
		return nil, c.fault(data, err)
	}
	kept, _ := Scale(Plain(img), KeptSide)
	return orient(kept, turn), nil
}

// fault sorts the error of decoding data.
func (c codec) fault(data []byte, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || c.unfinished(data) {
		return fault(Truncated, "%s picture is cut off (send it again)", c.name)
	}
	_, inJPEG := errors.AsType[jpeg.UnsupportedError](err)
	_, inPNG := errors.AsType[png.UnsupportedError](err)
	_, inTIFF := errors.AsType[tiff.UnsupportedError](err)
	if inJPEG || inPNG || inTIFF || errors.Is(err, bmp.ErrUnsupported) {
		return fault(Format, "this kind of %s picture is not supported: %v (save it as plain JPEG or PNG)", c.name, err)
	}
	return fault(Damaged, "%s picture is damaged: %v", c.name, err)
}

// unfinished tells whether the mark that ends a JPEG or PNG is missing. Their
// decoders report some cuts as damage.
func (c codec) unfinished(data []byte) bool {
	switch c.name {
	case "JPEG":
		scan := bytes.LastIndex(data, []byte{0xff, markerSOS})
		return scan >= 0 && !bytes.Contains(data[scan:], []byte{0xff, markerEOI})
	case "PNG":
		return !bytes.Contains(data, []byte("IEND"))
	}
	return false
}

// checkSize refuses dimensions beyond the limits before anything is allocated
// for them.
func checkSize(width, height int64) error {
	switch {
	case width <= 0 || height <= 0:
		return fault(Damaged, "picture has no pixels (%dx%d)", width, height)
	case width*height > MaxPixels:
		return fault(TooLarge, "picture is %dx%d pixels, at most %d megapixels (scan at a lower resolution)",
			width, height, MaxPixels/1_000_000)
	case width > MaxSide || height > MaxSide:
		return fault(TooLarge, "picture is %dx%d pixels, at most %d on a side", width, height, MaxSide)
	}
	return nil
}
