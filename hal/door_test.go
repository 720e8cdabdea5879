package hal_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/haltest"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newDoor() (*hal.Door, *haltest.Output) {
	out := &haltest.Output{}
	return &hal.Door{Output: out, Log: quiet()}, out
}

var errWire = errors.New("wire cut")

func fails(n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = errWire
	}
	return errs
}

func TestPulseOpensForItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		start := time.Now()
		measured, err := door.Pulse(t.Context(), 3*time.Second)
		if err != nil || measured != 3*time.Second {
			t.Errorf("Pulse = %v, %v, want 3s, nil", measured, err)
		}
		got := out.Changes()
		if len(got) != 2 || !got[0].On || got[1].On {
			t.Fatalf("changes = %v, want on, off", got)
		}
		if on, off := got[0].At.Sub(start), got[1].At.Sub(start); on != 0 || off != 3*time.Second {
			t.Errorf("on after %v, off after %v, want 0, 3s", on, off)
		}
	})
}

func TestPulseRefusesLengthsOutOfBounds(t *testing.T) {
	for _, length := range []time.Duration{-time.Second, 0, hal.MaxPulse + 1} {
		door, out := newDoor()
		measured, err := door.Pulse(t.Context(), length)
		if err == nil || measured != 0 || out.Calls() != 0 {
			t.Errorf("Pulse(%v) = %v, %v with %d calls, want 0, an error, 0 calls", length, measured, err, out.Calls())
		}
	}
}

func TestPulseOfTheMaximumIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		var log strings.Builder
		door.Log = slog.New(slog.NewTextHandler(&log, nil))
		measured, err := door.Pulse(t.Context(), hal.MaxPulse)
		synctest.Wait()
		if err != nil || measured != hal.MaxPulse || out.On() || log.Len() > 0 {
			t.Errorf("Pulse = %v, %v, still on %t, log %q", measured, err, out.On(), &log)
		}
	})
}

func TestPulseEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		why := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		measured, err := door.Pulse(ctx, 3*time.Second)
		if !errors.Is(err, why) || measured != time.Second || out.On() {
			t.Errorf("Pulse = %v, %v, still on %t, want 1s, %v, off", measured, err, out.On(), why)
		}
		calls := out.Calls()
		if _, err := door.Pulse(ctx, time.Second); !errors.Is(err, why) || out.Calls() != calls {
			t.Errorf("Pulse with an ended context = %v with %d calls, want %v and none", err, out.Calls()-calls, why)
		}
	})
}

func TestSecondPulseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		var wg sync.WaitGroup
		wg.Go(func() {
			if measured, err := door.Pulse(t.Context(), 3*time.Second); err != nil || measured != 3*time.Second {
				t.Errorf("first Pulse = %v, %v, want 3s, nil", measured, err)
			}
		})
		time.Sleep(time.Second)
		if measured, err := door.Pulse(t.Context(), time.Second); !errors.Is(err, hal.ErrBusy) || measured != 0 {
			t.Errorf("second Pulse = %v, %v, want 0, ErrBusy", measured, err)
		}
		wg.Wait()
		if _, err := door.Pulse(t.Context(), time.Second); err != nil || out.Calls() != 4 {
			t.Errorf("Pulse after the first = %v with %d calls in all, want nil, 4", err, out.Calls())
		}
	})
}

func TestDoorLocksOnShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		var wg sync.WaitGroup
		wg.Go(func() {
			measured, err := door.Pulse(t.Context(), 5*time.Second)
			if !errors.Is(err, hal.ErrLocked) || measured != time.Second {
				t.Errorf("Pulse = %v, %v, want 1s, ErrLocked", measured, err)
			}
		})
		time.Sleep(time.Second)
		for range 2 {
			if err := door.Lock(); err != nil || out.On() {
				t.Errorf("Lock = %v, still on %t, want nil, off", err, out.On())
			}
		}
		wg.Wait()
		if _, err := door.Pulse(t.Context(), time.Second); !errors.Is(err, hal.ErrLocked) || out.On() {
			t.Errorf("Pulse after Lock = %v, on %t, want ErrLocked, off", err, out.On())
		}
		if err := door.Close(); err != nil || !out.Closed() {
			t.Errorf("Close = %v, output closed %t", err, out.Closed())
		}
	})
}

func TestLockDuringPulseFromManyGoroutines(t *testing.T) {
	for range 20 {
		door, out := newDoor()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _, _ = door.Pulse(t.Context(), time.Millisecond) })
			wg.Go(func() {
				if err := door.Lock(); err != nil {
					t.Errorf("Lock: %v", err)
				}
				if out.On() {
					t.Error("on after Lock")
				}
			})
		}
		wg.Wait()
	}
}

func TestTurningOffIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		out.Fail(nil, errWire, errWire)
		measured, err := door.Pulse(t.Context(), time.Second)
		if err != nil || out.On() {
			t.Errorf("Pulse = %v, still on %t, want nil, off", err, out.On())
		}
		if over := measured - time.Second; over <= 0 || over > 100*time.Millisecond {
			t.Errorf("measured %v, want 1s and the time of two more tries", measured)
		}
	})
}

// A door whose output cannot be turned off must say so, must not be opened
// again, and must be turned off as soon as that works.
func TestStuckDoorIsForcedOffAtTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		var log strings.Builder
		door.Log = slog.New(slog.NewTextHandler(&log, nil))
		start := time.Now()
		out.Fail(append([]error{nil}, fails(10)...)...)
		if _, err := door.Pulse(t.Context(), time.Second); !errors.Is(err, hal.ErrStuck) || !errors.Is(err, errWire) {
			t.Errorf("Pulse = %v, want ErrStuck and its cause", err)
		}
		if _, err := door.Pulse(t.Context(), time.Second); !errors.Is(err, hal.ErrStuck) {
			t.Errorf("Pulse of a stuck door = %v, want ErrStuck", err)
		}
		if got := out.Changes(); len(got) != 1 || !out.On() {
			t.Fatalf("changes = %v, want on alone", got)
		}
		time.Sleep(hal.MaxPulse)
		synctest.Wait()
		if out.On() {
			t.Fatal("still on after the hard maximum")
		}
		if off := out.Changes()[1].At.Sub(start); off != hal.MaxPulse {
			t.Errorf("forced off after %v, want %v", off, hal.MaxPulse)
		}
		if !strings.Contains(log.String(), "hard maximum") {
			t.Errorf("log = %q, want a word about the hard maximum", &log)
		}
		if _, err := door.Pulse(t.Context(), time.Second); err != nil {
			t.Errorf("Pulse of a repaired door: %v", err)
		}
	})
}

func TestStuckDoorFailsToLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, out := newDoor()
		out.Fail(fails(5)...)
		if err := door.Lock(); !errors.Is(err, hal.ErrStuck) {
			t.Errorf("Lock = %v, want ErrStuck", err)
		}
		if err := door.Lock(); err != nil {
			t.Errorf("second Lock = %v, want nil", err)
		}
	})
}

func TestFailedOpeningTurnsOff(t *testing.T) {
	door, out := newDoor()
	out.Fail(errWire)
	measured, err := door.Pulse(t.Context(), time.Second)
	if !errors.Is(err, errWire) || errors.Is(err, hal.ErrStuck) || measured != 0 {
		t.Errorf("Pulse = %v, %v, want 0, %v alone", measured, err, errWire)
	}
	if got := out.Changes(); len(got) != 1 || got[0].On {
		t.Errorf("changes = %v, want off", got)
	}
}

func TestLineString(t *testing.T) {
	for _, tt := range []struct {
		line  hal.Line
		want  string
		wired bool
	}{
		{hal.Line{Number: 4}, "no line", false},
		{hal.Line{Chip: "gpiochip0", Number: 4}, "gpiochip0 line 4", true},
		{hal.Line{Name: "DOOR"}, `line "DOOR"`, true},
		{hal.Line{Chip: "gpiochip1", Name: "DOOR"}, `gpiochip1 line "DOOR"`, true},
	} {
		if got := tt.line.String(); got != tt.want || tt.line.Wired() != tt.wired {
			t.Errorf("%#v: %q, wired %t, want %q, %t", tt.line, got, tt.line.Wired(), tt.want, tt.wired)
		}
	}
}
