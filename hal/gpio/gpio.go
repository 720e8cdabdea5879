// Package gpio drives lines of the Linux GPIO character device through
// periph.io.
//
// Of periph's host module it imports gpioioctl alone: the module's root loads
// drivers of single boards, which replace gpioioctl's lines, so that a
// Raspberry Pi would run other code than every other board.
//
// What periph does, and what follows from it here:
//   - It requests an output without a level, which the kernel makes low, and
//     sets the level after that. An active-low output is therefore on for a
//     moment at every start.
//   - It turns an output into an input to read it. Nothing here reads an output.
//   - Its WaitForEdge takes 0 for forever and -1 for at once (periph/host#78).
//     Waits here are bounded by 200 ms.
//   - It prints with the standard log package, and a failed read is low. The
//     program decides where the log package writes (log.SetOutput); a press is
//     believed only after the kernel confirmed that the line is still there.
//   - It finds the chips once per process. A chip plugged in later is not seen.
package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	conngpio "periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"

	"github.com/facegate/facegate/hal"
)

// A line is what is used of periph's GPIOLine.
type line interface {
	Out(conngpio.Level) error
	In(conngpio.Pull, conngpio.Edge) error
	Read() conngpio.Level
	WaitForEdge(timeout time.Duration) bool
	Close()
}

// A chip is one GPIO controller.
type chip struct {
	name  string // gpiochip0
	label string // what the kernel's driver calls it
	path  string // /dev/gpiochip0
	pins  []pin  // by line number
}

// A pin is one line of a chip, requested or not.
type pin struct {
	name string // as the board's device tree calls it; often empty
	line line
}

// A Board gives access to the lines of all chips. Its methods may be called
// from any goroutine.
type Board struct {
	chips   []chip
	inspect func(path string, number int) (use, error)

	// mu guards the following, and the requests for lines
	mu   sync.Mutex
	open []interface{ Close() error }
}

// Open finds the GPIO chips of this machine.
func Open() (*Board, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("open gpio: %w", err)
	}
	if len(gpioioctl.Chips) == 0 {
		return nil, fmt.Errorf("open gpio: %w", whyNone("/dev/gpiochip*"))
	}
	b := &Board{inspect: inspect}
	for _, c := range gpioioctl.Chips {
		found := chip{name: c.Name(), label: c.Label(), path: c.Path()}
		for _, l := range c.Lines() {
			found.pins = append(found.pins, pin{name: l.Name(), line: l})
		}
		b.chips = append(b.chips, found)
	}
	return b, nil
}

// whyNone explains why periph found no chip; it tells the log alone.
func whyNone(pattern string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%w (the user must be in the group that owns the device; see docs/wiring.md)", err)
		}
		_ = f.Close()
	}
	if len(paths) > 0 {
		return fmt.Errorf("%s does not speak version 2 of the GPIO interface (Linux 5.10 or later is needed)", paths[0])
	}
	return fmt.Errorf("no %s: this machine has no GPIO chip, or its kernel driver is not loaded (see gpiodetect)", pattern)
}

// Output requests a line as an output and turns it off. It fails with an error
// that wraps [hal.ErrInUse] and names the holder if the line is taken.
func (b *Board) Output(spec hal.Line) (hal.Output, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, number, err := find(b.chips, spec)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	o := &output{name: spec.String(), line: c.pins[number].line, activeLow: spec.ActiveLow}
	if err := b.request(c, number, func() error { return o.drive(false) }); err != nil {
		return nil, fmt.Errorf("open output %v: %w", spec, err)
	}
	b.open = append(b.open, o)
	return o, nil
}

// Input requests a line as an input.
func (b *Board) Input(spec hal.Line) (hal.Input, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, number, err := find(b.chips, spec)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	pull, err := parsePull(spec.Pull)
	if err != nil {
		return nil, fmt.Errorf("open input %v: %w", spec, err)
	}
	i := &input{
		name: spec.String(), line: c.pins[number].line, activeLow: spec.ActiveLow, debounce: spec.Debounce,
		alive: func() error { return b.alive(c, number) },
		taken: make(chan struct{}, 1),
	}
	if err := b.request(c, number, func() error { return i.line.In(pull, conngpio.BothEdges) }); err != nil {
		return nil, fmt.Errorf("open input %v: %w", spec, err)
	}
	b.open = append(b.open, i)
	return i, nil
}

// request calls take, which requests the line from the kernel, and says who
// holds the line if that fails. It looks before as well: periph would quietly
// share a line that this program has already.
func (b *Board) request(c chip, number int, take func() error) error {
	u, err := b.inspect(c.path, number)
	if err != nil {
		return err
	}
	if u.used {
		return u.err()
	}
	if err = take(); err == nil {
		return nil
	}
	// periph believes the line requested even if that failed; Close forgets it.
	c.pins[number].line.Close()
	if u, again := b.inspect(c.path, number); again == nil && u.used {
		return u.err()
	}
	return err
}

// alive reports an error if the line, which this program holds, has gone.
func (b *Board) alive(c chip, number int) error {
	u, err := b.inspect(c.path, number)
	if err == nil && !u.used {
		err = errors.New("line is no longer held by this program")
	}
	return err
}

// Close closes all lines that are still open, turning outputs off.
func (b *Board) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, l := range b.open {
		errs = append(errs, l.Close())
	}
	b.open = nil
	return errors.Join(errs...)
}

// parsePull translates the word of the configuration.
func parsePull(word string) (conngpio.Pull, error) {
	switch word {
	case "", "none":
		return conngpio.PullNoChange, nil
	case "up":
		return conngpio.PullUp, nil
	case "down":
		return conngpio.PullDown, nil
	}
	return 0, fmt.Errorf("pull %q: must be none, up or down", word)
}
