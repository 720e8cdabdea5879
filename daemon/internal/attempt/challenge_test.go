package attempt_test

import (
	"fmt"
	"image"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/pad"
)

// landmarks are those of a face that is turned to its left by an angle, in
// degrees, half a metre before a camera. Of a picture, the nose does not stand out.
func landmarks(yaw float64, flat bool) match.Face {
	f := match.Face{Box: image.Rect(200, 100, 440, 400)}
	for _, s := range [5][3]float64{{-31.5, 0, 0}, {31.5, 0, 0}, {0, 43, 30}, {-25, 70, 12}, {25, 70, 12}} {
		if flat {
			s[2] = 0
		}
		x, z := s[0]*math.Cos(yaw*math.Pi/180)+s[2]*math.Sin(yaw*math.Pi/180), s[2]*math.Cos(yaw*math.Pi/180)-s[0]*math.Sin(yaw*math.Pi/180)
		f.Points = append(f.Points, image.Pt(int(320+1100*x/(500-z)), int(240+1100*(s[1]-35)/(500-z))))
	}
	return f
}

// challenged returns a bench whose line asks to turn left, and what stands there:
// it turns by 40 degrees a second, up to 38, toward a side once told to turn.
func challenged(t *testing.T, toward float64, flat bool) *bench {
	b := newBench(t)
	b.line.PAD = &attempt.PAD{Layout: pad.EyesNoseMouth, Side: func() pad.Side { return pad.Left }, Within: 5 * time.Second}
	b.matcher.face = func(at time.Time) match.Face {
		return landmarks(toward*min(38, 40*at.Sub(b.toldToTurn(at)).Seconds()), flat)
	}
	return b
}

// toldToTurn returns when the person was first told to turn, or now if never.
func (b *bench) toldToTurn(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.hints, func(h attempt.Hint) bool { return h == attempt.TurnLeft || h == attempt.TurnRight }); i >= 0 {
		return b.hintAt[i]
	}
	return now
}

func TestChallenge(t *testing.T) {
	tests := []struct {
		name     string
		toward   float64
		flat     bool
		set      func(*bench)
		decision event.Decision
		reason   event.Reason
		verdict  string // empty: nothing was asked
		access   event.Access
		failures int
	}{
		{"a person", 1, false, func(*bench) {}, event.DecisionMatch, event.OK, "passed", event.Granted, 0},
		{"who turns the other way", -1, false, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "wrong_side", event.NotAttempted, 1},
		{"who does nothing", 0, false, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "not_turned", event.NotAttempted, 1},
		{"a picture that is turned", 1, true, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "not_turned", event.NotAttempted, 1},
		{"a picture, an attempt that is short of time", 1, true, func(b *bench) { b.line.Deadline = 2 * time.Second }, event.DecisionNoMatch, event.PADFailed, "not_turned", event.NotAttempted, 1},
		{"somebody else", 1, false, func(b *bench) { b.matcher.scores = []match.Score{0.8} }, event.DecisionNoMatch, event.BelowThreshold, "", event.NotAttempted, 1},
		{"unsure, and nobody to ask", 1, false, func(b *bench) { b.matcher.scores = []match.Score{0.5} }, event.DecisionUnsure, event.UnsureNoCloud, "", event.NotAttempted, 0},
		{"another face at the turn", 1, false, func(b *bench) { b.matcher.scores = []match.Score{0.3, 0.3, 0.3, 0.5} }, event.DecisionNoMatch, event.PADFailed, "other_face", event.NotAttempted, 1},
		{"a face out of sight", 1, false, func(b *bench) {
			b.matcher.flaws = append(slices.Repeat([]attempt.Flaw{""}, 20), attempt.NoFace)
		}, event.DecisionNoMatch, event.PADFailed, "not_still", event.NotAttempted, 1},
		{"blurred now and then", 1, false, func(b *bench) {
			b.matcher.flaws = slices.Repeat([]attempt.Flaw{"", "", attempt.FaceBlur, attempt.FaceTurned}, 60)
		}, event.DecisionMatch, event.OK, "passed", event.Granted, 0},
		{"camera lost meanwhile", 1, false, func(b *bench) {
			time.AfterFunc(700*time.Millisecond, func() { b.setCamera(errFake) })
		}, event.DecisionError, event.CameraFault, "", event.NotAttempted, 0},
		{"landmarks that cannot tell", 1, false, func(b *bench) { b.line.PAD.Layout = pad.EyeCorners }, event.DecisionError, event.EngineFault, "", event.NotAttempted, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := challenged(t, tt.toward, tt.flat)
				tt.set(b)
				b.start(t)
				e := b.attempt(t, opener())
				verdict := ""
				if e.PAD != nil {
					verdict = e.PAD.Verdict
					if e.PAD.Kind != event.Turn || e.PAD.Side != "left" {
						t.Errorf("pad %+v, want a turn to the left", *e.PAD)
					}
				}
				if e.Decision != tt.decision || e.Reason != tt.reason || verdict != tt.verdict || e.Access != tt.access {
					t.Errorf("got %s/%s/%s/%s, want %s/%s/%s/%s", e.Decision, e.Reason, verdict, e.Access, tt.decision, tt.reason, tt.verdict, tt.access)
				}
				b.settled(t, e, tt.failures)
				b.mu.Lock()
				defer b.mu.Unlock()
				if told := slices.Contains(b.hints, attempt.TurnLeft); told != (tt.verdict != "" && tt.verdict != "other_face" || tt.reason == event.CameraFault) {
					t.Errorf("hints %v", b.hints)
				}
			})
		})
	}
}

// A picture never clears the count of failures before it, however the attempt
// ends.
func TestAnUnfinishedChallengeForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := challenged(t, 1, true)
		b.record.failures["source:inbox"] = failure{count: 3, last: time.Now()}
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.line.Cancel(t.Context(), ticket.ID); err != nil {
			t.Fatal(err)
		}
		if e := <-ticket.Done; e.Reason != event.Cancelled || e.PAD != nil {
			t.Errorf("got %s, %v, want cancelled", e.Reason, e.PAD)
		}
		synctest.Wait()
		if got := b.record.failures["source:inbox"].count; got != 3 {
			t.Errorf("%d failures count, want 3", got)
		}
	})
}

// Compare services are asked once the challenge has been passed; and what they
// say when nobody could be challenged opens nothing unless that is allowed.
func TestChallengeBeforeTheCloud(t *testing.T) {
	tests := []struct {
		name     string
		flat     bool
		down     bool // the engine does not answer
		without  bool
		reason   event.Reason
		access   event.Access
		asked    int
		failures int
	}{
		{"a person", false, false, false, event.OK, event.Granted, 1, 0},
		{"a picture", true, false, false, event.PADFailed, event.NotAttempted, 0, 4},
		{"nobody could be challenged", false, true, false, event.PADMissing, event.Denied, 1, 3},
		{"nor need be", false, true, true, event.OK, event.Granted, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := challenged(t, 1, tt.flat)
				b.record.failures["source:inbox"] = failure{count: 3, last: time.Now()}
				b.matcher.scores = []match.Score{0.5, 0.5, 0.5, 0.1}
				service := &services{result: answer(match.Match, cloud.Neither)}
				b.line.Cloud, b.line.EngineDown, b.line.Assumed = service, true, attempt.Consent{Faces: true, Whole: true}
				b.line.PAD.OpenWithout = tt.without
				if tt.down {
					b.matcher.look = errFake
				}
				b.start(t)
				e := b.attempt(t, opener())
				if e.Reason != tt.reason || e.Access != tt.access || len(service.asked) != tt.asked {
					t.Errorf("got %s/%s/%s, asked %d times, want %s/%s, %d", e.Decision, e.Reason, e.Access, len(service.asked), tt.reason, tt.access, tt.asked)
				}
				if err := e.Check(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := b.record.failures["source:inbox"].count; got != tt.failures {
					t.Errorf("%d failures count, want %d", got, tt.failures)
				}
			})
		})
	}
}

// A model judges the frames that were compared, and a turn is asked for only of
// those whom it lets through. Both have the same say.
func TestModel(t *testing.T) {
	tests := []struct {
		name     string
		live     []float64
		turn     bool // asked for too
		flat     bool
		set      func(*bench)
		decision event.Decision
		reason   event.Reason
		pad      string // kind, verdict and score; empty: nothing was tested
		access   event.Access
		failures int
	}{
		{"a person", []float64{0.9, 0.8, 1}, false, false, func(*bench) {}, event.DecisionMatch, event.OK, "model passed 0.9", event.Granted, 0},
		{"a picture", []float64{0.9, 0.1, 0.2}, false, false, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "model not_live 0.4", event.NotAttempted, 4},
		{"a matcher that does not judge", nil, false, false, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "model not_live 0", event.NotAttempted, 4},
		{"frames that are not compared do not count", []float64{1}, false, false, func(b *bench) {
			b.matcher.flaws = []attempt.Flaw{attempt.FaceBlur, attempt.NoFace, ""}
		}, event.DecisionMatch, event.OK, "model passed 1", event.Granted, 0},
		{"a picture of somebody else", []float64{0}, false, false, func(b *bench) { b.matcher.scores = []match.Score{0.8} }, event.DecisionNoMatch, event.BelowThreshold, "", event.NotAttempted, 4},
		{"unsure, and nobody to ask", []float64{0}, false, false, func(b *bench) { b.matcher.scores = []match.Score{0.5} }, event.DecisionUnsure, event.UnsureNoCloud, "", event.NotAttempted, 3},
		{"a picture, and a service to ask", []float64{0}, false, false, func(b *bench) {
			b.matcher.scores = []match.Score{0.5}
			b.line.Cloud, b.line.Assumed = &services{result: answer(match.Match, cloud.Neither)}, attempt.Consent{Faces: true}
		}, event.DecisionNoMatch, event.PADFailed, "model not_live 0", event.NotAttempted, 4},
		{"an engine that is down, and a service alone", []float64{1}, false, false, func(b *bench) {
			b.matcher.look = errFake
			b.line.Cloud, b.line.EngineDown, b.line.Assumed = &services{result: answer(match.Match, cloud.Neither)}, true, attempt.Consent{Faces: true, Whole: true}
		}, event.DecisionMatch, event.PADMissing, "", event.Denied, 3},
		{"a person who turns", []float64{0.9}, true, false, func(*bench) {}, event.DecisionMatch, event.OK, "turn passed 0.9", event.Granted, 0},
		{"a picture that is turned and convinces the model", []float64{0.9}, true, true, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "turn not_turned 0.9", event.NotAttempted, 4},
		{"who turns, and does not convince it", []float64{0.4}, true, false, func(*bench) {}, event.DecisionNoMatch, event.PADFailed, "model not_live 0.4", event.NotAttempted, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := challenged(t, 1, tt.flat)
				b.record.failures["source:inbox"] = failure{count: 3, last: time.Now()}
				b.line.PAD.Accept = 0.5
				if !tt.turn {
					b.line.PAD.Side = nil
				}
				b.matcher.live = tt.live
				tt.set(b)
				b.start(t)
				e := b.attempt(t, opener())
				got := ""
				if e.PAD != nil {
					got = fmt.Sprint(e.PAD.Kind, " ", e.PAD.Verdict, " ", *e.PAD.Score)
				}
				if e.Decision != tt.decision || e.Reason != tt.reason || got != tt.pad || e.Access != tt.access {
					t.Errorf("got %s/%s/%q/%s, want %s/%s/%q/%s", e.Decision, e.Reason, got, e.Access, tt.decision, tt.reason, tt.pad, tt.access)
				}
				b.settled(t, e, tt.failures)
				b.mu.Lock()
				defer b.mu.Unlock()
				if told := slices.Contains(b.hints, attempt.TurnLeft); told != (tt.turn && e.PAD.Kind == event.Turn) {
					t.Errorf("hints %v", b.hints)
				}
			})
		})
	}
}

// settled waits until all of an attempt is over, and checks what it has left: so
// many failures, and a pulse only if access was granted.
func (b *bench) settled(t *testing.T, e event.Event, failures int) {
	t.Helper()
	if err := e.Check(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if got := b.record.failures["source:inbox"].count; got != failures {
		t.Errorf("%d failures count, want %d", got, failures)
	}
	if got := len(b.door.pulses); (got > 0) != (e.Access == event.Granted) {
		t.Errorf("%d pulses with access %s", got, e.Access)
	}
}
