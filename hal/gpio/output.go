package gpio

import (
	"fmt"
	"io/fs"
	"sync"

	conngpio "periph.io/x/conn/v3/gpio"
)

// An output is a requested line. It remembers nothing of the level: what was
// set is known to the caller, and reading it back would turn the line into an
// input.
type output struct {
	name      string
	line      line
	activeLow bool

	// mu guards the following, and every call of line
	mu     sync.Mutex
	closed bool
}

// Set implements hal.Output.
func (o *output) Set(on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return fmt.Errorf("set %s: %w", o.name, fs.ErrClosed)
	}
	if err := o.drive(on); err != nil {
		return fmt.Errorf("set %s: %w", o.name, err)
	}
	return nil
}

// Close implements hal.Output. What becomes of the level once the line is
// free is up to the board: most keep it.
func (o *output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	o.closed = true
	err := o.drive(false)
	o.line.Close()
	if err != nil {
		return fmt.Errorf("turn off %s: %w", o.name, err)
	}
	return nil
}

func (o *output) drive(on bool) error {
	return o.line.Out(conngpio.Level(on != o.activeLow))
}
