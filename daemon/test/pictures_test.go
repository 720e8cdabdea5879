//go:build dlib && integration

package test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/facegate/facegate/daemon/internal/scene"
	"github.com/facegate/facegate/match/picture"
)

// scenes is the variable that names the folder of what TestMain has drawn.
const scenes = "FACEGATE_TEST_SCENES"

// TestMain draws the scenes once for all sites, because it takes long with the
// race detector.
func TestMain(m *testing.M) {
	os.Exit(withScenes(m))
}

func withScenes(m *testing.M) int {
	dir, err := os.MkdirTemp("", "scenes")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = errors.Join(drawScenes(dir, os.Getenv("FACEGATE_PICTURES")), os.Setenv(scenes, dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "draw the scenes (make test sets FACEGATE_PICTURES):", err)
		return 1
	}
	return m.Run()
}

// drawScenes makes folders of frames, one of the first person and one of
// nobody, and files of what people and scanners send.
func drawScenes(dir, from string) error {
	const frames = 24
	same, err := scene.FirstLive().Film(from, frames)
	if err != nil {
		return err
	}
	card, err := scene.FirstOnID().Card(from)
	if err != nil {
		return err
	}
	other, err := scene.Second().Card(from)
	if err != nil {
		return err
	}
	size := card.Bounds()
	both := image.NewRGBA(image.Rect(0, 0, size.Dx(), 2*size.Dy()))
	draw.Draw(both, size, card, image.Point{}, draw.Src)
	draw.Draw(both, size.Add(image.Pt(0, size.Dy())), other, image.Point{}, draw.Src)
	var asPNG bytes.Buffer
	errs := []error{
		scene.Save(filepath.Join(dir, "same"), same),
		scene.Save(filepath.Join(dir, "nobody"), scene.Film(nil, image.Rectangle{}, frames)),
		png.Encode(&asPNG, card),
		os.WriteFile(filepath.Join(dir, "card.png"), asPNG.Bytes(), 0o600),
	}
	for name, img := range map[string]image.Image{
		"card.jpg": card, "two.jpg": both, "turned.jpg": picture.Rotate(card, -1),
		"large.jpg": image.NewYCbCr(image.Rect(0, 0, 6300, 6300), image.YCbCrSubsampleRatio420),
	} {
		data, err := scene.JPEG(img)
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return errors.Join(errs...)
}

// Pictures are what people and scanners send.
type pictures struct {
	card, turned, png, two []byte // the card; turned, with EXIF to say so; as PNG; beside another person's
	cmyk, progressive      []byte // without a face
	large                  []byte // nearly as many pixels as there may be, without a face
}

func (s *site) pictures() pictures {
	s.t.Helper()
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		must(s.t, err)
		return data
	}
	const others = "../../match/picture/testdata/"
	return pictures{
		card: read(s.path("card.jpg")), turned: turnedClockwise(read(s.path("turned.jpg"))), png: read(s.path("card.png")), two: read(s.path("two.jpg")),
		cmyk: read(others + "cmyk.jpg"), progressive: read(others + "progressive.jpg"), large: read(s.path("large.jpg")),
	}
}

// turnedClockwise puts into a JPEG that it is to be turned clockwise by a
// quarter (EXIF orientation 6).
func turnedClockwise(data []byte) []byte {
	const exif = "\xff\xe1\x00\x22Exif\x00\x00" + "MM\x00*\x00\x00\x00\x08" + "\x00\x01" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + "\x00\x00\x00\x00"
	return append([]byte(string(data[:2])+exif), data[2:]...)
}

// pngHeader is the start of a PNG in colour that promises a size and has no
// pixels.
func pngHeader(width, height uint32, bits byte) []byte {
	const colourAndAlpha = 6
	chunk := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	chunk = append(binary.BigEndian.AppendUint32(chunk, height), bits, colourAndAlpha, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), chunk...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	return append(out, "\x00\x00\x10\x00IDAT\x78\x9c"...)
}

// resized changes the size in a baseline JPEG's frame header.
func resized(t *testing.T, data []byte, width, height uint16) []byte {
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

// progressiveHeader is the start of a progressive JPEG in full colour, up to
// and including the header of its first scan.
func progressiveHeader(width, height uint16) []byte {
	out := []byte("\xff\xd8" + "\xff\xdb\x00\x43\x00")
	out = append(out, bytes.Repeat([]byte{1}, 64)...)
	out = append(out, "\xff\xc2\x00\x11\x08"...)
	out = binary.BigEndian.AppendUint16(out, height)
	out = binary.BigEndian.AppendUint16(out, width)
	out = append(out, "\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"...)
	out = append(out, "\xff\xc4\x00\x14\x00\x01"+"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+"\x00"...) // one code: a difference of 0
	return append(out, "\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00\x00\x00\x00"...)
}
