package sim

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/hal"
)

// waiting runs Wait of an input, and returns a function that waits for its end
// and returns how long it took and its error.
func waiting(t *testing.T, ctx context.Context, c *Client, spec hal.Line) (hal.Input, func() (time.Duration, error)) {
	t.Helper()
	in, err := c.Input(spec)
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
	for _, spec := range []hal.Line{
		{Name: "button"}, {Name: "button", Pull: "down"}, {Name: "button", ActiveLow: true}, {Name: "button", ActiveLow: true, Pull: "up"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := begin(t)
			spec.Debounce = 20 * time.Millisecond
			_, end := waiting(t, t.Context(), b.client(t, "facegate"), spec)
			o := b.operator()
			time.Sleep(time.Second)
			for _, d := range []time.Duration{5 * time.Millisecond, time.Second} { // a bounce, a press
				if err := o.Press(t.Context(), "button", d); err != nil {
					t.Fatal(err)
				}
			}
			if took, err := end(); err != nil || took != 1025*time.Millisecond {
				t.Errorf("%+v: Wait took %v, %v, want 1.025s, nil", spec, took, err)
			}
		})
	}
}

func TestShortPressDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		why := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
		defer cancel()
		_, end := waiting(t, ctx, b.client(t, "facegate"), hal.Line{Name: "panel", Debounce: 20 * time.Millisecond})
		if err := b.operator().Press(t.Context(), "panel", 19*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if took, err := end(); !errors.Is(err, why) || took > 10*time.Second+bound {
			t.Errorf("Wait took %v, %v, want about 10s, %v", took, err, why)
		}
	})
}

func TestHeldButtonDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for range 2 {
				if err := b.operator().Press(t.Context(), "button", time.Second); err != nil {
					t.Error(err)
				}
			}
		})
		synctest.Wait()
		_, end := waiting(t, t.Context(), b.client(t, "facegate"), hal.Line{Name: "button"})
		if took, err := end(); err != nil || took != time.Second {
			t.Errorf("Wait took %v, %v, want 1s, nil", took, err)
		}
	})
}

// Presses that nobody waited for must neither count later nor fill a queue.
func TestPressesBeforeWaitDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		in, err := b.client(t, "facegate").Input(hal.Line{Name: "button"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * maxQueue {
			if err := b.operator().Press(t.Context(), "button", time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := in.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v, want DeadlineExceeded", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { err = in.Wait(t.Context()) })
		synctest.Wait()
		pressErr := b.operator().Press(t.Context(), "button", time.Millisecond)
		if wg.Wait(); err != nil || pressErr != nil {
			t.Errorf("Wait = %v, Press = %v, want nil, nil", err, pressErr)
		}
	})
}

func TestClientThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		in, err := b.client(t, "idler").Input(hal.Line{Name: "button"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * maxQueue {
			if err := b.operator().Press(t.Context(), "button", time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := in.(*input).link.wire.write(request{Op: opLevel}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := o.Set(true); err != nil {
			t.Errorf("Set of another client: %v", err)
		}
	})
}

func TestInputCloseEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		in, end := waiting(t, t.Context(), b.client(t, "facegate"), hal.Line{Name: "button"})
		if err := errors.Join(in.Close(), in.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took, err := end(); !errors.Is(err, fs.ErrClosed) || took > bound {
			t.Errorf("Wait took %v, %v, want ErrClosed within %v", took, err, bound)
		}
	})
}
