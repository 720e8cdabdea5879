package attempt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
)

// Why an attempt's context ended.
var (
	errDeadline  = errors.New("deadline of the attempt")
	errCancelled = errors.New("cancelled")
	errStopping  = errors.New("daemon is stopping")
	errStalled   = errors.New("no frame")
)

// run is one attempt from request to locked door.
func (l *Line) run(ctx context.Context, o order) {
	a := &run{Line: l, order: o, out: event.Attempt{
		Source: o.Source, Route: "local", Access: event.NotAttempted, SubjectRef: o.SubjectRef,
		Accept: float64(l.Policy.Accept), Reject: float64(l.Policy.Reject),
		StageMS: map[string]float64{}, Gates: map[string]float64{},
	}}
	m := l.Matcher.Model()
	a.out.Engine, a.out.ModelID = m.Engine, m.String()

	l.Phase(Busy)
	a.decide(ctx)
	if a.out.Decision == event.DecisionMatch && a.MayOpen && a.Door != nil {
		a.permit(ctx)
	}
	a.finish(ctx)
}

// run is the state of one attempt. It belongs to the owner's goroutine.
type run struct {
	*Line
	order
	out      event.Attempt
	begun    bool // the journal knows of the attempt
	late     bool // and has taken its outcome, too late to open the door
	lastHint time.Time
	live     []float64 // what a model says of each probe
}

// decide fills a.out up to the verdict.
func (a *run) decide(ctx context.Context) {
	if err := a.begin(ctx); err != nil {
		a.end(event.DecisionError, event.JournalFault)
		return
	}
	var wait time.Duration
	a.atDisk(func() { wait = a.Lockout.Wait(ctx, a.key(), time.Now()) })
	if wait > 0 {
		a.out.RetryInMS = wait.Milliseconds()
		a.end(event.DecisionError, event.Lockout)
		return
	}
	if counts := a.compare(ctx); counts != "" {
		a.atDisk(func() { a.Lockout.Note(ctx, a.key(), counts, time.Now()) })
	}
}

// compare comes to a decision within the attempt's time. It returns what counts
// toward lockout, empty if no faces were compared: the decision, or the device's
// own if somebody cancelled while others were asked, which must not be a way to
// have the failure forgotten.
func (a *run) compare(ctx context.Context) event.Decision {
	work, cancel := a.bounded(ctx)
	defer cancel()
	c := Case{AttemptID: a.id}
	counts := a.alone(work, &c)
	if a.consult(work, c) {
		counts = a.out.Decision
	}
	if counts == event.DecisionMatch && a.unchallenged() {
		return ""
	}
	return counts
}

// alone is what the device does without anybody's help. It keeps in c what a
// compare service would be shown, and returns what counts toward lockout. Whoever
// leaves a challenge unfinished has neither failed nor, with a match, made good
// for failures before.
func (a *run) alone(work context.Context, c *Case) event.Decision {
	if a.Cloud != nil && a.EngineDown {
		c.Photo = a.Picture
	}
	reference, ok := a.reference(work)
	if !ok {
		return ""
	}
	c.ID = reference.Picture
	scores, person, ok := a.probe(work, reference.Template, c)
	if !ok {
		return ""
	}
	a.judge(scores)
	judged := a.out.Decision
	if a.challenge(work, person) {
		return a.out.Decision
	}
	if judged == event.DecisionMatch {
		return ""
	}
	return judged
}

func (a *run) begin(ctx context.Context) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	var err error
	inTime := a.atDisk(func() { err = a.Record.Begin(ctx, a.id, a.Source) })
	a.begun = err == nil
	if err == nil && !inTime {
		err = errSlow
	}
	if err == nil || a.OpenWithoutJournal {
		return nil
	}
	a.Log.Error("journal not written", "attempt", a.id, "err", err)
	return err
}

// bounded returns a context that ends at the deadline, when the daemon stops,
// or when somebody cancels the attempt. While it lasts, a helper goroutine
// answers messages; the returned function waits for it to end.
func (a *run) bounded(ctx context.Context) (context.Context, func()) {
	work, stop := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Until(a.started.Add(a.Deadline)), func() { stop(errDeadline) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case m := <-a.messages:
				m.reply <- a.answer(m, stop)
			case <-ctx.Done():
				stop(errStopping)
				return
			case <-work.Done():
				return
			}
		}
	}()
	return work, func() {
		timer.Stop()
		stop(nil)
		<-ended
	}
}

// answer serves a message that arrives before there is a verdict.
func (a *run) answer(m message, stop context.CancelCauseFunc) error {
	switch {
	case m.kind == pingIt:
		return nil
	case !m.concerns(a.id):
		return ErrNoAttempt
	case m.kind == grantIt:
		return ErrNotWaiting
	}
	stop(errCancelled)
	return nil
}

// reference turns the ID photo into the template to compare with.
func (a *run) reference(work context.Context) (Reference, bool) {
	defer a.stage("id", time.Now())
	r, err := a.Matcher.Reference(work, a.Picture)
	a.Picture = nil
	if err == nil {
		return r, true
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		a.Log.Info("id photo refused", "attempt", a.id, "reason", refusal.Reason, "err", refusal.Err)
		a.hint(RetakeID)
		a.end(event.DecisionError, refusal.Reason)
		return Reference{}, false
	}
	a.interrupted(work, err)
	return Reference{}, false
}

// probe compares live frames with the reference until enough probes have
// been compared. The number is fixed before the first: a person does not get
// more draws by staying longer. The one that is least alike is kept in c, so
// that a compare service, too, has to be convinced by all of them. The template
// returned is that of the last.
func (a *run) probe(work context.Context, reference match.Template, c *Case) (scores []match.Score, person match.Template, ok bool) {
	defer a.stage("probes", time.Now())
	flaws := map[Flaw]int{}
	after := a.started
	a.hint(LookAtCamera)
	for len(scores) < a.Probes {
		f, err := a.frame(work, after)
		if err != nil {
			a.unfinished(work, err, flaws, len(scores))
			return nil, nil, false
		}
		after = f.Time
		look, err := a.look(work, f, a.Matcher.Probe)
		if err != nil {
			a.unfinished(work, err, flaws, len(scores))
			return nil, nil, false
		}
		a.out.FramesSeen++
		if look.Flaw != "" {
			flaws[look.Flaw]++
			a.hint(look.Flaw.hint())
			if look.Flaw == NoFace {
				after = f.Time.Add(vacantPause)
			}
			continue
		}
		score := a.Matcher.Score(reference, look.Template)
		if len(scores) == 0 || score > slices.Max(scores) {
			c.Live = look.Picture
		}
		scores, person = append(scores, score), look.Template
		a.live = append(a.live, look.Live)
		after = f.Time.Add(a.Spacing)
	}
	return scores, person, true
}

func (a *run) look(work context.Context, f capture.Frame, how func(context.Context, capture.Frame) (Look, error)) (Look, error) {
	began := time.Now()
	look, err := how(work, f)
	a.out.StageMS["look"] = milliseconds(time.Since(began))
	if err != nil {
		return Look{}, err
	}
	for k, v := range look.Gates {
		a.out.Gates[k] = round(v)
	}
	return look, nil
}

// frame waits for a frame taken after the given time that is still fresh.
func (a *run) frame(work context.Context, after time.Time) (capture.Frame, error) {
	for {
		if err := a.Camera(); err != nil {
			return capture.Frame{}, fmt.Errorf("%w: %w", errStalled, err)
		}
		wait, cancel := context.WithTimeoutCause(work, a.Stalled, errStalled)
		f, err := a.Frames.After(wait, after)
		cancel()
		if err != nil {
			return capture.Frame{}, err
		}
		if time.Since(f.Time) <= a.Fresh {
			return f, nil
		}
		after = f.Time
	}
}

// hint returns what helps against a flaw.
func (f Flaw) hint() Hint {
	switch f {
	case ManyFaces:
		return OnePersonOnly
	case FaceSmall:
		return MoveCloser
	case FaceBlur:
		return HoldStill
	case FaceDark:
		return TooDark
	case FaceBright:
		return TooBright
	case FaceShade:
		return UnevenLight
	}
	return LookAtCamera
}

// Reason returns what a deadline means when a flaw stood in the way.
func (f Flaw) Reason() event.Reason {
	switch f {
	case ManyFaces:
		return event.MultiFaceLive
	case FaceSmall:
		return event.QualitySize
	case FaceBlur:
		return event.QualitySharpness
	case FaceDark, FaceBright, FaceShade:
		return event.QualityExposure
	case FaceTurned:
		return event.QualityPose
	case BadFrame:
		return event.CameraFault
	}
	return event.NoFaceLive
}

// unfinished ends an attempt that got too few probes.
func (a *run) unfinished(work context.Context, err error, flaws map[Flaw]int, probes int) {
	switch {
	case errors.Is(err, errStalled):
		a.Log.Warn("attempt without camera", "attempt", a.id, "err", err)
		a.end(event.DecisionError, event.CameraFault)
	case errors.Is(context.Cause(work), errDeadline) && probes == 0 && len(flaws) > 0:
		a.end(event.DecisionError, commonest(flaws).Reason())
	default:
		a.interrupted(work, err)
	}
}

func commonest(flaws map[Flaw]int) Flaw {
	var top Flaw
	for f, n := range flaws {
		if n > flaws[top] || n == flaws[top] && f < top {
			top = f
		}
	}
	return top
}

// interrupted ends an attempt whose work failed for a reason of its own or
// because its context ended.
func (a *run) interrupted(work context.Context, err error) {
	switch cause := context.Cause(work); {
	case errors.Is(cause, errDeadline):
		a.end(event.DecisionError, event.Timeout)
	case errors.Is(cause, errCancelled):
		a.end(event.DecisionError, event.Cancelled)
	case cause != nil:
		a.end(event.DecisionError, event.Interrupted)
	default:
		a.Log.Error("engine at fault", "attempt", a.id, "err", err)
		a.end(event.DecisionError, event.EngineFault)
	}
}

// judge turns the scores into the decision.
func (a *run) judge(scores []match.Score) {
	verdict, score := a.Policy.Judge(scores)
	for _, s := range scores {
		if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			a.Log.Error("engine at fault", "attempt", a.id, "err", "a score is not a number")
			a.end(event.DecisionError, event.EngineFault)
			return
		}
		a.out.Scores = append(a.out.Scores, round(float64(s)))
	}
	a.out.FramesUsed = len(scores)
	decided := round(float64(score))
	a.out.Score = &decided
	if a.FMR != nil {
		fmr := a.FMR(score)
		a.out.FMR = &fmr
	}
	switch verdict {
	case match.Match:
		a.end(event.DecisionMatch, event.OK)
	case match.NoMatch:
		a.end(event.DecisionNoMatch, event.BelowThreshold)
	default:
		a.end(event.DecisionUnsure, event.UnsureNoCloud)
	}
}

func (a *run) end(d event.Decision, r event.Reason) { a.out.Decision, a.out.Reason = d, r }

// key is what lockout counts by: the ID where the caller names one, else the
// way the photo came.
func (a *run) key() Key { return Key{Source: a.Source, SubjectRef: a.SubjectRef} }

// hint passes a hint on, at most one per hintEvery.
func (a *run) hint(h Hint) {
	if now := time.Now(); now.Sub(a.lastHint) >= hintEvery {
		a.lastHint = now
		a.Hint(a.id, h)
	}
}

func (a *run) stage(name string, began time.Time) {
	a.out.StageMS[name] = milliseconds(time.Since(began))
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round keeps four decimals, enough for a score and for microseconds.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
