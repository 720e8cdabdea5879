package attempt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
)

// services is a Cloud that answers as told.
type services struct {
	result cloud.Result
	takes  time.Duration
	asked  []attempt.Case
}

var _ attempt.Cloud = (*services)(nil)

func (s *services) Ask(ctx context.Context, c attempt.Case) cloud.Result {
	s.asked = append(s.asked, c)
	select {
	case <-time.After(s.takes):
		return s.result
	case <-ctx.Done():
		return cloud.Result{Failure: cloud.Overdue, Calls: 1}
	}
}

func answer(v match.Verdict, missing cloud.Side) cloud.Result {
	return cloud.Result{Verdict: v, Answered: true, Provider: "deepidv", Score: 95, Accept: 90, Reject: 50, Missing: missing, Calls: 1, Sent: 1000}
}

func TestConsultation(t *testing.T) {
	unsure := func(b *bench, _ *services) { b.matcher.scores = []match.Score{0.5} }
	down := func(b *bench, _ *services) { b.matcher.refuse, b.line.EngineDown = errFake, true }
	agreed := attempt.Consent{Faces: true}
	both := attempt.Consent{Faces: true, Whole: true}
	tests := []struct {
		name     string
		set      func(*bench, *services)
		result   cloud.Result
		consent  attempt.Consent
		decision event.Decision
		reason   event.Reason
		route    string
		failure  string // published
		asked    int
		pulses   int
	}{
		{"unsure, match", unsure, answer(match.Match, 0), agreed, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"unsure, no match", unsure, answer(match.NoMatch, 0), agreed, event.DecisionNoMatch, event.BelowThreshold, "cloud", "", 1, 0},
		{"unsure, unsure", unsure, answer(match.Unsure, 0), agreed, event.DecisionUnsure, event.CloudUnsure, "cloud", "", 1, 0},
		{"no live face there", unsure, answer(match.Unsure, cloud.Live), agreed, event.DecisionUnsure, event.NoFaceLive, "cloud", "", 1, 0},
		{"no ID face there", unsure, answer(match.Unsure, cloud.ID), agreed, event.DecisionUnsure, event.NoFaceID, "cloud", "", 1, 0},
		{"no face, side unknown", unsure, answer(match.Unsure, cloud.Unknown), agreed, event.DecisionUnsure, event.CloudNoFace, "cloud", "", 1, 0},
		{"no face at all", unsure, answer(match.Unsure, cloud.Both), agreed, event.DecisionUnsure, event.CloudNoFace, "cloud", "", 1, 0},
		{"nobody answers", unsure, cloud.Result{Failure: cloud.Network, Calls: 2}, agreed, event.DecisionUnsure, event.UnsureNoCloud, "local", "network", 1, 0},
		{"a verdict that is no answer", unsure, cloud.Result{Verdict: match.Match}, agreed, event.DecisionUnsure, event.UnsureNoCloud, "local", "", 1, 0},
		{"without consent", unsure, answer(match.Match, 0), attempt.Consent{Whole: true}, event.DecisionUnsure, event.UnsureNoCloud, "local", "consent", 0, 0},
		{"whole pictures with consent to faces", func(b *bench, s *services) { unsure(b, s); b.line.ShowsWhole = true }, answer(match.Match, 0), agreed, event.DecisionUnsure, event.UnsureNoCloud, "local", "consent", 0, 0},
		{"whole pictures with consent", func(b *bench, s *services) { unsure(b, s); b.line.ShowsWhole = true }, answer(match.Match, 0), both, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"consent assumed", func(b *bench, s *services) { unsure(b, s); b.line.Assumed = attempt.Consent{Faces: true} }, answer(match.Match, 0), attempt.Consent{}, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"different people in turn", func(b *bench, _ *services) { b.matcher.scores = []match.Score{0.9, 0.1, 0.9} }, answer(match.Match, 0), both, event.DecisionUnsure, event.UnsureNoCloud, "local", "", 0, 0},
		{"sure of a match", func(*bench, *services) {}, answer(match.NoMatch, 0), both, event.DecisionMatch, event.OK, "local", "", 0, 1},
		{"sure of no match", func(b *bench, _ *services) { b.matcher.scores = []match.Score{0.9} }, answer(match.Match, 0), both, event.DecisionNoMatch, event.BelowThreshold, "local", "", 0, 0},
		{"nobody there", func(b *bench, _ *services) { b.matcher.flaws = []attempt.Flaw{attempt.NoFace} }, answer(match.Match, 0), both, event.DecisionError, event.NoFaceLive, "local", "", 0, 0},
		{"slower than the attempt may be", func(b *bench, s *services) { unsure(b, s); s.takes = time.Minute }, answer(match.Match, 0), agreed, event.DecisionUnsure, event.UnsureNoCloud, "local", "deadline", 1, 0},

		{"engine down, match", down, answer(match.Match, 0), both, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"engine down on a frame", func(b *bench, _ *services) { b.matcher.look, b.line.EngineDown = errFake, true }, answer(match.Match, 0), both, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"engine down, nobody answers", down, cloud.Result{Failure: cloud.Server}, both, event.DecisionError, event.EngineFault, "local", "server", 1, 0},
		{"engine down, faces only agreed", down, answer(match.Match, 0), agreed, event.DecisionError, event.EngineFault, "local", "consent", 0, 0},
		{"engine down, consent assumed for faces", func(b *bench, s *services) { down(b, s); b.line.Assumed = attempt.Consent{Faces: true} }, answer(match.Match, 0), agreed, event.DecisionError, event.EngineFault, "local", "consent", 0, 0},
		{"engine down, consent assumed", func(b *bench, s *services) { down(b, s); b.line.Assumed = attempt.Consent{Whole: true} }, answer(match.Match, 0), attempt.Consent{}, event.DecisionMatch, event.OK, "cloud", "", 1, 1},
		{"engine down, not for the cloud", func(b *bench, _ *services) { b.matcher.refuse = errFake }, answer(match.Match, 0), both, event.DecisionError, event.EngineFault, "local", "", 0, 0},
		{"bad ID photo", func(b *bench, s *services) {
			down(b, s)
			b.matcher.refuse = &attempt.Refusal{Reason: event.NoFaceID, Err: errFake}
		}, answer(match.Match, 0), both, event.DecisionError, event.NoFaceID, "local", "", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBench(t), &services{result: tt.result, takes: 200 * time.Millisecond}
				b.line.Cloud = s
				tt.set(b, s)
				b.start(t)
				r := opener()
				r.Consent = tt.consent
				e := b.attempt(t, r)
				if e.Decision != tt.decision || e.Reason != tt.reason || e.Route != tt.route {
					t.Errorf("got %s/%s by %s, want %s/%s by %s", e.Decision, e.Reason, e.Route, tt.decision, tt.reason, tt.route)
				}
				var failure string
				if e.Cloud != nil {
					failure = e.Cloud.Failure
				}
				if failure != tt.failure || len(s.asked) != tt.asked {
					t.Errorf("failure %q after %d questions, want %q after %d", failure, len(s.asked), tt.failure, tt.asked)
				}
				if err := e.Check(); err != nil {
					t.Errorf("event: %v", err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := len(b.door.pulses); got != tt.pulses {
					t.Errorf("%d pulses, want %d", got, tt.pulses)
				}
			})
		})
	}
}

// When unsure, the faces are shown, of all frames that which is least alike;
// whole pictures only when the engine cannot cut them out.
func TestWhatServicesAreShown(t *testing.T) {
	for _, down := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, s := newBench(t), &services{}
			b.line.Cloud, b.line.EngineDown = s, true
			b.matcher.scores = []match.Score{0.5, 0.51, 0.5}
			if down {
				b.matcher.look = errFake
			}
			b.start(t)
			r := opener()
			r.Consent = attempt.Consent{Faces: true, Whole: true}
			b.attempt(t, r)
			if len(s.asked) != 1 {
				t.Fatalf("asked %d times", len(s.asked))
			}
			c := s.asked[0]
			faces := string(c.Live) == "live crop 7" && string(c.ID) == "id crop"
			whole := c.Frame.Seq > 0 && string(c.Photo) == string(opener().Picture)
			if down && (c.Live != nil || c.ID != nil || !whole || c.Why != cloud.EngineDown) {
				t.Errorf("engine down: shown %+v", c)
			}
			if !down && (!faces || c.Frame.Seq > 0 || c.Photo != nil || c.Why != cloud.Unsure) {
				t.Errorf("unsure: shown %+v", c)
			}
		})
	}
}

// A service's no match counts toward lockout as the device's own does.
func TestCloudMismatchesLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Cloud, b.line.Assumed = &services{result: answer(match.NoMatch, 0)}, attempt.Consent{Faces: true}
		b.matcher.scores = []match.Score{0.5}
		b.start(t)
		r := opener()
		for range b.line.Lockout.After {
			b.attempt(t, r)
		}
		if e := b.attempt(t, r); e.Reason != event.Lockout {
			t.Errorf("after %d mismatches: %s, want lockout", b.line.Lockout.After, e.Reason)
		}
	})
}

// Cancelling while services are asked does not undo that the ID failed here.
func TestCancelledConsultationsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Cloud, b.line.Assumed = &services{takes: time.Second}, attempt.Consent{Faces: true}
		b.matcher.scores = []match.Score{0.5}
		b.start(t)
		r := opener()
		r.SubjectRef = "card-7"
		for range b.line.Lockout.After {
			ticket, err := b.line.Start(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(800 * time.Millisecond)
			if err := b.line.Cancel(t.Context(), ticket.ID); err != nil {
				t.Fatal(err)
			}
			if e := <-ticket.Done; e.Reason != event.Cancelled || e.Cloud == nil {
				t.Fatalf("got %s, want cancelled while services were asked", e.Reason)
			}
		}
		if e := b.attempt(t, r); e.Reason != event.Lockout {
			t.Errorf("after %d cancelled failures: %s, want lockout", b.line.Lockout.After, e.Reason)
		}
	})
}

func TestCancelWhileServicesAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBench(t), &services{result: answer(match.Match, 0), takes: 2 * time.Second}
		b.line.Cloud, b.line.Assumed = s, attempt.Consent{Faces: true}
		b.matcher.scores = []match.Score{0.5}
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.line.Cancel(t.Context(), ticket.ID); err != nil {
			t.Fatal(err)
		}
		if e := <-ticket.Done; e.Reason != event.Cancelled || e.Decision != event.DecisionError || len(b.door.pulses) > 0 {
			t.Errorf("got %s/%s with %d pulses, want cancelled", e.Decision, e.Reason, len(b.door.pulses))
		}
	})
}
