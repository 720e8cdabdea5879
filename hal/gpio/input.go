package gpio

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/hal"
)

// bound is how long one wait for an edge lasts, and so how late Wait notices
// that its context ended.
const bound = 200 * time.Millisecond

// An input is a requested line.
type input struct {
	name      string
	line      line
	activeLow bool
	debounce  time.Duration
	alive     func() error // asks the kernel whether the line is still there

	closed atomic.Bool
	taken  chan struct{} // holds one value while line is used
}

// Wait implements hal.Input. It runs in the caller's goroutine.
func (i *input) Wait(ctx context.Context) error {
	i.taken <- struct{}{}
	defer func() { <-i.taken }()
	d := hal.Debounce{Length: i.debounce}
	changed := false
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i.closed.Load() {
			return fmt.Errorf("wait for %s: %w", i.name, fs.ErrClosed)
		}
		active := bool(i.line.Read()) != i.activeLow
		counts, left := d.Sample(time.Now(), active, changed)
		if counts {
			return i.check()
		}
		wait := bound
		if left > 0 {
			wait = min(wait, left)
		}
		start := time.Now()
		if changed = i.line.WaitForEdge(wait); changed {
			continue
		}
		if err := i.idle(ctx, wait-time.Since(start)); err != nil {
			return err
		}
	}
}

// idle is called when a wait brought no edge, with what is left of its time. A
// wait that ends early has failed, which periph does not tell: the line has
// gone, or something is wrong that must not turn Wait into a busy loop.
func (i *input) idle(ctx context.Context, left time.Duration) error {
	// The kernel's timer and ours may differ a little.
	if left <= time.Millisecond {
		return nil
	}
	if err := i.check(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(left):
	}
	return nil
}

// check asks the kernel for the line. periph reads low from a line that has
// gone, which would be a press of an active-low button.
func (i *input) check() error {
	if err := i.alive(); err != nil {
		return fmt.Errorf("wait for %s: %w", i.name, err)
	}
	return nil
}

// Close implements hal.Input. It returns once a running Wait has ended, which
// takes up to 200 ms.
func (i *input) Close() error {
	if i.closed.Swap(true) {
		return nil
	}
	i.taken <- struct{}{}
	defer func() { <-i.taken }()
	i.line.Close()
	return nil
}
