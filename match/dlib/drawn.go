package dlib

import (
	"image"
	"image/color"
)

// An ellipse is a part of the drawn face, in pixels.
type ellipse struct {
	x, y, rx, ry int
	grey         uint8
}

// drawnFace draws a face that dlib takes for one, nobody's: the engine checks
// itself with it at start, when no picture of a person is at hand.
func drawnFace() image.Image {
	const size = 200
	img := image.NewGray(image.Rect(0, 0, size, size))
	for i := range img.Pix {
		img.Pix[i] = 90
	}
	for _, e := range []ellipse{
		{100, 84, 72, 84, 30},   // hair
		{100, 104, 56, 76, 200}, // skin
		{74, 86, 18, 4, 60},     // eyebrows
		{126, 86, 18, 4, 60},    //
		{74, 98, 14, 7, 50},     // eyes
		{126, 98, 14, 7, 50},    //
		{100, 116, 6, 20, 225},  // ridge of the nose
		{100, 132, 14, 4, 110},  // nostrils
		{100, 150, 24, 6, 80},   // mouth
	} {
		e.fill(img)
	}
	return img
}

func (e ellipse) fill(img *image.Gray) {
	for y := e.y - e.ry; y <= e.y+e.ry; y++ {
		for x := e.x - e.rx; x <= e.x+e.rx; x++ {
			dx, dy := (x-e.x)*e.ry, (y-e.y)*e.rx
			if dx*dx+dy*dy <= e.rx*e.rx*e.ry*e.ry {
				img.SetGray(x, y, color.Gray{Y: e.grey})
			}
		}
	}
}
