package picture

import "encoding/binary"

// unknownSize leaves the size to the decoder.
func unknownSize([]byte) (width, height int64) { return 0, 0 }

// pngSize reads the IHDR chunk, which comes first.
func pngSize(data []byte) (width, height int64) {
	if len(data) < 24 || string(data[12:16]) != "IHDR" {
		return 0, 0
	}
	return int64(binary.BigEndian.Uint32(data[16:])), int64(binary.BigEndian.Uint32(data[20:]))
}

// bmpSize reads a BITMAPINFOHEADER or one of its successors. Rows from the
// top down have a negative height.
func bmpSize(data []byte) (width, height int64) {
	if len(data) < 26 || binary.LittleEndian.Uint32(data[14:]) < 40 {
		return 0, 0
	}
	width = int64(int32(binary.LittleEndian.Uint32(data[18:])))
	height = int64(int32(binary.LittleEndian.Uint32(data[22:])))
	return width, max(height, -height)
}

// tiffSize reads the first directory.
func tiffSize(data []byte) (width, height int64) {
	const tagWidth, tagHeight = 256, 257
	return tiffNumber(data, tagWidth), tiffNumber(data, tagHeight)
}

// tiffNumber returns the first number of a tag in the first directory of a
// TIFF structure (TIFF 6.0 section 2), and 0 if there is none.
func tiffNumber(data []byte, tag uint16) int64 {
	const (
		typeShort = 3
		typeLong  = 4
		entrySize = 12
	)
	if len(data) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(data[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	start := int64(order.Uint32(data[4:]))
	if start+2 > int64(len(data)) {
		return 0
	}
	entries := data[start+2:]
	for range order.Uint16(data[start:]) {
		if len(entries) < entrySize {
			return 0
		}
		if order.Uint16(entries) == tag {
			switch order.Uint16(entries[2:]) {
			case typeShort:
				return int64(order.Uint16(entries[8:]))
			case typeLong:
				return int64(order.Uint32(entries[8:]))
			}
			return 0
		}
		entries = entries[entrySize:]
	}
	return 0
}

// looksLike names what people send by mistake.
func looksLike(data []byte) string {
	at := func(offset int, s string) bool {
		return len(data) >= offset+len(s) && string(data[offset:offset+len(s)]) == s
	}
	switch {
	case at(0, "%PDF"):
		return " but a PDF document (send the page as a picture)"
	case at(4, "ftyphei"), at(4, "ftypmif1"), at(4, "ftypavif"):
		return " but HEIC or AVIF (set the phone's camera to the most compatible format)"
	case at(0, "RIFF") && at(8, "WEBP"):
		return " but WebP (save it as JPEG or PNG)"
	case at(0, "GIF8"):
		return " but GIF (save it as PNG)"
	case at(0, "data:"), at(0, "/9j/"), at(0, "iVBOR"):
		return " but base64 text (decode it first)"
	}
	return ""
}
