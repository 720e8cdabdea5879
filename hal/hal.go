// Package hal says what the door hardware is: an [Output] that is on or off,
// an [Input], a [Door] that opens for a bounded time, and an [Indicator] of
// lamps. Drivers live in packages below this one (gpio, sim) and are chosen
// by the daemon alone.
package hal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxPulse is the longest time that a door output may stay on in one go,
// whatever the configuration says.
const MaxPulse = 10 * time.Second

// ErrInUse says that another program, or another part of this one, holds the
// line. Drivers wrap it with the holder's name.
var ErrInUse = errors.New("line is in use")

// A Line says which line of which chip to use, and how.
//
// Its zero value is not wired.
type Line struct {
	Chip      string        // gpiochip0; "sim" on a simulated board
	Number    int           // the line's number on the chip, from 0
	Name      string        // or the line's name, instead of Number; Chip may then be empty
	ActiveLow bool          // on is the low level
	Pull      string        // inputs: none (or empty), up, down
	Debounce  time.Duration // inputs: how long the line must be active to count
}

// Wired reports whether l names a line.
func (l Line) Wired() bool { return l.Chip != "" || l.Name != "" }

// String names the line as an operator knows it.
func (l Line) String() string {
	switch {
	case !l.Wired():
		return "no line"
	case l.Name == "":
		return fmt.Sprintf("%s line %d", l.Chip, l.Number)
	case l.Chip == "":
		return fmt.Sprintf("line %q", l.Name)
	}
	return fmt.Sprintf("%s line %q", l.Chip, l.Name)
}

// An Output is a line that the program drives. On means energised from the
// user's view; the driver knows which level that is. The safe state is off.
type Output interface {
	// Set drives the line on or off. It never reads the line back, and it
	// returns within two seconds whatever becomes of the hardware.
	Set(on bool) error
	// Close turns the line off and frees it. A later Set fails.
	Close() error
}

// An Input is a line that the program reads.
type Input interface {
	// Wait waits until the line has been active for the debounce time after
	// having been inactive, and returns nil, or the cause of ctx when that
	// ends. A line that is already active when Wait is called does not count
	// until it has been inactive.
	Wait(ctx context.Context) error
	// Close ends a running Wait with an error and frees the line.
	Close() error
}
