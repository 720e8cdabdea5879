package hal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A State is what the lamps tell about the attempt.
type State int

// The states. The last three are outcomes, shown for the Indicator's Hold.
const (
	Off       State = iota // not ready yet: no lamp
	Idle                   // waiting for an ID
	Busy                   // an attempt runs
	Granted                // the door was told to open
	Denied                 // another person, or not let through
	Attention              // unsure, or the person should try again
)

// Lamps are the outputs by role. A nil Output is a lamp that is not wired.
type Lamps struct {
	Ready, Busy, Granted, Denied, Attention, Fault Output
}

// An Indicator shows the state by lamps:
//
//	state      lamp       pattern
//	Off        none
//	Idle       Ready      steady, dark during a fault
//	Busy       Busy       blinks once a second
//	Granted    Granted    steady
//	Denied     Denied     steady
//	Attention  Attention  blinks once a second
//	a fault    Fault      blinks four times a second, beside any of the above
//
// An outcome is shown for Hold and then gives way to Idle. All methods may be
// called from any goroutine; Run runs once.
type Indicator struct {
	Lamps Lamps         // driven by Run alone while it runs
	Hold  time.Duration // how long an outcome is shown; 0: until the next Show
	Log   *slog.Logger  // required

	// mu guards the following
	mu      sync.Mutex
	state   State
	since   time.Time // when state began
	fault   bool
	faultAt time.Time     // when fault began
	wake    chan struct{} // closed at the next change; nil while Run does not wait
}

// Show makes s the state. It does not wait for the lamps.
func (i *Indicator) Show(s State) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.state, i.since = s, time.Now()
	i.notify()
}

// Fault says whether something is broken. It does not wait for the lamps.
func (i *Indicator) Fault(on bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if on == i.fault {
		return
	}
	i.fault, i.faultAt = on, time.Now()
	i.notify()
}

// notify wakes Run, with mu held.
func (i *Indicator) notify() {
	if i.wake != nil {
		close(i.wake)
		i.wake = nil
	}
}

// Run drives the lamps until ctx ends, then turns all of them off. It returns
// an error only for lamps that could not be turned off then. A lamp that fails
// earlier is logged when it begins to fail and when it works again, is tried
// again every second, and does not disturb the others.
func (i *Indicator) Run(ctx context.Context) error {
	lamps := i.lamps()
	for ctx.Err() == nil {
		want, next, wake := i.want(time.Now())
		for n, l := range lamps {
			if !l.drive(want[n], i.Log) {
				next = sooner(next, time.Second)
			}
		}
		var tick <-chan time.Time // stays nil, which never ticks, while nothing changes by itself
		if next > 0 {
			tick = time.After(next)
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-tick:
		}
	}
	var errs []error
	for _, l := range lamps {
		if l.out == nil {
			continue
		}
		if err := l.out.Set(false); err != nil {
			errs = append(errs, fmt.Errorf("turn off lamp %s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}

// want returns the level of each lamp at now in the order of lamps, how long
// until one changes by itself (0: never), and a channel closed at the next
// change by Show or Fault.
func (i *Indicator) want(now time.Time) (on [6]bool, next time.Duration, wake <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.Hold > 0 && i.state >= Granted {
		left := i.Hold - now.Sub(i.since)
		if left <= 0 {
			i.state, i.since = Idle, now
		} else {
			next = left
		}
	}
	set := func(lamp int, p pattern, since time.Time) {
		var change time.Duration
		on[lamp], change = p.at(now.Sub(since))
		next = sooner(next, change)
	}
	switch i.state {
	case Idle:
		on[0] = !i.fault
	case Busy:
		set(1, slow, i.since)
	case Granted:
		on[2] = true
	case Denied:
		on[3] = true
	case Attention:
		set(4, slow, i.since)
	}
	if i.fault {
		set(5, fast, i.faultAt)
	}
	if i.wake == nil {
		i.wake = make(chan struct{})
	}
	return on, next, i.wake
}

// sooner returns the smaller of a and b, where 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// A pattern is half the period of a blinking lamp.
type pattern time.Duration

const (
	slow = pattern(500 * time.Millisecond)
	fast = pattern(125 * time.Millisecond)
)

// at returns the level of a lamp that began to blink age ago, and how long
// until it changes.
func (p pattern) at(age time.Duration) (on bool, change time.Duration) {
	half := time.Duration(p)
	return age/half%2 == 0, half - age%half
}

// A lamp is one output as Run left it.
type lamp struct {
	name    string
	out     Output // nil: not wired
	known   bool   // on is what the output was last set to
	on      bool
	failing bool
}

func (i *Indicator) lamps() [6]*lamp {
	l := i.Lamps
	return [6]*lamp{
		{name: "ready", out: l.Ready}, {name: "busy", out: l.Busy}, {name: "granted", out: l.Granted},
		{name: "denied", out: l.Denied}, {name: "attention", out: l.Attention}, {name: "fault", out: l.Fault},
	}
}

// drive sets the lamp if that changes it, and reports whether the lamp is as
// wanted.
func (l *lamp) drive(on bool, log *slog.Logger) bool {
	if l.out == nil || l.known && l.on == on {
		return true
	}
	err := l.out.Set(on)
	switch {
	case err != nil && !l.failing:
		log.Warn("lamp failed", "lamp", l.name, "err", err)
	case err == nil && l.failing:
		log.Info("lamp works again", "lamp", l.name)
	}
	l.failing = err != nil
	l.known, l.on = err == nil, on
	return err == nil
}
