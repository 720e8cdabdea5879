package calibration

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Slack is how many times a rate that is asked for may be exceeded by the upper
// 95 % bound of what was measured. A target beyond that is refused: the
// pictures were too few to say that a threshold keeps it.
const Slack = 3

// A TargetError is a rate that a calibration cannot promise.
type TargetError struct {
	Rate   string  // FMR or FNMR
	Target float64 // what was asked for
	High   float64 // what it may be at any distance
	Best   float64 // the smallest target that the pictures support
	People int     // in the calibration
}

// Error names the best target.
func (e *TargetError) Error() string {
	best := "none"
	if e.Best < 1 {
		best = Share(e.Best)
	}
	return fmt.Sprintf("%s of %s cannot be told from %d people: it may be %s at any distance, more than %d times that (the best they support is %s; or calibrate with more people)",
		e.Rate, Share(e.Target), e.People, Share(e.High), Slack, best)
}

// Share writes a rate with two digits.
func Share(v float64) string { return strconv.FormatFloat(v, 'g', 2, 64) }

// Accept returns the largest measured distance at which the false-match rate is
// not above the target, and its bound not above [Slack] times that. The error is
// a [*TargetError].
func (c Calibration) Accept(target float64) (Point, error) {
	for i := len(c.Curve) - 1; i >= 0; i-- {
		if c.Curve[i].FMR.keeps(target) {
			return c.Curve[i], nil
		}
	}
	return Point{}, c.refuse("FMR", target, func(p Point) Rate { return p.FMR })
}

// Reject returns the smallest measured distance at which the false non-match
// rate is not above the target, and its bound not above [Slack] times that. The
// error is a [*TargetError].
func (c Calibration) Reject(target float64) (Point, error) {
	for _, p := range c.Curve {
		if p.FNMR.keeps(target) {
			return p, nil
		}
	}
	return Point{}, c.refuse("FNMR", target, func(p Point) Rate { return p.FNMR })
}

// keeps says whether a rate may be promised. One that may be all there is, for
// want of people, is no promise.
func (r Rate) keeps(target float64) bool {
	return r.Value <= target && r.High <= Slack*target && r.High < 1
}

// refuse says which target would not be refused.
func (c Calibration) refuse(name string, target float64, rate func(Point) Rate) error {
	e := &TargetError{Rate: name, Target: target, High: 1, Best: 1, People: c.People}
	for _, p := range c.Curve {
		r := rate(p)
		e.High = math.Min(e.High, r.High)
		if best := outward2(math.Max(r.Value, r.High/Slack)); r.keeps(best) {
			e.Best = math.Min(e.Best, best)
		}
	}
	return e
}

// outward2 rounds up to two digits, so that what is printed is what was tried.
func outward2(v float64) float64 {
	scale := math.Pow(10, 1-math.Floor(math.Log10(v)))
	up, _ := strconv.ParseFloat(Share(math.Ceil(v*scale*(1-1e-9))/scale), 64)
	return up
}

// Thresholds returns the points for both targets, accept below reject. Where
// the rates allow both at one distance, reject is moved up to the next that was
// measured, which keeps its target too; accept is never moved, for it opens
// doors.
func (c Calibration) Thresholds(fmr, fnmr float64) (accept, reject Point, err error) {
	if accept, err = c.Accept(fmr); err != nil {
		return Point{}, Point{}, err
	}
	if reject, err = c.Reject(fnmr); err != nil {
		return Point{}, Point{}, err
	}
	if reject.Distance > accept.Distance {
		return accept, reject, nil
	}
	i := slices.IndexFunc(c.Curve, func(p Point) bool { return p.Distance > accept.Distance })
	if i < 0 {
		return Point{}, Point{}, fmt.Errorf("FMR of %s is reached by every distance that was measured (ask for a smaller one)", Share(fmr))
	}
	return accept, c.Curve[i], nil
}

// FMR returns the false-match rate of a comparison at that distance, never less
// than was measured: between two points it is that of the larger distance. With
// below, no pair of different people was as near, and the rate is one pair in
// all, an estimate from above.
func (c Calibration) FMR(distance float64) (rate float64, below bool) {
	r := c.Above(distance).FMR
	if r.Value == 0 {
		return 1 / float64(c.Impostor), true
	}
	return r.Value, false
}

// FNMR returns the false non-match rate of a comparison at that distance, never
// less than was measured: between two points it is that of the smaller
// distance, and at best one pair in all.
func (c Calibration) FNMR(distance float64) float64 {
	return math.Max(c.Below(distance).FNMR.Value, 1/float64(c.Genuine))
}

// Above returns the first point that is not below a distance, beyond the last
// one a point of which nothing is known.
func (c Calibration) Above(distance float64) Point {
	for _, p := range c.Curve {
		if p.Distance >= distance {
			return p
		}
	}
	return unknown()
}

// Below returns the last point that is not above a distance, before the first
// one a point of which nothing is known.
func (c Calibration) Below(distance float64) Point {
	for i := len(c.Curve) - 1; i >= 0; i-- {
		if c.Curve[i].Distance <= distance {
			return c.Curve[i]
		}
	}
	return unknown()
}

// unknown is the point at which all may be wrong.
func unknown() Point {
	return Point{Distance: math.NaN(), FMR: Rate{Value: 1, High: 1}, FNMR: Rate{Value: 1, High: 1}}
}
