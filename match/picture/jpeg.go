package picture

import (
	"bytes"
	"image"
	"image/jpeg"
)

// JPEG markers, ITU-T T.81 table B.1.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerRST0  = 0xd0
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
	markerTEM   = 0x01
)

// maxScans bounds the scans of one JPEG. Each scan of a progressive picture
// visits every block but may cost a few bytes of file, so that a small file
// could keep a core busy for minutes; real encoders write about ten.
const maxScans = 200

// checkScans refuses a JPEG made to burn time. Entropy-coded data never
// contains the two bytes of a marker, so counting them is enough.
func checkScans(data []byte) error {
	if n := bytes.Count(data, []byte{0xff, markerSOS}); n > maxScans {
		return fault(Damaged, "JPEG picture has %d scans, at most %d", n, maxScans)
	}
	return nil
}

// A jpegHead is what stands before the first scan of a JPEG.
type jpegHead struct {
	frame  jpegFrame // of the first frame header
	exif   []byte    // the TIFF structure of the first EXIF segment
	tables bool      // Huffman tables were defined
	scan   int       // offset of the first scan's marker, or -1

	untransformed bool // three components are red, green and blue, says an Adobe segment
}

// scanJPEG walks the segments up to the first scan. It never fails: what it
// can't follow is left to the decoder to complain about.
func scanJPEG(data []byte) jpegHead {
	head := jpegHead{scan: -1}
	for i := 0; i+1 < len(data); {
		if data[i] != 0xff || data[i+1] == 0xff || data[i+1] == 0 {
			i++ // extraneous or fill bytes, tolerated as by decoders
			continue
		}
		marker := data[i+1]
		switch {
		case marker == markerSOS:
			head.scan = i
			return head
		case marker == markerEOI:
			return head
		case marker == markerTEM, marker >= markerRST0 && marker <= markerSOI:
			i += 2 // markers without a length
			continue
		}
		if i+4 > len(data) {
			return head
		}
		length := int(data[i+2])<<8 | int(data[i+3])
		end := i + 2 + length
		if length < 2 || end > len(data) {
			return head
		}
		head.segment(marker, data[i+4:end])
		i = end
	}
	return head
}

// segment notes what a segment says.
func (h *jpegHead) segment(marker byte, body []byte) {
	switch marker {
	case markerSOF0, markerSOF0 + 1, markerSOF2:
		if h.frame.components == 0 {
			h.frame = frameHeader(marker, body)
		}
	case markerDHT:
		h.tables = true
	case markerAPP1:
		if tiff, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok && h.exif == nil {
			h.exif = tiff
		}
	case markerAPP14:
		if len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")) {
			h.untransformed = body[11] == 0
		}
	}
}

// standardTables is a segment with the four Huffman tables of ITU-T T.81
// annex K.3: DC luminance, AC luminance, DC chrominance, AC chrominance, each
// as class and number, sixteen counts of codes by length, and the values.
const standardTables = "\xff\xc4\x01\xa2" +
	"\x00" + "\x00\x01\x05\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b" +
	"\x10" + "\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d" +
	"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07" +
	"\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0" +
	"\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28" +
	"\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49" +
	"\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69" +
	"\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89" +
	"\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7" +
	"\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5" +
	"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2" +
	"\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
	"\xf9\xfa" +
	"\x01" + "\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b" +
	"\x11" + "\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77" +
	"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71" +
	"\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0" +
	"\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26" +
	"\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48" +
	"\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68" +
	"\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87" +
	"\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5" +
	"\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3" +
	"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda" +
	"\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
	"\xf9\xfa"

// withTables returns data with the standard Huffman tables before its first
// scan if it defines none, as the MJPEG of USB cameras may.
func withTables(data []byte) []byte {
	head := scanJPEG(data)
	if head.tables || head.scan < 0 {
		return data
	}
	full := make([]byte, 0, len(data)+len(standardTables))
	full = append(full, data[:head.scan]...)
	full = append(full, standardTables...)
	return append(full, data[head.scan:]...)
}

// JPEG writes img as a baseline JPEG of three components, also when it is
// grey, because some readers refuse one. Quality is 1 to 100.
func JPEG(img image.Image, quality int) ([]byte, error) {
	switch m := img.(type) {
	case *image.YCbCr, *image.RGBA:
	case *image.Gray:
		img = colourless(m)
	default:
		img = Plain(img)
		if m, ok := img.(*image.Gray); ok {
			img = colourless(m)
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// colourless views m as a colour picture. All rows share one row of neutral
// chroma, hence the stride of 0.
func colourless(m *image.Gray) *image.YCbCr {
	neutral := bytes.Repeat([]byte{128}, m.Rect.Dx()/2+2)
	return &image.YCbCr{
		Y: m.Pix, YStride: m.Stride,
		Cb: neutral, Cr: neutral, CStride: 0,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           m.Rect,
	}
}
