package picture

import (
	"image"
	"image/draw"
)

// An orientation is the value of the EXIF tag of that name, 1 to 8.
type orientation int

// The orientations that are right angles without a mirror.
const (
	upright       orientation = 1
	upsideDown    orientation = 3
	clockwise     orientation = 6 // to be turned clockwise by a quarter
	anticlockwise orientation = 8
)

// exifOrientation reads the orientation from a TIFF structure (EXIF 2.3
// section 4.6). Anything odd is taken for upright: a wrong orientation is no
// reason to refuse a picture.
func exifOrientation(tiff []byte) orientation {
	const tagOrientation = 0x0112
	if o := tiffNumber(tiff, tagOrientation); o >= 1 && o <= 8 {
		return orientation(o)
	}
	return upright
}

// Rotate turns img clockwise by quarterTurns right angles; negative values
// turn the other way. The result begins at (0, 0); if there is nothing to turn,
// it is img itself.
func Rotate(img image.Image, quarterTurns int) image.Image {
	turns := [4]orientation{upright, clockwise, upsideDown, anticlockwise}
	return orient(img, turns[quarterTurns&3])
}

// orient returns the picture that a stored img of orientation o shows.
func orient(img image.Image, o orientation) image.Image {
	if o == upright {
		return img
	}
	b := img.Bounds()
	shape := image.Rect(0, 0, b.Dx(), b.Dy())
	if o >= 5 {
		shape = image.Rect(0, 0, b.Dy(), b.Dx())
	}
	switch m := img.(type) {
	case *image.Gray:
		out := image.NewGray(shape)
		turnPlane(out.Pix, plane{m.Pix, m.Stride, b.Dx(), b.Dy()}, 1, o)
		return out
	case *image.RGBA:
		out := image.NewRGBA(shape)
		turnPlane(out.Pix, plane{m.Pix, m.Stride, b.Dx(), b.Dy()}, 4, o)
		return out
	case *image.YCbCr:
		ratio, ok := turnedRatio(m.SubsampleRatio, o)
		if !ok {
			break
		}
		out := image.NewYCbCr(shape, ratio)
		y, cb, cr := planes(m)
		turnPlane(out.Y, y, 1, o)
		turnPlane(out.Cb, cb, 1, o)
		turnPlane(out.Cr, cr, 1, o)
		return out
	}
	return orient(toRGBA(img), o)
}

// turnedRatio returns the chroma subsampling of a turned picture, and false
// if Go has no name for it.
func turnedRatio(r image.YCbCrSubsampleRatio, o orientation) (image.YCbCrSubsampleRatio, bool) {
	if o < 5 {
		return r, true
	}
	switch r {
	case image.YCbCrSubsampleRatio422:
		return image.YCbCrSubsampleRatio440, true
	case image.YCbCrSubsampleRatio440:
		return image.YCbCrSubsampleRatio422, true
	case image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio444:
		return r, true
	}
	return r, false
}

// turnPlane writes src, of size bytes a pixel, turned by o to dst, whose rows
// have no padding.
func turnPlane(dst []byte, src plane, size int, o orientation) {
	w, h := src.width, src.height
	// The pixel (x, y) of src goes to start + x*dx + y*dy.
	var start, dx, dy int
	switch o {
	case 2:
		start, dx, dy = w-1, -1, w
	case 3:
		start, dx, dy = w*h-1, -1, -w
	case 4:
		start, dx, dy = w*(h-1), 1, -w
	case 5:
		start, dx, dy = 0, h, 1
	case 6:
		start, dx, dy = h-1, h, -1
	case 7:
		start, dx, dy = h*w-1, -h, -1
	case 8:
		start, dx, dy = h*(w-1), -h, 1
	}
	for y := range h {
		row := src.pix[y*src.stride:][:w*size]
		to := start + y*dy
		if size == 1 {
			for _, v := range row {
				dst[to] = v
				to += dx
			}
			continue
		}
		for len(row) > 0 {
			copy(dst[to*size:(to+1)*size], row[:size])
			row = row[size:]
			to += dx
		}
	}
}

// toRGBA copies img over white, at (0, 0).
func toRGBA(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	op := draw.Src
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() {
		draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
		op = draw.Over
	}
	draw.Draw(out, out.Rect, img, b.Min, op)
	return out
}
