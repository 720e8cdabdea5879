package calibration

import (
	"context"
	"errors"
	"math"
)

// perDecade is how many points a curve has for a tenfold false-match rate.
const perDecade = 10

// Curve returns the rates at distances that are chosen by false-match rate: for
// 1, 0.8, 0.63, 0.5 and so on, ten to a decade, the largest that does not
// exceed it, and below all those the largest that no pair of different people
// reaches.
func (s *Sample) Curve(ctx context.Context, r Resampling) ([]Point, error) {
	impostor, _ := s.histograms()
	all := total(impostor)
	if all == 0 {
		return nil, errors.New("no pair of two people")
	}
	at, below := beyond-1, all-impostor[beyond]
	for at > 0 && impostor[at] == 0 {
		at--
	}
	distances := []float64{float64(at) / steps} // from the largest
	for k := 1; below > 0; k++ {
		// A rate that is meant to be a power of ten shall not miss it by a rounding.
		most := int(math.Pow(10, -float64(k)/perDecade)*float64(all) + 1e-6)
		if below <= most {
			continue
		}
		for ; at >= 0 && below > most; at-- {
			below -= impostor[at]
		}
		if at < 0 {
			break // different people at distance 0
		}
		distances = append(distances, float64(at)/steps)
	}
	ascending := make([]float64, len(distances))
	for i, d := range distances {
		ascending[len(distances)-1-i] = d
	}
	return s.At(ctx, ascending, r)
}
