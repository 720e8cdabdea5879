package onnx

import (
	"image"
	"math"
)

// A point is a place in a picture: pixel (0, 0) has its centre at 0.5, 0.5.
type point struct{ x, y float64 }

// pixel returns the pixel that p lies in. Points far outside of every picture
// are held within what an int can tell.
func (p point) pixel() image.Point {
	whole := func(v float64) int { return int(math.Floor(min(max(v, -1e6), 1e6))) }
	return image.Pt(whole(p.x), whole(p.y))
}

func (p point) finite() bool { return !math.IsNaN(p.x-p.x) && !math.IsNaN(p.y-p.y) } // Inf-Inf is NaN

// A box is an area of a picture.
type box struct{ x0, y0, x1, y1 float64 }

func (b box) area() float64 { return max(0, b.x1-b.x0) * max(0, b.y1-b.y0) }

func (b box) intersect(c box) box {
	return box{max(b.x0, c.x0), max(b.y0, c.y0), min(b.x1, c.x1), min(b.y1, c.y1)}
}

// overlap returns the share of two boxes that is common to both.
func (b box) overlap(c box) float64 {
	common := b.intersect(c).area()
	return common / (b.area() + c.area() - common)
}

// rectangle returns the box in whole pixels.
func (b box) rectangle() image.Rectangle {
	if !(b.x1 > b.x0 && b.y1 > b.y0) {
		return image.Rectangle{}
	}
	round := func(x, y float64) image.Point { return point{math.Round(x), math.Round(y)}.pixel() }
	return image.Rectangle{Min: round(b.x0, b.y0), Max: round(b.x1, b.y1)}
}

// A similarity turns, scales and shifts: (x, y) becomes
// (a*x - b*y + tx, b*x + a*y + ty).
type similarity struct{ a, b, tx, ty float64 }

func (s similarity) apply(p point) point {
	return point{s.a*p.x - s.b*p.y + s.tx, s.b*p.x + s.a*p.y + s.ty}
}

// scale is the factor by which lengths grow.
func (s similarity) scale() float64 { return math.Hypot(s.a, s.b) }

// fit returns the similarity that brings from closest to to, in the sense of
// least squares, without reflection. It is false if from is all one point, or
// if the result turns to to all one point.
func fit(from, to [5]point) (similarity, bool) {
	var cf, ct point
	for i := range from {
		cf.x += from[i].x / 5
		cf.y += from[i].y / 5
		ct.x += to[i].x / 5
		ct.y += to[i].y / 5
	}
	var along, across, spread float64
	for i := range from {
		fx, fy := from[i].x-cf.x, from[i].y-cf.y
		tx, ty := to[i].x-ct.x, to[i].y-ct.y
		along += fx*tx + fy*ty
		across += fx*ty - fy*tx
		spread += fx*fx + fy*fy
	}
	s := similarity{a: along / spread, b: across / spread}
	s.tx = ct.x - s.a*cf.x + s.b*cf.y
	s.ty = ct.y - s.b*cf.x - s.a*cf.y
	scale := s.scale()
	return s, scale > 1e-6 && scale < 1e6 && point{s.tx, s.ty}.finite()
}

// template5 returns where eyes, nose and mouth are to be in a face of that
// size: the places of ArcFace's 112x112 pixels, which most embedders are
// trained on. (Theirs count from the centre of the first pixel, ours from its
// corner.)
func template5(size float64) [5]point {
	places := [5]point{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}
	for i, p := range places {
		places[i] = point{(p.x + 0.5) * size / 112, (p.y + 0.5) * size / 112}
	}
	return places
}
