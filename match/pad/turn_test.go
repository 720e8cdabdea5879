package pad_test

import (
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/pad"
)

// exact films the average head without any error, 300 pixels between the eyes,
// so that whole pixels hardly matter.
func exact(poses []pose) []pad.Observation {
	who := body{{-31.5, 0, 0}, {31.5, 0, 0}, {0, 43, 30}, {-25, 70, 12}, {25, 70, 12}}
	t := take{at: time.Unix(0, 0), template: match.Template{0}}
	for _, q := range poses {
		t.add(seen(turned(who, q.yaw, q.pitch, q.roll), spot{0, 0, 120}))
	}
	return t.frames
}

func left() []pose { return sweep(pose{yaw: degrees(40)}, 12) }

// A challenge passes as soon as the head has turned, not when its time is over.
func TestTurn(t *testing.T) {
	turn, err := pad.NewTurn(pad.Left, match.Template{0}, options())
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range exact(left()) {
		verdict := turn.See(o)
		if i == 3 && turn.Ready() || i == 4 && !turn.Ready() {
			t.Errorf("frame %d: ready %v", i, turn.Ready())
		}
		if verdict == pad.Passed {
			if i < 14 || i > 20 {
				t.Errorf("passed at frame %d, want at about 30 degrees", i)
			}
			return
		}
	}
	t.Errorf("got %v", turn.End())
}

func TestVerdicts(t *testing.T) {
	cut := func(change func([]pad.Observation) []pad.Observation) []pad.Observation { return change(exact(left())) }
	from := func(first int, f func(i int, o *pad.Observation)) func([]pad.Observation) []pad.Observation {
		return func(all []pad.Observation) []pad.Observation {
			for i := first; i < len(all); i++ {
				f(i, &all[i])
			}
			return all
		}
	}
	tests := []struct {
		name   string
		side   pad.Side
		frames []pad.Observation
		want   pad.Verdict
	}{
		{"to the side", pad.Left, exact(left()), pad.Passed},
		{"to the other side", pad.Right, exact(left()), pad.WrongSide},
		{"to the right", pad.Right, exact(sweep(pose{yaw: degrees(-40)}, 12)), pad.Passed},
		{"not far enough", pad.Left, exact(sweep(pose{yaw: degrees(15)}, 12)), pad.NotTurned},
		{"chin up only", pad.Left, exact(sweep(pose{pitch: degrees(35)}, 12)), pad.NotTurned},
		{"turned from the start", pad.Left, exact(left())[25:], pad.NotStill},
		{"nobody", pad.Left, nil, pad.NotStill},
		{"too late", pad.Left, cut(from(6, func(_ int, o *pad.Observation) { o.Time = o.Time.Add(4 * time.Second) })), pad.NotTurned},
		{"a pause in the middle", pad.Left, cut(from(12, func(_ int, o *pad.Observation) { o.Time = o.Time.Add(500 * time.Millisecond) })), pad.NotStill},
		{"a frame of the past", pad.Left, cut(from(12, func(_ int, o *pad.Observation) { o.Time = o.Time.Add(-time.Second) })), pad.NotStill},
		{"another place in the middle", pad.Left, cut(from(12, func(_ int, o *pad.Observation) { o.Face.Box = o.Face.Box.Add(image.Pt(600, 0)) })), pad.NotStill},
		{"another person in the middle", pad.Left, cut(from(12, func(_ int, o *pad.Observation) { o.Face.Template = match.Template{0.7} })), pad.OtherFace},
		{"another person, who looks at the camera too", pad.Left, cut(func(all []pad.Observation) []pad.Observation {
			return from(4, func(_ int, o *pad.Observation) { o.Face.Template = match.Template{0.7} })(all)
		}), pad.OtherFace},
		{"templates that are no numbers", pad.Left, cut(from(0, func(_ int, o *pad.Observation) { o.Face.Template = match.Template{float32(math.NaN())} })), pad.OtherFace},
		{"no landmarks in the middle", pad.Left, cut(from(12, func(i int, o *pad.Observation) {
			if i == 12 {
				o.Face.Points = nil
			}
		})), pad.NotStill},
		{"landmarks on one spot", pad.Left, cut(from(0, func(_ int, o *pad.Observation) { o.Face.Points = make([]image.Point, 5) })), pad.NotStill},
		{"in a mirror", pad.Left, cut(from(0, func(_ int, o *pad.Observation) {
			for i, p := range o.Face.Points {
				o.Face.Points[i] = image.Pt(640-p.X, p.Y)
			}
		})), pad.NotStill},
	}
	for _, tt := range tests {
		if got := judge(tt.side, tt.frames); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A frame without the face, once it has turned, must not let a turn pass that
// began before it.
func TestAFaceOutOfSightBeginsAgain(t *testing.T) {
	frames := exact(left())
	for lost := 12; lost < 16; lost++ {
		turn, _ := pad.NewTurn(pad.Left, match.Template{0}, options())
		for i, o := range frames {
			if i == lost {
				turn.Lost(o.Time)
			}
			turn.See(o)
		}
		if got := turn.End(); got != pad.NotStill {
			t.Errorf("lost at frame %d: %v, want not_still", lost, got)
		}
	}
}

// A verdict is final.
func TestVerdictStands(t *testing.T) {
	turn, _ := pad.NewTurn(pad.Right, match.Template{0}, options())
	for _, o := range append(exact(left()), exact(sweep(pose{yaw: degrees(-40)}, 12))...) {
		turn.See(o)
	}
	if got := turn.End(); got != pad.WrongSide {
		t.Errorf("got %v, want wrong_side", got)
	}
}

// A low relief, such as a picture that is bent, does not pass by being turned
// further than people turn.
func TestALowNoseDoesNotPassByTurningFar(t *testing.T) {
	low := body{{-31.5, 0, 0}, {31.5, 0, 0}, {0, 43, 22.3}, {-25, 70, 12}, {25, 70, 12}} // 0.24
	for _, to := range []float64{35, 45, 55, 65} {
		poses := sweep(pose{yaw: degrees(to)}, 20)
		tape := take{at: time.Unix(0, 0), template: match.Template{0}}
		for _, q := range poses {
			tape.add(seen(turned(low, q.yaw, 0, 0), spot{0, 0, 400}))
		}
		if got := judge(pad.Left, tape.frames); got == pad.Passed {
			t.Errorf("turned by %v degrees: passed", to)
		}
	}
}

// A plane explains itself, however it is held and however near.
func TestNoPlanePassesWithoutError(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		print := shot(head(r), 0, 0.5+r.Float64())
		poses := sweep(pose{yaw: degrees(80 * r.Float64()), pitch: degrees(60 * (2*r.Float64() - 1)), roll: degrees(20) * r.NormFloat64()}, 15)
		if got := judge(pad.Left, film(r, errs{}, 150+600*r.Float64(), always(print, len(poses)), poses)); got == pad.Passed {
			t.Fatal("a plane passed")
		}
	}
}

func TestLayouts(t *testing.T) {
	for _, l := range []pad.Layout{pad.Unknown, pad.EyeCorners} {
		o := options()
		o.Layout = l
		if _, err := pad.NewTurn(pad.Left, match.Template{0}, o); !errors.Is(err, pad.ErrLandmarks) {
			t.Errorf("layout %d: %v, want ErrLandmarks", l, err)
		}
	}
	if _, err := pad.EyesNoseMouth.Points(match.Face{Points: make([]image.Point, 4)}); !errors.Is(err, pad.ErrLandmarks) {
		t.Errorf("four points: %v, want ErrLandmarks", err)
	}
}

func TestRandomSideIsEither(t *testing.T) {
	count := map[pad.Side]int{}
	for range 1000 {
		count[pad.RandomSide()]++
	}
	// Beyond these bounds once in a thousand million runs.
	if count[pad.Left] < 400 || count[pad.Right] < 400 || len(count) != 2 {
		t.Errorf("got %v", count)
	}
}

// corners are dlib's five points of a head or picture: outer and inner corner
// of the left eye, of the right one, base of the nose. The survey has the inner
// corners 10 mm behind the bridge of the nose, and the outer rims of the sockets
// 20; the outer corners are put at 16. The base of the nose is 5 before it.
func corners(yaw, pitch, distance float64, flat bool) (ratio, aside float64) {
	at := [5]spot{{44, 0, -16}, {17, 0, -10}, {-44, 0, -16}, {-17, 0, -10}, {0, 47, 5}}
	var p [5]pad.Point
	for i, s := range at {
		if flat {
			s[2] = 0
		}
		p[i] = seen(turned(body{s}, yaw, pitch, 0), spot{0, 0, distance})[0]
	}
	length := func(a, b pad.Point) float64 { return math.Hypot(a.X-b.X, a.Y-b.Y) }
	right, left := pad.Point{X: (p[2].X + p[3].X) / 2, Y: (p[2].Y + p[3].Y) / 2}, pad.Point{X: (p[0].X + p[1].X) / 2, Y: (p[0].Y + p[1].Y) / 2}
	unit := length(left, right)
	middle := pad.Point{X: (left.X + right.X) / 2, Y: (left.Y + right.Y) / 2}
	across := pad.Point{X: (left.X - right.X) / unit, Y: (left.Y - right.Y) / unit}
	return length(p[2], p[3]) / length(p[0], p[1]), ((p[4].X-middle.X)*across.X + (p[4].Y-middle.Y)*across.Y) / unit
}

// Why dlib's points are refused: what they show of a head that turns by 20
// degrees half a metre away, a picture shows too when it is held obliquely near
// the camera, to within two hundredths.
func TestDlibsPointsShowAPictureAsAHead(t *testing.T) {
	ratio, aside := corners(degrees(20), 0, 500, false)
	best := math.Inf(1)
	var how pose
	for yaw := -70.0; yaw <= 70; yaw++ {
		for pitch := -60.0; pitch <= 60; pitch++ {
			r, a := corners(degrees(yaw), degrees(pitch), 350, true)
			if off := math.Max(math.Abs(r-ratio), math.Abs(a-aside)); off < best {
				best, how = off, pose{yaw: yaw, pitch: pitch}
			}
		}
	}
	t.Logf("head at 20 degrees: eye widths 1:%.2f, nose %.3f aside; picture at %v degrees off by %.3f", ratio, aside, how, best)
	if best > 0.02 {
		t.Errorf("the nearest picture is %.3f off", best)
	}
}
