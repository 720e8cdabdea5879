//go:build dlib && integration

package test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// number returns a number from the environment, or the usual one.
func number(t *testing.T, name string, usual int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseInt(text, 10, 64)
	must(t, err)
	return n
}

// TestKill kills the daemon at any moment of an attempt, COUNT times, and
// then holds the board's timeline against the journal.
func TestKill(t *testing.T) {
	rounds, seed := int(number(t, "COUNT", 30)), number(t, "SEED", time.Now().UnixNano())
	t.Logf("COUNT=%d SEED=%d", rounds, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	s := newSite(t)
	r := record{pulse: pulse}
	for round := range rounds {
		switch round % 5 {
		case 3:
			s.killOnce(&r, round, s.onceTold)
		case 4:
			s.killOnce(&r, round, s.onceMoved)
		default:
			s.killOnce(&r, round, atRandom(random))
		}
	}
	s.terminate(s.start())
	r.events, r.board = s.history(), s.timeline()
	for _, f := range r.faults() {
		t.Error(f)
	}
	summarize(t, rounds, r)
}

const (
	span    = 1200 * time.Millisecond // a whole attempt with its pulse
	overdue = 15 * time.Second        // by now it will not happen, however busy the machine is
)

// A moment waits until a daemon that takes ID scans is to be killed. Most
// rounds kill at random; some at the moments that matter most, which chance
// would seldom hit.
type moment func(d *daemon)

// atRandom is any moment of an attempt.
func atRandom(random *rand.Rand) moment {
	wait := time.Duration(random.Int64N(int64(span)))
	return func(*daemon) { time.Sleep(wait) } // not to wait for anything: the moment is the test
}

// onceTold is as soon as an outcome is told.
func (s *site) onceTold(d *daemon) {
	select {
	case <-d.ended:
	case <-time.After(overdue):
	}
}

// onceMoved is as soon as the door moves.
func (s *site) onceMoved(*daemon) { s.rise("door", overdue) }

// killOnce starts the daemon, begins an attempt, kills the daemon when the
// moment has come and makes the outputs safe.
func (s *site) killOnce(r *record, round int, wait moment) {
	t := s.t
	t.Helper()
	d := s.start()
	s.forget()
	s.drop()
	wait(d)
	k := kill{pid: d.cmd.Process.Pid, at: time.Now()}
	must(t, d.cmd.Process.Kill())
	await(t, "the daemon's death", d.gone)
	_ = d.cmd.Wait() // says that it was killed
	if out, err := exec.Command(env(t, "FACEGATE_BINARY"), "safe", "--config", s.path("facegate.yaml")).CombinedOutput(); err != nil {
		t.Errorf("round %d: safe: %v\n%s", round, err, out)
	}
	k.safe = time.Now()
	s.dark("round " + strconv.Itoa(round))
	r.kills, r.said, r.begun = append(r.kills, k), append(r.said, d.said...), append(r.begun, s.left(round)...)
	if t.Failed() {
		t.Fatalf("round %d: the daemon wrote\n%s", round, d.log.String())
	}
}

// summarize prints the figures and checks that the rounds reached everything
// that they are to try.
func summarize(t *testing.T, rounds int, r record) {
	t.Helper()
	n := map[string]int{}
	for _, e := range r.events {
		switch e.Kind {
		case event.KindAttempt:
			n["attempts"]++
			n[string(e.Access)]++
			n[string(e.Reason)]++
		case event.KindAccess:
			n[string(e.Fact)]++
		}
	}
	moved := len(phases(r.board))
	t.Logf("rounds %d, attempts %d, granted %d, pulses %d (the door moved %d times), interrupted %d, pulse_interrupted %d",
		rounds, n["attempts"], n["granted"], n["pulse_started"], moved, n["interrupted"], n["pulse_interrupted"])
	if rounds < 20 {
		return // too few for what follows
	}
	var never []string
	for _, what := range []string{"granted", "pulse_started", "interrupted", "pulse_interrupted"} {
		if n[what] == 0 {
			never = append(never, what)
		}
	}
	if moved == 0 {
		never = append(never, "a movement of the door")
	}
	if len(never) > 0 {
		t.Errorf("in %d rounds there was never %s: the test did not try what it is for", rounds, strings.Join(never, ", "))
	}
}
