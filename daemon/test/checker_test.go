package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/hal/sim"
)

// sound returns a record without a fault: attempt 0 opened the door, attempt
// 1 did too and the daemon was killed meanwhile, attempt 2 was cut off.
func sound() record {
	at := func(ms int) event.Stamp {
		s := eventtest.Stamp(0)
		s.Time.Time = s.Time.Add(time.Duration(ms) * time.Millisecond)
		return s
	}
	id := eventtest.AttemptID
	cut := eventtest.NoMatch(id(2))
	cut.Attempt = &event.Attempt{Decision: event.DecisionError, Reason: event.Interrupted, Source: "inbox", Route: "local", Access: event.NotAttempted}
	r := record{pulse: 300 * time.Millisecond, begun: []string{id(2)}}
	for i, s := range []struct {
		ms int
		e  event.Event
	}{
		{0, eventtest.Match(id(0))},
		{1, eventtest.Access(id(0), event.PulseStarted)},
		{310, eventtest.Access(id(0), event.PulseEnded)},
		{5000, eventtest.Match(id(1))},
		{5001, eventtest.Access(id(1), event.PulseStarted)},
		{7000, eventtest.Access(id(1), event.PulseInterrupted)},
		{9000, cut},
	} {
		s.e.V, s.e.Seq, s.e.JournalID, s.e.Site, s.e.Device, s.e.Stamp = 1, uint64(i+1), strings.Repeat("A", 26), "test", "gate", at(s.ms)
		r.events = append(r.events, s.e)
	}
	r.said = []announcement{{id(0), event.DecisionMatch, event.OK, event.Granted}}
	r.board = []sim.Change{
		{Name: "door", Level: 1, HolderPID: 10, Time: at(3).Time.Time}, {Name: "door", Time: at(305).Time.Time},
		{Name: "door", Level: 1, HolderPID: 11, Time: at(5003).Time.Time}, {Name: "door", Time: at(5900).Time.Time},
	}
	r.kills = []kill{{pid: 11, at: at(5100).Time.Time, safe: at(5901).Time.Time}}
	return r
}

func TestSoundRecord(t *testing.T) {
	if f := sound().faults(); len(f) > 0 {
		t.Errorf("faults in a sound record:\n%s", strings.Join(f, "\n"))
	}
}

func TestFaultsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *record)
		want  string
	}{
		"gap":              {func(r *record) { r.events[6].Seq = 8 }, "has seq 8"},
		"schema":           {func(r *record) { r.events[3].JournalID = "" }, "does not follow the schema"},
		"missing outcome":  {func(r *record) { r.events = r.events[:6] }, "was begun and has no outcome"},
		"two outcomes":     {func(r *record) { r.events[6].AttemptID = eventtest.AttemptID(1) }, "two outcomes"},
		"lost outcome":     {func(r *record) { r.said[0].id = eventtest.AttemptID(9) }, "was announced and has no outcome"},
		"changed outcome":  {func(r *record) { r.said[0].access = event.Denied }, "was announced as"},
		"changed reason":   {func(r *record) { r.said[0].reason = event.Timeout }, "was announced as"},
		"pulse not closed": {func(r *record) { r.events = slices.Delete(r.events, 5, 6) }, "no event closes its pulse"},
		"closed twice":     {func(r *record) { r.events[5].AttemptID = eventtest.AttemptID(0) }, "after the end of its pulse"},
		"two pulses":       {func(r *record) { r.events[2].AccessEvent = r.events[1].AccessEvent }, "has two pulses"},
		"not granted":      {func(r *record) { r.events[4].AttemptID = eventtest.AttemptID(2) }, "was not granted before"},
		"no record":        {func(r *record) { r.events = slices.Delete(r.events, 4, 5) }, "for 1 recorded pulses"},
		"record too late":  {func(r *record) { r.events[4].Time = r.events[5].Time }, "no pulse was recorded before"},
		"moved twice": {func(r *record) {
			r.board = append(r.board, r.board[0], r.board[1])
		}, "the door moved 3 times for 2 granted attempts"},
		"too long":      {func(r *record) { r.board[1].Time = r.board[0].Time.Add(time.Second) }, "the door was open for 1s"},
		"not made safe": {func(r *record) { r.board[3].Time = r.board[3].Time.Add(time.Second) }, "the door was open for"},
		"not killed":    {func(r *record) { r.kills = nil }, "the door was open for"},
		"still open":    {func(r *record) { r.board = r.board[:3] }, "the door is open since"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sound()
			c.spoil(&r)
			f := strings.Join(r.faults(), "\n")
			if !strings.Contains(f, c.want) {
				t.Errorf("found %q, want %q", f, c.want)
			}
		})
	}
}
