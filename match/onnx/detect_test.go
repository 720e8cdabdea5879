package onnx

import (
	"math"
	"slices"
	"testing"
)

// blank returns what a network answers that sees nothing.
func blank(outputs []output) [][]float32 {
	var out [][]float32
	for _, o := range outputs {
		out = append(out, make([]float32, size(o.shape)))
	}
	return out
}

func TestYuNetIsDecoded(t *testing.T) {
	const width, height = 96, 64
	for grid, stride := range strides() {
		out := blank(yunetOutputs(width, height))
		columns := width / stride
		i := 1*columns + 2 // second row, third column
		out[grid][i], out[3+grid][i] = 0.9, 0.8
		copy(out[6+grid][4*i:], []float32{0.5, 0.25, float32(math.Log(2)), float32(math.Log(3))})
		copy(out[9+grid][10*i:], []float32{0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1})

		found := yunet(out, width, height, nil)
		if len(found) != 1 {
			t.Fatalf("stride %d: %d faces", stride, len(found))
		}
		s := float64(stride)
		f := found[0]
		near(t, "x0", f.box.x0, 2.5*s-s)
		near(t, "x1", f.box.x1, 2.5*s+s)
		near(t, "y0", f.box.y0, 1.25*s-1.5*s)
		near(t, "y1", f.box.y1, 1.25*s+1.5*s)
		nearPoint(t, "nose", f.points[2], point{2.5 * s, 1.5 * s})
		nearPoint(t, "right corner of the mouth", f.points[4], point{3 * s, 2 * s})
		near(t, "score", float64(f.score), 0.72)
	}
}

func TestYuNetPassesOverWhatIsNoFace(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, set := range map[string]func(cls, obj, b []float32){
		"nothing":      func(cls, obj, b []float32) {},
		"unsure":       func(cls, obj, b []float32) { cls[0], obj[0] = 0.6, 0.6 },
		"no number":    func(cls, obj, b []float32) { cls[0], obj[0] = nan, 1 },
		"infinite box": func(cls, obj, b []float32) { cls[0], obj[0], b[2] = 1, 1, inf },
		"huge box":     func(cls, obj, b []float32) { cls[0], obj[0], b[2] = 1, 1, 80 },
		"box nowhere":  func(cls, obj, b []float32) { cls[0], obj[0], b[0] = 1, 1, nan },
	} {
		out := blank(yunetOutputs(64, 64))
		set(out[0], out[3], out[6])
		if found := yunet(out, 64, 64, nil); len(found) != 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestRFBIsDecoded(t *testing.T) {
	out := blank(rfbOutputs(320, 240))
	out[0][2*7], out[0][2*7+1] = 0.1, 0.9
	copy(out[1][4*7:], []float32{0.25, 0.5, 0.5, 0.75})
	out[0][2*8], out[0][2*8+1] = 0.9, 0.1
	copy(out[1][4*8:], []float32{0, 0, 1, 1})
	out[0][2*9+1] = 1 // and a box without an area

	found := rfb(out, 320, 240, nil)
	if len(found) != 1 || found[0].box != (box{80, 120, 160, 180}) || found[0].score != 0.9 {
		t.Errorf("found %v", found)
	}
}

func TestDistinctKeepsTheMostCertainOfEachFace(t *testing.T) {
	at := func(x float64, score float32) sighting {
		return sighting{box: box{x, 0, x + 100, 100}, score: score}
	}
	got := distinct([]sighting{at(300, 0.8), at(5, 0.7), at(0, 0.9), at(10, 0.95), at(305, 0.75), at(90, 0.71)}, 0.3)
	var xs []float64
	for _, s := range got {
		xs = append(xs, s.box.x0)
	}
	if want := []float64{10, 300, 90}; !slices.Equal(xs, want) {
		t.Errorf("kept those at %v, want %v", xs, want)
	}
}

func TestDistinctIsBounded(t *testing.T) {
	var all []sighting
	for i := range 5000 {
		x := float64(i) * 10
		all = append(all, sighting{box: box{x, 0, x + 5, 5}, score: 1})
	}
	if n := len(distinct(all, 0.3)); n != maxCandidates {
		t.Errorf("%d kept, want %d", n, maxCandidates)
	}
}
