package onnx

// A marker finds 68 landmarks in a face, as fr_landmark does.
type marker struct {
	net *network
}

// markerSide is the size of its input, in pixels.
const markerSide = 64

func (m *marker) signature() signature {
	return signature{input: []int64{1, 1, markerSide, markerSide}, outputs: []output{{"", []int64{1, 2 * 68}}}}
}

// points returns the five points of a face by which it is turned upright. The
// network is shown the brightness of a square as high as the box, and answers
// in fractions of it.
func (m *marker) points(p pixels, face box) ([5]point, error) {
	side := face.y1 - face.y0
	x0, y0 := (face.x0+face.x1-side)/2, face.y0
	channels := p.channels()
	if p.ycc {
		channels = 1 // the luma
	}
	scale := side / markerSide
	k, step := fineness(scale)
	for row := range markerSide {
		for column := range markerSide {
			v := p.sample(x0+(float64(column)+0.5)*scale, y0+(float64(row)+0.5)*scale, step, k, channels)
			m.net.in[row*markerSide+column] = p.luma(v) / 256
		}
	}
	if err := m.net.run(); err != nil {
		return [5]point{}, err
	}
	at := m.net.out[0]
	if err := finite(m.net.out); err != nil {
		return [5]point{}, err
	}
	// The usual order of 68 points. An eye is the mean of its lids, without the
	// corners.
	groups := [5][]int{{37, 38, 40, 41}, {43, 44, 46, 47}, {30}, {48, 60}, {54, 64}}
	var five [5]point
	for i, group := range groups {
		for _, j := range group {
			five[i].x += (x0 + float64(at[2*j])*side) / float64(len(group))
			five[i].y += (y0 + float64(at[2*j+1])*side) / float64(len(group))
		}
	}
	return five, nil
}

// luma returns the brightness of a sample.
func (p *pixels) luma(v [3]float32) float32 {
	if p.ycc {
		return v[0]
	}
	return 0.299*v[0] + 0.587*v[1] + 0.114*v[2]
}
