package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/hal/sim"
)

// A show prints what is heard and seen, and keeps the last outcome.
type show struct {
	outcomes chan event.Event
	pulses   chan time.Duration // as the board timed them
	ended    chan struct{}      // the daemon reported the end of a pulse
	openedAt float64            // ms of the board's clock; used by its watcher alone

	// mu guards the following
	mu    sync.Mutex
	began time.Time
	any   bool // the subscriber has heard something
}

func newShow() *show {
	return &show{outcomes: make(chan event.Event, 16), pulses: make(chan time.Duration, 16), ended: make(chan struct{}, 16), began: time.Now()}
}

// begin starts the clock of an act.
func (s *show) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
}

func (s *show) heard() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.any }

// print writes one line: when, who says it, what.
func (s *show) print(who, format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("%7.0f ms  %-5s  %s\n", float64(time.Since(s.began).Microseconds())/1000, who, fmt.Sprintf(format, a...))
}

// subscriber prints what the MQTT subscriber writes, until it ends.
func (s *show) subscriber(r io.ReadCloser) {
	defer func() { _ = r.Close() }()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		topic, payload, _ := strings.Cut(lines.Text(), " ")
		s.message(strings.TrimPrefix(topic, "facegate/demo/gate-1/"), payload)
	}
}

func (s *show) message(topic, payload string) {
	s.mu.Lock()
	s.any = true
	s.mu.Unlock()
	switch {
	case topic == "event/attempt":
		var e event.Event
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			s.print("mqtt", "%s: not an event: %v", topic, err)
			return
		}
		score := ""
		if e.Score != nil {
			score = fmt.Sprintf(" distance %.3f of %d frames,", *e.Score, e.FramesUsed)
		}
		s.print("mqtt", "%s  seq %d: %s (%s),%s access %s", topic, e.Seq, e.Decision, e.Reason, score, e.Access)
		s.outcomes <- e
	case topic == "event/access":
		var e event.Event
		if err := json.Unmarshal([]byte(payload), &e); err != nil || e.AccessEvent == nil {
			s.print("mqtt", "%s: not an event: %v", topic, err)
			return
		}
		if e.Fact != event.PulseEnded {
			s.print("mqtt", "%s   seq %d: %s", topic, e.Seq, e.Fact)
			return
		}
		s.print("mqtt", "%s   seq %d: %s after %.1f ms", topic, e.Seq, e.Fact, e.MeasuredMS)
		s.ended <- struct{}{}
	case strings.HasSuffix(topic, "/progress"):
		var p struct{ Hint string }
		if err := json.Unmarshal([]byte(payload), &p); err == nil {
			s.print("mqtt", "hint  %s", p.Hint)
		}
	}
}

// line prints one change of the board. The blinking of the busy lamp is left out.
func (s *show) line(c sim.Change) {
	switch {
	case c.Name == "lamp-busy":
	case c.Name != "door":
		s.print("board", "%s %s", c.Name, onOff(c.Level))
	case c.Level == 1:
		s.openedAt = c.Millis
		s.print("board", "DOOR on")
	default:
		pulse := time.Duration((c.Millis - s.openedAt) * float64(time.Millisecond))
		s.print("board", "DOOR off after %.1f ms", c.Millis-s.openedAt)
		s.pulses <- pulse
	}
}

func onOff(level int) string {
	if level == 1 {
		return "on"
	}
	return "off"
}

// outcome waits for the act's outcome, and for the door to have closed again
// if it should open or did.
func (s *show) outcome(ctx context.Context, opens bool) (event.Event, time.Duration, error) {
	var e event.Event
	select {
	case e = <-s.outcomes:
	case <-ctx.Done():
		return e, 0, context.Cause(ctx)
	}
	if !opens { // a moment for a door that must not move, and for the lamps
		select {
		case pulse := <-s.pulses:
			return e, pulse, nil
		case <-time.After(1500 * time.Millisecond):
			return e, 0, nil
		}
	}
	var pulse time.Duration
	for range 2 {
		select {
		case pulse = <-s.pulses:
		case <-s.ended:
		case <-ctx.Done():
			return e, pulse, nil
		}
	}
	return e, pulse, nil
}
