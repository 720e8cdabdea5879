// Package haltest provides an output and an input for tests: the output
// records what it was told, the input is pressed by the test.
package haltest

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/facegate/facegate/hal"
)

var (
	_ hal.Output = (*Output)(nil)
	_ hal.Input  = (*Input)(nil)
)

// A Change is one call of Set that worked.
type Change struct {
	At time.Time
	On bool
}

// An Output records every Set. Its zero value is ready for use.
type Output struct {
	// mu guards the following
	mu      sync.Mutex
	script  []error
	changes []Change
	calls   int
	closed  bool
}

// Fail makes the coming calls of Set return errs, one each and in order; nil
// lets a call work. After them every call works.
func (o *Output) Fail(errs ...error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.script = append(o.script, errs...)
}

// Set implements [hal.Output].
func (o *Output) Set(on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	if o.closed {
		return fmt.Errorf("set: %w", fs.ErrClosed)
	}
	if len(o.script) > 0 {
		err := o.script[0]
		o.script = o.script[1:]
		if err != nil {
			return err
		}
	}
	o.changes = append(o.changes, Change{At: time.Now(), On: on})
	return nil
}

// Close implements [hal.Output].
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.changes = append(o.changes, Change{At: time.Now()})
	}
	o.closed = true
	return nil
}

// On reports the level after the last Set that worked.
func (o *Output) On() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.changes) > 0 && o.changes[len(o.changes)-1].On
}

// Changes returns every Set that worked, also those that changed nothing.
func (o *Output) Changes() []Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Change(nil), o.changes...)
}

// Calls returns how often Set was called.
func (o *Output) Calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}

// Closed reports whether Close was called.
func (o *Output) Closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// An Input is activated by the test. Use [NewInput].
type Input struct {
	pressed chan error
	closed  chan struct{}
	once    sync.Once
}

// NewInput returns an input that is not active.
func NewInput() *Input {
	return &Input{pressed: make(chan error), closed: make(chan struct{})}
}

// Press ends one Wait with nil. It waits until somebody waits, so that a test
// cannot press too early, and returns false if ctx ends first.
func (i *Input) Press(ctx context.Context) bool { return i.send(ctx, nil) }

// Break ends one Wait with err, likewise.
func (i *Input) Break(ctx context.Context, err error) bool { return i.send(ctx, err) }

func (i *Input) send(ctx context.Context, err error) bool {
	select {
	case i.pressed <- err:
		return true
	case <-i.closed:
	case <-ctx.Done():
	}
	return false
}

// Wait implements [hal.Input].
func (i *Input) Wait(ctx context.Context) error {
	select {
	case err := <-i.pressed:
		return err
	case <-i.closed:
		return fmt.Errorf("wait: %w", fs.ErrClosed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close implements [hal.Input]; a running Wait ends.
func (i *Input) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}
