package pad_test

import (
	"image"
	"math"
	"math/rand/v2"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/pad"
)

// A spot is a place in millimetres: x to the right of who looks at the face, y
// down, z toward them.
type spot [3]float64

// A body is where a face's landmarks are, seen from its front: right eye, left
// eye, tip of the nose, right and left corner of the mouth.
type body [5]spot

// head returns a head. Its measures follow the survey of the heads of US
// respirator users (Zhuang and Bradtmiller, 2005) as far as it goes: tip of the
// nose 21 mm before the bridge and 48 below, outer rim of the eye socket 20
// behind and 5 below, middle of the mouth 10 before and 75 below; pupils 63 mm
// apart. The eyes, put 12 mm behind the bridge, and the corners of the mouth, 10
// behind its middle, make a plane above which the nose stands by 25 mm; less is
// taken here, to be on the safe side: 22.6 on the average, one in forty below 17.
func head(r *rand.Rand) body {
	half, depth := 31.5+1.5*r.NormFloat64(), 30+2.8*r.NormFloat64()
	mouth := 25 + 2*r.NormFloat64()
	return body{{-half, 0, 0}, {half, 0, 0}, {r.NormFloat64(), 43 + 2*r.NormFloat64(), depth}, {-mouth, 70, 12}, {mouth, 70, 12}}
}

// shot returns a print of a face: what a camera far away sees of it when it
// is turned to the person's left by yaw, at a scale.
func shot(b body, yaw, scale float64) body {
	for i, s := range turned(b, yaw, 0, 0) {
		b[i] = spot{s[0] * scale, s[1] * scale, 0}
	}
	return b
}

// bent rolls a picture round a cylinder of that radius whose axis is vertical
// and behind it.
func bent(b body, radius float64) body {
	for i, s := range b {
		b[i] = spot{radius * math.Sin(s[0]/radius), s[1], radius*math.Cos(s[0]/radius) - radius}
	}
	return b
}

// folded creases a picture along the middle of the face, by an angle on each side.
func folded(b body, angle float64) body {
	for i, s := range b {
		b[i] = spot{s[0] * math.Cos(angle), s[1], -math.Abs(s[0]) * math.Sin(angle)}
	}
	return b
}

// turned turns a body to the person's left, chin up, and clockwise for who
// looks at it, round a point in its middle.
func turned(b body, yaw, pitch, roll float64) body {
	for i, s := range b {
		x, y, z := s[0], s[1]-35, s[2]
		x, z = x*math.Cos(yaw)+z*math.Sin(yaw), z*math.Cos(yaw)-x*math.Sin(yaw)
		y, z = y*math.Cos(pitch)-z*math.Sin(pitch), z*math.Cos(pitch)+y*math.Sin(pitch)
		x, y = x*math.Cos(roll)-y*math.Sin(roll), x*math.Sin(roll)+y*math.Cos(roll)
		b[i] = spot{x, y + 35, z}
	}
	return b
}

// focal is that of a camera of 640 pixels that sees 60 degrees.
const focal = 554.0

// seen returns where a pinhole camera sees a body whose middle is at a place
// before it, z millimetres away.
func seen(b body, at spot) pad.Points {
	var p pad.Points
	for i, s := range b {
		z := at[2] - s[2]
		p[i] = pad.Point{X: 320 + focal*(s[0]+at[0])/z, Y: 240 + focal*(s[1]-35+at[1])/z}
	}
	return p
}

// eyes returns the distance of the eyes, in pixels.
func eyes(p pad.Points) float64 { return math.Hypot(p[1].X-p[0].X, p[1].Y-p[0].Y) }

// An engine's error, in distances between the eyes.
type errs struct {
	jitter float64 // of each coordinate, anew in each frame
	// bias is that of each coordinate in a face that is turned by 40 degrees, the
	// same in all frames of one attempt; it grows with the angle from nothing.
	bias float64
	// guess is how far at most the nose of a flat picture that is turned by 40
	// degrees is seen where that of a head would be, a share of it in each try.
	guess float64
	fixed *pad.Points // instead of a random bias
}

// usual is a little worse than what YuNet does with portraits (docs/pad.md).
func usual() errs { return errs{jitter: 0.015, bias: 0.025, guess: 0.1} }

// A take is a sequence of frames, ten a second, of one face.
type take struct {
	at       time.Time
	template match.Template
	frames   []pad.Observation
}

func (t *take) add(p pad.Points) {
	t.at = t.at.Add(100 * time.Millisecond)
	f := match.Face{Template: t.template}
	middle := p[2]
	side := 1.3 * math.Max(eyes(p), math.Abs(p[3].Y-p[0].Y))
	f.Box = image.Rect(int(middle.X-side), int(middle.Y-side), int(middle.X+side), int(middle.Y+side))
	for _, q := range p {
		f.Points = append(f.Points, image.Pt(int(math.Round(q.X)), int(math.Round(q.Y))))
	}
	t.frames = append(t.frames, pad.Observation{Time: t.at, Face: f})
}

// A pose is how a body is held in a frame.
type pose struct{ yaw, pitch, roll float64 }

// film shows each body in a pose of its own, as an engine with those errors
// sees it, by a hand or neck that is never quite still.
func film(r *rand.Rand, e errs, distance float64, bodies []body, poses []pose) []pad.Observation {
	var bias pad.Points
	for i := range bias {
		bias[i] = pad.Point{X: e.bias * r.NormFloat64(), Y: e.bias * r.NormFloat64()}
	}
	if e.fixed != nil {
		bias = *e.fixed
	}
	guess := e.guess * r.Float64()
	t := take{at: time.Unix(0, 0), template: match.Template{0}}
	at := spot{20 * r.NormFloat64(), 10 * r.NormFloat64(), distance}
	for i, q := range poses {
		sway := func() float64 { return 0.01 * r.NormFloat64() }
		p := seen(turned(bodies[i], q.yaw+sway(), q.pitch+sway(), q.roll+sway()), spot{at[0] + r.NormFloat64(), at[1] + r.NormFloat64(), at[2]})
		unit, share := eyes(p), math.Hypot(q.yaw, q.pitch)/degrees(40)
		for j := range p {
			p[j].X += unit * (e.jitter*r.NormFloat64() + share*bias[j].X)
			p[j].Y += unit * (e.jitter*r.NormFloat64() + share*bias[j].Y)
		}
		p[2].X += unit * guess * q.yaw / degrees(40)
		t.add(p)
	}
	return t.frames
}

func degrees(d float64) float64 { return d * math.Pi / 180 }

// sweep holds still for 8 frames, turns evenly within some, and holds the last
// pose until there are 45.
func sweep(to pose, within int) []pose {
	poses := make([]pose, 45)
	for i := range poses {
		share := min(1, max(0, float64(i-7)/float64(within)))
		poses[i] = pose{share * to.yaw, share * to.pitch, share * to.roll}
	}
	return poses
}

// always returns n times the same body.
func always(b body, n int) []body {
	all := make([]body, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// judge shows frames to a challenge and returns what comes of it.
func judge(side pad.Side, frames []pad.Observation) pad.Verdict {
	t, err := pad.NewTurn(side, match.Template{0}, options())
	if err != nil {
		panic(err)
	}
	for _, o := range frames {
		t.See(o)
	}
	return t.End()
}

// options are those of a challenge in which a template is one number, and their
// distance is how alike two are.
func options() pad.Options {
	return pad.Options{
		Layout: pad.EyesNoseMouth, Within: 5 * time.Second, Same: 0.6,
		Score: func(a, b match.Template) match.Score { return match.Score(math.Abs(float64(a[0] - b[0]))) },
	}
}
