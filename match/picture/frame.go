package picture

import "image"

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
	if len(data) == 0 {
		return nil, fault(Empty, "frame is empty")
	}
	if format == "jpeg" {
		return jpegCodec().read(withTables(data))
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
		return yuyvFrame(width, height, stride, data), nil
	case "nv12":
		data, stride, err := rawFrame(data, stride, even, height+(height+1)/2)
		if err != nil {
			return nil, err
		}
		return nv12Frame(width, height, stride, data), nil
	case "grey":
		data, stride, err := rawFrame(data, stride, width, height)
		if err != nil {
			return nil, err
		}
		return &image.Gray{Pix: data, Stride: stride, Rect: image.Rect(0, 0, width, height)}, nil
	}
	return nil, fault(Format, "frame format %q is not known", format)
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
func yuyvFrame(width, height, stride int, data []byte) image.Image {
	out := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio422)
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
	return out
}

// nv12Frame copies the luma and separates the chroma.
func nv12Frame(width, height, stride int, data []byte) image.Image {
	out := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
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
	return out
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
