package attempt

import (
	"context"
	"errors"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/pad"
)

// PAD is how presentation attacks are detected: by a model, by asking whoever may
// be let through to turn the head, or both.
type PAD struct {
	Accept      float64         // what the model must say of the probes on average, 0..1; 0: there is none
	Side        func() pad.Side // to turn to; nil: nobody is asked
	Layout      pad.Layout      // of the engine's landmarks
	Within      time.Duration
	OpenWithout bool // a match that could not be tested, as the engine did not answer, may open the door
}

// challenge tests the person of the last probe, if that decides anything, and
// reports whether that came to an end. One who fails is refused, whatever the
// comparison said. The model, which costs the person nothing, comes first.
func (a *run) challenge(work context.Context, person match.Template) bool {
	if a.PAD == nil || !a.promising() {
		return true
	}
	var found event.PAD
	if a.PAD.Accept > 0 {
		mean, verdict := pad.Live(a.live, a.PAD.Accept)
		mean = round(mean)
		found = event.PAD{Kind: event.Model, Score: &mean, Accept: &a.PAD.Accept}
		if verdict != pad.Passed || a.PAD.Side == nil {
			a.tested(found, verdict)
			return true
		}
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
	found.Kind, found.Side = event.Turn, turn.Side().String()
	a.tested(found, turn.End())
	return true
}

// tested notes what has come of a test.
func (a *run) tested(found event.PAD, verdict pad.Verdict) {
	found.Verdict = verdict.String()
	a.out.PAD = &found
	if verdict != pad.Passed {
		a.end(event.DecisionNoMatch, event.PADFailed)
	}
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
		look, err := a.look(work, f, a.Matcher.Look)
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
// could be tested.
func (a *run) unchallenged() bool { return a.PAD != nil && a.out.PAD == nil && !a.PAD.OpenWithout }
