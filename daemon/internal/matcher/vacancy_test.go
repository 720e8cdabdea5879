package matcher_test

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/match/matchtest"
)

// room is a grey frame with a camera's noise and a part that is brighter.
func room(part image.Rectangle, by int, at time.Time) capture.Frame {
	noise := rand.New(rand.NewPCG(uint64(at.UnixNano()), 1))
	data := bytes.Repeat([]byte{100}, 640*480)
	for i := range data {
		data[i] += byte(noise.IntN(13))
		if image.Pt(i%640, i/640).In(part) {
			data[i] += byte(by)
		}
	}
	return capture.Frame{Time: at, Format: capture.Grey, Width: 640, Height: 480, Stride: 640, Data: data}
}

// Where nobody is and nothing moves, the engine rests; but whatever changes in
// a part of the picture is looked at, and once a second everything.
func TestAnEmptyRoomIsNotLookedAtAgain(t *testing.T) {
	began := time.Now()
	after := func(d time.Duration) time.Time { return began.Add(d) }
	part := image.Rect(300, 200, 340, 240) // a quarter of the smallest face that may be compared
	e := &matchtest.Engine{}
	m := start(t, e)
	for i, step := range []struct {
		name  string
		frame capture.Frame
		looks int
	}{
		{"first", room(part, 0, after(0)), 1},
		{"the same", room(part, 0, after(200*time.Millisecond)), 0},
		{"the same, almost a second after it was looked at", room(part, 0, after(999*time.Millisecond)), 0},
		{"the same, after a second", room(part, 0, after(time.Second)), 1},
		{"a part a little brighter", room(part, 10, after(1100*time.Millisecond)), 1},
		{"still", room(part, 10, after(1200*time.Millisecond)), 0},
		{"a part a little darker", room(part, 0, after(1300*time.Millisecond)), 1},
		{"from before", room(part, 0, after(1250*time.Millisecond)), 1},
	} {
		before := e.Calls()
		look, err := m.Look(t.Context(), step.frame)
		if err != nil || look.Flaw != attempt.NoFace {
			t.Errorf("%d, %s: flaw %q, %v", i, step.name, look.Flaw, err)
		}
		if got := e.Calls() - before; got != step.looks {
			t.Errorf("%d, %s: looked %d times, want %d", i, step.name, got, step.looks)
		}
	}
}

// A frame with somebody is never taken for the one before, however alike.
func TestAPersonIsLookedAtInEveryFrame(t *testing.T) {
	e := &matchtest.Engine{}
	m := start(t, e)
	data := encode(t, people(image.Rect(100, 100, 300, 300)))
	began := time.Now()
	for i := range 3 {
		f := capture.Frame{Time: began.Add(time.Duration(i) * time.Millisecond), Format: capture.JPEG, Data: data}
		if look, err := m.Look(t.Context(), f); err != nil || look.Flaw != "" || e.Calls() != i+1 {
			t.Errorf("frame %d: flaw %q, %d calls, %v", i, look.Flaw, e.Calls(), err)
		}
	}
}
