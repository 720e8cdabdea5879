package picture

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"runtime/debug"
)

// MaxMemory bounds what decoding one picture may take at its peak, the file
// apart, in bytes.
const MaxMemory = 92_000_000

// large is where a picture takes enough memory to give back what earlier
// pictures left, which takes a few milliseconds. The collector would come to
// it too, but only while the new picture lies beside them.
const large = 20_000_000

// makeRoom refuses a picture that takes more than MaxMemory to decode, and
// frees memory for a large one.
func (c codec) makeRoom(data []byte, config image.Config) error {
	kind, needed := c.memory(data, config)
	if needed <= MaxMemory {
		if needed > large {
			debug.FreeOSMemory()
		}
		return nil
	}
	const tenths = 1e5
	most := math.Floor(float64(config.Width)*float64(config.Height)*MaxMemory/float64(needed)/tenths) / 10
	remedy := "save it as a baseline JPEG or scan at a lower resolution"
	if kind == baseline {
		remedy = "scan at a lower resolution"
	}
	return fault(TooLarge, "picture is %dx%d pixels, at most %.1f megapixels for %s (%s)",
		config.Width, config.Height, most, kind, remedy)
}

// memory names the kind of a picture, with its article, and estimates from
// above how many bytes decoding it takes at the peak.
func (c codec) memory(data []byte, config image.Config) (kind string, needed int64) {
	pixels := int64(config.Width) * int64(config.Height)
	switch c.name {
	case "JPEG":
		head := scanJPEG(data)
		f := head.frame
		f.rgb = f.rgb || head.untransformed && f.components == 3
		return f.kind(), int64(f.bytesPerPixel() * float64(pixels))
	case "TIFF":
		perPixel, detail := colourBytes(config.ColorModel)
		inflated := tiffInflated(data, config)
		if inflated > pixels*perPixel {
			detail = " compressed in large strips"
		}
		return "a TIFF" + detail, pixels*perPixel + inflated
	}
	perPixel, detail := colourBytes(config.ColorModel)
	if c.name == "PNG" {
		perPixel, detail = pngBytes(data, perPixel, detail)
	}
	return "a " + c.name + detail, pixels * perPixel
}

// pngBytes adds to what a PNG's colour model takes what the rest of its header
// asks for.
func pngBytes(data []byte, perPixel int64, detail string) (int64, string) {
	const interlace = 28 // in the IHDR chunk, which comes first
	if bytes.Contains(data, []byte("tRNS")) && detail == "" {
		perPixel, detail = 8+4, " with transparency"
	}
	if len(data) > interlace && data[interlace] != 0 {
		perPixel, detail = perPixel*2, detail+", interlaced" // each pass is a picture of its own
	}
	return perPixel, detail
}

// colourBytes returns how many bytes a pixel takes in a Go picture of a colour
// model, and in the copy of eight bits a sample made of it, if it is none of
// those that this package keeps.
func colourBytes(m color.Model) (perPixel int64, detail string) {
	switch m {
	case color.GrayModel:
		return 1, ""
	case color.Gray16Model:
		return 2 + 1, ""
	case color.RGBAModel:
		return 4, ""
	case color.NRGBAModel:
		return 4 + 4, " with transparency"
	case color.RGBA64Model, color.NRGBA64Model:
		return 8 + 4, " of 16 bits a colour"
	}
	return 1 + 4, " with a palette"
}

// tiffInflated returns how many bytes the largest strip or tile of a TIFF may
// take once it is unpacked. Golang's decoder allows eight bytes a pixel there,
// whatever the colours need, and grows its buffer by doubling: up to three
// times that, with the half that is being copied.
func tiffInflated(data []byte, config image.Config) int64 {
	const (
		tagCompression  = 259
		tagRowsPerStrip = 278
		tagTileWidth    = 322
		tagTileHeight   = 323
		most            = 3 * 8
	)
	switch tiffNumber(data, tagCompression) {
	case 0, 1, 3, 4: // none, which is limited by the size of the file, or black and white of a bit a pixel
		return 0
	}
	if w, h := tiffNumber(data, tagTileWidth), tiffNumber(data, tagTileHeight); w != 0 {
		return min(w, MaxSide) * min(h, MaxSide) * most
	}
	rows := tiffNumber(data, tagRowsPerStrip)
	if rows == 0 || rows > int64(config.Height) {
		rows = int64(config.Height)
	}
	return int64(config.Width) * rows * most
}

// A jpegFrame is what the frame header of a JPEG says (ITU-T T.81 B.2.2).
type jpegFrame struct {
	progressive bool
	components  int     // 0 if there is no header that can be understood
	rgb         bool    // three components that are not luma and chroma
	width       int     // pixels
	height      int     // the same; 0: the picture tells it at its end
	precision   int     // bits of a sample
	factors     [3]byte // of the first components: samples across, and down in the lower half
	samples     float64 // of a pixel, of all components: 1.5 for colour with 4:2:0
}

// frameHeader reads a SOF segment without its marker and length.
func frameHeader(marker byte, body []byte) jpegFrame {
	if len(body) < 6 {
		return jpegFrame{}
	}
	f := jpegFrame{
		progressive: marker == markerSOF2, components: int(body[5]),
		precision: int(body[0]), height: int(body[1])<<8 | int(body[2]), width: int(body[3])<<8 | int(body[4]),
	}
	if f.components == 0 || len(body) < 6+3*f.components {
		return jpegFrame{}
	}
	var sum, most int
	for i := range f.components {
		if i < len(f.factors) {
			f.factors[i] = body[7+3*i]
		}
		factors := int(body[7+3*i])
		area := (factors >> 4) * (factors & 15)
		sum += area
		most = max(most, area)
	}
	if most == 0 {
		return jpegFrame{}
	}
	f.samples = float64(sum) / float64(most)
	f.rgb = f.components == 3 && body[6] == 'R' && body[9] == 'G' && body[12] == 'B'
	return f
}

// bytesPerPixel is what decoding takes: a byte for each sample, four more for
// a coefficient of a progressive picture, and for colours other than luma and
// chroma up to two pictures of four bytes a pixel.
func (f jpegFrame) bytesPerPixel() float64 {
	perPixel := f.samples
	if f.progressive {
		perPixel *= 1 + 4
	}
	switch {
	case f.components == 0:
		return 3 * (1 + 4) // the most of an ordinary kind
	case f.components == 4:
		perPixel += 4 + 4
	case f.rgb:
		perPixel += 4
	}
	return perPixel
}

// baseline is the kind of picture that there is no better one for.
const baseline = "a JPEG without subsampled colour"

// kind names what takes the memory.
func (f jpegFrame) kind() string {
	switch {
	case f.components == 4:
		return "a JPEG of four colours"
	case f.progressive:
		return "a progressive JPEG"
	case f.rgb:
		return "a JPEG in RGB"
	}
	return baseline
}
