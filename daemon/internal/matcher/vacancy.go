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
	return v.shades.like(&s, image.Rectangle{})
}

// like reports whether two frames show the same, but for an area of cells.
func (s *shades) like(t *shades, but image.Rectangle) bool {
	for i := range s {
		d := int(s[i]) - int(t[i])
		if (d > tolerance || d < -tolerance) && !image.Pt(i%columns, i/columns).In(but) {
			return false
		}
	}
	return true
}

// cells returns those that an area of img touches.
func cells(img image.Image, area image.Rectangle) image.Rectangle {
	b := img.Bounds()
	area = area.Intersect(b).Sub(b.Min)
	up := func(v, n, size int) int { return (v*n + size - 1) / size }
	return image.Rect(area.Min.X*columns/b.Dx(), area.Min.Y*rows/b.Dy(), up(area.Max.X, columns, b.Dx()), up(area.Max.Y, rows, b.Dy()))
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
