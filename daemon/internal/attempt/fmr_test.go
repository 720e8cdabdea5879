package attempt_test

import (
	"math"
	"testing"
	"testing/synctest"

	"github.com/facegate/facegate/match"
)

// An event tells the false-match rate at its score where a calibration says one,
// and none where nothing was compared.
func TestEventsTellTheFalseMatchRate(t *testing.T) {
	tenth := func(s match.Score) float64 { return float64(s) / 10 }
	for _, tt := range []struct {
		name   string
		fmr    func(match.Score) float64
		scores []match.Score
		want   float64 // 0: none
	}{
		{"match", tenth, []match.Score{0.30001}, 0.030001},
		{"no match", tenth, []match.Score{0.9}, 0.09},
		{"no calibration", nil, []match.Score{0.3}, 0},
		{"no score", tenth, []match.Score{match.Score(math.NaN())}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.line.FMR, b.matcher.scores = tt.fmr, tt.scores
			b.start(t)
			e := b.attempt(t, opener())
			if e.FMR == nil && tt.want != 0 || e.FMR != nil && math.Abs(*e.FMR-tt.want) > 1e-12 {
				t.Errorf("%s: got %v, want %v", tt.name, e.FMR, tt.want)
			}
			if err := e.Check(); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		})
	}
}
