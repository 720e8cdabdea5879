package attempt

import (
	"context"
	"errors"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

var errWait = errors.New("nobody let the match through in time")

// permit waits for whoever must let a match through, and sets a.out.Access.
func (a *run) permit(ctx context.Context) {
	if a.unchallenged() {
		a.out.Access = event.Denied
		a.end(event.DecisionMatch, event.PADMissing)
		return
	}
	defer a.stage("authorise", time.Now())
	if a.Authorise == Always {
		a.out.Access = event.Granted
		return
	}
	a.lastHint = time.Time{} // this hint is owed whatever came before it
	a.hint(AwaitingGrant)
	wait, cancel := context.WithTimeoutCause(ctx, a.Wait, errWait)
	defer cancel()
	var pressed chan error // nil, and never ready, where a host decides
	if a.Authorise == ByPanel {
		pressed = make(chan error)
		go func() { pressed <- a.Panel.Wait(wait); close(pressed) }()
		defer func() { // the panel is let go of before the attempt goes on
			cancel()
			for range pressed {
			}
		}()
	}
	err := a.await(wait, pressed)
	switch {
	case err == nil:
		a.out.Access = event.Granted
	case errors.Is(err, errCancelled):
		a.out.Access = event.Denied
		a.end(event.DecisionMatch, event.Cancelled)
	case errors.Is(err, errWait):
		a.out.Access = event.Denied
		a.end(event.DecisionMatch, event.NotAuthorised)
	case ctx.Err() != nil:
		a.out.Access = event.Denied
		a.end(event.DecisionError, event.Interrupted)
	default:
		a.Log.Error("panel input at fault", "attempt", a.id, "err", err)
		a.out.Access = event.Denied
		a.end(event.DecisionMatch, event.NotAuthorised)
	}
}

// await waits for the panel's input where there is one, else for the host's
// grant, answering messages meanwhile. The caller of Grant has checked the
// signature; here only the attempt's ID must be right.
func (a *run) await(wait context.Context, pressed <-chan error) error {
	for {
		select {
		case err := <-pressed:
			return err
		case m := <-a.messages:
			switch {
			case m.kind == pingIt:
				m.reply <- nil
			case !m.concerns(a.id):
				m.reply <- ErrNoAttempt
			case m.kind == cancelIt:
				m.reply <- nil
				return errCancelled
			case pressed != nil:
				m.reply <- ErrNotWaiting
			default:
				m.reply <- nil
				return nil
			}
		case <-wait.Done():
			return context.Cause(wait)
		}
	}
}

// conclude records the outcome, gives the line free unless the door is to open,
// and tells whoever waits. It returns whether the outcome is on disk, and
// whether the door is to open.
func (a *run) conclude(ctx context.Context) (recorded, opens bool) {
	a.stage("total", a.started)
	if a.out.Access == event.Granted && ctx.Err() != nil {
		a.out.Access = event.Denied
		a.end(event.DecisionError, event.Interrupted)
	}
	e, err := a.append(ctx, event.Event{Kind: event.KindAttempt, AttemptID: a.id, Attempt: &a.out})
	if err != nil {
		a.Log.Error("journal not written", "attempt", a.id, "err", err)
		if !a.OpenWithoutJournal {
			a.out.Access = denyIfGranted(a.out.Access)
			a.end(event.DecisionError, event.JournalFault)
		}
		e = a.unrecorded(event.Event{Kind: event.KindAttempt, AttemptID: a.id, Attempt: &a.out})
	}
	opens = a.out.Access == event.Granted
	if !opens {
		a.Phase(phaseOf(a.out, a.Door != nil))
		<-a.slot // before anybody is told, so that who was told can start the next
	}
	a.Log.Info("attempt ended", "attempt", a.id, "decision", a.out.Decision, "reason", a.out.Reason, "access", a.out.Access, "source", a.Source)
	a.done <- e
	return err == nil, opens
}

func denyIfGranted(was event.Access) event.Access {
	if was == event.Granted {
		return event.Denied
	}
	return was
}

// pulse opens the door for an outcome that is on disk (or that the operator
// allowed to do without), and then gives the line free.
func (a *run) pulse(ctx context.Context, recorded bool) {
	defer func() { <-a.slot }()
	if recorded && !a.startPulse(ctx) {
		return
	}
	a.Phase(Granted)
	measured, err := a.open(ctx)
	fact := event.AccessEvent{Fact: event.PulseEnded, CommandedMS: a.PulseLength.Milliseconds(), MeasuredMS: milliseconds(measured)}
	if err != nil {
		fact.Detail = err.Error()
	}
	if err != nil && ctx.Err() == nil {
		a.Log.Error("door at fault", "attempt", a.id, "err", err)
		a.Phase(Failed)
	}
	if measured == 0 {
		fact.Fact = event.PulseFailed
	}
	if recorded {
		a.fact(ctx, fact)
	} else {
		a.unrecorded(event.Event{Kind: event.KindAccess, AttemptID: a.id, AccessEvent: &fact})
	}
}

// startPulse records that the door is about to open, and says whether it may.
func (a *run) startPulse(ctx context.Context) bool {
	err := errSlow
	if !a.late || a.OpenWithoutJournal {
		err = a.recordPulse(ctx)
	}
	if err == nil {
		return true
	}
	a.Log.Error("pulse not recorded", "attempt", a.id, "err", err)
	if a.OpenWithoutJournal {
		return true
	}
	detail := "the journal could not be written; the door was kept shut"
	if errors.Is(err, errSlow) {
		detail = "the journal was written too late; the door was kept shut"
	}
	a.Phase(Failed)
	a.fact(ctx, event.AccessEvent{Fact: event.PulseFailed, CommandedMS: a.PulseLength.Milliseconds(), Detail: detail})
	return false
}

// recordPulse uses up the attempt's right to a pulse.
func (a *run) recordPulse(ctx context.Context) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	var started event.Event
	var err error
	inTime := a.atDisk(func() { started, err = a.Record.StartPulse(ctx, a.id, a.PulseLength) })
	if err != nil {
		return err
	}
	a.Outcome(started)
	if !inTime {
		return errSlow
	}
	return nil
}

// fact records what the door did.
func (a *run) fact(ctx context.Context, f event.AccessEvent) {
	e := event.Event{Kind: event.KindAccess, AttemptID: a.id, AccessEvent: &f}
	if _, err := a.append(ctx, e); err != nil {
		a.Log.Error("journal not written", "attempt", a.id, "err", err)
		a.unrecorded(e)
	}
}

// unrecorded passes on an event that the journal did not take. It has neither
// number nor stamp and goes only to those who do without: the broker is sent
// what is in the journal.
func (a *run) unrecorded(e event.Event) event.Event {
	e.V = event.Version
	a.Outcome(e)
	return e
}

// open moves the door and answers messages until it is shut again.
func (a *run) open(ctx context.Context) (time.Duration, error) {
	type pulse struct {
		measured time.Duration
		err      error
	}
	ended := make(chan pulse, 1)
	go func() {
		measured, err := a.Door.Pulse(ctx, a.PulseLength)
		ended <- pulse{measured, err}
	}()
	for {
		select {
		case p := <-ended:
			return p.measured, p.err
		case m := <-a.messages:
			m.reply <- a.idleAnswer(m)
		}
	}
}

// append writes an event even while the daemon is stopping, and passes it on
// as written.
func (a *run) append(ctx context.Context, e event.Event) (event.Event, error) {
	if !a.begun {
		return e, errors.New("the attempt's beginning was not recorded")
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	var err error
	inTime := a.atDisk(func() { e, err = a.Record.Append(ctx, e) })
	if err == nil {
		a.late = !inTime
		a.Outcome(e)
	}
	return e, err
}

// phaseOf says which lamp an outcome lights. Where there is a door, nobody is
// told that it is open while it is not.
func phaseOf(out event.Attempt, door bool) Phase {
	switch out.Reason {
	case event.CameraFault, event.EngineFault, event.JournalFault:
		return Failed
	case event.Lockout, event.NotAuthorised:
		return Denied
	case event.Cancelled, event.Interrupted:
		return Idle
	}
	switch {
	case out.Access == event.Granted:
		return Granted
	case out.Decision == event.DecisionMatch && !door:
		return Granted
	case out.Decision == event.DecisionMatch, out.Decision == event.DecisionNoMatch:
		return Denied
	}
	return Attention
}
