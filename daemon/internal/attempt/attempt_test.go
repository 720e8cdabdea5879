package attempt_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
)

// opener is a request whose match may open the door.
// recordWait is what the package gives one write of the journal.
const recordWait = 3 * time.Second

func opener() attempt.Request {
	return attempt.Request{Picture: []byte{1}, Source: "inbox", MayOpen: true}
}

func TestOutcomes(t *testing.T) {
	refusal := func(r event.Reason) error { return &attempt.Refusal{Reason: r, Err: errFake} }
	tests := []struct {
		name     string
		set      func(*bench)
		request  attempt.Request
		decision event.Decision
		reason   event.Reason
		access   event.Access
		pulses   int
	}{
		{"same person", func(*bench) {}, opener(), event.DecisionMatch, event.OK, event.Granted, 1},
		{"source may not open", func(*bench) {}, attempt.Request{Source: "http"}, event.DecisionMatch, event.OK, event.NotAttempted, 0},
		{"no door wired", func(b *bench) { b.line.Door = nil }, opener(), event.DecisionMatch, event.OK, event.NotAttempted, 0},
		{"other person", func(b *bench) { b.matcher.scores = []match.Score{0.8} }, opener(), event.DecisionNoMatch, event.BelowThreshold, event.NotAttempted, 0},
		{"between the thresholds", func(b *bench) { b.matcher.scores = []match.Score{0.5} }, opener(), event.DecisionUnsure, event.UnsureNoCloud, event.NotAttempted, 0},
		{"one lucky frame among three", func(b *bench) { b.matcher.scores = []match.Score{0.3, 0.7, 0.7} }, opener(), event.DecisionUnsure, event.UnsureNoCloud, event.NotAttempted, 0},
		{"two lucky frames among three", func(b *bench) { b.matcher.scores = []match.Score{0.3, 0.3, 0.5} }, opener(), event.DecisionUnsure, event.UnsureNoCloud, event.NotAttempted, 0},
		{"a score that is no number", func(b *bench) { b.matcher.scores = []match.Score{0.3, notANum} }, opener(), event.DecisionError, event.EngineFault, event.NotAttempted, 0},
		{"nobody there", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.NoFace} }, opener(), event.DecisionError, event.NoFaceLive, event.NotAttempted, 0},
		{"two people", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.ManyFaces} }, opener(), event.DecisionError, event.MultiFaceLive, event.NotAttempted, 0},
		{"too far away", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.FaceSmall} }, opener(), event.DecisionError, event.QualitySize, event.NotAttempted, 0},
		{"moving", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.FaceBlur} }, opener(), event.DecisionError, event.QualitySharpness, event.NotAttempted, 0},
		{"in the dark", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.FaceDark} }, opener(), event.DecisionError, event.QualityExposure, event.NotAttempted, 0},
		{"in the glare", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.FaceBright} }, opener(), event.DecisionError, event.QualityExposure, event.NotAttempted, 0},
		{"frames that cannot be decoded", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.BadFrame} }, opener(), event.DecisionError, event.CameraFault, event.NotAttempted, 0},
		{"a face at the second look", func(b *bench) { b.matcher.flaws = []attempt.Flaw{attempt.NoFace, attempt.FaceDark, ""} }, opener(), event.DecisionMatch, event.OK, event.Granted, 1},
		{"too slow for three probes", func(b *bench) { b.matcher.slow = 3 * time.Second }, opener(), event.DecisionError, event.Timeout, event.NotAttempted, 0},
		{"ID without a face", func(b *bench) { b.matcher.refuse = refusal(event.NoFaceID) }, opener(), event.DecisionError, event.NoFaceID, event.NotAttempted, 0},
		{"ID with two people", func(b *bench) { b.matcher.refuse = refusal(event.IDAmbiguous) }, opener(), event.DecisionError, event.IDAmbiguous, event.NotAttempted, 0},
		{"engine fails on the ID", func(b *bench) { b.matcher.refuse = errFake }, opener(), event.DecisionError, event.EngineFault, event.NotAttempted, 0},
		{"engine fails on a frame", func(b *bench) { b.matcher.look = errFake }, opener(), event.DecisionError, event.EngineFault, event.NotAttempted, 0},
		{"camera at fault", func(b *bench) { b.camera = errFake }, opener(), event.DecisionError, event.CameraFault, event.NotAttempted, 0},
		{"journal refuses the beginning", func(b *bench) { b.record.begin = errFake }, opener(), event.DecisionError, event.JournalFault, event.NotAttempted, 0},
		{"journal refuses the outcome", func(b *bench) { b.record.fail = errFake }, opener(), event.DecisionError, event.JournalFault, event.Denied, 0},
		{"journal refuses the pulse", func(b *bench) { b.record.start = errFake }, opener(), event.DecisionMatch, event.OK, event.Granted, 0},
		{"journal refuses, operator accepts that", func(b *bench) { b.record.fail, b.line.OpenWithoutJournal = errFake, true }, opener(), event.DecisionMatch, event.OK, event.Granted, 1},
		{"nobody grants", func(b *bench) { b.line.Authorise = attempt.ByHost }, opener(), event.DecisionMatch, event.NotAuthorised, event.Denied, 0},
		{"nobody presses", func(b *bench) { b.line.Authorise = attempt.ByPanel }, opener(), event.DecisionMatch, event.NotAuthorised, event.Denied, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				tt.set(b)
				b.start(t)
				e := b.attempt(t, tt.request)
				if e.Decision != tt.decision || e.Reason != tt.reason || e.Access != tt.access {
					t.Errorf("got %s/%s/%s, want %s/%s/%s", e.Decision, e.Reason, e.Access, tt.decision, tt.reason, tt.access)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := len(b.door.pulses); got != tt.pulses {
					t.Errorf("%d pulses, want %d", got, tt.pulses)
				}
				if got := len(b.record.outcomes()); b.record.fail == nil && b.record.begin == nil && got != 1 {
					t.Errorf("%d outcomes in the journal, want 1", got)
				}
				recorded := b.record.fail == nil && b.record.begin == nil
				if told := b.toldOf(event.KindAttempt); len(told) != 1 || told[0].Attempt != e.Attempt || (told[0].Seq > 0) != recorded {
					t.Errorf("told of %+v, want one outcome, with a seq: %v", told, recorded)
				}
			})
		})
	}
}

// Followers and metrics are told of what the journal did not take, too.
func TestWhatIsToldOfAPulse(t *testing.T) {
	type fact struct {
		Fact        event.AccessFact
		CommandedMS int64
		Recorded    bool
	}
	tests := []struct {
		name string
		set  func(*bench)
		want []fact
	}{
		{"usual", func(*bench) {}, []fact{{event.PulseStarted, 800, true}, {event.PulseEnded, 800, true}}},
		{"door at fault", func(b *bench) { b.door.err = errFake }, []fact{{event.PulseStarted, 800, true}, {event.PulseFailed, 800, true}}},
		{"journal refuses the pulse", func(b *bench) { b.record.start = errFake }, []fact{{event.PulseFailed, 800, true}}},
		{"disk slow", func(b *bench) { b.record.takes = 2900 * time.Millisecond }, []fact{{event.PulseStarted, 800, true}, {event.PulseEnded, 800, true}}},
		{"outcome late", func(b *bench) { b.record.takes = 3100 * time.Millisecond }, []fact{{event.PulseFailed, 800, true}}},
		{"pulse late", func(b *bench) { b.record.pulseTakes = 3100 * time.Millisecond }, []fact{{event.PulseStarted, 800, true}, {event.PulseFailed, 800, true}}},
		{"outcome late, operator accepts that", func(b *bench) { b.record.takes, b.line.OpenWithoutJournal = 3100*time.Millisecond, true }, []fact{{event.PulseStarted, 800, true}, {event.PulseEnded, 800, true}}},
		{"journal refuses all, operator accepts that", func(b *bench) { b.record.fail, b.line.OpenWithoutJournal = errFake, true }, []fact{{event.PulseEnded, 800, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				tt.set(b)
				b.start(t)
				b.attempt(t, opener())
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if opened := slices.ContainsFunc(tt.want, func(f fact) bool { return f.Fact == event.PulseEnded }); opened != (len(b.door.pulses) > 0 && b.door.err == nil) {
					t.Errorf("the door was told to open %d times", len(b.door.pulses))
				}
				var got []fact
				for _, e := range b.toldOf(event.KindAccess) {
					got = append(got, fact{e.Fact, e.CommandedMS, e.Seq > 0})
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("told %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// The outcome is on disk before the pulse; a disk that fails right after it
// must not hide how the pulse ended.
func TestAPulseThatEndsUnrecordedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.attempt(t, opener())
		b.record.refuse(errFake)
		time.Sleep(time.Second)
		synctest.Wait()
		told := b.toldOf(event.KindAccess)
		if len(told) != 2 || told[1].Fact != event.PulseEnded || told[1].Seq != 0 {
			t.Errorf("told %+v, want pulse_started, and pulse_ended without a seq", told)
		}
	})
}

// A beginning that was recorded too late is a fault of the journal, which has
// the outcome nevertheless.
func TestASlowBeginningIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.record.onBegin = func() { time.Sleep(recordWait + time.Millisecond) }
		b.start(t)
		e := b.attempt(t, opener())
		if e.Reason != event.JournalFault || e.Access != event.NotAttempted || e.Seq != 1 {
			t.Errorf("got %s %s with seq %d, want journal_fault not_attempted with seq 1", e.Reason, e.Access, e.Seq)
		}
	})
}

// A slow disk is no dead owner, but one that hangs is.
func TestTheOwnerLivesWhileTheDiskIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.record.onBegin = func() { time.Sleep(time.Minute) }
		b.start(t)
		if _, err := b.line.Start(t.Context(), opener()); err != nil {
			t.Fatal(err)
		}
		ping := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			return b.line.Ping(ctx)
		}
		time.Sleep(recordWait - time.Millisecond)
		if err := ping(); err != nil {
			t.Errorf("the disk is slow: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		if ping() == nil {
			t.Error("the disk hangs: the owner is alive")
		}
		time.Sleep(2 * time.Minute)
		if err := ping(); err != nil {
			t.Errorf("the disk is well again: %v", err)
		}
	})
}

func TestDoorMovesAfterTheOutcomeIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		e := b.attempt(t, opener())
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.door.pulses) != 1 || b.door.pulses[0] != 2 {
			t.Fatalf("events in the journal when the door moved: %v, want the outcome and the pulse", b.door.pulses)
		}
		if len(b.record.pulses) != 1 || b.record.pulses[0] != e.AttemptID {
			t.Errorf("pulses recorded: %v, want [%s]", b.record.pulses, e.AttemptID)
		}
		last := b.record.events[len(b.record.events)-1]
		if last.Kind != event.KindAccess || last.Fact != event.PulseEnded || last.MeasuredMS != 800 {
			t.Errorf("last event %+v, want pulse_ended after 800 ms", last)
		}
	})
}

func TestFramesFromBeforeTheAttemptDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		b.attempt(t, opener())
		for i, f := range b.matcher.frames {
			if !f.Time.After(began) {
				t.Errorf("frame %d is %v older than the attempt", i, began.Sub(f.Time))
			}
			if i > 0 && f.Time.Sub(b.matcher.frames[i-1].Time) < 100*time.Millisecond {
				t.Errorf("frame %d follows after %v, want at least 100ms", i, f.Time.Sub(b.matcher.frames[i-1].Time))
			}
		}
		if len(b.matcher.frames) != 3 {
			t.Errorf("%d frames looked at, want 3", len(b.matcher.frames))
		}
	})
}

func TestNobodyThereIsLookedForFiveTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.flaws = []attempt.Flaw{attempt.NoFace, attempt.NoFace, attempt.FaceDark, ""}
		b.start(t)
		b.attempt(t, opener())
		if len(b.matcher.frames) < 4 {
			t.Fatalf("%d frames looked at", len(b.matcher.frames))
		}
		for i, nobody := range []bool{true, true, false} {
			gap := b.matcher.frames[i+1].Time.Sub(b.matcher.frames[i].Time)
			if (gap >= 200*time.Millisecond) != nobody || gap > 300*time.Millisecond {
				t.Errorf("frame %d follows after %v", i+1, gap)
			}
		}
	})
}

func TestCameraLostDuringAnAttemptEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.flaws = []attempt.Flaw{attempt.NoFace}
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		lost := time.Now()
		b.setCamera(errFake)
		e := <-ticket.Done
		if e.Reason != event.CameraFault {
			t.Errorf("reason %s, want camera_fault", e.Reason)
		}
		if took := time.Since(lost); took > 3100*time.Millisecond {
			t.Errorf("ended %v after the camera was lost", took)
		}
	})
}

func TestSecondAttemptIsBusyAndCreatesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.line.Start(t.Context(), opener()); !errors.Is(err, attempt.ErrBusy) {
			t.Errorf("second Start: %v, want ErrBusy", err)
		}
		<-ticket.Done
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(b.record.begun); got != 1 {
			t.Errorf("%d attempts begun, want 1", got)
		}
		b.attempt(t, opener())
	})
}

// A caller that was told "denied" presents the next ID at once, however long the
// lamps take.
func TestAnAttemptThatOpenedNothingLeavesTheLineFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Phase = func(attempt.Phase) { time.Sleep(10 * time.Millisecond) }
		b.start(t)
		for range 2 {
			if e := b.attempt(t, attempt.Request{Picture: opener().Picture, Source: "test"}); e.Access == event.Granted {
				t.Fatalf("granted what may not open: %+v", e)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.flaws = []attempt.Flaw{attempt.NoFace}
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.line.Cancel(t.Context(), "another"); !errors.Is(err, attempt.ErrNoAttempt) {
			t.Errorf("cancel of another attempt: %v, want ErrNoAttempt", err)
		}
		if err := b.line.Cancel(t.Context(), ticket.ID); err != nil {
			t.Errorf("cancel: %v", err)
		}
		if e := <-ticket.Done; e.Reason != event.Cancelled {
			t.Errorf("reason %s, want cancelled", e.Reason)
		}
		if err := b.line.Cancel(t.Context(), ticket.ID); !errors.Is(err, attempt.ErrNoAttempt) {
			t.Errorf("cancel after the end: %v, want ErrNoAttempt", err)
		}
	})
}

func TestGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Authorise = attempt.ByHost
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.line.Grant(t.Context(), ticket.ID); !errors.Is(err, attempt.ErrNotWaiting) {
			t.Errorf("grant before the match: %v, want ErrNotWaiting", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if b.hints[len(b.hints)-1] != attempt.AwaitingGrant {
			t.Errorf("hints %v, want awaiting_grant at the end", b.hints)
		}
		if err := b.line.Grant(t.Context(), "another"); !errors.Is(err, attempt.ErrNoAttempt) {
			t.Errorf("grant for another attempt: %v, want ErrNoAttempt", err)
		}
		if len(b.door.pulses) != 0 {
			t.Fatal("the door moved without a grant")
		}
		if err := b.line.Grant(t.Context(), ticket.ID); err != nil {
			t.Errorf("grant: %v", err)
		}
		if e := <-ticket.Done; e.Access != event.Granted || e.Reason != event.OK {
			t.Errorf("got %s/%s, want ok/granted", e.Reason, e.Access)
		}
		if err := b.line.Grant(t.Context(), ticket.ID); !errors.Is(err, attempt.ErrNoAttempt) {
			t.Errorf("second grant: %v, want ErrNoAttempt", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.door.pulses) != 1 {
			t.Errorf("%d pulses, want 1", len(b.door.pulses))
		}
	})
}

func TestPanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Authorise = attempt.ByPanel
		b.start(t)
		ticket, err := b.line.Start(t.Context(), opener())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.line.Ping(t.Context()); err != nil {
			t.Errorf("ping while waiting for the panel: %v", err)
		}
		b.panel.pressed <- struct{}{}
		if e := <-ticket.Done; e.Access != event.Granted {
			t.Errorf("access %s, want granted", e.Access)
		}
	})
}

func TestStoppingEndsTheAttemptInTheJournal(t *testing.T) {
	for _, when := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.line.Authorise = attempt.ByHost
			ctx, stop := context.WithCancel(t.Context())
			ran := make(chan struct{})
			go func() { _ = b.line.Run(ctx); close(ran) }()
			go b.film(ctx)
			ticket, err := b.line.Start(ctx, opener())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(when)
			stop()
			if e := <-ticket.Done; e.Reason != event.Interrupted || e.Access == event.Granted {
				t.Errorf("stopped after %v: %s/%s, want interrupted and no access", when, e.Reason, e.Access)
			}
			<-ran
			if got := len(b.record.outcomes()); got != 1 {
				t.Errorf("%d outcomes in the journal, want 1", got)
			}
			if _, err := b.line.Start(context.Background(), opener()); !errors.Is(err, attempt.ErrStopped) {
				t.Errorf("Start after the end: %v, want ErrStopped", err)
			}
		})
	}
}

// A signal that comes as an attempt begins once made it look locked out: the
// counter was read with the context that the signal had ended.
func TestStoppingAtTheBeginningIsNoLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, stop := context.WithCancel(t.Context())
		b.record.onBegin = stop
		go func() { _ = b.line.Run(ctx) }()
		ticket, err := b.line.Start(ctx, opener())
		if err != nil {
			t.Fatal(err)
		}
		if e := <-ticket.Done; e.Reason != event.Interrupted {
			t.Errorf("reason %s, want interrupted", e.Reason)
		}
	})
}

func TestHintsAreAtMostFourASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.flaws = []attempt.Flaw{attempt.FaceSmall, attempt.FaceDark, attempt.NoFace}
		b.start(t)
		b.attempt(t, opener())
		for i := 4; i < len(b.hintAt); i++ {
			if span := b.hintAt[i].Sub(b.hintAt[i-4]); span < time.Second {
				t.Errorf("hints %d to %d within %v", i-4, i, span)
			}
		}
		if len(b.hints) < 5 {
			t.Errorf("%d hints in eight seconds, want some", len(b.hints))
		}
	})
}

func TestLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.scores = []match.Score{0.9}
		b.start(t)
		named := attempt.Request{Picture: []byte{1}, Source: "http", SubjectRef: "card-1"}
		for range 5 {
			if e := b.attempt(t, named); e.Reason != event.BelowThreshold {
				t.Fatalf("reason %s, want below_threshold", e.Reason)
			}
		}
		e := b.attempt(t, named)
		if e.Reason != event.Lockout || e.RetryInMS <= 0 || e.RetryInMS > 30000 {
			t.Fatalf("sixth try: %s, retry in %d ms, want lockout within 30 s", e.Reason, e.RetryInMS)
		}
		other := named
		other.SubjectRef = "card-2"
		if e := b.attempt(t, other); e.Reason != event.BelowThreshold {
			t.Errorf("another ID: %s, want below_threshold", e.Reason)
		}
		time.Sleep(30 * time.Second)
		if e := b.attempt(t, named); e.Reason != event.BelowThreshold {
			t.Errorf("after the delay: %s, want below_threshold", e.Reason)
		}
		if e := b.attempt(t, named); e.RetryInMS <= 30000 || e.RetryInMS > 60000 {
			t.Errorf("second delay %d ms, want above 30 and at most 60 s", e.RetryInMS)
		}
		time.Sleep(time.Minute)
		b.matcher.scores = []match.Score{0.2}
		b.attempt(t, named)
		if len(b.record.failures) != 1 {
			t.Errorf("counts left: %v, want only card-2", b.record.failures)
		}
	})
}

func TestLockoutOfASourceNeverGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.matcher.scores = []match.Score{0.9}
		b.start(t)
		for range 60 {
			b.attempt(t, opener())
			time.Sleep(31 * time.Second)
		}
		b.attempt(t, opener())
		e := b.attempt(t, opener())
		if e.Reason != event.Lockout || e.RetryInMS > 30000 {
			t.Errorf("got %s, retry in %d ms, want a lockout of at most 30 s", e.Reason, e.RetryInMS)
		}
		if e := b.attempt(t, attempt.Request{Source: "http"}); e.Reason == event.Lockout {
			t.Error("another source is locked out")
		}
	})
}

func TestLockoutSurvivesAClockStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.record.failures["source:inbox"] = failure{count: 7, last: time.Now().Add(time.Hour), until: time.Now().Add(240 * time.Hour)}
		if e := b.attempt(t, opener()); e.RetryInMS > 30000 {
			t.Errorf("retry in %d ms, want at most the delay", e.RetryInMS)
		}
	})
}

// A lamp that says "come in" before a door that stays shut is a lie.
func TestWhatALampSaysOfAMatch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		set     func(*bench)
		request attempt.Request
		want    attempt.Phase
	}{
		{"door opens", func(*bench) {}, opener(), attempt.Granted},
		{"source may not open", func(*bench) {}, attempt.Request{Source: "http"}, attempt.Denied},
		{"nobody agrees", func(b *bench) { b.line.Authorise = attempt.ByHost }, opener(), attempt.Denied},
		{"no door wired", func(b *bench) { b.line.Door = nil }, opener(), attempt.Granted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				tt.set(b)
				b.start(t)
				if e := b.attempt(t, tt.request); e.Decision != event.DecisionMatch {
					t.Fatalf("decision %s", e.Decision)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				b.mu.Lock()
				defer b.mu.Unlock()
				if !slices.Contains(b.phases, tt.want) || tt.want == attempt.Denied && slices.Contains(b.phases, attempt.Granted) {
					t.Errorf("phases %v, want %s", b.phases, tt.want)
				}
			})
		})
	}
}
