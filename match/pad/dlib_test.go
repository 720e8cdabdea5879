//go:build dlib && cgo

package pad_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/pad"
)

// eyesOf returns the middle of each eye, of dlib's points.
func eyesOf(p pad.Points) (right, left pad.Point) {
	return pad.Point{X: (p[2].X + p[3].X) / 2, Y: (p[2].Y + p[3].Y) / 2}, pad.Point{X: (p[0].X + p[1].X) / 2, Y: (p[0].Y + p[1].Y) / 2}
}

func open(t *testing.T) *dlib.Engine {
	t.Helper()
	e, err := dlib.Open(dlib.Options{Dir: matchtest.Folder(t, "FACEGATE_MODELS")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// The attack of a flat picture with the errors that a real engine makes in real
// portraits: 240 pictures of prints that are turned by up to 60 degrees are
// shown to dlib. Its errors in them are then those of the five points that
// the challenge needs: the middle of dlib's two corners for each eye, and
// the base of the nose, of which it has one only, for the three points below.
func TestFlatPicturesWithRealErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	e := open(t)
	prints := portraits(t, e, eyesOf)
	var found []errs
	var jitters, biases []float64
	drawn := 0
	for _, p := range prints {
		for range 60 {
			angle, tilt := degrees(60*r.Float64()), degrees(60*(2*r.Float64()-1))
			if r.IntN(2) == 0 {
				angle = -angle
			}
			v := view{p, pose{angle * math.Cos(tilt), angle * math.Sin(tilt), degrees(10) * r.NormFloat64()},
				spot{10 * r.NormFloat64(), 10 * r.NormFloat64(), 350 + 250*r.Float64()}}
			drawn++
			face, ok := largest(t, e, v.picture(r))
			if !ok {
				continue
			}
			got, want := points(face), points(p.face)
			for i, q := range want {
				want[i] = v.place(q)
			}
			gotRight, gotLeft := eyesOf(got)
			wantRight, wantLeft := eyesOf(want)
			unit := math.Hypot(wantLeft.X-wantRight.X, wantLeft.Y-wantRight.Y)
			off := func(a, b pad.Point) pad.Point { return pad.Point{X: (a.X - b.X) / unit, Y: (a.Y - b.Y) / unit} }
			right, left, nose := off(gotRight, wantRight), off(gotLeft, wantLeft), off(got[4], want[4])
			if math.Hypot(nose.X, nose.Y) > 1 {
				continue // another face of the portrait, or none
			}
			list := &biases
			if math.Abs(angle) < degrees(15) {
				list = &jitters
			}
			for _, p := range []pad.Point{right, left, nose} {
				*list = append(*list, p.X, p.Y)
			}
			if math.Abs(angle) >= degrees(15) && math.Abs(angle) <= degrees(50) {
				// The face of a print that is turned to the right is mirrored.
				if angle < 0 {
					right, left, nose = pad.Point{X: -left.X, Y: left.Y}, pad.Point{X: -right.X, Y: right.Y}, pad.Point{X: -nose.X, Y: nose.Y}
				}
				found = append(found, errs{fixed: &pad.Points{right, left, nose, nose, nose}})
			}
		}
	}
	t.Logf("%d pictures; error of a coordinate, in distances between the eyes: %.3f below 15 degrees, %.3f above", drawn, rms(jitters), rms(biases))
	if drawn < 200 || len(found) < 100 {
		t.Fatalf("%d pictures, %d with usable errors, want 200 and 100", drawn, len(found))
	}

	const tries = 2000
	passed := 0
	for range tries {
		// The errors of the points below are those of noses in different pictures.
		at40 := *found[r.IntN(len(found))].fixed
		at40[3], at40[4] = found[r.IntN(len(found))].fixed[2], found[r.IntN(len(found))].fixed[2]
		scale := 0.6 + 0.8*r.Float64()
		poses := sweep(anyAxis(r), 4+r.IntN(12))
		frames := film(r, errs{jitter: rms(jitters), fixed: &at40}, scale*distance(r), always(shot(head(r), 0, scale), len(poses)), poses)
		if judge(pad.Left, frames) == pad.Passed {
			passed++
		}
	}
	bound := upperBound(passed, tries)
	t.Logf("flat pictures with these errors: %d of %d pass, at most %.2f %% at 95 %% confidence", passed, tries, 100*bound)
	if bound > 0.02 {
		t.Errorf("%d of %d pass", passed, tries)
	}
}

func rms(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(all)))
}
