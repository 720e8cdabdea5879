//go:build linux

package board

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// pollPause is how long a watcher waits between two looks.
const pollPause = 2 * time.Millisecond

// A Change is a moment at which lines had other levels than before.
type Change struct {
	At     time.Time
	Levels byte // of all lines, line 0 in the lowest bit
}

// A Pulse is the time for which a line was on.
type Pulse struct {
	From, To time.Time // To is zero while it lasts
}

// A Watcher looks at the lines all the time.
type Watcher struct {
	monitor *Monitor
	stop    chan struct{}
	done    chan struct{}

	// mu guards the following
	mu      sync.Mutex
	changes []Change
	more    chan struct{} // closed with the next change
	longest time.Duration // between two looks
	err     error
}

// Watch begins to look at the lines. The caller stops the watcher.
func (m *Monitor) Watch() *Watcher {
	w := &Watcher{monitor: m, stop: make(chan struct{}), done: make(chan struct{}), more: make(chan struct{})}
	go w.run()
	return w
}

func (w *Watcher) run() {
	defer close(w.done)
	last := time.Now()
	for tick := time.NewTicker(pollPause); ; {
		levels, err := w.monitor.Lines()
		now := time.Now()
		w.mu.Lock()
		w.longest, last = max(w.longest, now.Sub(last)), now
		if n := len(w.changes); err == nil && (n == 0 || w.changes[n-1].Levels != levels) {
			w.changes = append(w.changes, Change{now, levels})
			close(w.more)
			w.more = make(chan struct{})
		}
		w.err = err
		w.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-w.stop:
			tick.Stop()
			return
		}
	}
}

// Stop ends the watcher and returns why it has ended before, if it has.
func (w *Watcher) Stop() error {
	close(w.stop)
	<-w.done
	return w.err
}

// Longest returns the longest time between two looks: what was shorter may have
// been missed.
func (w *Watcher) Longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}

// Changes returns the levels at the given time, if the watcher was there, and
// all changes since.
func (w *Watcher) Changes(since time.Time) []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := 0
	for from+1 < len(w.changes) && !w.changes[from+1].At.After(since) {
		from++
	}
	return slices.Clone(w.changes[from:])
}

// Pulses returns when the line was on, since the given time.
func (w *Watcher) Pulses(line int, since time.Time) []Pulse {
	var all []Pulse
	on := false
	for _, c := range w.Changes(since) {
		is := c.Levels>>line&1 == 1
		switch {
		case is && !on:
			all = append(all, Pulse{From: c.At})
		case !is && on:
			all[len(all)-1].To = c.At
		}
		on = is
	}
	return all
}

// Await waits until the levels of the lines are as wanted, and returns since
// when they are, at most for the given time.
func (w *Watcher) Await(what string, wanted func(levels byte) bool, limit time.Duration) (time.Time, error) {
	for over := time.After(limit); ; {
		w.mu.Lock()
		more, changes := w.more, w.changes
		w.mu.Unlock()
		if n := len(changes); n > 0 && wanted(changes[n-1].Levels) {
			return changes[n-1].At, nil
		}
		select {
		case <-more:
		case <-w.done:
			return time.Time{}, fmt.Errorf("%s: %w", what, w.err)
		case <-over:
			return time.Time{}, fmt.Errorf("%s: not within %v:\n%v", what, limit, w)
		}
	}
}

// String is the last part of the timeline.
func (w *Watcher) String() string {
	const most = 20
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, c := range w.changes[max(0, len(w.changes)-most):] {
		fmt.Fprintf(&b, "%s %08b\n", c.At.Format("15:04:05.000"), c.Levels)
	}
	return b.String()
}
