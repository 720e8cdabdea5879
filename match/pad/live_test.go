package pad_test

import (
	"math"
	"testing"

	"github.com/facegate/facegate/match/pad"
)

func TestLive(t *testing.T) {
	for _, c := range []struct {
		name    string
		frames  []float64
		mean    float64
		verdict pad.Verdict
	}{
		{"a person", []float64{0.9, 0.8, 1}, 0.9, pad.Passed},
		{"one bad frame of three", []float64{0.9, 0.2, 0.7}, 0.6, pad.Passed},
		{"two bad frames of three", []float64{0.9, 0.2, 0.1}, 0.4, pad.NotLive},
		{"just so", []float64{0.5, 0.5}, 0.5, pad.Passed},
		{"a picture", []float64{0, 0, 0}, 0, pad.NotLive},
		{"no frames", nil, 0, pad.NotLive},
	} {
		mean, verdict := pad.Live(c.frames, 0.5)
		if math.Abs(mean-c.mean) > 1e-9 || verdict != c.verdict {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, mean, verdict, c.mean, c.verdict)
		}
	}
	if _, verdict := pad.Live([]float64{1, math.NaN()}, 0.5); verdict != pad.NotLive {
		t.Errorf("not a number: %v", verdict)
	}
}
