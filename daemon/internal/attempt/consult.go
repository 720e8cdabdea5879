package attempt

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
)

// consult asks compare services about what the device alone could not decide,
// and reports whether they answered. Without an answer what the device decided
// stands.
func (a *run) consult(work context.Context, c Case) bool {
	if a.Cloud == nil || work.Err() != nil {
		return false
	}
	whole := a.ShowsWhole
	c.Local = a.out.Decision
	switch {
	case a.out.Decision == event.DecisionUnsure && a.contradicted():
		return false
	case a.out.Decision == event.DecisionUnsure:
		c.Why, c.Photo = cloud.Unsure, nil
	case a.out.Reason == event.EngineFault && a.EngineDown:
		c.Why, c.Live, c.ID, whole = cloud.EngineDown, nil, nil, true
	default:
		return false
	}
	defer a.stage("cloud", time.Now())
	a.out.Cloud = &event.Cloud{Why: string(c.Why), Verdict: match.Unsure.String(), Failure: event.ConsentFailure}
	if !a.agreed(whole) {
		return false
	}
	if c.Why == cloud.EngineDown {
		var err error
		if c.Frame, err = a.frame(work, time.Now()); err != nil {
			a.Log.Warn("attempt without camera", "attempt", a.id, "err", err)
			a.out.Cloud = nil
			return false
		}
	}
	r := a.Cloud.Ask(work, c)
	a.out.Cloud = published(c.Why, r)
	if cause := context.Cause(work); cause != nil && !errors.Is(cause, errDeadline) {
		a.interrupted(work, cause)
		return false
	}
	if !r.Answered {
		return false
	}
	a.out.Route = "cloud"
	a.accept(r)
	return true
}

// contradicted reports whether one frame alone would have matched and another
// would not have: then different people stood there, or one held up a picture,
// and no single frame may decide.
func (a *run) contradicted() bool {
	return slices.Min(a.out.Scores) <= a.out.Accept && slices.Max(a.out.Scores) >= a.out.Reject
}

// agreed reports whether the faces, or the whole pictures, may be shown.
func (a *run) agreed(whole bool) bool {
	if whole {
		return a.Consent.Whole || a.Assumed.Whole
	}
	return a.Consent.Faces || a.Assumed.Faces
}

// accept makes the services' answer the decision.
func (a *run) accept(r cloud.Result) {
	switch {
	case r.Verdict == match.Match:
		a.end(event.DecisionMatch, event.OK)
	case r.Verdict == match.NoMatch:
		a.end(event.DecisionNoMatch, event.BelowThreshold)
	case r.Missing == cloud.Live:
		a.hint(RetakeSelfie)
		a.end(event.DecisionUnsure, event.NoFaceLive)
	case r.Missing == cloud.ID:
		a.hint(RetakeID)
		a.end(event.DecisionUnsure, event.NoFaceID)
	case r.Missing != cloud.Neither:
		a.end(event.DecisionUnsure, event.CloudNoFace)
	default:
		a.end(event.DecisionUnsure, event.CloudUnsure)
	}
}

// published is a result as an event has it.
func published(why cloud.Why, r cloud.Result) *event.Cloud {
	c := &event.Cloud{
		Why: string(why), Verdict: r.Verdict.String(), Provider: r.Provider, Missing: r.Missing.String(),
		Failure: string(r.Failure), Calls: r.Calls, SentBytes: r.Sent,
	}
	if r.Answered && r.Missing == cloud.Neither {
		score, accept, reject := round(r.Score), r.Accept, r.Reject
		c.Score, c.Accept, c.Reject = &score, &accept, &reject
	}
	return c
}
