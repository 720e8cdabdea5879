// Package pad detects presentation attacks: a picture of a face held before
// the camera instead of a face. [Live] judges what a model says of several frames;
// the model is the engine's. A [Turn] needs none: it asks the person to turn the
// head to a side chosen at random, and looks at whether what moves has the depth of
// a head:
//
//	turn, err := pad.NewTurn(pad.RandomSide(), person, pad.Options{Layout: pad.EyesNoseMouth, ...})
//	for each frame {
//		if verdict := turn.See(observation); verdict != pad.Open {
//			// pad.Passed, or why not
//		}
//	}
//
// Whatever is flat, at whatever distance, however it is tilted, is seen through
// a homography. Four landmarks of a face, the eyes and the corners of the mouth,
// fix that homography between two frames; it foretells where the fifth, the
// tip of the nose, must be if all five are on a plane. The nose of a head stands
// out of that plane, and so moves further to the side to which the head turns.
//
// Not defended: a screen that shows a person who turns, a picture that is
// folded, or bent more closely than a head, a mask. docs/pad.md has the
// figures. Nothing here claims a level of any standard.
package pad

import (
	"crypto/rand"
	"errors"
	"fmt"
	"image"

	"github.com/facegate/facegate/match"
)

// ErrLandmarks says that an engine's landmarks cannot tell a head from a picture.
var ErrLandmarks = errors.New("the engine's landmarks cannot tell a head from a picture")

// A Layout says what the landmarks of an engine are.
type Layout int

// The layouts. The zero value is good for nothing.
const (
	Unknown       Layout = iota
	EyesNoseMouth        // right eye, left eye, tip of the nose, right and left corner of the mouth
	EyeCorners           // dlib's five: two corners of each eye, base of the nose
)

// Check returns an error that wraps [ErrLandmarks] unless a [Turn] can be
// judged by the layout.
//
// dlib's five points cannot: the corners of the eyes lie nearly on one line, so
// that a plane may move the fifth point to any place without moving them; and
// the widths of the two eyes, which tell the most, change by less in a turned
// head than by the landmarks' own error (docs/pad.md).
func (l Layout) Check() error {
	switch l {
	case EyesNoseMouth:
		return nil
	case EyeCorners:
		return fmt.Errorf("%w: dlib's five are the corners of the eyes, in one line, and the base of the nose", ErrLandmarks)
	}
	return fmt.Errorf("%w: they are unknown", ErrLandmarks)
}

// Points returns the landmarks of a face, or an error if it has others than
// the layout says.
func (l Layout) Points(f match.Face) (Points, error) {
	if err := l.Check(); err != nil {
		return Points{}, err
	}
	var p Points
	if len(f.Points) != len(p) {
		return Points{}, fmt.Errorf("%w: %d of them, want %d", ErrLandmarks, len(f.Points), len(p))
	}
	for i, at := range f.Points {
		p[i] = At(at)
	}
	return p, nil
}

// At returns a pixel as a point.
func At(p image.Point) Point { return Point{float64(p.X), float64(p.Y)} }

// A Side is one the person can turn to, their own left or right: in a camera's
// picture that is not mirrored, somebody who turns to the left looks to its right.
type Side int

// The sides. The zero value is neither.
const (
	Left  Side = 1
	Right Side = -1
)

// String returns "left", "right" or "none".
func (s Side) String() string {
	switch s {
	case Left:
		return "left"
	case Right:
		return "right"
	}
	return "none"
}

// RandomSide returns a side that nobody can foretell.
func RandomSide() Side {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never returns an error
	if b[0]&1 == 0 {
		return Left
	}
	return Right
}

// A Verdict is what has come of a challenge. The zero value is Open, which
// grants nothing.
type Verdict int

// The verdicts.
const (
	Open      Verdict = iota // still under way
	Passed                   // a head turned to the side asked for
	NotTurned                // in the time given, nothing turned far enough
	NotStill                 // in the time given, nobody looked at the camera for long enough
	Flat                     // it was turned, and is flat
	WrongSide                // a head turned to the other side
	OtherFace                // who looked at the camera is not the person whose turn it was
	NotLive                  // a model takes it for a picture
)

// String returns "open", "passed", "not_turned", "not_still", "flat",
// "wrong_side", "other_face" or "not_live".
func (v Verdict) String() string {
	switch v {
	case Open:
		return "open"
	case Passed:
		return "passed"
	case NotTurned:
		return "not_turned"
	case NotStill:
		return "not_still"
	case Flat:
		return "flat"
	case WrongSide:
		return "wrong_side"
	case OtherFace:
		return "other_face"
	case NotLive:
		return "not_live"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}
