package onnx

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/facegate/facegate/match/models"
)

// A judge tells a person from a picture of one.
type judge struct {
	net    *network
	crop   float64 // how much larger than the face is what it is shown
	side   int     // of its input, in pixels
	person int     // the class that is a person
	norm   norm
}

func newJudge(p models.PAD) *judge {
	return &judge{
		crop: p.Crop, side: p.Size, person: p.Person,
		norm: newNorm(p.Channels == models.BGR, [3]float64(p.Mean), [3]float64(p.Deviation)),
	}
}

func (j *judge) signature(classes int) signature {
	side := int64(j.side)
	return signature{input: []int64{1, 3, side, side}, outputs: []output{{"", []int64{1, int64(classes)}}}}
}

// live returns how likely the face is that of a person, 0 to 1.
func (j *judge) live(img pixels, face image.Rectangle) (float64, error) {
	j.draw(&img, around(face, j.crop, img.width, img.height))
	if err := j.net.run(); err != nil {
		return 0, err
	}
	if err := finite(j.net.out); err != nil {
		return 0, err
	}
	var sum float64
	for _, v := range j.net.out[0] {
		sum += math.Exp(float64(v) - float64(j.net.out[0][j.person]))
	}
	return 1 / sum, nil
}

// draw shows the network a part of the picture. Pixels are weighed among their
// four neighbours even where many become one, as in the pictures that it was
// trained on: what such a picture of a screen or print has of stripes is what it
// looks for.
func (j *judge) draw(img *pixels, r image.Rectangle) {
	dx, dy := float64(r.Dx())/float64(j.side), float64(r.Dy())/float64(j.side)
	for y := range j.side {
		for x := range j.side {
			at := point{float64(r.Min.X) + (float64(x)+0.5)*dx, float64(r.Min.Y) + (float64(y)+0.5)*dy}
			red, green, blue := img.colour(img.sample(at.x, at.y, 1, 1, img.channels()))
			j.norm.put(j.net.in, y*j.side+x, j.side*j.side, red, green, blue)
		}
	}
}

// around returns the face made larger by a factor, as far as there is room for
// it in a picture of that size, and moved into the picture. It is how those
// cut who trained the networks, to the pixel.
func around(face image.Rectangle, factor float64, width, height int) image.Rectangle {
	w, h := float64(face.Dx()), float64(face.Dy())
	factor = min(factor, float64(width-1)/w, float64(height-1)/h)
	side := func(middle, length float64, most int) (int, int) {
		from, to := middle-length/2, middle+length/2
		if from < 0 {
			from, to = 0, to-from
		}
		if last := float64(most - 1); to > last {
			from, to = max(0, from-(to-last)), last
		}
		return int(from), int(to) + 1
	}
	var r image.Rectangle
	r.Min.X, r.Max.X = side(float64(face.Min.X)+w/2, w*factor, width)
	r.Min.Y, r.Max.Y = side(float64(face.Min.Y)+h/2, h*factor, height)
	return r
}

// Live returns how likely it is that the face in that box of img is a person's
// and not a picture's, 0 to 1: the mean of what the set's networks say. It is
// an error if the engine was opened without them.
func (e *Engine) Live(ctx context.Context, img image.Image, face image.Rectangle) (float64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.detector == nil {
		return 0, ErrClosed
	}
	face = face.Intersect(img.Bounds()).Sub(img.Bounds().Min)
	if face.Empty() || len(e.judges) == 0 {
		return 0, fmt.Errorf("tell a person from a picture: %d networks, face %v", len(e.judges), face)
	}
	return e.live(ctx, newPixels(img), face)
}

func (e *Engine) live(ctx context.Context, img pixels, face image.Rectangle) (float64, error) {
	var sum float64
	for _, j := range e.judges {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		v, err := j.live(img, face)
		if err != nil {
			return 0, fmt.Errorf("tell a person from a picture: %w", err)
		}
		sum += v
	}
	return sum / float64(len(e.judges)), nil
}
