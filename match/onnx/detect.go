package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/facegate/facegate/match/models"
)

// maxCandidates bounds how many boxes are compared with each other.
const maxCandidates = 300

// A detector finds faces in a picture of any size.
type detector struct {
	net     *network
	canvas  *canvas
	outputs func(width, height int) []output
	decode  func(out [][]float32, width, height int, found []sighting) []sighting
	overlap float64 // of two boxes at which the less certain one goes
}

func newDetector(d models.Detector) (*detector, error) {
	switch d.Kind {
	case models.YuNet:
		c := newCanvas(d.Width, d.Height, newNorm(true, [3]float64{}, [3]float64{1, 1, 1}), strides()[2])
		return &detector{canvas: c, outputs: yunetOutputs, decode: yunet, overlap: 0.3}, nil
	case models.RFB320:
		c := newCanvas(d.Width, d.Height, newNorm(false, [3]float64{127, 127, 127}, [3]float64{128, 128, 128}), 0)
		return &detector{canvas: c, outputs: rfbOutputs, decode: rfb, overlap: 0.4}, nil
	}
	return nil, fmt.Errorf("detector of kind %q is not known", d.Kind)
}

// signature returns what the network looks like for the canvas as it is.
func (d *detector) signature() signature {
	c := d.canvas
	return signature{
		input:   []int64{1, 3, int64(c.height), int64(c.width)},
		outputs: d.outputs(c.width, c.height),
		open:    c.multiple > 0,
	}
}

// find appends the faces in p to found, in no order.
func (d *detector) find(p pixels, found []sighting) ([]sighting, error) {
	if d.canvas.cut(p.width, p.height) {
		if err := d.net.shape(d.signature()); err != nil {
			d.canvas.width, d.canvas.height = 0, 0 // so that it is tried again
			return nil, err
		}
	}
	size := d.canvas.draw(d.net.in, &p)
	if err := d.net.run(); err != nil {
		return nil, err
	}
	found = d.decode(d.net.out, d.canvas.width, d.canvas.height, found)
	found = distinct(found, d.overlap)
	fx, fy := float64(p.width)/float64(size.X), float64(p.height)/float64(size.Y)
	for i := range found {
		s := &found[i]
		s.box = box{s.box.x0 * fx, s.box.y0 * fy, s.box.x1 * fx, s.box.y1 * fy}
		for j := range s.points {
			s.points[j].x *= fx
			s.points[j].y *= fy
		}
	}
	return found, nil
}

// distinct keeps, of boxes that overlap by more than a share, the one with the
// highest score. It reorders found.
func distinct(found []sighting, share float64) []sighting {
	slices.SortFunc(found, func(a, b sighting) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.box.y0, b.box.y0), cmp.Compare(a.box.x0, b.box.x0))
	})
	found = found[:min(len(found), maxCandidates)]
	kept := found[:0]
	for _, s := range found {
		again := slices.ContainsFunc(kept, func(k sighting) bool { return k.box.overlap(s.box) > share })
		if !again {
			kept = append(kept, s)
		}
	}
	return kept
}

// plausible says whether a box is one: networks that are shown nonsense answer
// with infinities.
func (b box) plausible() bool {
	return b.x1 > b.x0 && b.y1 > b.y0 && b.x0 > -1e4 && b.y0 > -1e4 && b.x1 < 1e4 && b.y1 < 1e4
}

// strides are the distances of YuNet's three grids, in pixels.
func strides() [3]int { return [3]int{8, 16, 32} }

// yunetOutputs lists YuNet's outputs: for every place of a grid, the
// probabilities that there is a face and that its box is right, the box, and
// five points.
func yunetOutputs(width, height int) []output {
	var all []output
	for _, kind := range []struct {
		name string
		size int64
	}{{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}} {
		for _, s := range strides() {
			all = append(all, output{fmt.Sprintf("%s_%d", kind.name, s), []int64{1, int64(width / s * (height / s)), kind.size}})
		}
	}
	return all
}

// yunet decodes YuNet's outputs.
func yunet(out [][]float32, width, height int, found []sighting) []sighting {
	const least = 0.7
	for grid, stride := range strides() {
		cls, obj, boxes, points := out[grid], out[3+grid], out[6+grid], out[9+grid]
		columns, s := width/stride, float64(stride)
		for i := range cls {
			both := cls[i] * obj[i]
			if !(both >= least*least) {
				continue
			}
			column, row := float64(i%columns), float64(i/columns)
			b, k := boxes[4*i:4*i+4], points[10*i:10*i+10]
			cx, cy := (column+float64(b[0]))*s, (row+float64(b[1]))*s
			w, h := math.Exp(float64(b[2]))*s, math.Exp(float64(b[3]))*s
			face := sighting{box: box{cx - w/2, cy - h/2, cx + w/2, cy + h/2}, score: both}
			if !face.box.plausible() {
				continue
			}
			for j := range face.points {
				face.points[j] = point{(column + float64(k[2*j])) * s, (row + float64(k[2*j+1])) * s}
			}
			found = append(found, face)
		}
	}
	return found
}

// rfbPlaces is the number of boxes that RFB-320 looks at.
const rfbPlaces = 4420

func rfbOutputs(_, _ int) []output {
	return []output{{"scores", []int64{1, rfbPlaces, 2}}, {"boxes", []int64{1, rfbPlaces, 4}}}
}

// rfb decodes the outputs of RFB-320: probabilities of no face and of one, and
// boxes as fractions of the picture.
func rfb(out [][]float32, width, height int, found []sighting) []sighting {
	const least = 0.7
	scores, boxes := out[0], out[1]
	w, h := float64(width), float64(height)
	for i := range rfbPlaces {
		if !(scores[2*i+1] >= least) {
			continue
		}
		b := boxes[4*i : 4*i+4]
		face := sighting{
			box:   box{float64(b[0]) * w, float64(b[1]) * h, float64(b[2]) * w, float64(b[3]) * h},
			score: scores[2*i+1],
		}
		if face.box.plausible() {
			found = append(found, face)
		}
	}
	return found
}
