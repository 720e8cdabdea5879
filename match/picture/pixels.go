package picture

import (
	"image"
	"image/color"
)

// A plane is one channel, or several interleaved ones, of a picture.
type plane struct {
	pix           []byte // from its first pixel on
	stride        int
	width, height int
}

// planes returns the planes of m's visible part. Where that begins at an odd
// place of subsampled chroma, the chroma is off by less than one sample.
func planes(m *image.YCbCr) (y, cb, cr plane) {
	b := m.Rect
	if b.Empty() {
		return plane{}, plane{}, plane{}
	}
	cw, ch := chromaSize(m.SubsampleRatio, b.Dx(), b.Dy())
	at := m.COffset(b.Min.X, b.Min.Y)
	y = plane{m.Y[m.YOffset(b.Min.X, b.Min.Y):], m.YStride, b.Dx(), b.Dy()}
	cb = plane{m.Cb[at:], m.CStride, cw, ch}
	cr = plane{m.Cr[at:], m.CStride, cw, ch}
	return y, cb, cr
}

// chromaSize returns the size of the chroma planes of a picture.
func chromaSize(r image.YCbCrSubsampleRatio, w, h int) (cw, ch int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return (w + 1) / 2, h
	case image.YCbCrSubsampleRatio420:
		return (w + 1) / 2, (h + 1) / 2
	case image.YCbCrSubsampleRatio440:
		return w, (h + 1) / 2
	case image.YCbCrSubsampleRatio411:
		return (w + 3) / 4, h
	case image.YCbCrSubsampleRatio410:
		return (w + 3) / 4, (h + 1) / 2
	}
	return w, h
}

// Plain returns img as one of the three kinds of picture of this package, and
// img itself if it is one. Transparency becomes white.
func Plain(img image.Image) image.Image {
	switch m := img.(type) {
	case *image.YCbCr, *image.Gray:
		return img
	case *image.RGBA:
		if m.Opaque() {
			return img
		}
	case *image.Gray16:
		out := image.NewGray(image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()))
		for y := range m.Rect.Dy() {
			row, to := m.Pix[y*m.Stride:], out.Pix[y*out.Stride:][:m.Rect.Dx()]
			for x := range to {
				to[x] = row[2*x] // big-endian: the upper half
			}
		}
		return out
	}
	return toRGBA(img)
}

// Crop returns the part of img inside r, which is in img's coordinates. The
// result shares img's pixels and keeps their coordinates; it is empty where
// the two don't meet.
func Crop(img image.Image, r image.Rectangle) image.Image {
	if m, ok := img.(interface {
		SubImage(image.Rectangle) image.Image
	}); ok {
		return m.SubImage(r)
	}
	r = r.Intersect(img.Bounds())
	out := toRGBA(cropped{img, r})
	out.Rect = r
	return out
}

// cropped is a view of a picture that has no SubImage of its own.
type cropped struct {
	image.Image
	bounds image.Rectangle
}

// Bounds returns the bounds of the view.
func (c cropped) Bounds() image.Rectangle { return c.bounds }

// Luma returns the brightness of the part of img inside r, in img's
// coordinates. It shares the pixels of an [*image.YCbCr] or [*image.Gray],
// so it must not be written to.
func Luma(img image.Image, r image.Rectangle) *image.Gray {
	r = r.Intersect(img.Bounds())
	if r.Empty() {
		return &image.Gray{}
	}
	switch m := img.(type) {
	case *image.Gray:
		return &image.Gray{Pix: m.Pix[m.PixOffset(r.Min.X, r.Min.Y):], Stride: m.Stride, Rect: r}
	case *image.YCbCr:
		return &image.Gray{Pix: m.Y[m.YOffset(r.Min.X, r.Min.Y):], Stride: m.YStride, Rect: r}
	case *image.RGBA:
		return rgbaLuma(m, r)
	}
	out := image.NewGray(r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			out.SetGray(x, y, color.GrayModel.Convert(img.At(x, y)).(color.Gray))
		}
	}
	return out
}

// rgbaLuma weighs the channels as JPEG does (ITU-R BT.601), in 1/65536.
func rgbaLuma(m *image.RGBA, r image.Rectangle) *image.Gray {
	out := image.NewGray(r)
	for y := range r.Dy() {
		row := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
		to := out.Pix[y*out.Stride:][:r.Dx()]
		for x := range to {
			p := row[4*x:][:3]
			to[x] = byte((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
		}
	}
	return out
}
