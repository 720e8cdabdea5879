package test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/hal/sim"
)

// Bounds of what is compared across processes.
const (
	clocks = 5 * time.Millisecond   // by which two processes may differ about the order
	moves  = time.Second            // from the record of a pulse to the relay
	extra  = 150 * time.Millisecond // by which a pulse may be too long on a busy machine
)

// A record is all that is left of the runs of a daemon.
type record struct {
	events []event.Event // the whole journal
	board  []sim.Change  // the whole timeline
	kills  []kill
	begun  []string       // attempts that the journal knew of when a daemon was killed
	said   []announcement // outcomes that a daemon has told of
	pulse  time.Duration  // as configured
}

// A kill is the sudden end of a daemon.
type kill struct {
	pid      int
	at, safe time.Time // when it was killed; by when the outputs had been made safe
}

// An announcement is an outcome that somebody outside has heard.
type announcement struct {
	id       string
	decision event.Decision
	reason   event.Reason
	access   event.Access
}

// faults returns what is wrong with a record, nothing if all is well.
func (r record) faults() []string {
	var f findings
	f.sequence(r.events)
	f.outcomes(r)
	f.facts(r.events)
	f.door(r)
	return f
}

// findings are faults found so far.
type findings []string

func (f *findings) add(format string, a ...any) { *f = append(*f, fmt.Sprintf(format, a...)) }

// sequence checks each event by itself, and that none is missing.
func (f *findings) sequence(events []event.Event) {
	for i, e := range events {
		if e.Seq != uint64(i+1) {
			f.add("event %d has seq %d", i+1, e.Seq)
		}
		body, err := json.Marshal(e)
		if err == nil {
			err = eventtest.Err("event", body)
		}
		if err != nil {
			f.add("event %d does not follow the schema: %v", e.Seq, err)
		}
	}
}

// outcomes checks that each attempt ended once, as it was told.
func (f *findings) outcomes(r record) {
	ended := map[string]*event.Attempt{}
	for _, e := range r.events {
		if e.Kind != event.KindAttempt {
			continue
		}
		if ended[e.AttemptID] != nil {
			f.add("attempt %s has two outcomes", e.AttemptID)
		}
		ended[e.AttemptID] = e.Attempt
	}
	for _, id := range r.begun {
		if ended[id] == nil {
			f.add("attempt %s was begun and has no outcome", id)
		}
	}
	for _, s := range r.said {
		e := ended[s.id]
		switch {
		case e == nil:
			f.add("attempt %s was announced and has no outcome", s.id)
		case e.Decision != s.decision || e.Reason != s.reason || e.Access != s.access:
			f.add("attempt %s was announced as %s %s %s and is recorded as %s %s %s", s.id, s.decision, s.reason, s.access, e.Decision, e.Reason, e.Access)
		}
	}
}

// facts checks that each granted attempt has at most one start and exactly
// one end of its pulse, in this order, and that no other attempt has any.
func (f *findings) facts(events []event.Event) {
	granted, started, closed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range events {
		id := e.AttemptID
		switch e.Kind {
		case event.KindAttempt:
			granted[id] = granted[id] || e.Access == event.Granted
		case event.KindAccess:
			if !granted[id] {
				f.add("attempt %s has %s and was not granted before", id, e.Fact)
			}
			if closed[id] {
				f.add("attempt %s has %s after the end of its pulse", id, e.Fact)
			}
			if e.Fact != event.PulseStarted {
				closed[id] = true
				continue
			}
			if started[id] {
				f.add("attempt %s has two pulses", id)
			}
			started[id] = true
		}
	}
	for id, yes := range granted {
		if yes && !closed[id] {
			f.add("attempt %s was granted and no event closes its pulse", id)
		}
	}
}

// door checks the relay against the journal.
func (f *findings) door(r record) {
	var starts []time.Time
	granted := 0
	for _, e := range r.events {
		if e.Kind == event.KindAttempt && e.Access == event.Granted {
			granted++
		}
		if e.Kind == event.KindAccess && e.Fact == event.PulseStarted {
			starts = append(starts, e.Time.Time)
		}
	}
	phases := phases(r.board)
	if len(phases) > granted {
		f.add("the door moved %d times for %d granted attempts", len(phases), granted)
	}
	if len(phases) > len(starts) {
		f.add("the door moved %d times for %d recorded pulses", len(phases), len(starts))
	}
	for _, p := range phases {
		if starts = without(starts, p.up); starts == nil {
			f.add("the door moved at %s and no pulse was recorded before", p.up.Format(time.StampMicro))
			return // what follows would be matched wrongly
		}
	}
	for _, p := range phases {
		f.length(p, r)
	}
}

// without takes away the newest start that can be the cause of a movement at
// this time, and returns nil if there is none.
func without(starts []time.Time, at time.Time) []time.Time {
	for i := len(starts) - 1; i >= 0; i-- {
		if ahead := at.Sub(starts[i]); ahead >= -clocks && ahead <= moves {
			rest := append([]time.Time{}, starts[:i]...)
			return append(rest, starts[i+1:]...)
		}
	}
	return nil
}

// length checks how long the door was open: as long as configured, or until
// it was made safe if the daemon was killed meanwhile.
func (f *findings) length(p phase, r record) {
	if p.down.IsZero() {
		f.add("the door is open since %s", p.up.Format(time.StampMicro))
		return
	}
	limit := p.up.Add(r.pulse + extra)
	for _, k := range r.kills {
		if k.pid == p.pid && !k.at.Before(p.up) && k.at.Before(limit) {
			limit = k.safe
		}
	}
	if p.down.After(limit) {
		f.add("the door was open for %v from %s", p.down.Sub(p.up), p.up.Format(time.StampMicro))
	}
}

// A phase is a time in which the door was open.
type phase struct {
	up, down time.Time // down is zero if it still is
	pid      int       // who opened it
}

func phases(board []sim.Change) []phase {
	var all []phase
	for _, c := range board {
		switch {
		case c.Name != "door":
		case c.Level == 1:
			all = append(all, phase{up: c.Time, pid: c.HolderPID})
		case len(all) > 0:
			all[len(all)-1].down = c.Time
		}
	}
	return all
}
