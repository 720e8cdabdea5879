package capture_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/capture/capturetest"
)

// recorder runs a Feed in a synctest bubble and writes down what it does,
// with the time since the start.
type recorder struct {
	start  time.Time
	opens  []time.Duration
	steps  []time.Duration
	faults []string
	latest capture.Latest
}

// play gives one result of Open after another, then errors.
func (r *recorder) play(t *testing.T, results ...any) (stop func() error) {
	t.Helper()
	r.start = time.Now()
	feed := &capture.Feed{
		Latest:  &r.latest,
		Stalled: 3 * time.Second,
		Open: func(context.Context) (capture.Source, error) {
			i := len(r.opens)
			r.opens = append(r.opens, time.Since(r.start))
			if i < len(results) {
				if s, ok := results[i].(capture.Source); ok {
					return s, nil
				}
				return nil, results[i].(error)
			}
			return nil, errors.New("no more cameras")
		},
		Step:    func() { r.steps = append(r.steps, time.Since(r.start)) },
		Changed: func(fault error) { r.faults = append(r.faults, fmt.Sprint(time.Since(r.start), " ", fault)) },
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	return func() error {
		cancel(errStop)
		return <-done
	}
}

var errStop = errors.New("stopped by the test")

// frames returns n shots a tenth of a second apart.
func frames(n int) []capturetest.Shot {
	shot := capturetest.Shot{After: 100 * time.Millisecond, Frame: capture.Frame{Data: []byte("frame")}}
	return slices.Repeat([]capturetest.Shot{shot}, n)
}

func TestFeedDeliversFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		source := &capturetest.Source{Shots: frames(3)}
		stop := r.play(t, source)
		time.Sleep(time.Second)
		synctest.Wait()
		got, ok := r.latest.Newest()
		if !ok || got.Seq != 3 || string(got.Data) != "frame" {
			t.Errorf("newest frame is %+v", got)
		}
		if err := stop(); err != errStop {
			t.Errorf("Run returned %v, want the cause", err)
		}
		if want := []string{"100ms <nil>"}; !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if len(r.steps) != 4 { // one attempt to open, three frames
			t.Errorf("%d steps, want 4", len(r.steps))
		}
		if source.Closes() != 1 {
			t.Errorf("closed %d times", source.Closes())
		}
	})
}

func TestFeedReopensLostCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		lost := fmt.Errorf("camera /dev/video0: %w", capture.ErrGone)
		first := &capturetest.Source{Shots: append(frames(1), capturetest.Shot{After: time.Second, Err: lost})}
		stop := r.play(t, first, errors.New("no such device"), errors.New("no such device"), &capturetest.Source{Shots: frames(100)})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want := []string{
			"100ms <nil>",
			"1.1s camera /dev/video0: device gone",
			"1.35s no such device",
			"2.95s <nil>", // after 250 ms, 500 ms and 1 s, and the frame's own time
		}
		if !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if first.Closes() != 1 {
			t.Errorf("closed %d times", first.Closes())
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

func TestFeedReopensStalledCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		silent := &capturetest.Source{Shots: frames(1)}
		stop := r.play(t, silent, &capturetest.Source{Shots: frames(1)})
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		want := []string{"100ms <nil>", "3.1s camera: no frame for 3s", "3.45s <nil>"}
		if !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if silent.Closes() != 1 {
			t.Errorf("closed %d times", silent.Closes())
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

// A hung is a camera that takes its time to close.
type hung struct{ *capturetest.Source }

func (h hung) Close() error {
	time.Sleep(5 * time.Second)
	return h.Source.Close()
}

func TestFeedTellsBeforeItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		stop := r.play(t, hung{&capturetest.Source{Shots: frames(1)}}, &capturetest.Source{Shots: frames(100)})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if want := []string{"100ms <nil>", "3.1s camera: no frame for 3s", "8.45s <nil>"}; !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

// A camera that needs longer for its first frame than may pass between two
// was closed before it came, again and again.
func TestFeedLetsCameraStartSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		slow := frames(2)
		slow[0].After = 4500 * time.Millisecond
		stop := r.play(t, &capturetest.Source{Shots: slow}, &capturetest.Source{})
		time.Sleep(13 * time.Second)
		synctest.Wait()
		want := []string{"4.5s <nil>", "7.6s camera: no frame for 3s", "12.85s camera: no frame for 5s"}
		if !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

func TestFeedWaitsLongerAndStepsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		stop := r.play(t)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		want := []time.Duration{0, 250, 750, 1750, 3750, 6750, 9750, 12750, 15750, 18750, 21750, 24750, 27750}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(r.opens, want) {
			t.Errorf("opened at %v, want %v", r.opens, want)
		}
		if !slices.Equal(r.steps, want) {
			t.Errorf("steps at %v, want %v", r.steps, want)
		}
		if want := []string{"0s no more cameras"}; !slices.Equal(r.faults, want) {
			t.Errorf("changes %q, want %q", r.faults, want)
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

// A reader may keep a frame for as long as it likes.
func TestFeedNeverReusesFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		shots := frames(2)
		shots[1].Frame.Data = []byte("other")
		stop := r.play(t, &capturetest.Source{Shots: shots})
		kept, err := r.latest.After(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.latest.After(t.Context(), kept.Time); err != nil {
			t.Fatal(err)
		}
		if string(kept.Data) != "frame" {
			t.Errorf("the kept frame became %q", kept.Data)
		}
		if err := stop(); err != errStop {
			t.Error(err)
		}
	})
}

func TestFeedStopsWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		source := &capturetest.Source{}
		stop := r.play(t, source)
		time.Sleep(time.Second)
		if err := stop(); err != errStop {
			t.Errorf("Run returned %v", err)
		}
		if len(r.faults) != 0 || source.Closes() != 1 {
			t.Errorf("changes %q, closed %d times", r.faults, source.Closes())
		}
	})
}

func TestLatestAfterEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l capture.Latest
		if _, ok := l.Newest(); ok {
			t.Error("an empty Latest has a frame")
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errStop)
		defer cancel()
		if _, err := l.After(ctx, time.Now()); err != errStop {
			t.Errorf("After returned %v", err)
		}
	})
}
