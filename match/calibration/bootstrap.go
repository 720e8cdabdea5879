package calibration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// MinReplicates is the least number of replicates that bounds are found from.
const MinReplicates = 200

// Resampling is how bounds are found: people are drawn with replacement as many
// times as there are, and a pair counts as often as its two people were drawn
// together. A pair of one person with itself drawn twice does not count as a
// pair of different people. That is the bootstrap of subsets (Bolle, Ratha and
// Pankanti 2004) on both sides of a pair; what is a pair's own chance it counts
// threefold, so the bounds are rather too wide than too narrow (Owen 2007).
type Resampling struct {
	Replicates int    `json:"replicates"`
	Seed       uint64 `json:"seed"`
}

// At returns the rates at those distances, which are rounded down to whole
// steps of 0.0001 and must ascend. A bound is the wider of two: the bootstrap's,
// and that of a Poisson count of the people (or pairs of people) who erred at
// all, which the bootstrap knows nothing of while they are few or none.
func (s *Sample) At(ctx context.Context, distances []float64, r Resampling) ([]Point, error) {
	if s.people < 2 {
		return nil, fmt.Errorf("%d people cannot be compared", s.people)
	}
	if len(distances) == 0 || len(distances) > maxPoints || !slices.IsSorted(distances) {
		return nil, fmt.Errorf("%d distances, or not in order", len(distances))
	}
	b := newBins(s, distances)
	if b.all.pairs == 0 || b.own.pairs == 0 {
		return nil, errors.New("no pair of two people, or none of one person")
	}
	once := make([]uint32, s.people)
	for i := range once {
		once[i] = 1
	}
	fmr, fnmr := b.rates(once)
	draws := make([][2][]float64, r.Replicates)
	err := spread(ctx, r.Replicates, func(i int) {
		draws[i][0], draws[i][1] = b.rates(draw(s.people, rand.New(rand.NewPCG(r.Seed, uint64(i)))))
	})
	if err != nil {
		return nil, err
	}
	points := make([]Point, len(distances))
	for k := range points {
		points[k] = Point{
			Distance: float64(b.steps[k]) / steps,
			FMR:      bounded(fmr[k], column(draws, 0, k), b.all.skew[k], b.all.near[k], b.all.effective),
			FNMR:     bounded(fnmr[k], column(draws, 1, k), b.own.skew[k], b.own.far[k], b.own.effective),
		}
	}
	straighten(points)
	return points, nil
}

// draw draws n of n with replacement and returns how often each was drawn.
func draw(n int, r *rand.Rand) []uint32 {
	times := make([]uint32, n)
	for range n {
		times[r.IntN(n)]++
	}
	return times
}

// column takes the rate at one distance out of all draws that have it.
func column(draws [][2][]float64, which, k int) []float64 {
	all := make([]float64, 0, len(draws))
	for _, d := range draws {
		if v := d[which][k]; !math.IsNaN(v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}

// bounded gives a rate its bounds, of draws in order and their skewness, and of
// the number of people (or pairs of people) who erred, out of so many of equal
// weight.
func bounded(value float64, draws []float64, skew float64, erred int, effective float64) Rate {
	low, high := 0.0, 3.7/effective
	if erred > 0 {
		least, most := poisson(erred)
		low, high = value*least/float64(erred), value*most/float64(erred)
	}
	if n := len(draws); n > 0 {
		from, to := quantiles(value, draws, skew)
		low, high = math.Min(low, from), math.Max(high, to)
	}
	return Rate{Value: value, Low: math.Max(0, math.Min(low, value)), High: math.Min(1, math.Max(high, value))}
}

// quantiles returns the 95 % interval of draws in order: bias-corrected and
// accelerated (Efron 1987), for a sample without the few people who are taken
// for others shows too small a rate and too small a spread. It is never
// narrower than the plain percentiles.
func quantiles(value float64, draws []float64, skew float64) (low, high float64) {
	n := len(draws)
	at := func(share float64) float64 { return draws[min(n-1, max(0, int(math.Round(share*float64(n)))))] }
	from, _ := slices.BinarySearch(draws, value)
	to, _ := slices.BinarySearch(draws, math.Nextafter(value, 2))
	bias := quantile(math.Min(0.9, math.Max(0.1, float64(from+to)/float64(2*n))))
	moved := func(z float64) float64 {
		return normal(bias + (bias+z)/math.Max(0.2, 1-skew*(bias+z)))
	}
	const z = 1.96
	return at(math.Min(0.025, moved(-z))), at(math.Max(0.975, moved(z)))
}

// normal is the distribution function of the standard normal distribution, and
// quantile its inverse.
func normal(z float64) float64   { return math.Erfc(-z/math.Sqrt2) / 2 }
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// poisson returns the 95 % bounds of a Poisson count, by Byar's approximation,
// whose upper one is right within a hundredth from 1 on.
func poisson(n int) (least, most float64) {
	const z = 1.96
	k := float64(n)
	cube := func(v float64) float64 { return math.Max(0, v*v*v) }
	return k * cube(1-1/(9*k)-z/(3*math.Sqrt(k))), (k + 1) * cube(1-1/(9*(k+1))+z/(3*math.Sqrt(k+1)))
}

// straighten makes bounds rise and fall as their rates must: what is sure of a
// distance is sure of those at which the rate cannot be higher, or lower.
func straighten(points []Point) {
	for i := 1; i < len(points); i++ {
		points[i].FMR.Low = math.Max(points[i].FMR.Low, points[i-1].FMR.Low)
		points[i].FNMR.High = math.Min(points[i].FNMR.High, points[i-1].FNMR.High)
	}
	for i := len(points) - 2; i >= 0; i-- {
		points[i].FMR.High = math.Min(points[i].FMR.High, points[i+1].FMR.High)
		points[i].FNMR.Low = math.Max(points[i].FNMR.Low, points[i+1].FNMR.Low)
	}
}

// Bins are a sample's pairs by the first of some distances that they are not
// above.
type bins struct {
	*Sample
	steps    []int
	slot     []uint8 // of each pair
	all, own erring  // of pairs of different people, and of one person's
}

// erring counts who erred at each distance.
type erring struct {
	pairs     int       // of pictures
	effective float64   // people, or pairs of people, if all had the same number of pairs of pictures
	near, far []int     // people, or pairs of people, with any pair of pictures at or below, or above
	skew      []float64 // of the rate, by how much it depends on each person: the acceleration of BCa
}

// The slots of a pair besides those of the distances.
const (
	maxPoints = 250
	nowhere   = maxPoints + 1 // of an absent pair
	slots     = maxPoints + 2
)

func newBins(s *Sample, distances []float64) *bins {
	b := &bins{Sample: s, slot: make([]uint8, len(s.pairs))}
	for _, d := range distances {
		b.steps = append(b.steps, int(math.Floor(d*steps+1e-6)))
	}
	table := make([]uint8, absent+1)
	for at := range table {
		k, _ := slices.BinarySearch(b.steps, at)
		table[at] = uint8(k)
	}
	table[absent] = nowhere
	for i, at := range s.pairs {
		b.slot[i] = table[at]
	}
	b.count()
	return b
}

// count fills in who erred, going through blocks of two people's pictures.
func (b *bins) count() {
	n := len(b.steps)
	starts := []int{}
	for i, p := range b.person {
		if i == 0 || p != b.person[i-1] {
			starts = append(starts, i)
		}
	}
	starts = append(starts, len(b.person))
	var all, own tally
	for p := range b.people {
		for q := p; q < b.people; q++ {
			pairs, nearest, farthest := b.block(starts[p], starts[p+1], starts[q], starts[q+1])
			if pairs == 0 {
				continue
			}
			if p == q {
				own.add(pairs, nearest, farthest)
			} else {
				all.add(pairs, nearest, farthest)
			}
		}
	}
	b.all, b.own = all.errors(n), own.errors(n)
	b.all.skew, b.own.skew = b.skews()
}

// skews returns the acceleration of both rates at each distance, from the rates
// without one person after the other.
func (b *bins) skews() (all, own []float64) {
	n := len(b.steps)
	impostor, genuine := make([][slots]float64, b.people), make([][slots]float64, b.people)
	from := 0
	for i, p := range b.person {
		for _, q := range b.person[i+1:] {
			slot := b.slot[from]
			from++
			if p == q {
				genuine[p][slot]++
			} else {
				impostor[p][slot]++
				impostor[q][slot]++
			}
		}
	}
	return skew(impostor, 2, n), skew(genuine, 1, n)
}

// skew returns the acceleration at each of n distances. counts has the pairs of
// each person by slot, in which a pair occurs so many times.
func skew(counts [][slots]float64, times float64, n int) []float64 {
	var sum [slots]float64
	for p := range counts {
		for k := range n + 1 {
			sum[k] += counts[p][k] / times
		}
		for k := 1; k <= n; k++ {
			counts[p][k] += counts[p][k-1]
		}
	}
	for k := 1; k <= n; k++ {
		sum[k] += sum[k-1]
	}
	out := make([]float64, n)
	for k := range out {
		var mean, squares, cubes float64
		without := func(p int) float64 { return (sum[k] - counts[p][k]) / math.Max(1, sum[n]-counts[p][n]) }
		for p := range counts {
			mean += without(p) / float64(len(counts))
		}
		for p := range counts {
			d := mean - without(p)
			squares += d * d
			cubes += d * d * d
		}
		if squares > 0 {
			out[k] = cubes / (6 * math.Pow(squares, 1.5))
		}
	}
	return out
}

// block returns how many pairs two people's pictures make, and the slots of the
// nearest and the farthest.
func (b *bins) block(from, to, from2, to2 int) (pairs int, nearest, farthest uint8) {
	nearest = nowhere
	n := len(b.person)
	for i := from; i < to; i++ {
		at := i*(n-1) - i*(i-1)/2 - i - 1 // of the pair with picture 0, if there were one
		for _, slot := range b.slot[at+max(from2, i+1) : at+max(to2, i+1)] {
			if slot == nowhere {
				continue
			}
			pairs++
			nearest, farthest = min(nearest, slot), max(farthest, slot)
		}
	}
	return pairs, nearest, farthest
}

// A tally adds up blocks.
type tally struct {
	pairs, squares float64
	near, far      [slots]int // blocks by the slot of their nearest and farthest
}

func (t *tally) add(pairs int, nearest, farthest uint8) {
	t.pairs += float64(pairs)
	t.squares += float64(pairs) * float64(pairs)
	t.near[nearest]++
	t.far[farthest]++
}

func (t *tally) errors(n int) erring {
	e := erring{pairs: int(t.pairs), effective: t.pairs * t.pairs / math.Max(1, t.squares), near: make([]int, n), far: make([]int, n)}
	below, blocks, within := 0, total(t.far[:]), 0
	for k := range n {
		below += t.near[k]
		within += t.far[k]
		e.near[k], e.far[k] = below, blocks-within
	}
	return e
}

// rates returns the rates at each distance if each person counts so many times.
// They are not numbers if no pair counts.
func (b *bins) rates(times []uint32) (fmr, fnmr []float64) {
	weight := make([]uint32, len(b.person))
	for i, p := range b.person {
		weight[i] = times[p]
	}
	var impostor, genuine [256]uint64
	n, from := len(b.person), 0
	for i, w := range weight {
		row := b.slot[from : from+n-1-i]
		from += n - 1 - i
		if w == 0 {
			continue
		}
		k := 0
		for ; k < len(row) && b.person[i+1+k] == b.person[i]; k++ {
			genuine[row[k]] += uint64(w)
		}
		var part [256]uint64
		others := weight[i+1:][:len(row)]
		for ; k < len(row); k++ {
			part[row[k]] += uint64(others[k])
		}
		for slot, c := range part {
			impostor[slot] += uint64(w) * c
		}
	}
	return shares(impostor[:len(b.steps)+1], false), shares(genuine[:len(b.steps)+1], true)
}

// shares returns which share of the pairs counted by slot is at or below each
// distance, or above it.
func shares(counts []uint64, above bool) []float64 {
	var all, below uint64
	for _, c := range counts {
		all += c
	}
	out := make([]float64, len(counts)-1)
	for k := range out {
		below += counts[k]
		if above {
			out[k] = float64(all-below) / float64(all)
		} else {
			out[k] = float64(below) / float64(all)
		}
	}
	return out
}
