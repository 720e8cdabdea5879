package picture

import (
	"image"

	"github.com/facegate/facegate/match/picture/turbo"
)

// Frame turns one camera frame into a picture. The formats are "jpeg",
// "yuyv", "nv12" and "grey", laid out as package capture describes.
//
// Width, height and stride are those of the raw formats; a stride of 0 means
// rows without padding. A JPEG's size is read from its own header, whatever
// the arguments say; missing Huffman tables are filled in and bytes after its
// end ignored. Luma and chroma are passed on as the camera delivers them, see
// [Widen].
//
// A grey picture shares data, all others don't. Every error is an [*Error].
func Frame(format string, width, height, stride int, data []byte) (image.Image, error) {
	return new(Frames).Next(format, width, height, stride, data)
}

// Frames turns one camera frame after the other into pictures. They share memory:
// each is good until the next. The zero value is ready for use.
type Frames struct {
	colour  *image.YCbCr    // the last of that kind
	whole   image.Rectangle // its planes
	grey    *image.Gray     // the same, of a JPEG
	refused int             // JPEGs in a row that package turbo left to image/jpeg, which read them
}

// Next is [Frame] for the next frame.
func (f *Frames) Next(format string, width, height, stride int, data []byte) (image.Image, error) {
	if len(data) == 0 {
		return nil, fault(Empty, "frame is empty")
	}
	if format == "jpeg" {
		return f.jpeg(data)
	}
	if err := checkSize(int64(width), int64(height)); err != nil {
		return nil, err
	}
	even := width + width&1 // both raw colour formats share chroma between two pixels
	switch format {
	case "yuyv":
		data, stride, err := rawFrame(data, stride, 2*even, height)
		if err != nil {
			return nil, err
		}
		out := f.room(width, height, 1, image.YCbCrSubsampleRatio422)
		yuyvFrame(out, stride, data)
		return out, nil
	case "nv12":
		data, stride, err := rawFrame(data, stride, even, height+(height+1)/2)
		if err != nil {
			return nil, err
		}
		out := f.room(width, height, 1, image.YCbCrSubsampleRatio420)
		nv12Frame(out, stride, data)
		return out, nil
	case "grey":
		data, stride, err := rawFrame(data, stride, width, height)
		if err != nil {
			return nil, err
		}
		return &image.Gray{Pix: data, Stride: stride, Rect: image.Rect(0, 0, width, height)}, nil
	}
	return nil, fault(Format, "frame format %q is not known", format)
}

// peculiar is the number of refused frames in a row after which a camera is taken for
// one whose every frame is: then it is not decoded twice.
const peculiar = 30

// jpeg decodes one, by package turbo if it is plain and whole.
func (f *Frames) jpeg(data []byte) (image.Image, error) {
	if f.refused < peculiar {
		if img := f.turbo(data); img != nil {
			f.refused = 0
			return img, nil
		}
	}
	img, err := jpegCodec().read(withTables(data))
	if err == nil {
		f.refused++
	}
	return img, err
}

// block is what the sides of a plane are a multiple of that has room for whole
// blocks of a JPEG, however the chroma is subsampled.
const block = 16

// room returns a picture in colour, whose planes have sides that are a multiple.
// What was in it is not cleared.
func (f *Frames) room(width, height, multiple int, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	whole, shown := wholes(width, height, multiple), image.Rect(0, 0, width, height)
	if f.colour == nil || f.whole != whole || f.colour.Rect != shown || f.colour.SubsampleRatio != ratio {
		f.whole, f.colour = whole, image.NewYCbCr(whole, ratio)
		f.colour.Rect = shown
	}
	return f.colour
}

// greyRoom is room for one without colour.
func (f *Frames) greyRoom(width, height int) *image.Gray {
	shown := image.Rect(0, 0, width, height)
	if f.grey == nil || f.grey.Rect != shown {
		f.grey = image.NewGray(wholes(width, height, block))
		f.grey.Rect = shown
	}
	return f.grey
}

// wholes returns the least rectangle that holds width by height and whose sides are a multiple.
func wholes(width, height, multiple int) image.Rectangle {
	whole := func(v int) int { return (v + multiple - 1) / multiple * multiple }
	return image.Rect(0, 0, whole(width), whole(height))
}

// turboPixels is the most of a frame that is given to package turbo.
const turboPixels = 3840 * 2160

// turbo decodes what most cameras deliver. It returns nil for anything else, and
// for what is wrong in any way.
func (f *Frames) turbo(data []byte) image.Image {
	head := scanJPEG(data)
	h := head.frame
	if checkSize(int64(h.width), int64(h.height)) != nil || h.width*h.height > turboPixels || h.progressive ||
		h.precision != 8 || h.rgb || head.untransformed || exifOrientation(head.exif) != upright {
		return nil
	}
	if h.components == 1 && h.factors[0] == 0x11 {
		if img := f.greyRoom(h.width, h.height); turbo.Gray(data, img) {
			return img
		}
		return nil
	}
	if h.components != 3 || h.factors[1] != 0x11 || h.factors[2] != 0x11 {
		return nil
	}
	var ratio image.YCbCrSubsampleRatio
	switch h.factors[0] {
	case 0x11:
		ratio = image.YCbCrSubsampleRatio444
	case 0x21:
		ratio = image.YCbCrSubsampleRatio422
	case 0x22:
		ratio = image.YCbCrSubsampleRatio420
	default:
		return nil
	}
	if img := f.room(h.width, h.height, block, ratio); turbo.Color(data, img) {
		return img
	}
	return nil
}

// rawFrame checks that data holds so many rows, of which the last may lack
// its padding, and returns the data that counts and the true stride.
func rawFrame(data []byte, stride, rowBytes, rows int) ([]byte, int, error) {
	if stride == 0 {
		stride = rowBytes
	}
	if stride < rowBytes || stride > MaxBytes {
		return nil, 0, fault(Damaged, "frame has rows of %d bytes, %d are needed", stride, rowBytes)
	}
	// Below 2^40, so it can't overflow.
	want := int64(stride)*int64(rows-1) + int64(rowBytes)
	if int64(len(data)) < want {
		return nil, 0, fault(Truncated, "frame has %d bytes, %d are needed", len(data), want)
	}
	return data[:want], stride, nil
}

// yuyvFrame separates the bytes of Y0 U Y1 V.
func yuyvFrame(out *image.YCbCr, stride int, data []byte) {
	width, height := out.Rect.Dx(), out.Rect.Dy()
	for y := range height {
		row := data[y*stride:]
		luma := out.Y[y*out.YStride:][:width]
		pairs := (width + 1) / 2
		cb := out.Cb[y*out.CStride:][:pairs]
		cr := out.Cr[y*out.CStride:][:pairs]
		for i := range width / 2 {
			p, l := row[4*i:4*i+4:4*i+4], luma[2*i:2*i+2:2*i+2]
			l[0], cb[i], l[1], cr[i] = p[0], p[1], p[2], p[3]
		}
		if width&1 == 1 {
			p := row[4*(pairs-1):][:4]
			luma[width-1], cb[pairs-1], cr[pairs-1] = p[0], p[1], p[3]
		}
	}
}

// nv12Frame copies the luma and separates the chroma.
func nv12Frame(out *image.YCbCr, stride int, data []byte) {
	width, height := out.Rect.Dx(), out.Rect.Dy()
	for y := range height {
		copy(out.Y[y*out.YStride:][:width], data[y*stride:])
	}
	for y := range (height + 1) / 2 {
		row := data[(height+y)*stride:][:2*out.CStride]
		cb, cr := out.Cb[y*out.CStride:][:out.CStride], out.Cr[y*out.CStride:][:out.CStride]
		for x := range cb {
			cb[x], cr[x] = row[2*x], row[2*x+1]
		}
	}
}

// Widen stretches a picture of [Frame] from the range that raw formats usually
// have, 16 to 235 for luma and 16 to 240 for chroma (ITU-R BT.601), to 0 to 255.
// Without it a picture that is nothing but light would seem to have none too
// much. It changes the picture, but not a grey one, which shares its memory.
func Widen(img image.Image) image.Image {
	switch p := img.(type) {
	case *image.YCbCr:
		widen(p.Y, p.Y, &wideLuma)
		widen(p.Cb, p.Cb, &wideChroma)
		widen(p.Cr, p.Cr, &wideChroma)
	case *image.Gray:
		wide := *p
		wide.Pix = make([]byte, len(p.Pix))
		widen(wide.Pix, p.Pix, &wideLuma)
		return &wide
	}
	return img
}

var wideLuma, wideChroma = wideFrom(16, 219), wideFrom(128-112, 224)

// wideFrom maps least to 0 and what is span above it to 255.
func wideFrom(least, span int) (table [256]byte) {
	for v := range table {
		table[v] = byte(min(255, max(0, ((v-least)*255+span/2)/span)))
	}
	return table
}

func widen(to, from []byte, table *[256]byte) {
	for i, v := range from {
		to[i] = table[v]
	}
}
