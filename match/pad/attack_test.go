package pad_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/facegate/facegate/match/pad"
)

// A species is a kind of attack, or of genuine person: each call is one try
// against a challenge to turn to the left.
type species struct {
	name string
	try  func(r *rand.Rand) []pad.Observation
}

func distance(r *rand.Rand) float64 { return 350 + 350*r.Float64() }

// flat holds a print of any size from 0.6 to 1.4 times a head's, and turns it
// by an angle round an axis in its plane.
func flat(shape func(*rand.Rand, body) body, angle func(*rand.Rand) pose) func(*rand.Rand) []pad.Observation {
	return func(r *rand.Rand) []pad.Observation {
		scale := 0.6 + 0.8*r.Float64()
		print := shape(r, shot(head(r), 0, scale))
		poses := sweep(angle(r), 4+r.IntN(12))
		return film(r, usual(), scale*distance(r), always(print, len(poses)), poses)
	}
}

func asItIs(_ *rand.Rand, b body) body { return b }

// anyAxis turns by 15 to 75 degrees round an axis that is at most 60 degrees
// from the vertical, to the left.
func anyAxis(r *rand.Rand) pose {
	angle, tilt := degrees(15+60*r.Float64()), degrees(60*(2*r.Float64()-1))
	return pose{yaw: angle * math.Cos(tilt), pitch: angle * math.Sin(tilt), roll: degrees(15) * r.NormFloat64()}
}

func upright(r *rand.Rand) pose { return pose{yaw: degrees(15 + 60*r.Float64())} }

// defended are the attacks that must fail.
func defended() []species {
	return []species{
		{"picture held still", flat(asItIs, func(*rand.Rand) pose { return pose{} })},
		{"picture turned upright", flat(asItIs, upright)},
		{"picture turned round any axis", flat(asItIs, anyAxis)},
		{"picture bent, radius 80 to 300 mm", flat(func(r *rand.Rand, b body) body { return bent(b, 80+220*r.Float64()) }, upright)},
		{"picture of a turned head, turned", func(r *rand.Rand) []pad.Observation {
			poses := sweep(upright(r), 8)
			print := shot(head(r), degrees(35*(2*r.Float64()-1)), 1)
			return film(r, usual(), distance(r), always(print, len(poses)), poses)
		}},
		{"frontal picture, then one of a turned head", func(r *rand.Rand) []pad.Observation {
			poses := make([]pose, 45)
			who := head(r)
			bodies := always(shot(who, 0, 1), len(poses))
			for i := 8; i < len(bodies); i++ {
				bodies[i] = shot(who, degrees(25+20*r.Float64()), 1)
			}
			return film(r, usual(), distance(r), bodies, poses)
		}},
		{"head that turns to the other side", func(r *rand.Rand) []pad.Observation {
			poses := sweep(pose{yaw: -degrees(28 + 14*r.Float64())}, 5+r.IntN(10))
			return film(r, errs{jitter: 0.015, bias: 0.025}, distance(r), always(head(r), len(poses)), poses)
		}},
	}
}

// undefended are attacks that need what this challenge cannot see. They are
// measured, so that nobody believes otherwise.
func undefended() []species {
	return []species{
		{"picture bent, radius 40 to 80 mm", flat(func(r *rand.Rand, b body) body { return bent(b, 40+40*r.Float64()) }, upright)},
		{"picture bent, radius 25 to 40 mm", flat(func(r *rand.Rand, b body) body { return bent(b, 25+15*r.Float64()) }, upright)},
		{"picture folded along the nose by 30 degrees a side", flat(func(_ *rand.Rand, b body) body { return folded(b, degrees(30)) }, upright)},
		{"screen or mask that moves as a head does", genuine().try},
	}
}

// genuine is a person who turns the head by 35 to 45 degrees, nods a little
// meanwhile and takes 0.8 to 1.7 seconds.
func genuine() species {
	return species{"person", func(r *rand.Rand) []pad.Observation {
		poses := sweep(pose{yaw: degrees(35 + 10*r.Float64()), pitch: degrees(5) * r.NormFloat64(), roll: degrees(4) * r.NormFloat64()}, 8+r.IntN(10))
		return film(r, errs{jitter: 0.015, bias: 0.025}, distance(r), always(head(r), len(poses)), poses)
	}}
}

// passes counts the tries that pass.
func (s species) passes(tries int) (passed int, verdicts map[pad.Verdict]int) {
	r := rand.New(rand.NewPCG(1, 2))
	verdicts = map[pad.Verdict]int{}
	for range tries {
		verdicts[judge(pad.Left, s.try(r))]++
	}
	return verdicts[pad.Passed], verdicts
}

func TestAttacks(t *testing.T) {
	const tries = 1000
	for _, s := range defended() {
		passed, verdicts := s.passes(tries)
		bound := upperBound(passed, tries)
		t.Logf("%s: %d of %d pass, at most %.2f %% at 95 %% confidence %v", s.name, passed, tries, 100*bound, verdicts)
		if bound > 0.01 {
			t.Errorf("%s: %d of %d pass", s.name, passed, tries)
		}
	}
	for _, s := range undefended() {
		passed, verdicts := s.passes(tries)
		t.Logf("not defended: %s: %d of %d pass %v", s.name, passed, tries, verdicts)
	}
}

func TestPeoplePass(t *testing.T) {
	const tries = 1000
	passed, verdicts := genuine().passes(tries)
	t.Logf("%d of %d pass, at least %.1f %% at 95 %% confidence %v", passed, tries, 100*(1-upperBound(tries-passed, tries)), verdicts)
	if passed < tries*85/100 {
		t.Errorf("%d of %d pass, want 85 %%", passed, tries)
	}
}

// upperBound returns the upper end of the one-sided 95 % interval of Clopper
// and Pearson for k events in n tries: the rate at which k or fewer would
// happen once in twenty times.
func upperBound(k, n int) float64 {
	low, high := float64(k)/float64(n), 1.0
	if k == n {
		return 1
	}
	for range 60 {
		p := (low + high) / 2
		if atMost(k, n, p) > 0.05 {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// atMost returns the chance of k or fewer events in n tries at the rate p.
func atMost(k, n int, p float64) float64 {
	sum := 0.0
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(a - b - c + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}

func TestUpperBound(t *testing.T) {
	for _, tt := range []struct {
		k, n int
		want float64
	}{{0, 59, 0.0495}, {0, 299, 0.00997}, {1, 20, 0.2161}, {20, 20, 1}} {
		if got := upperBound(tt.k, tt.n); math.Abs(got-tt.want) > 1e-4 {
			t.Errorf("%d of %d: %v, want %v", tt.k, tt.n, got, tt.want)
		}
	}
}
