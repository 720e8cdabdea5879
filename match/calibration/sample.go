package calibration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Distances are kept in steps, as multiples of which events tell them.
const (
	steps  = 10_000                // of a distance of 1
	beyond = MaxDistance*steps + 1 // farther than any threshold
	absent = math.MaxUint16        // a pair that does not count
)

// MaxPictures bounds the pictures of a sample: the pairs of so many take 400 MB.
const MaxPictures = 20_000

// A Sample is the distances of all pairs of a set of pictures, two bytes each.
// It is not changed once made, and may be used by several goroutines.
type Sample struct {
	person []int32 // of each picture; those of one person are neighbours
	people int
	pairs  []uint16 // of pictures i < j, by i and then j: steps, rounded up
}

// Compare returns the distances of all pairs of pictures i < j. people has the
// person of each picture, as numbers that never fall from one to the next. The
// distance of several pairs is asked for at the same time; one that is not a
// number, or too large, is far.
func Compare(ctx context.Context, people []int, distance func(i, j int) float64) (*Sample, error) {
	if len(people) > MaxPictures {
		return nil, fmt.Errorf("%d pictures, at most %d can be compared (take fewer people)", len(people), MaxPictures)
	}
	if !slices.IsSorted(people) {
		return nil, errors.New("the pictures of a person are not together")
	}
	s := newSample(people)
	err := spread(ctx, len(people), func(i int) {
		row := s.row(i)
		for k := range row {
			row[k] = step(distance(i, i+1+k))
		}
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newSample numbers people from 0.
func newSample[T comparable](people []T) *Sample {
	n := len(people)
	s := &Sample{person: make([]int32, n), pairs: make([]uint16, n*max(0, n-1)/2)}
	for i := range people {
		if i == 0 || people[i] != people[i-1] {
			s.people++
		}
		s.person[i] = int32(s.people - 1)
	}
	return s
}

// row returns the pairs of picture i with those after it.
func (s *Sample) row(i int) []uint16 {
	n := len(s.person)
	from := i*(n-1) - i*(i-1)/2
	return s.pairs[from : from+n-1-i]
}

// step rounds up, so that a pair is at or below a threshold of whole steps if
// and only if its step is. A hair above is taken for the same number.
func step(distance float64) uint16 {
	const hair = 1e-6
	at := math.Ceil(distance*steps - hair)
	switch {
	case !(at < beyond): // or not a number
		return beyond
	case at < 0:
		return 0
	}
	return uint16(at)
}

// People returns the sample of those people, numbered as they came from 0, for
// which keep is true.
func (s *Sample) People(keep func(person int) bool) *Sample {
	var kept []int
	var people []int32
	for i, p := range s.person {
		if keep(int(p)) {
			kept, people = append(kept, i), append(people, p)
		}
	}
	part := newSample(people)
	for a, i := range kept {
		from, row := s.row(i), part.row(a)
		for k := range row {
			row[k] = from[kept[a+1+k]-i-1]
		}
	}
	return part
}

// Impostors returns the sample with those pairs of different people only for
// which keep is true. Pairs of one person stay.
func (s *Sample) Impostors(keep func(i, j int) bool) *Sample {
	part := &Sample{person: s.person, people: s.people, pairs: slices.Clone(s.pairs)}
	for i := range s.person {
		row := part.row(i)
		for k := range row {
			if j := i + 1 + k; s.person[i] != s.person[j] && !keep(i, j) {
				row[k] = absent
			}
		}
	}
	return part
}

// Nearest returns, for [Sample.Impostors] of a sample of the same pictures, that
// share of the pairs of different people which are nearest here.
func (s *Sample) Nearest(share float64) func(i, j int) bool {
	impostor, _ := s.histograms()
	wanted := int(share * float64(total(impostor)))
	limit := 0
	for n := impostor[0]; limit < beyond && n < wanted; n += impostor[limit] {
		limit++
	}
	return func(i, j int) bool { return int(s.row(i)[j-i-1]) <= limit }
}

// Counts returns how many people, pictures and pairs there are.
func (s *Sample) Counts() (people int, c Counts) {
	impostor, genuine := s.histograms()
	return s.people, Counts{Pictures: len(s.person), Genuine: total(genuine), Impostor: total(impostor)}
}

// histograms counts pairs by step.
func (s *Sample) histograms() (impostor, genuine []int) {
	impostor, genuine = make([]int, beyond+1), make([]int, beyond+1)
	for i, p := range s.person {
		for k, at := range s.row(i) {
			switch {
			case at == absent:
			case s.person[i+1+k] == p:
				genuine[at]++
			default:
				impostor[at]++
			}
		}
	}
	return impostor, genuine
}

func total(histogram []int) int {
	n := 0
	for _, c := range histogram {
		n += c
	}
	return n
}

// spread calls f for 0 to n-1, on all processors, until ctx ends.
func spread(ctx context.Context, n int, f func(int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
