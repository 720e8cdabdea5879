package gpio

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	conngpio "periph.io/x/conn/v3/gpio"

	"github.com/facegate/facegate/hal"
)

// waiting runs Wait of an input on l, and returns a function that waits for
// its end and returns how long Wait took, and its error.
func waiting(t *testing.T, ctx context.Context, b *Board, spec hal.Line) (hal.Input, func() (time.Duration, error)) {
	t.Helper()
	in, err := b.Input(spec)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var took time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		err = in.Wait(ctx)
		took = time.Since(start)
	})
	synctest.Wait()
	return in, func() (time.Duration, error) {
		wg.Wait()
		return took, err
	}
}

func TestPressCountsAfterDebounce(t *testing.T) {
	for _, activeLow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine()
			pressed, released := conngpio.Level(!activeLow), conngpio.Level(activeLow)
			l.level = released
			b, k := newBoard(l)
			_, end := waiting(t, t.Context(), b, hal.Line{Chip: "gpiochip0", ActiveLow: activeLow, Debounce: 20 * time.Millisecond})
			k.set(0, use{used: true}, nil)
			time.Sleep(time.Second)
			for _, v := range []conngpio.Level{pressed, released, pressed} { // a bouncing contact
				l.turn(v)
				time.Sleep(5 * time.Millisecond)
			}
			if took, err := end(); err != nil || took != 1030*time.Millisecond {
				t.Errorf("active low %t: Wait took %v, %v, want 1.03s, nil", activeLow, took, err)
			}
		})
	}
}

func TestShortPressDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		b, k := newBoard(l)
		why := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		_, end := waiting(t, ctx, b, hal.Line{Chip: "gpiochip0", Debounce: 20 * time.Millisecond})
		k.set(0, use{used: true}, nil)
		l.turn(conngpio.High)
		time.Sleep(19 * time.Millisecond)
		l.turn(conngpio.Low)
		if took, err := end(); !errors.Is(err, why) || took > time.Minute+bound {
			t.Errorf("Wait took %v, %v, want about a minute, %v", took, err, why)
		}
	})
}

func TestHeldButtonDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.turn(conngpio.High) // the kernel has queued this edge by the time of Wait
		b, k := newBoard(l)
		_, end := waiting(t, t.Context(), b, hal.Line{Chip: "gpiochip0"})
		k.set(0, use{used: true}, nil)
		time.Sleep(time.Second)
		l.turn(conngpio.Low)
		time.Sleep(time.Second)
		l.turn(conngpio.High)
		if took, err := end(); err != nil || took != 2*time.Second {
			t.Errorf("Wait took %v, %v, want 2s, nil", took, err)
		}
	})
}

// WaitForEdge(0) never ends and WaitForEdge(-1) ends at once in periph.
func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		b, k := newBoard(l)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, end := waiting(t, ctx, b, hal.Line{Chip: "gpiochip0", Debounce: time.Second})
		k.set(0, use{used: true}, nil)
		time.Sleep(3 * time.Second)
		l.turn(conngpio.High)
		if _, err := end(); err != nil {
			t.Errorf("Wait: %v", err)
		}
		waits := l.told("wait")
		if len(waits) < 15 {
			t.Errorf("%d waits in 4s, want one every 200ms", len(waits))
		}
		for _, w := range waits {
			d, err := time.ParseDuration(strings.TrimPrefix(w, "wait "))
			if err != nil || d <= 0 || d > 200*time.Millisecond {
				t.Errorf("%s: out of bounds", w)
			}
		}
	})
}

// periph reads low from a chip that was unplugged: a press, if low is active.
func TestUnpluggedChipIsNoPress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.level = conngpio.High
		b, k := newBoard(l)
		_, end := waiting(t, t.Context(), b, hal.Line{Chip: "gpiochip0", ActiveLow: true})
		gone := errors.New("no such device")
		k.set(0, use{}, gone)
		l.unplug()
		if took, err := end(); !errors.Is(err, gone) || took > bound {
			t.Errorf("Wait took %v, %v, want at most %v, %v", took, err, bound, gone)
		}
	})
}

func TestWaitsThatFailDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.unplug()
		b, k := newBoard(l)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		in, err := b.Input(hal.Line{Chip: "gpiochip0"})
		if err != nil {
			t.Fatal(err)
		}
		k.set(0, use{used: true}, nil)
		if err := in.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		if n := len(l.told("wait")); n > 60 {
			t.Errorf("%d waits in 10s, want 5 a second at most", n)
		}
	})
}

func TestInputCloseEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		b, _ := newBoard(l)
		in, end := waiting(t, t.Context(), b, hal.Line{Chip: "gpiochip0"})
		if err := errors.Join(in.Close(), in.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took, err := end(); !errors.Is(err, fs.ErrClosed) || took > bound {
			t.Errorf("Wait took %v, %v, want ErrClosed within %v", took, err, bound)
		}
		if n := len(l.told("close")); n != 1 {
			t.Errorf("line was closed %d times, want once", n)
		}
	})
}
