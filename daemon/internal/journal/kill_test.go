package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
)

const victim = "FACEGATE_TEST_JOURNAL" // the journal that the child writes

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		fmt.Println("ended", attempts(path)) // it is killed before it can
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// attempts makes one attempt after another and says what is durable by now.
func attempts(path string) error {
	ctx := context.Background()
	j, err := journal.Open(ctx, options(path, newClock()))
	if err != nil {
		return err
	}
	recovered, err := j.Recover(ctx)
	if err != nil {
		return err
	}
	fmt.Println("recovered", len(recovered))
	s, err := j.Stats(ctx)
	if err != nil {
		return err
	}
	for n := int(s.Last); ; n++ {
		id := eventtest.AttemptID(n)
		if err := j.Begin(ctx, id, "http"); err != nil {
			return err
		}
		fmt.Println("begun", id)
		if _, err := j.Append(ctx, eventtest.Match(id)); err != nil {
			return err
		}
		fmt.Println("granted", id)
		if err := startPulse(j, id); err != nil {
			return err
		}
		fmt.Println("moved", id)
		if _, err := j.Append(ctx, eventtest.Access(id, event.PulseEnded)); err != nil {
			return err
		}
	}
}

// A process killed at any moment leaves a journal that opens, without a gap,
// with everything that it was told is durable, and nothing that happened twice.
func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	said := map[string]bool{}
	for range 6 {
		runAndKill(t, path, 20+rand.IntN(40), said)
	}

	j := open(t, options(path, newClock()))
	_, err := j.Recover(t.Context())
	must(t, err)
	ended, facts := map[string]int{}, map[string]int{}
	for _, e := range all(t, j) {
		if e.Kind == event.KindAttempt {
			ended[e.AttemptID]++
			continue
		}
		facts[e.AttemptID+" "+string(e.Fact)]++
	}
	for line := range said {
		word, id, _ := strings.Cut(line, " ")
		switch {
		case word == "moved" && facts[id+" "+string(event.PulseStarted)] != 1:
			t.Errorf("the relay moved for %s with %d records", id, facts[id+" "+string(event.PulseStarted)])
		case word == "moved" && facts[id+" "+string(event.PulseEnded)]+facts[id+" "+string(event.PulseInterrupted)] != 1:
			t.Errorf("the pulse of %s has no single end: %v", id, facts)
		case (word == "begun" || word == "granted") && ended[id] != 1:
			t.Errorf("attempt %s was %s and has %d outcomes", id, word, ended[id])
		case word == "ended":
			t.Errorf("a child ended by itself: %s", line)
		}
	}
}

// runAndKill kills a child after it has said some lines, which it collects.
func runAndKill(t *testing.T, path string, lines int, said map[string]bool) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), victim+"="+path)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	r := bufio.NewScanner(out)
	for n := 0; r.Scan(); n++ {
		said[r.Text()] = true
		if n == lines {
			must(t, child.Process.Kill()) // and read on: what it said before counts
		}
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child: %v, want killed", err)
	}
}

// Whatever part of the write-ahead log reached the disk, the journal holds the
// first so many events, and the right to a pulse exactly where it was granted.
func TestTornLogIsAnEarlierJournal(t *testing.T) {
	t.Parallel()
	j, o, _ := begin(t)
	const attempts = 8
	for n := range attempts {
		id := eventtest.AttemptID(n)
		must(t, j.Begin(t.Context(), id, "http"))
		add(t, j, eventtest.Match(id))
		must(t, startPulse(j, id))
		add(t, j, eventtest.Access(id, event.PulseEnded))
	}
	whole := died(t, o)
	log, err := os.ReadFile(whole.Path + "-wal")
	must(t, err)

	before := 0
	for cut := 0; cut <= len(log); cut += 1 + rand.IntN(len(log)/12) {
		torn := died(t, whole)
		part := append([]byte{}, log[:cut]...)
		if cut%2 == 0 { // and behind it what was there before
			part = append(part, make([]byte, 5000)...)
		}
		must(t, os.WriteFile(torn.Path+"-wal", part, 0o600))
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			j := open(t, torn)
			list := all(t, j)
			if len(list) < before || len(list) > 0 && list[0].Seq != 1 {
				t.Fatalf("%d events with %d bytes of the log, %d with fewer", len(list), cut, before)
			}
			before = len(list)

			recovered, err := j.Recover(t.Context())
			must(t, err)
			granted, closed := 0, 0
			for _, e := range all(t, j) {
				switch {
				case e.Kind == event.KindAttempt && e.Access == event.Granted:
					granted++
				case e.Kind == event.KindAccess && e.Fact != event.PulseStarted:
					closed++
				}
			}
			if granted != closed || len(recovered) > 1 {
				t.Errorf("%d pulses granted, %d closed, %d events to recover", granted, closed, len(recovered))
			}
		})
	}
	if before == 0 {
		t.Error("no part of the log held an event")
	}
}
