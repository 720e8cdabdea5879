package hal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Why a door did not open, or did not close again.
var (
	ErrBusy   = errors.New("door is being opened already")
	ErrLocked = errors.New("door is locked for shutdown")
	// ErrStuck says that the output may still be on: people should be told,
	// and the program should end so that another may claim the line.
	ErrStuck = errors.New("door output could not be turned off")
)

// Turning off is tried this often, this far apart.
const (
	offTries = 5
	offPause = 10 * time.Millisecond
)

// A Door opens for a bounded time. Its methods may be called from any
// goroutine. A door that is not wired is a nil *Door that nobody calls, not a
// Door without an Output.
//
// Two timers end each pulse: the pulse's own, and one that turns the output
// off at [MaxPulse] whatever became of the first. The second also stays armed
// when turning off failed.
type Door struct {
	Output Output       // required; the Door alone drives it
	Log    *slog.Logger // required; used only where there is no caller to tell

	// mu guards the following, and every call of Output
	mu       sync.Mutex
	locked   bool
	running  bool      // a Pulse has begun and not yet returned
	on       bool      // Output may be on: it was turned on, and not off since
	offAt    time.Time // when Output was last turned off
	pulse    *pulse    // the last one begun; nil before the first
	backstop *time.Timer
}

// A pulse is one opening.
type pulse struct {
	length time.Duration
	start  time.Time     // when Output had been turned on
	cut    chan struct{} // closed by Lock
}

// Pulse opens the door, waits for length, or until ctx or [Door.Lock] ends it
// early, and closes the door. It returns how long the door was open by the
// monotonic clock, 0 if it never was.
//
// A length that is not above 0 and at most [MaxPulse] is refused, so is a
// second pulse while one runs (ErrBusy), one after Lock (ErrLocked), and one
// while the output cannot be turned off (ErrStuck). A pulse that ended early
// returns the cause of ctx, or ErrLocked, along with its measured time.
func (d *Door) Pulse(ctx context.Context, length time.Duration) (time.Duration, error) {
	if length <= 0 || length > MaxPulse {
		return 0, fmt.Errorf("pulse of %v: must be above 0 and at most %v", length, MaxPulse)
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	p, err := d.begin(length)
	if err != nil {
		return 0, err
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-p.cut:
		err = ErrLocked
	}
	measured, offErr := d.end(p)
	return measured, errors.Join(err, offErr)
}

// Lock closes the door at once, ends a running pulse, and lets none begin
// again. It may be called more than once.
func (d *Door) Lock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.locked && d.running {
		close(d.pulse.cut)
	}
	d.locked = true
	return d.off()
}

// Close locks the door and closes its output.
func (d *Door) Close() error {
	err := d.Lock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(err, d.Output.Close())
}

// begin turns the output on and arms the backstop.
func (d *Door) begin(length time.Duration) (*pulse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.locked:
		return nil, ErrLocked
	case d.running:
		return nil, ErrBusy
	}
	if d.on {
		if err := d.off(); err != nil {
			return nil, err
		}
	}
	p := &pulse{length: length, cut: make(chan struct{})}
	d.pulse = p
	d.on = true
	d.backstop = time.AfterFunc(MaxPulse, func() { d.force(p) })
	if err := d.Output.Set(true); err != nil {
		return nil, errors.Join(fmt.Errorf("open door: %w", err), d.off())
	}
	p.start = time.Now()
	d.running = true
	return p, nil
}

// end turns the output off unless Lock or the backstop already did, and
// measures the pulse.
func (d *Door) end(p *pulse) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = false
	if d.on {
		if err := d.off(); err != nil {
			return time.Since(p.start), err
		}
	}
	return d.offAt.Sub(p.start), nil
}

// force is the backstop: it turns off what p turned on.
func (d *Door) force(p *pulse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.on || d.pulse != p {
		return
	}
	err := d.off()
	// Both timers of a pulse of the full length end together, which is no news.
	if err != nil || p.length < MaxPulse {
		d.Log.Error("door still open at the hard maximum", "max", MaxPulse, "err", err)
	}
}

// off turns the output off, with mu held.
func (d *Door) off() error {
	var err error
	for try := range offTries {
		if try > 0 {
			time.Sleep(offPause)
		}
		if err = d.Output.Set(false); err == nil {
			if d.on {
				d.on = false
				d.offAt = time.Now()
			}
			if d.backstop != nil {
				d.backstop.Stop()
			}
			return nil
		}
	}
	return fmt.Errorf("%w after %d tries: %w", ErrStuck, offTries, err)
}
