//go:build integration && cgo && linux && (amd64 || arm64)

package pad_test

import (
	"image"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/onnx"
	"github.com/facegate/facegate/match/pad"
)

// engine opens the engine whose landmarks the challenge is for.
func engine(t *testing.T) *onnx.Engine {
	t.Helper()
	dir := matchtest.Folder(t, "FACEGATE_MODELS")
	set, err := models.Open(dir, "faceplugin")
	if err != nil {
		t.Fatal(err)
	}
	e, err := onnx.Open(onnx.Options{Dir: dir, Set: set, Runtime: filepath.Join(dir, models.RuntimeFile)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func pupils(p pad.Points) (right, left pad.Point) { return p[0], p[1] }

// shown is one attempt of 16 frames before the engine: something looks at the
// camera for five, and is then turned by an angle, round an axis that is tilted
// away from the vertical. The engine's templates are left out, so nothing but its
// landmarks and boxes speaks.
func shown(t *testing.T, e *onnx.Engine, r *rand.Rand, p print, asked, toward pad.Side, angle, tilt float64, draw func(view) image.Image) pad.Verdict {
	t.Helper()
	turn, err := pad.NewTurn(asked, match.Template{0}, options())
	if err != nil {
		t.Fatal(err)
	}
	at, distance := time.Unix(0, 0), 350+250*r.Float64()
	for i := range 16 {
		share := float64(toward) * min(1, max(0, float64(i-5)/8))
		sway := func() float64 { return 0.01 * r.NormFloat64() }
		v := view{p, pose{share*angle*math.Cos(tilt) + sway(), share*angle*math.Sin(tilt) + sway(), sway()}, spot{r.NormFloat64(), r.NormFloat64(), distance}}
		at = at.Add(100 * time.Millisecond)
		face, ok := largest(t, e, draw(v))
		if !ok {
			turn.Lost(at)
			continue
		}
		face.Template = match.Template{0}
		turn.See(pad.Observation{Time: at, Face: face})
	}
	return turn.End()
}

func either(r *rand.Rand) pad.Side {
	if r.IntN(2) == 0 {
		return pad.Left
	}
	return pad.Right
}

// The attack of a flat picture against the engine: portraits held before the
// camera and then turned by up to 60 degrees to the side asked for.
func TestFlatPicturesBeforeTheEngine(t *testing.T) {
	e, r := engine(t), rand.New(rand.NewPCG(7, 8))
	verdicts, tries := map[pad.Verdict]int{}, 0
	for _, p := range portraits(t, e, pupils) {
		for range 12 {
			side, angle, tilt := either(r), degrees(20+40*r.Float64()), degrees(45*(2*r.Float64()-1))
			verdict := shown(t, e, r, p, side, side, angle, tilt, func(v view) image.Image { return v.picture(r) })
			verdicts[verdict]++
			tries++
			if verdict == pad.Passed {
				t.Errorf("%.0f degrees about an axis %.0f degrees off the vertical passed", angle*180/math.Pi, tilt*180/math.Pi)
			}
		}
	}
	t.Logf("%d pictures in %d attempts: %d pass, at most %.1f %% at 95 %% confidence %v",
		16*tries, tries, verdicts[pad.Passed], 100*upperBound(verdicts[pad.Passed], tries), verdicts)
}

// The same portraits as the skin of a head, so that the engine's landmarks are
// seen to show a head too: a challenge that nobody passes would defend well.
func TestHeadsBeforeTheEngine(t *testing.T) {
	e, r := engine(t), rand.New(rand.NewPCG(9, 10))
	verdicts, others := map[pad.Verdict]int{}, map[pad.Verdict]int{}
	for _, p := range portraits(t, e, pupils) {
		draw := func(v view) image.Image { return v.headPicture(r, points(p.face)[2]) }
		side := either(r)
		verdicts[shown(t, e, r, p, side, side, degrees(40), degrees(5)*r.NormFloat64(), draw)]++
		others[shown(t, e, r, p, pad.Left, pad.Right, degrees(40), degrees(5)*r.NormFloat64(), draw)]++
	}
	t.Logf("to the side asked for: %v, to the other: %v", verdicts, others)
	if verdicts[pad.Passed] < 3 || others[pad.Passed] > 0 {
		t.Errorf("%d of 4 heads pass, %d of 4 that turn the wrong way", verdicts[pad.Passed], others[pad.Passed])
	}
}
