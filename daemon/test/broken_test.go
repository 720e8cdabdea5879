//go:build dlib && integration

package test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event"
)

// kills is how many a broken program may survive unnoticed. In some fifty
// trials of each, a quarter of them on a machine with five times more to do
// than it could, the first was enough. Were it only six times in ten, ten kills
// would miss one program in ten thousand.
const kills = 10

// A journal that does not wait for the disk is found out when the program
// dies right after it told of an outcome, or moved the door for one.
func TestKillFindsBrokenSync(t *testing.T) {
	findBroken(t, "FACEGATE_BROKEN_SYNC", "brokensync", func(s *site, round int) moment {
		if round%2 == 0 {
			return s.onceTold
		}
		return s.onceMoved
	})
}

// A door that does not wait for the journal is found out when the program
// dies as it moves.
func TestKillFindsBrokenOrder(t *testing.T) {
	findBroken(t, "FACEGATE_BROKEN_ORDER", "brokenorder", func(s *site, _ int) moment { return s.onceMoved })
}

// findBroken runs rounds of [TestKill] on a program that is broken on purpose
// until the checker finds a fault, as it must.
func findBroken(t *testing.T, variable, tag string, when func(s *site, round int) moment) {
	t.Helper()
	s := newSite(t)
	t.Setenv("FACEGATE_BINARY", env(t, variable))
	if out, err := exec.Command(env(t, variable), "version").Output(); err != nil || !strings.Contains(string(out), "BROKEN ON PURPOSE: "+tag) {
		t.Fatalf("the program under test is %q, %v", out, err)
	}
	r := record{pulse: pulse}
	for round := range kills {
		s.killOnce(&r, round, when(s, round))
		r.events, r.board = s.recovered(round), s.timeline()
		if faults := r.faults(); len(faults) > 0 {
			t.Logf("found in round %d: %s", round+1, strings.Join(faults, "; "))
			return
		}
	}
	t.Errorf("%d kills of a program built with %s found no fault", kills, tag)
}

// recovered returns the journal as the next daemon would leave it, from the
// copy that left has made of it.
func (s *site) recovered(round int) []event.Event {
	s.t.Helper()
	j := s.open(s.path(fmt.Sprintf("copy-%d.db", round)))
	events, err := j.Range(s.t.Context(), 1, 1<<40, 1<<20)
	must(s.t, errors.Join(err, j.Close()))
	return events
}
