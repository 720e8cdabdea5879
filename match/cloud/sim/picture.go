package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	_ "image/jpeg" // to decode
	_ "image/png"  // to decode
	"slices"
)

// maxPixels bounds a picture that is decoded.
const maxPixels = 64 << 20

// inspect checks a picture: JPEG or PNG by its first bytes, nothing in it but
// what is needed to show it, and whole.
func inspect(data []byte) (size image.Point, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		err = bareJPEG(data)
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		err = barePNG(data)
	default:
		return image.Point{}, errors.New("is neither JPEG nor PNG")
	}
	if err != nil {
		return image.Point{}, err
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return image.Point{}, fmt.Errorf("cannot be decoded: %w", err)
	}
	if c.Width*c.Height > maxPixels {
		return image.Point{}, fmt.Errorf("has %d by %d pixels, too many", c.Width, c.Height)
	}
	if _, _, err := image.Decode(bytes.NewReader(data)); err != nil {
		return image.Point{}, fmt.Errorf("cannot be decoded: %w", err)
	}
	return image.Pt(c.Width, c.Height), nil
}

// bareJPEG refuses a JPEG (ITU-T T.81 annex B) with anything but tables,
// frames, scans and a JFIF header without a thumbnail.
func bareJPEG(data []byte) error {
	const sof0, rst0, soi, eoi, sos, app0, app15, com = 0xc0, 0xd0, 0xd8, 0xd9, 0xda, 0xe0, 0xef, 0xfe
	at := 2
	for {
		if at+2 > len(data) || data[at] != 0xff {
			return fmt.Errorf("has no JPEG marker at byte %d", at)
		}
		marker := data[at+1]
		at += 2
		switch {
		case marker == eoi && at == len(data):
			return nil
		case marker == eoi:
			return fmt.Errorf("has %d bytes after its end", len(data)-at)
		case marker < sof0, marker >= rst0 && marker <= soi, marker > app15 && marker != com:
			return fmt.Errorf("has a stray JPEG marker %#02x at byte %d", marker, at-2)
		}
		if at+2 > len(data) {
			return errors.New("ends within a JPEG segment")
		}
		length := int(binary.BigEndian.Uint16(data[at:]))
		if length < 2 || at+length > len(data) {
			return errors.New("ends within a JPEG segment")
		}
		body := data[at+2 : at+length]
		at += length
		switch {
		case marker == app0 && bareJFIF(body):
		case marker >= app0 && marker <= app15:
			return fmt.Errorf("has metadata: an APP%d segment of %d bytes", marker-app0, len(body))
		case marker == com:
			return fmt.Errorf("has metadata: a comment of %d bytes", len(body))
		case marker == sos:
			at += scan(data[at:])
		}
	}
}

// bareJFIF reports whether an APP0 segment is a JFIF header without thumbnail.
func bareJFIF(body []byte) bool {
	return len(body) == 14 && string(body[:5]) == "JFIF\x00" && body[12] == 0 && body[13] == 0
}

// scan returns the length of the entropy-coded data up to the next marker that
// is no restart.
func scan(data []byte) int {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != 0xff {
			continue
		}
		if m := data[i+1]; m != 0 && (m < 0xd0 || m > 0xd7) {
			return i
		}
	}
	return len(data)
}

// barePNG refuses a PNG with chunks that are not needed to show it.
func barePNG(data []byte) error {
	needed := []string{"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "sBIT", "bKGD", "pHYs"}
	rest := data[8:]
	for {
		if len(rest) < 12 {
			return errors.New("ends within a PNG chunk")
		}
		length := int64(binary.BigEndian.Uint32(rest))
		if length > int64(len(rest)-12) {
			return errors.New("ends within a PNG chunk")
		}
		name, end := string(rest[4:8]), 8+int(length)
		if crc32.ChecksumIEEE(rest[4:end]) != binary.BigEndian.Uint32(rest[end:]) {
			return fmt.Errorf("has a PNG chunk %q with a wrong checksum", name)
		}
		if !slices.Contains(needed, name) {
			return fmt.Errorf("has metadata: a PNG chunk %q of %d bytes", name, length)
		}
		rest = rest[end+4:]
		if name == "IEND" && len(rest) > 0 {
			return fmt.Errorf("has %d bytes after its end", len(rest))
		}
		if name == "IEND" {
			return nil
		}
	}
}

// A picture is one that came with a request and is sound.
type picture struct {
	data []byte
	size image.Point // pixels
}

// picture inspects one and refuses it if it is not sound.
func (x *exchange) picture(name string, data []byte, refusal answer) picture {
	size, err := inspect(data)
	if err != nil {
		x.refuse(refusal, "%s %v", name, err)
	}
	return picture{data: data, size: size}
}
