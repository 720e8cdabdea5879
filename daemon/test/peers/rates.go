package main

import (
	"context"
	"fmt"
	"math"

	"github.com/facegate/facegate/match/calibration"
)

// targets are the false-match rates of the table.
var targets = [2]float64{1e-3, 1e-4}

// rate works out what looks say. A picture without a face is far from all.
func (r *result) rate(ctx context.Context, people []person) {
	if r.absent != "" {
		return
	}
	var numbers []int
	for i, p := range people {
		for range p {
			numbers = append(numbers, i)
		}
	}
	r.times(numbers)
	for i, target := range targets {
		var err error
		if r.tar[i], err = tar(ctx, numbers, r.looks, target); err != nil {
			r.tar[i] = err.Error()
		}
	}
}

// times takes the median of genuine pairs of which both faces were found: who
// gives up early is not fast.
func (r *result) times(numbers []int) {
	var ms, clock []float64
	for i, a := range r.looks {
		if a.Descriptor == nil {
			r.failed++
			continue
		}
		for j := i + 1; j < len(r.looks) && numbers[j] == numbers[i]; j++ {
			if b := r.looks[j]; b.Descriptor != nil {
				ms, clock = append(ms, a.MS+b.MS), append(clock, a.clock+b.clock)
			}
		}
	}
	r.verification, r.clock = median(ms), median(clock)
}

// tar returns, with its bounds, the share of genuine pairs that match at the
// largest distance that keeps the false-match rate.
func tar(ctx context.Context, numbers []int, looks []look, target float64) (string, error) {
	// Distances have the scale of each peer; what counts is their order.
	most := 0.0
	for i := range looks {
		for j := range i {
			if d := distance(looks[i], looks[j]); !math.IsInf(d, 0) {
				most = math.Max(most, d)
			}
		}
	}
	sample, err := calibration.Compare(ctx, numbers, func(i, j int) float64 {
		return distance(looks[i], looks[j]) / most * calibration.MaxDistance
	})
	if err != nil {
		return "", err
	}
	if _, n := sample.Counts(); float64(n.Impostor)*target < 1 {
		return "too few pairs", nil
	}
	curve, err := sample.Curve(ctx, calibration.Resampling{Replicates: 1000, Seed: 1})
	if err != nil {
		return "", err
	}
	best := "0 %"
	for _, p := range curve {
		if p.FMR.Value <= target {
			best = fmt.Sprintf("%.1f %% (%.1f to %.1f)", 100*(1-p.FNMR.Value), 100*(1-p.FNMR.High), 100*(1-p.FNMR.Low))
		}
	}
	return best, nil
}

// distance is Euclidean, +Inf if there is no face to compare.
func distance(a, b look) float64 {
	if a.Descriptor == nil || len(a.Descriptor) != len(b.Descriptor) {
		return math.Inf(1)
	}
	sum := 0.0
	for i, v := range a.Descriptor {
		sum += (v - b.Descriptor[i]) * (v - b.Descriptor[i])
	}
	return math.Sqrt(sum)
}
