package match

import (
	"math"
	"slices"
)

// A Verdict is the answer of a comparison. The zero value is Unsure, which
// opens nothing.
type Verdict int

// The verdicts.
const (
	Unsure  Verdict = iota // between the thresholds, or no evidence
	NoMatch                // other persons
	Match                  // the same person
)

// String returns "unsure", "no_match" or "match".
func (v Verdict) String() string {
	switch v {
	case Match:
		return "match"
	case NoMatch:
		return "no_match"
	}
	return "unsure"
}

// A Policy holds the two thresholds of one engine, as distances.
//
// Its zero value matches nothing but a distance of zero.
type Policy struct {
	Accept Score // at or below: match
	Reject Score // at or above: no match
}

// Judge turns the scores of all probes of one attempt into a verdict and the
// score that decided it.
//
// All probes must agree. It is a match only if every score is at or below
// Accept, so the event "match" is contained in "the first probe alone would
// have matched": whatever the dependence between frames, more probes can only
// lower the false-match rate. It is no match only if every score is at or
// above Reject. Anything else, no score at all, or one that is not a number,
// is unsure.
//
// The deciding score is the largest for a match, the smallest for no match,
// the (upper) median for unsure, and NaN without scores.
func (p Policy) Judge(scores []Score) (Verdict, Score) {
	if len(scores) == 0 {
		return Unsure, Score(math.NaN())
	}
	for _, s := range scores {
		if math.IsNaN(float64(s)) {
			return Unsure, s
		}
	}
	sorted := slices.Sorted(slices.Values(scores))
	best, worst := sorted[0], sorted[len(sorted)-1]
	switch {
	case worst <= p.Accept:
		return Match, worst
	case best >= p.Reject:
		return NoMatch, best
	}
	return Unsure, sorted[len(sorted)/2]
}
