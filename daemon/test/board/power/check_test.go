package power

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event"
)

// errEnough ends the work.
var errEnough = errors.New("enough promises")

// copied leaves a journal as it is when its process is killed.
func copied(t *testing.T, path, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// worked returns the first n promises of a journal, and copies of it: number i
// is of the moment at which i had been made.
func worked(t *testing.T, n int) (promises []Promise, copies []string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	copies = append(copies, filepath.Join(dir, "none.db"))
	err := Work(t.Context(), path, n, func(p Promise) error {
		promises = append(promises, p)
		to := filepath.Join(dir, fmt.Sprintf("%d.db", len(promises)))
		copied(t, path, to)
		if copies = append(copies, to); len(promises) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("work: %v", err)
	}
	return promises, copies
}

const many = 22 // promises: each kind is among them

// A journal that keeps its promises is at no fault, wherever it ends. One from
// just before a promise has not kept that.
func TestCheck(t *testing.T) {
	promises, copies := worked(t, many)
	missed := map[Kept]int{}
	for n := range copies {
		if n < many && promises[n].Kept != Recovered {
			spoilt := filepath.Join(t.TempDir(), "journal.db")
			if n > 0 {
				copied(t, copies[n], spoilt)
			}
			r := Check(t.Context(), spoilt, promises[:n+1])
			if len(r.Faults) == 0 || r.Opened != (n > 0) {
				t.Errorf("promise %d, %+v, is not missed: %+v", n, promises[n], r)
			}
			if appended := promises[n].Kept == Appended; appended && r.Lost != 1 || !appended && r.Lost != 0 {
				t.Errorf("promise %d, %s: %d events lost", n, promises[n].Kept, r.Lost)
			}
			missed[promises[n].Kept]++
		}
		if r := Check(t.Context(), copies[n], promises[:n]); !r.Opened || r.Lost > 0 || len(r.Faults) > 0 {
			t.Errorf("after %d promises: %+v", n, r)
		}
	}
	for _, k := range []Kept{Opened, Begun, Appended, Delivered, NonceUsed, Failures, Reserved} {
		if missed[k] == 0 {
			t.Errorf("nothing is %s", k)
		}
	}
}

// Work goes on with what a power cut has left, and promises all that is there.
func TestWorkAgain(t *testing.T) {
	promises, copies := worked(t, many)
	path := copies[many]
	err := Work(t.Context(), path, 5, func(p Promise) error {
		promises = append(promises, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := Check(t.Context(), path, promises); len(r.Faults) > 0 || r.Recovered > 0 {
		t.Errorf("%+v", r)
	}
}

// An event that is there with other content is lost.
func TestCheckComparesContent(t *testing.T) {
	promises, copies := worked(t, 5)
	n := slices.IndexFunc(promises, func(p Promise) bool { return p.Kept == Appended })
	changed := *promises[n].Event
	changed.Attempt = &event.Attempt{Decision: event.DecisionNoMatch}
	promises[n].Event = &changed
	if r := Check(t.Context(), copies[5], promises); r.Lost != 1 {
		t.Errorf("%d events lost, want 1", r.Lost)
	}
}

// What happens twice is found, even if it was never promised.
func TestSettledFindsSecondPulse(t *testing.T) {
	promises, copies := worked(t, 8)
	r := Check(t.Context(), copies[8], promises)
	if len(r.Faults) > 0 {
		t.Fatalf("%+v", r)
	}
	var e event.Event
	for _, p := range promises {
		if p.Kept == Appended && p.Event.Kind == event.KindAccess {
			e = *p.Event
			break
		}
	}
	c := checker{Report: &Report{}}
	for _, p := range promises {
		if p.Kept == Appended {
			c.events = append(c.events, *p.Event)
		}
	}
	c.events = append(c.events, e)
	if err := c.settled(t.Context()); err != nil || len(c.Faults) == 0 {
		t.Errorf("a second %s is not found", e.Fact)
	}
}
