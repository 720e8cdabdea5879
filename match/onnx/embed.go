package onnx

import (
	"errors"
	"math"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/models"
)

// An embedder computes templates of faces.
type embedder struct {
	net    *network
	side   int // of its input, in pixels
	output int // numbers in a template
	norm   norm
	places [5]point // where the landmarks belong
}

func newEmbedder(e models.Embedder) *embedder {
	return &embedder{
		side: e.Size, output: e.Output, places: template5(float64(e.Size)),
		norm: newNorm(e.Channels == models.BGR, [3]float64(e.Mean), [3]float64(e.Deviation)),
	}
}

func (e *embedder) signature() signature {
	side := int64(e.side)
	return signature{input: []int64{1, 3, side, side}, outputs: []output{{"", []int64{1, int64(e.output)}}}}
}

// template returns the template, of length 1, of the face in p with those
// landmarks.
func (e *embedder) template(p pixels, landmarks [5]point) (match.Template, error) {
	if err := e.draw(&p, landmarks); err != nil {
		return nil, err
	}
	if err := e.net.run(); err != nil {
		return nil, err
	}
	var sum float64
	for _, v := range e.net.out[0] {
		sum += float64(v) * float64(v)
	}
	// Two templates of zeros would be alike.
	if !(sum > 1e-12) || math.IsInf(sum, 1) {
		return nil, errors.New("unusable template (damaged model, or a build for another processor?)")
	}
	t := make(match.Template, e.output)
	for i, v := range e.net.out[0] {
		t[i] = float32(float64(v) / math.Sqrt(sum))
	}
	return t, nil
}

// turns reports whether a face with those landmarks can be turned upright. Some
// lie on one another.
func (e *embedder) turns(landmarks [5]point) bool {
	_, ok := fit(e.places, landmarks)
	return ok
}

// draw shows the network the face, turned upright.
func (e *embedder) draw(p *pixels, landmarks [5]point) error {
	back, ok := fit(e.places, landmarks)
	if !ok {
		return errors.New("landmarks lie on one another")
	}
	k, step := fineness(back.scale())
	size := e.side * e.side
	for y := range e.side {
		for x := range e.side {
			from := back.apply(point{float64(x) + 0.5, float64(y) + 0.5})
			r, g, b := p.colour(p.sample(from.x, from.y, step, k, p.channels()))
			e.norm.put(e.net.in, y*e.side+x, size, r, g, b)
		}
	}
	return nil
}
