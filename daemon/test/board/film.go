//go:build linux

package board

import (
	"image"
	"image/color"
	"math"
	"os"

	"golang.org/x/image/draw"
)

// Width and Height are those of a picture of PAL, in pixels: what goes over
// the board's S-Video line.
const Width, Height = 720, 576

// SaveFilm writes frames as the board plays them: YUYV, one after the other.
// They are scaled, and cut at the left and right.
func SaveFilm(path string, frames []image.Image) error {
	var film []byte
	for _, f := range frames {
		film = appendYUYV(film, fit(f))
	}
	return os.WriteFile(path, film, 0o644)
}

// lit changes the light that fell on a film, by a factor.
func lit(film []image.Image, factor float64) []image.Image {
	var levels [256]uint8
	for v := range levels {
		levels[v] = uint8(min(255, float64(v)*math.Pow(factor, 1/2.2))) // a camera's gamma
	}
	out := make([]image.Image, len(film))
	for i, frame := range film {
		to := image.NewRGBA(frame.Bounds())
		draw.Draw(to, to.Rect, frame, to.Rect.Min, draw.Src)
		for p := range to.Pix {
			if p%4 != 3 { // not the opacity
				to.Pix[p] = levels[to.Pix[p]]
			}
		}
		out[i] = to
	}
	return out
}

// fit scales a frame to the height and cuts off what is too wide.
func fit(frame image.Image) *image.RGBA {
	width := frame.Bounds().Dx() * Height / frame.Bounds().Dy()
	left := (Width - width) / 2
	out := image.NewRGBA(image.Rect(0, 0, Width, Height))
	draw.ApproxBiLinear.Scale(out, image.Rect(left, 0, left+width, Height), frame, frame.Bounds(), draw.Src, nil)
	return out
}

// appendYUYV appends a picture in which two pixels share their colour, that of
// the left one.
func appendYUYV(to []byte, img *image.RGBA) []byte {
	for y := range img.Rect.Dy() {
		for x := 0; x < img.Rect.Dx(); x += 2 {
			left, right := img.RGBAAt(x, y), img.RGBAAt(x+1, y)
			l, cb, cr := color.RGBToYCbCr(left.R, left.G, left.B)
			r, _, _ := color.RGBToYCbCr(right.R, right.G, right.B)
			to = append(to, narrow(l, 16, 235), narrow(cb, 16, 240), narrow(r, 16, 235), narrow(cr, 16, 240))
		}
	}
	return to
}

// narrow brings a value of 0 to 255 into the range that cameras use.
func narrow(v byte, least, most int) byte { return byte(least + int(v)*(most-least)/255) }
