package calibration_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/facegate/facegate/match/calibration"
)

// A crowd is made-up people and the normal distributions their distances come
// from: a pair's own chance, and what each person brings along.
type crowd struct {
	people, pictures                 int
	impostor, impostorSD, impostorBy float64 // mean; deviation of a pair; of each of its two people
	genuine, genuineSD, genuineBy    float64
}

// of returns everybody's pictures, by person.
func (c crowd) of() []int {
	var of []int
	for p := range c.people {
		for range c.pictures {
			of = append(of, p)
		}
	}
	return of
}

func (c crowd) sample(t testing.TB, seed uint64) *calibration.Sample {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 77))
	of := c.of()
	far, near := make([]float64, c.people), make([]float64, c.people)
	for p := range c.people {
		far[p], near[p] = c.impostorBy*r.NormFloat64(), c.genuineBy*r.NormFloat64()
	}
	all := make([][]float64, len(of)) // drawn in order, for distances are asked for in none
	for i := range of {
		for _, q := range of[i+1:] {
			p, d := of[i], 0.0
			if p == q {
				d = c.genuine + near[p] + c.genuineSD*r.NormFloat64()
			} else {
				d = c.impostor + far[p] + far[q] + c.impostorSD*r.NormFloat64()
			}
			all[i] = append(all[i], d)
		}
	}
	s, err := calibration.Compare(t.Context(), of, func(i, j int) float64 { return all[i][j-i-1] })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fmr returns the true rate at a distance.
func (c crowd) fmr(d float64) float64 {
	return normal((d - c.impostor) / math.Sqrt(c.impostorSD*c.impostorSD+2*c.impostorBy*c.impostorBy))
}

func (c crowd) fnmr(d float64) float64 {
	return 1 - normal((d-c.genuine)/math.Hypot(c.genuineSD, c.genuineBy))
}

func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// at returns the distance at which the true false-match rate is that.
func (c crowd) at(fmr float64) float64 {
	low, high := -2.0, 2.0
	for range 60 {
		if middle := (low + high) / 2; c.fmr(middle) < fmr {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// Distances of known distributions give the known rates, within the bounds, at
// thresholds in the right order.
func TestKnownRatesAreRecovered(t *testing.T) {
	c := crowd{people: 400, pictures: 3, impostor: 0.9, impostorSD: 0.1, genuine: 0.4, genuineSD: 0.1}
	curve, err := c.sample(t, 1).Curve(t.Context(), calibration.Resampling{Replicates: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(curve) < 50 || curve[0].FMR.Value != 0 || curve[len(curve)-1].FMR.Value != 1 {
		t.Fatalf("%d points, from FMR %v to %v", len(curve), curve[0].FMR, curve[len(curve)-1].FMR)
	}
	missed := 0
	for i, p := range curve {
		fmr, fnmr := c.fmr(p.Distance), c.fnmr(p.Distance)
		if fmr < p.FMR.Low || fmr > p.FMR.High || fnmr < p.FNMR.Low || fnmr > p.FNMR.High {
			missed++
			t.Logf("at %v: FMR %.3g, measured %.3g; FNMR %.3g, measured %.3g", p.Distance, fmr, p.FMR, fnmr, p.FNMR)
		}
		if p.FMR.Value > 1e-3 && (p.FMR.High > 1.3*p.FMR.Value || p.FMR.Low < 0.7*p.FMR.Value) {
			t.Errorf("at %v: the bounds of FMR %.3g are wide", p.Distance, p.FMR)
		}
		if i == 0 {
			continue
		}
		b := curve[i-1]
		if p.Distance <= b.Distance || p.FMR.Value <= b.FMR.Value || p.FMR.Low < b.FMR.Low || p.FMR.High < b.FMR.High ||
			p.FNMR.Value > b.FNMR.Value || p.FNMR.Low > b.FNMR.Low || p.FNMR.High > b.FNMR.High {
			t.Errorf("not monotone: %v after %v", p, b)
		}
	}
	if missed > len(curve)/10 {
		t.Errorf("the truth is out of bounds at %d of %d points", missed, len(curve))
	}
	for _, target := range []float64{1e-1, 1e-2, 1e-3, 1e-4} {
		i := slices.IndexFunc(curve, func(p calibration.Point) bool { return p.FMR.Value > target })
		if got := curve[i-1].FMR.Value; got < 0.97*target {
			t.Errorf("no point for an FMR of %v, only %v", target, got)
		}
	}
}

// Where people differ, a bound holds in nineteen of twenty samples only if it
// comes from people. Bounds of the pairs as if each were a fact of its own, the
// binomial ones, hold far less often: that is why people are drawn.
func TestBoundsHoldWherePeopleDiffer(t *testing.T) {
	c := crowd{
		people: 50, pictures: 3, impostor: 0.9, impostorSD: 0.07, impostorBy: 0.05,
		genuine: 0.4, genuineSD: 0.05, genuineBy: 0.08,
	}
	const trials = 120
	levels := []float64{1e-3, 0.01, 0.1}
	var distances []float64
	for _, fmr := range levels {
		distances = append(distances, c.at(fmr))
	}
	held, missesHeld, binomialHeld := make([]int, 3), make([]int, 3), make([]int, 3)
	for seed := range trials {
		s := c.sample(t, uint64(seed))
		points, err := s.At(t.Context(), distances, calibration.Resampling{Replicates: 200, Seed: 9})
		if err != nil {
			t.Fatal(err)
		}
		_, n := s.Counts()
		for k, p := range points {
			held[k] += count(p.FMR, levels[k])
			missesHeld[k] += count(p.FNMR, c.fnmr(distances[k]))
			binomialHeld[k] += count(wilson(p.FMR.Value, n.Impostor), levels[k])
		}
	}
	for k, fmr := range levels {
		t.Logf("FMR %v: held in %d of %d, binomial in %d; FNMR %.2g: %d", fmr, held[k], trials, binomialHeld[k], c.fnmr(distances[k]), missesHeld[k])
		if held[k] < trials*90/100 || missesHeld[k] < trials*90/100 {
			t.Errorf("FMR %v: the bounds hold in %d and %d of %d", fmr, held[k], missesHeld[k], trials)
		}
		if binomialHeld[k] > trials*70/100 {
			t.Errorf("FMR %v: binomial bounds hold in %d of %d: these people do not differ", fmr, binomialHeld[k], trials)
		}
	}
}

func count(r calibration.Rate, truth float64) int {
	if r.Low <= truth && truth <= r.High {
		return 1
	}
	return 0
}

// wilson returns the bounds of a share of n independent facts.
func wilson(p float64, n int) calibration.Rate {
	const z = 1.96
	k := float64(n)
	middle := (p + z*z/(2*k)) / (1 + z*z/k)
	half := z / (1 + z*z/k) * math.Sqrt(p*(1-p)/k+z*z/(4*k*k))
	return calibration.Rate{Value: p, Low: middle - half, High: middle + half}
}

// No error among few people does not mean that there are none.
func TestNoErrorsAreNoProof(t *testing.T) {
	c := crowd{people: 5, pictures: 11, impostor: 1.2, impostorSD: 0.05, genuine: 0.3, genuineSD: 0.05}
	points, err := c.sample(t, 3).At(t.Context(), []float64{0.8}, calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	// Ten pairs of people, whatever the number of their pictures: the rule of
	// three gives 0.3 one-sided, 0.37 two-sided. Five people give 0.74.
	if r := points[0].FMR; r.Value != 0 || r.High < 0.3 || r.High > 0.4 {
		t.Errorf("FMR %v", r)
	}
	if r := points[0].FNMR; r.Value != 0 || r.High < 0.6 || r.High > 0.8 {
		t.Errorf("FNMR %v", r)
	}
}

// table makes a sample of people with these distances, by pictures i < j.
func table(t *testing.T, people []int, distances ...float64) *calibration.Sample {
	t.Helper()
	s, err := calibration.Compare(t.Context(), people, func(i, j int) float64 {
		at := 0
		for k := range i {
			at += len(people) - 1 - k
		}
		return distances[at+j-i-1]
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRatesByHand(t *testing.T) {
	// a1 a2 b1 b2 c
	s := table(t, []int{0, 0, 1, 1, 2},
		0.30, 0.50, 0.60, math.NaN(), // a1
		0.55, 0.60001, math.Inf(1), // a2
		0.65, 0.40, // b1
		3) // b2
	people, n := s.Counts()
	if people != 3 || n != (calibration.Counts{Pictures: 5, Genuine: 2, Impostor: 8}) {
		t.Errorf("%d people, %+v", people, n)
	}
	points, err := s.At(t.Context(), []float64{0.3, 0.4, 0.45, 0.5, 0.6, 2}, calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ fmr, fnmr float64 }{{0, 0.5}, {1. / 8, 0.5}, {1. / 8, 0.5}, {2. / 8, 0.5}, {4. / 8, 0.5}, {5. / 8, 0}} {
		if p := points[i]; p.FMR.Value != want.fmr || p.FNMR.Value != want.fnmr {
			t.Errorf("at %v: %v, %v, want %v", p.Distance, p.FMR.Value, p.FNMR.Value, want)
		}
	}

	curve, err := s.Curve(t.Context(), calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	var chosen []float64
	for _, p := range curve {
		chosen = append(chosen, p.Distance)
	}
	// Below 0.4 nobody, from there on one more pair each.
	if want := []float64{0.3999, 0.4999, 0.5499, 0.5999, 0.6, 0.6001}; !slices.Equal(chosen, want) {
		t.Errorf("curve at %v, want %v", chosen, want)
	}

	part := s.People(func(p int) bool { return p != 0 })
	points, err = part.At(t.Context(), []float64{0.4, 0.45}, calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	if people, n := part.Counts(); people != 2 || n.Impostor != 2 || points[0].FMR.Value != 0.5 || points[0].FNMR.Value != 1 {
		t.Errorf("without the first: %d people, %+v, %v", people, n, points)
	}

	points, err = s.People(func(p int) bool { return p != 1 }).At(t.Context(), []float64{0.3, 0.6}, calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	if points[0].FNMR.Value != 0 || points[1].FMR.Value != 0 {
		t.Errorf("without the second: %v", points)
	}

	near := s.Impostors(s.Nearest(0.5))
	points, err = near.At(t.Context(), []float64{0.4, 0.6}, calibration.Resampling{Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	if _, n := near.Counts(); n.Impostor != 4 || n.Genuine != 2 || points[0].FMR.Value != 0.25 || points[1].FMR.Value != 1 {
		t.Errorf("the nearer half: %+v, %v", n, points)
	}
}

func TestCompareRefuses(t *testing.T) {
	zero := func(int, int) float64 { return 0 }
	if _, err := calibration.Compare(t.Context(), []int{0, 1, 0}, zero); err == nil {
		t.Error("a person in two places passed")
	}
	if _, err := calibration.Compare(t.Context(), make([]int, calibration.MaxPictures+1), zero); err == nil {
		t.Error("too many pictures passed")
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := calibration.Compare(ctx, []int{0, 1, 2}, zero); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	for name, people := range map[string][]int{"nobody": nil, "one": {0, 0}, "one picture each": {0, 1, 2}} {
		s, err := calibration.Compare(t.Context(), people, zero)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.At(t.Context(), []float64{1}, calibration.Resampling{Replicates: 200}); err == nil {
			t.Errorf("%s: rates of nothing", name)
		}
		if _, err := s.Curve(t.Context(), calibration.Resampling{Replicates: 200}); err == nil {
			t.Errorf("%s: a curve of nothing", name)
		}
	}
	two := table(t, []int{0, 0, 1}, 0.1, 0.9, 0.8)
	if _, err := two.At(t.Context(), []float64{0.5, 0.4}, calibration.Resampling{Replicates: 200}); err == nil {
		t.Error("distances in no order passed")
	}
}

// The same seed gives the same bounds, whatever the number of processors did
// when; another seed gives others.
func TestBoundsCanBeRepeated(t *testing.T) {
	s := crowd{people: 30, pictures: 2, impostor: 0.9, impostorSD: 0.1, impostorBy: 0.03, genuine: 0.4, genuineSD: 0.1}.sample(t, 5)
	at := func(seed uint64) calibration.Rate {
		points, err := s.At(t.Context(), []float64{0.75}, calibration.Resampling{Replicates: 200, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return points[0].FMR
	}
	if a, b := at(1), at(1); a != b {
		t.Errorf("%v, then %v", a, b)
	}
	if a, b := at(1), at(2); a == b {
		t.Errorf("another seed gives %v too", a)
	}
}

// 4,000 pictures: what `facegate calibrate` does after the engine's work.
func BenchmarkCurve(b *testing.B) {
	s := crowd{people: 2000, pictures: 2, impostor: 0.9, impostorSD: 0.1, genuine: 0.4, genuineSD: 0.1}.sample(b, 1)
	for b.Loop() {
		if _, err := s.Curve(b.Context(), calibration.Resampling{Replicates: 1000}); err != nil {
			b.Fatal(err)
		}
	}
}
