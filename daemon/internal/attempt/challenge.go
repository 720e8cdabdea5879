package attempt

import (
	"context"
	"errors"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/pad"
)

// PAD is how presentation attacks are detected: whoever may be let through is
// asked to turn the head.
type PAD struct {
	Layout      pad.Layout // of the engine's landmarks
	Side        func() pad.Side
	Within      time.Duration
	OpenWithout bool // a match that could not be challenged, as the engine did not answer, may open the door
}

// challenge asks the person of the last probe to turn the head, if that decides
// anything, and reports whether that came to an end. One who fails it is refused,
// whatever the comparison said.
func (a *run) challenge(work context.Context, person match.Template) bool {
	if a.PAD == nil || !a.promising() {
		return true
	}
	defer a.stage("pad", time.Now())
	turn, err := pad.NewTurn(a.PAD.Side(), person, pad.Options{
		Layout: a.PAD.Layout, Within: a.PAD.Within, Same: a.Policy.Accept, Score: a.Matcher.Score,
	})
	if err != nil { // the configuration was validated
		a.interrupted(work, err)
		return false
	}
	err = a.follow(work, turn)
	if err != nil && !errors.Is(context.Cause(work), errDeadline) {
		a.unfinished(work, err, nil, a.out.FramesUsed)
		return false
	}
	verdict := turn.End()
	a.out.PAD = &event.PAD{Kind: event.Turn, Side: turn.Side().String(), Verdict: verdict.String()}
	if verdict != pad.Passed {
		a.end(event.DecisionNoMatch, event.PADFailed)
	}
	return true
}

// promising reports whether the comparison may still let somebody through.
func (a *run) promising() bool {
	switch a.out.Decision {
	case event.DecisionMatch:
		return true
	case event.DecisionUnsure:
		return a.Cloud != nil && !a.contradicted() && a.agreed(a.ShowsWhole)
	}
	return false
}

// follow shows frames to the challenge until it has a verdict.
func (a *run) follow(work context.Context, turn *pad.Turn) error {
	after := time.Now()
	a.lastHint = time.Time{} // the first hint is owed whatever came before it
	for verdict := pad.Open; verdict == pad.Open; {
		a.hint(asked(turn))
		f, err := a.frame(work, after)
		if err != nil {
			return err
		}
		after = f.Time
		look, err := a.look(work, f)
		if err != nil {
			return err
		}
		a.out.FramesSeen++
		switch look.Flaw {
		case "", FaceTurned:
			verdict = turn.See(pad.Observation{Time: f.Time, Face: match.Face{Box: look.Box, Points: look.Points, Template: look.Template}})
		case FaceBlur, FaceDark, FaceBright, FaceShade, FaceSmall:
			// It is still there, but landmarks are not to be trusted: a frame less. The
			// challenge itself sees to it that there are not too many of them.
			verdict = turn.Skip(f.Time)
		default:
			verdict = turn.Lost(f.Time)
		}
	}
	return nil
}

// asked returns what the person should do now.
func asked(turn *pad.Turn) Hint {
	switch {
	case !turn.Ready():
		return LookAtCamera
	case turn.Side() == pad.Left:
		return TurnLeft
	}
	return TurnRight
}

// unchallenged reports whether a match must not open the door because nobody
// could be asked to turn the head.
func (a *run) unchallenged() bool { return a.PAD != nil && a.out.PAD == nil && !a.PAD.OpenWithout }
