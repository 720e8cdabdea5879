package matcher

import (
	"image"
	"time"

	"github.com/facegate/facegate/match/picture"
)

// What makes a frame look like another. A face that may be compared covers
// dozens of cells.
const (
	columns, rows = 40, 30 // cells of a frame
	tolerance     = 4      // of the mean brightness of each cell, 0..255: several times what noise and JPEG leave of it
)

// again is how soon the engine looks anew whatever a frame looks like.
const again = time.Second

// shades are the mean brightness of each cell of a frame.
type shades [columns * rows]uint8

// A vacancy is what a frame looked like in which the engine found nobody. The
// zero value is like nothing.
type vacancy struct {
	at time.Time // when the frame was taken
	shades
}

// like reports whether a frame taken at that time still shows the same.
func (v *vacancy) like(s shades, at time.Time) bool {
	if since := at.Sub(v.at); v.at.IsZero() || since < 0 || since >= again {
		return false
	}
	for i, was := range v.shades {
		if d := int(s[i]) - int(was); d > tolerance || d < -tolerance {
			return false
		}
	}
	return true
}

// shadesOf returns those of img. Of cells of many pixels every other one in each
// direction counts.
func shadesOf(img image.Image) (s shades) {
	m := picture.Luma(img, img.Bounds())
	width, height := m.Rect.Dx(), m.Rect.Dy()
	step := 1
	if width >= 4*columns && height >= 4*rows {
		step = 2
	}
	for i := range s {
		x0, x1 := i%columns*width/columns, (i%columns+1)*width/columns
		y0, y1 := i/columns*height/rows, (i/columns+1)*height/rows
		sum, n := 0, 0
		for y := y0; y < y1; y += step {
			row := m.Pix[y*m.Stride:][:width]
			for x := x0; x < x1; x += step {
				sum += int(row[x])
				n++
			}
		}
		s[i] = uint8(sum / max(1, n))
	}
	return s
}
