package journal_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
)

const day = 24 * time.Hour

// kept returns the seqs that are there, and the gaps among them.
func kept(t *testing.T, j *journal.Journal) (seqs []uint64, gaps []event.Gap) {
	t.Helper()
	for _, e := range all(t, j) {
		seqs = append(seqs, e.Seq)
		if e.Gap != nil {
			gaps = append(gaps, *e.Gap)
		}
	}
	return seqs, gaps
}

func check(t *testing.T, j *journal.Journal, wantSeqs []uint64, wantGaps ...event.Gap) {
	t.Helper()
	seqs, gaps := kept(t, j)
	if d := cmp.Diff(wantSeqs, seqs); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantGaps, gaps); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}

func TestPruneByAge(t *testing.T) {
	j, o, c := begin(t)
	for i := range 4 { // one a day
		add(t, j, eventtest.NoMatch(eventtest.AttemptID(i)))
		c.advance(day)
	}
	must(t, j.Delivered(t.Context(), 2))
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{1, 2, 3, 4})

	c.advance(7 * day) // the delivered ones go silently
	c.advance(time.Second)
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{3, 4})
	if s := stats(t, j); s.First != 3 || s.Pruned != 2 || s.Pending != 2 {
		t.Errorf("figures %+v, want events from 3", s)
	}

	c.advance(21 * day) // 3 is 30 days old
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{4, 5}, event.Gap{From: 3, To: 3, Undelivered: 1, Cause: event.CauseAge})
	must(t, j.Prune(t.Context()))
	check(t, open(t, died(t, o)), []uint64{4, 5}, event.Gap{From: 3, To: 3, Undelivered: 1, Cause: event.CauseAge})

	c.advance(31 * day) // the gap event goes too: the new one takes over what it said
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{6}, event.Gap{From: 3, To: 5, Undelivered: 3, Cause: event.CauseAge})
}

func TestPruneKeepsDeliveredEventsCountingFromDelivery(t *testing.T) {
	j, _, c := begin(t)
	add(t, j, eventtest.NoMatch(eventtest.AttemptID(1)))
	c.advance(20 * day) // the broker was away
	must(t, j.Delivered(t.Context(), 1))
	c.advance(6 * day)
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{1})
	c.advance(6 * day) // older than MaxAge now, but delivered
	must(t, j.Prune(t.Context()))
	check(t, j, nil)
	if e := add(t, j, eventtest.NoMatch(eventtest.AttemptID(2))); e.Seq != 2 {
		t.Errorf("the event after an emptied journal is %d, want 2", e.Seq)
	}
}

func TestPruneDoesNotTrustAWrongClock(t *testing.T) {
	const boot2, boot3 = "22222222-9b0d-4c55-8a1e-0d9f3b7c2e11", "33333333-9b0d-4c55-8a1e-0d9f3b7c2e11"
	j, _, c := begin(t)
	right := c.stamp().Time.Time
	c.reboot(boot2, time.Unix(0, 0), false) // a board without a battery
	add(t, j, eventtest.NoMatch(eventtest.AttemptID(1)))

	c.reboot(boot3, right, true) // next boot, now with the time: 1970 is no age
	add(t, j, eventtest.NoMatch(eventtest.AttemptID(2)))
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{1, 2})

	c.reboot(boot2, right.Add(90*day), false) // a clock that is ahead and says so
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{1, 2})

	c.reboot(eventtest.BootID, right.Add(31*day), true) // 2 is old, so what came before it is too
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{3}, event.Gap{From: 1, To: 2, Undelivered: 2, Cause: event.CauseAge})
}

func TestAgeWithinOneBootNeedsNoWallClock(t *testing.T) {
	j, _, c := begin(t)
	c.reboot(eventtest.BootID, time.Unix(0, 0), false)
	add(t, j, eventtest.NoMatch(eventtest.AttemptID(1)))
	c.advance(31 * day)
	add(t, j, eventtest.NoMatch(eventtest.AttemptID(2)))
	must(t, j.Prune(t.Context()))
	check(t, j, []uint64{2, 3}, event.Gap{From: 1, To: 1, Undelivered: 1, Cause: event.CauseAge})
}

// bulky returns an event of about 12 KB.
func bulky(n int) event.Event {
	e := eventtest.Match(eventtest.AttemptID(n))
	for i := range 600 {
		e.Attempt.Gates[fmt.Sprintf("gate_%06d", i)] = 0.5
	}
	return e
}

// Whatever is appended, delivered or not, the disk holds no more than the
// bound, and every event ever made is there, delivered, or named by a gap.
func TestBoundHoldsAndNothingIsLostSilently(t *testing.T) {
	for name, deliver := range map[string]func(n int) bool{
		"never delivered": func(int) bool { return false },
		"sometimes":       func(n int) bool { return n%120 == 119 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(filepath.Join(scratch(t), "journal.db"), newClock())
			j := open(t, o)
			told := map[uint64]event.Event{} // what a consumer got, or will
			for n := range 450 {
				if deliver(n) {
					list, err := j.Pending(t.Context(), 50)
					must(t, err)
					for _, e := range list {
						told[e.Seq] = e
					}
					must(t, j.Delivered(t.Context(), list[len(list)-1].Seq))
				}
				add(t, j, bulky(n))
				if s := stats(t, j); s.Bytes > o.MaxBytes {
					t.Fatalf("%d bytes after event %d, the bound is %d", s.Bytes, s.Last, o.MaxBytes)
				}
			}
			s := stats(t, j)
			if s.Bytes < o.MaxBytes*3/4 {
				t.Errorf("%d bytes of %d are in use", s.Bytes, o.MaxBytes)
			}
			for _, e := range all(t, j) {
				told[e.Seq] = e
			}

			named, count := map[uint64]bool{}, 0
			for _, e := range told {
				if e.Gap != nil {
					count += e.Undelivered
					for seq := e.From; seq <= e.To; seq++ {
						named[seq] = true
					}
				}
			}
			lost := 0
			for seq := uint64(1); seq <= s.Last; seq++ {
				if _, ok := told[seq]; !ok {
					lost++
					if !named[seq] {
						t.Errorf("event %d is lost silently", seq)
					}
				}
			}
			if count != lost || lost == 0 {
				t.Errorf("gaps say that %d events were lost, %d were", count, lost)
			}
		})
	}
}

func TestLowerBoundShrinksTheFile(t *testing.T) {
	o := options(filepath.Join(scratch(t), "journal.db"), newClock())
	o.MaxBytes = 3 * journal.MinBytes
	j, err := journal.Open(t.Context(), o)
	must(t, err)
	for n := range 500 {
		add(t, j, bulky(n))
	}
	if s := stats(t, j); s.Bytes < journal.MinBytes || s.First != 1 {
		t.Fatalf("figures %+v, want a large journal to begin with", s)
	}
	must(t, j.Close())

	o.MaxBytes = journal.MinBytes
	j, err = journal.Open(t.Context(), o)
	must(t, err)
	must(t, j.Prune(t.Context()))
	must(t, j.Close())
	s := stats(t, open(t, o))
	if s.Bytes > o.MaxBytes {
		t.Errorf("%d bytes after lowering the bound to %d", s.Bytes, o.MaxBytes)
	}
	if s.First == 1 || s.Pending < 100 {
		t.Errorf("figures %+v, want the newest events kept", s)
	}
}

func TestPrunedAttemptsKeepOpenPulses(t *testing.T) {
	j, _, c := begin(t)
	id := eventtest.AttemptID
	add(t, j, eventtest.Match(id(1))) // its pulse is open
	add(t, j, eventtest.Match(id(2)))
	add(t, j, eventtest.Access(id(2), event.PulseFailed))
	c.advance(31 * day)
	must(t, j.Prune(t.Context()))
	must(t, startPulse(j, id(1)))
	wantErr(t, "pulse of a pruned attempt", startPulse(j, id(2)), journal.ErrNotGranted)
}
