package capture

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The waits between attempts to open a camera: the first, doubled up to the
// longest. A camera that is back delivers within five seconds: the longest wait
// and what it takes to open.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 3 * time.Second
)

// firstFrame is how long an open camera may take to its first frame if Stalled
// is less: some need seconds to start, and closing them would begin it anew.
const firstFrame = 5 * time.Second

// ErrStalled says that an open camera delivered no frame in time.
var ErrStalled = errors.New("no frame")

// A Feed keeps one camera open and its newest frame in a [Latest].
//
//	Open ─► Read ─► Latest.Put ─► Read ─► ...
//	  ▲                             │ lost or stalled
//	  └───── wait ◄──── Close ◄─────┘
//
// A Feed never gives up: a camera that is missing is a fault that is reported
// and retried.
type Feed struct {
	Open    func(ctx context.Context) (Source, error)
	Latest  *Latest
	Stalled time.Duration // no frame for this long is a fault, after the first frame; it must be above 0

	// Step is called at each frame and each attempt to open. Two calls are
	// apart by no more than the longer of Stalled (and what a driver needs to
	// notice it, at most a second) and 5 s, plus the time that Open and Close
	// take: a driver that hangs in the kernel stops the steps. It may be nil.
	Step func()
	// Changed is called with nil at the first frame after the start or a
	// fault, and with the fault when frames stop or can't begin, once for
	// each different text. It may be nil.
	Changed func(fault error)
}

// Run feeds Latest until ctx ends, and returns the cause. Step and Changed
// are called from its goroutine and hold it up.
func (f *Feed) Run(ctx context.Context) error {
	r := feedRun{Feed: f}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		r.step()
		frames, err := r.watch(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.report(err.Error(), err)
		if frames {
			wait = firstWait
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// feedRun is a Feed with what one Run remembers.
type feedRun struct {
	*Feed
	reported bool
	last     string // text of the last report; empty for none
}

func (r *feedRun) step() {
	if r.Step != nil {
		r.Step()
	}
}

func (r *feedRun) report(text string, fault error) {
	if r.reported && text == r.last {
		return
	}
	r.reported, r.last = true, text
	if r.Changed != nil {
		r.Changed(fault)
	}
}

// watch opens the camera and reads until it is lost. It tells whether there
// was a frame, and always returns an error.
func (r *feedRun) watch(ctx context.Context) (frames bool, err error) {
	source, err := r.Open(ctx)
	if err != nil {
		return false, err
	}
	// What Close says of a camera that is already lost helps nobody.
	defer func() { _ = source.Close() }()
	for limit := max(r.Stalled, firstFrame); ; limit = r.Stalled {
		// Readers of Latest may hold any older frame, so each frame gets
		// memory of its own.
		var frame Frame
		if err := read(ctx, source, &frame, limit); err != nil {
			if ctx.Err() == nil {
				r.report(err.Error(), err) // now: closing a camera that hangs takes seconds
			}
			return frames, err
		}
		frames = true
		r.Latest.Put(frame)
		r.step()
		r.report("", nil)
	}
}

// read reads one frame within the time allowed.
func read(ctx context.Context, source Source, frame *Frame, limit time.Duration) error {
	stalled := fmt.Errorf("camera: %w for %v", ErrStalled, limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, stalled)
	defer cancel()
	return source.Read(ctx, frame)
}
