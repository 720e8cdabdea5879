package picture

import (
	"encoding/binary"
	"testing"
)

func FuzzOrientation(f *testing.F) {
	short := binary.LittleEndian.AppendUint32([]byte("II*\x00"), 8)
	f.Add(short)
	f.Add(append(short, "\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"...))
	f.Add([]byte("MM\x00*\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x08Exif\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o := exifOrientation(data); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
		head := scanJPEG(data)
		if o := exifOrientation(head.exif); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
		if head.scan >= len(data) {
			t.Errorf("scan at %d of %d", head.scan, len(data))
		}
	})
}
