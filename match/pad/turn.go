package pad

import (
	"math"
	"time"

	"github.com/facegate/facegate/match"
)

// What a turn must show. The unit of lengths is the distance between the eyes.
// How they were chosen is in docs/pad.md.
const (
	// least is how far the nose must leave the plane. A nose that stands 0.36
	// above it does so at 30 degrees; one of 0.28, at 40.
	least = 0.18
	// narrowest is how far the plane may have narrowed, 44 degrees: beyond, the
	// landmarks that engines give of a tilted picture are guesses, and those are
	// guesses at a head. With least, it means that a nose must stand out by 0.26.
	narrowest = 0.72
	// aside is how far the nose may be from the middle in a face that looks at
	// the camera.
	aside = 0.2
	// step is how far the nose may move from frame to frame. It is below least,
	// so that a face cannot turn in one step: that would be another picture.
	step = 0.09
	// overlap is how much of two boxes in a row must be common to both, as a
	// share of what they cover together.
	overlap = 0.5
	// gap is the longest time between two frames in a row.
	gap = 400 * time.Millisecond
	// Frames that are averaged: of a face that looks at the camera, and of one
	// that has turned.
	atFirst, atLast = 5, 3
)

// Options say how a Turn is judged.
type Options struct {
	Layout Layout                                // of the engine's landmarks
	Within time.Duration                         // from the first frame
	Same   match.Score                           // templates at or below this show one person
	Score  func(a, b match.Template) match.Score // the engine's
}

// An Observation is what was seen in one frame with exactly one face.
type Observation struct {
	Time time.Time // of the frame
	Face match.Face
}

// A Turn is one challenge. It belongs to one goroutine.
type Turn struct {
	side Side
	o    Options

	began   time.Time
	person  match.Template // whose turn it is
	last    Observation    // zero after a cut
	first   []Points       // of the face that looks at the camera
	motions []motion       // against those, of the last frames
	verdict Verdict
}

// NewTurn returns a challenge to turn to a side for the person of a template,
// which is of a frame before. The error wraps [ErrLandmarks] if it cannot be
// judged by the engine's landmarks.
func NewTurn(side Side, person match.Template, o Options) (*Turn, error) {
	if err := o.Layout.Check(); err != nil {
		return nil, err
	}
	return &Turn{side: side, person: person, o: o}, nil
}

// Side returns the side that was asked for.
func (t *Turn) Side() Side { return t.side }

// Ready reports whether the face has looked at the camera for long enough: from
// then on the person should turn.
func (t *Turn) Ready() bool { return len(t.first) == atFirst }

// See looks at the next frame and returns the verdict so far. The frames from
// the one that looks at the camera to the last turned one must be of one face
// that was never out of sight: if it was, it begins again.
func (t *Turn) See(o Observation) Verdict {
	if t.over(o.Time) {
		return t.End()
	}
	points, err := t.o.Layout.Points(o.Face)
	if err != nil || !points.upright() {
		t.begin()
		return t.verdict
	}
	if !t.follows(o) {
		t.begin()
	}
	t.last = o
	if t.Ready() {
		t.judge(points)
	} else {
		t.settle(o, points)
	}
	return t.verdict
}

// Lost says that in a frame of that time the face was out of sight, or not the
// only one. It returns the verdict so far.
func (t *Turn) Lost(at time.Time) Verdict {
	if t.over(at) {
		return t.End()
	}
	t.begin()
	return t.verdict
}

// Skip says that a frame of that time shows the face, but too badly to be judged.
// It returns the verdict so far.
func (t *Turn) Skip(at time.Time) Verdict {
	if t.over(at) {
		return t.End()
	}
	return t.verdict
}

// over reports whether no frame of that time may count any more.
func (t *Turn) over(at time.Time) bool {
	if t.began.IsZero() {
		t.began = at
	}
	return t.verdict != Open || at.Sub(t.began) > t.o.Within
}

// begin forgets what was seen.
func (t *Turn) begin() { t.last, t.first, t.motions = Observation{}, nil, nil }

// End closes the challenge and returns the verdict.
func (t *Turn) End() Verdict {
	switch {
	case t.verdict != Open:
	case t.Ready():
		t.verdict = NotTurned
	default:
		t.verdict = NotStill
	}
	return t.verdict
}

// follows reports whether o shows the face of the frame before it, a moment
// later.
func (t *Turn) follows(o Observation) bool {
	if t.last.Time.IsZero() {
		return true
	}
	passed := o.Time.Sub(t.last.Time)
	return passed > 0 && passed <= gap && match.Overlap(t.last.Face.Box, o.Face.Box) >= overlap && t.alike(t.last.Face.Template, o.Face.Template)
}

// alike reports whether two templates may be of the same person. It is false
// for a score that is not a number.
func (t *Turn) alike(a, b match.Template) bool { return t.o.Score(a, b) <= t.o.Same }

// settle collects frames of a face that looks at the camera and keeps still.
func (t *Turn) settle(o Observation, p Points) {
	if !t.alike(t.person, o.Face.Template) {
		t.verdict = OtherFace
		return
	}
	if math.Abs(p.aside()) > aside {
		t.first = nil
		return
	}
	if len(t.first) > 0 {
		if m, ok := compare(t.first[0], p); !ok || math.Abs(m.left) > step {
			t.first = nil
		}
	}
	t.first = append(t.first, p)
}

// judge looks at a frame after the face has looked at the camera.
func (t *Turn) judge(p Points) {
	m, ok := t.motion(p)
	if !ok || math.Abs(m.left-t.newest().left) > step {
		t.begin()
		return
	}
	t.motions = append(t.motions, m)
	if len(t.motions) < atLast {
		return
	}
	t.motions = t.motions[len(t.motions)-atLast:]
	mean := average(t.motions)
	toward := mean.left * float64(t.side)
	switch {
	case mean.narrowed < narrowest && math.Abs(toward) < least/2:
		t.verdict = Flat
	case mean.narrowed < narrowest:
	case toward <= -least:
		t.verdict = WrongSide
	case toward >= least:
		t.verdict = Passed
	}
}

// newest returns the last frame's motion; none before the first, as the face
// then looked at the camera.
func (t *Turn) newest() motion {
	if len(t.motions) == 0 {
		return motion{}
	}
	return t.motions[len(t.motions)-1]
}

// motion returns the mean motion from the frames at first.
func (t *Turn) motion(p Points) (motion, bool) {
	all := make([]motion, len(t.first))
	for i, first := range t.first {
		var ok bool
		if all[i], ok = compare(first, p); !ok {
			return motion{}, false
		}
	}
	return average(all), true
}

func average(all []motion) (mean motion) {
	n := float64(len(all))
	for _, m := range all {
		mean.left += m.left / n
		mean.narrowed += m.narrowed / n
	}
	return mean
}
