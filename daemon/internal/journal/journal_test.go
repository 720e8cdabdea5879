package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
)

// A clock makes stamps that the test moves.
type clock struct {
	// mu guards the following
	mu  sync.Mutex
	now event.Stamp
}

func newClock() *clock { return &clock{now: eventtest.Stamp(0)} }

func (c *clock) stamp() event.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Time.Time = c.now.Time.Add(d)
	c.now.MonoMS += d.Milliseconds()
}

// reboot begins another boot, with the wall clock where it is told to be.
func (c *clock) reboot(bootID string, at time.Time, synced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = event.Stamp{BootID: bootID, Time: event.Time{Time: at}, MonoMS: 1000, ClockSynced: synced}
}

func options(path string, c *clock) journal.Options {
	return journal.Options{
		Path: path, MaxBytes: journal.MinBytes, MaxAge: 30 * 24 * time.Hour, KeepDelivered: 7 * 24 * time.Hour,
		Site: "hq", Device: "gate-1", Stamp: c.stamp,
	}
}

func open(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

// begin opens a new journal.
func begin(t testing.TB) (*journal.Journal, journal.Options, *clock) {
	c := newClock()
	o := options(filepath.Join(t.TempDir(), "journal.db"), c)
	return open(t, o), o, c
}

// scratch returns a folder in memory where the system has one, for tests that
// write much and are not about the disk.
func scratch(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "facegate-journal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// died returns the options of a copy of the journal as a killed process
// would leave it now.
func died(t testing.TB, o journal.Options) journal.Options {
	t.Helper()
	folder := scratch(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(o.Path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "copy.db"+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.Path = filepath.Join(folder, "copy.db")
	return o
}

// startPulse starts a pulse of a second.
func startPulse(j *journal.Journal, attemptID string) error {
	_, err := j.StartPulse(context.Background(), attemptID, time.Second)
	return err
}

func add(t testing.TB, j *journal.Journal, e event.Event) event.Event {
	t.Helper()
	stored, err := j.Append(t.Context(), e)
	if err != nil {
		t.Fatalf("append %s event of %s: %v", e.Kind, e.AttemptID, err)
	}
	return stored
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// all returns every event that is there, each held to the schema.
func all(t testing.TB, j *journal.Journal) []event.Event {
	t.Helper()
	list, err := j.Range(t.Context(), 0, 1<<63, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		if e.Seq != list[0].Seq+uint64(i) {
			t.Fatalf("event %d follows event %d", e.Seq, list[i-1].Seq)
		}
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		eventtest.Validate(t, body)
	}
	return list
}

func stats(t testing.TB, j *journal.Journal) journal.Stats {
	t.Helper()
	s, err := j.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAppendCompletesAndKeepsEvents(t *testing.T) {
	c := newClock()
	o := options(filepath.Join(t.TempDir(), "journal.db"), c)
	j, err := journal.Open(t.Context(), o)
	must(t, err)
	first := add(t, j, eventtest.NoMatch(eventtest.AttemptID(1)))
	own := eventtest.Match(eventtest.AttemptID(2))
	own.Historical, own.Site, own.Seq = true, "elsewhere", 99
	own.Stamp = eventtest.Stamp(-5)
	own.Time.Time = own.Time.Add(1234567 * time.Nanosecond)
	second := add(t, j, own)

	if first.V != event.Version || first.Seq != 1 || first.JournalID != j.ID() || first.Site != "hq" || first.Device != "gate-1" {
		t.Errorf("first event is not complete: %+v", first)
	}
	if d := cmp.Diff(c.stamp(), first.Stamp); d != "" {
		t.Errorf("stamp of the first event (-want +got):\n%s", d)
	}
	if second.Seq != 2 || second.Historical || second.Site != "hq" || second.MonoMS != own.MonoMS {
		t.Errorf("second event: %+v, want its own stamp and nothing else of its own", second)
	}
	if d := cmp.Diff([]event.Event{first, second}, all(t, j)); d != "" {
		t.Errorf("events (-appended +read):\n%s", d)
	}
	id := j.ID()
	must(t, j.Close())

	again := open(t, o)
	third := add(t, again, eventtest.NoMatch(eventtest.AttemptID(3)))
	if again.ID() != id || third.Seq != 3 {
		t.Errorf("reopened: journal %s, next event %d, want %s and 3", again.ID(), third.Seq, id)
	}
	if d := cmp.Diff([]event.Event{first, second, third}, all(t, again)); d != "" {
		t.Errorf("events after reopening (-appended +read):\n%s", d)
	}
}

func TestJournalsHaveTheirOwnIDs(t *testing.T) {
	a, _, _ := begin(t)
	b, _, _ := begin(t)
	if a.ID() == b.ID() {
		t.Errorf("two journals are called %s", a.ID())
	}
}

func TestAppendRefusesWhatIsNotAnEventOfItsMaker(t *testing.T) {
	j, _, _ := begin(t)
	id := eventtest.AttemptID(1)
	wrong := eventtest.Match(id)
	wrong.Access = "open"
	huge := eventtest.Match(id)
	huge.Engine = strings.Repeat("x", 20_000)
	for name, e := range map[string]event.Event{
		"unknown access": wrong,
		"huge":           huge,
		"gap":            {Kind: event.KindGap, Gap: &event.Gap{From: 1, To: 1, Undelivered: 1, Cause: event.CauseAge}},
		"pulse_started":  eventtest.Access(id, event.PulseStarted),
	} {
		if _, err := j.Append(t.Context(), e); err == nil {
			t.Errorf("append of an event (%s) is accepted", name)
		}
	}
	if _, err := j.StartPulse(t.Context(), id, -time.Second); err == nil {
		t.Error("a pulse of a negative length is accepted")
	}
	if err := j.Begin(t.Context(), "x", "http"); err == nil {
		t.Error("begin of an attempt without a ULID is accepted")
	}
	if err := j.Begin(t.Context(), id, "fax"); err == nil {
		t.Error("begin of an attempt from an unknown source is accepted")
	}
	if got := stats(t, j).Last; got != 0 {
		t.Errorf("%d events are stored, want none", got)
	}
	if e := add(t, j, eventtest.Match(id)); e.Seq != 1 {
		t.Errorf("the next event is %d, want 1: a refused one takes no number", e.Seq)
	}
}

func TestConcurrentAppendsLeaveNoGap(t *testing.T) {
	j, _, _ := begin(t)
	const workers, each = 8, 12
	seen := make([][]uint64, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				id := eventtest.AttemptID(w*each + i)
				must := func(err error) {
					if err != nil {
						t.Error(err)
					}
				}
				must(j.Begin(t.Context(), id, "http"))
				e, err := j.Append(t.Context(), eventtest.Match(id))
				must(err)
				must(startPulse(j, id))
				_, err = j.Pending(t.Context(), 5)
				must(err)
				seen[w] = append(seen[w], e.Seq)
			}
		})
	}
	wg.Wait()

	if got := len(all(t, j)); got != 2*workers*each {
		t.Errorf("%d events, want %d", got, 2*workers*each)
	}
	for w, list := range seen {
		for i := 1; i < len(list); i++ {
			if list[i] <= list[i-1] {
				t.Errorf("worker %d got %d after %d", w, list[i], list[i-1])
			}
		}
	}
}

func TestOneOutcomeForAnAttempt(t *testing.T) {
	j, o, _ := begin(t)
	id := eventtest.AttemptID(1)
	must(t, j.Begin(t.Context(), id, "http"))
	wantErr(t, "begin again", j.Begin(t.Context(), id, "http"), journal.ErrDuplicate)
	add(t, j, eventtest.NoMatch(id))
	_, err := j.Append(t.Context(), eventtest.Match(id))
	wantErr(t, "second outcome", err, journal.ErrDuplicate)
	wantErr(t, "begin after the outcome", j.Begin(t.Context(), id, "http"), journal.ErrDuplicate)
	wantErr(t, "pulse of the refused match", startPulse(j, id), journal.ErrNotGranted)

	after := open(t, died(t, o))
	_, err = after.Append(t.Context(), eventtest.Match(id))
	wantErr(t, "second outcome after a restart", err, journal.ErrDuplicate)
	if got := len(all(t, after)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestPulse(t *testing.T) {
	id := eventtest.AttemptID(1)
	grant := func(j *journal.Journal) error { _, err := j.Append(t.Context(), eventtest.Match(id)); return err }
	refuse := func(j *journal.Journal) error { _, err := j.Append(t.Context(), eventtest.NoMatch(id)); return err }
	start := func(j *journal.Journal) error {
		e, err := j.StartPulse(t.Context(), id, 800*time.Millisecond)
		if err == nil && (e.Fact != event.PulseStarted || e.CommandedMS != 800 || e.Seq == 0) {
			t.Errorf("started %+v %+v, want pulse_started of 800 ms with its seq", e, e.AccessEvent)
		}
		return err
	}
	end := func(fact event.AccessFact) func(j *journal.Journal) error {
		return func(j *journal.Journal) error {
			_, err := j.Append(t.Context(), eventtest.Access(id, fact))
			return err
		}
	}
	type step struct {
		do   func(j *journal.Journal) error
		want error
	}
	for name, steps := range map[string][]step{
		"usual": {{grant, nil}, {start, nil}, {end(event.PulseEnded), nil}},
		"twice": {{grant, nil}, {start, nil}, {start, journal.ErrDuplicate}, {end(event.PulseEnded), nil},
			{start, journal.ErrDuplicate}, {end(event.PulseEnded), journal.ErrDuplicate}},
		"failed before it began": {{grant, nil}, {end(event.PulseFailed), nil}, {start, journal.ErrDuplicate}},
		"cut short":              {{grant, nil}, {start, nil}, {end(event.PulseInterrupted), nil}, {start, journal.ErrDuplicate}},
		"without an attempt":     {{start, journal.ErrNotGranted}, {end(event.PulseEnded), journal.ErrNotGranted}},
		"without a grant":        {{refuse, nil}, {start, journal.ErrNotGranted}, {end(event.PulseEnded), journal.ErrNotGranted}},
	} {
		t.Run(name, func(t *testing.T) {
			j, o, _ := begin(t)
			stored := 0
			for i, s := range steps {
				wantErr(t, "step "+string(rune('1'+i)), s.do(j), s.want)
				if s.want == nil {
					stored++
				}
				o = died(t, o) // each step holds across a death
				j = open(t, o)
				if got := len(all(t, j)); got != stored {
					t.Fatalf("%d events after step %d, want %d", got, i+1, stored)
				}
			}
		})
	}
}

func TestRecoverClosesWhatADeathLeftOpen(t *testing.T) {
	j, o, c := begin(t)
	id := eventtest.AttemptID
	must(t, j.Begin(t.Context(), id(1), "http")) // dies under way
	must(t, j.Begin(t.Context(), id(2), "inbox"))
	add(t, j, eventtest.NoMatch(id(2))) // is finished
	add(t, j, eventtest.Match(id(3)))   // dies before the pulse
	add(t, j, eventtest.Match(id(4)))
	must(t, startPulse(j, id(4))) // dies during the pulse
	add(t, j, eventtest.Match(id(5)))
	must(t, startPulse(j, id(5)))
	add(t, j, eventtest.Access(id(5), event.PulseEnded)) // is finished

	if got, err := j.Recover(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("recover of the run's own: %v, %v, want none", got, err)
	}

	c.reboot("11111111-9b0d-4c55-8a1e-0d9f3b7c2e11", c.stamp().Time.Add(time.Minute), true)
	o = died(t, o)
	after, err := journal.Open(t.Context(), o)
	must(t, err)
	must(t, after.Begin(t.Context(), id(9), "http")) // of this run
	got, err := after.Recover(t.Context())
	must(t, err)

	type fact struct {
		Seq    uint64
		ID     string
		Reason event.Reason
		Source string
		Fact   event.AccessFact
		Boot   string
	}
	var facts []fact
	for _, e := range got {
		f := fact{Seq: e.Seq, ID: e.AttemptID, Boot: e.BootID}
		if e.Attempt != nil {
			f.Reason, f.Source = e.Reason, e.Source
			if e.Decision != event.DecisionError || e.Access != event.NotAttempted {
				t.Errorf("interrupted attempt: %+v", e.Attempt)
			}
		} else {
			f.Fact = e.Fact
		}
		facts = append(facts, f)
	}
	boot := c.stamp().BootID
	want := []fact{
		{8, id(1), event.Interrupted, "http", "", boot},
		{9, id(3), "", "", event.PulseInterrupted, boot},
		{10, id(4), "", "", event.PulseInterrupted, boot},
	}
	if d := cmp.Diff(want, facts); d != "" {
		t.Errorf("recovered (-want +got):\n%s", d)
	}
	for _, n := range []int{3, 4} {
		wantErr(t, "pulse after recovery", startPulse(after, id(n)), journal.ErrDuplicate)
	}

	if again, err := after.Recover(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("second recover: %v, %v, want none", again, err)
	}
	add(t, after, eventtest.NoMatch(id(9)))
	must(t, after.Close())
	last := open(t, o)
	if again, err := last.Recover(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("recover after the next start: %v, %v, want none", again, err)
	}
	if got := len(all(t, last)); got != 11 {
		t.Errorf("%d events, want 11", got)
	}
}

func TestOutbox(t *testing.T) {
	j, o, c := begin(t)
	if s := stats(t, j); s.First != 1 || s.Last != 0 || s.Pending != 0 || s.OldestPending != 0 {
		t.Errorf("figures of an empty journal: %+v", s)
	}
	for i := range 5 {
		add(t, j, eventtest.NoMatch(eventtest.AttemptID(i)))
		c.advance(time.Second)
	}
	seqs := func(list []event.Event, err error) (out []uint64) {
		t.Helper()
		must(t, err)
		for _, e := range list {
			out = append(out, e.Seq)
		}
		return out
	}
	check := func(what string, got []uint64, want ...uint64) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}

	check("pending", seqs(j.Pending(t.Context(), 3)), 1, 2, 3)
	must(t, j.Delivered(t.Context(), 2))
	must(t, j.Delivered(t.Context(), 1)) // late, means nothing
	check("pending after delivery", seqs(j.Pending(t.Context(), 10)), 3, 4, 5)
	check("none", seqs(j.Pending(t.Context(), -1)))
	check("range", seqs(j.Range(t.Context(), 2, 4, 10)), 2, 3, 4)
	check("range with a limit", seqs(j.Range(t.Context(), 1, 1<<63, 2)), 1, 2)
	check("range of nothing", seqs(j.Range(t.Context(), 1<<63, 1<<63, 2)))
	if err := j.Delivered(t.Context(), 6); err == nil {
		t.Error("delivery of an event that is not there is accepted")
	}

	s := stats(t, j)
	if s.Bytes < 4096 || s.Bytes > o.MaxBytes {
		t.Errorf("size %d", s.Bytes)
	}
	s.Bytes = 0
	want := journal.Stats{First: 1, Last: 5, Delivered: 2, Pending: 3, OldestPending: 3 * time.Second}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("figures (-want +got):\n%s", d)
	}
	check("pending after a restart", seqs(open(t, died(t, o)).Pending(t.Context(), 10)), 3, 4, 5)
	must(t, j.Delivered(t.Context(), 5))
	check("all delivered", seqs(j.Pending(t.Context(), 10)))
}

func TestChangedTellsOfEveryAppend(t *testing.T) {
	j, _, _ := begin(t)
	told := func() bool {
		select {
		case <-j.Changed():
			return true
		default:
			return false
		}
	}
	id := eventtest.AttemptID(1)
	must(t, j.Begin(t.Context(), id, "http"))
	if told() {
		t.Error("told after begin, which appends nothing")
	}
	for name, do := range map[string]func(){
		"appends": func() { add(t, j, eventtest.Match(id)); add(t, j, eventtest.NoMatch(eventtest.AttemptID(2))) },
		"start pulse": func() {
			add(t, j, eventtest.Match(eventtest.AttemptID(3)))
			told()
			must(t, startPulse(j, eventtest.AttemptID(3)))
		},
	} {
		do()
		if !told() {
			t.Errorf("not told after %s", name)
		}
		if told() {
			t.Errorf("told twice after %s", name)
		}
	}
}

func TestCancelledCallsDoNothing(t *testing.T) {
	j, _, _ := begin(t)
	cause := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := j.Append(ctx, eventtest.Match(eventtest.AttemptID(1)))
	wantErr(t, "append", err, cause)
	wantErr(t, "begin", j.Begin(ctx, eventtest.AttemptID(1), "http"), cause)
	_, err = j.Pending(ctx, 1)
	wantErr(t, "pending", err, context.Canceled)
	if s := stats(t, j); s.Last != 0 {
		t.Errorf("%d events, want none", s.Last)
	}
}

func TestNonces(t *testing.T) {
	j, o, c := begin(t)
	use := func(j *journal.Journal, nonce string, ahead time.Duration) bool {
		t.Helper()
		fresh, err := j.UseNonce(t.Context(), nonce, c.stamp().Time.Add(ahead))
		must(t, err)
		return fresh
	}
	if !use(j, "a", time.Minute) || !use(j, "b", time.Minute) {
		t.Error("a new nonce is not fresh")
	}
	if use(j, "a", time.Minute) || use(j, "a", time.Hour) {
		t.Error("a used nonce is fresh")
	}
	j = open(t, died(t, o))
	if use(j, "b", time.Minute) {
		t.Error("a used nonce is fresh after a restart")
	}
	if fresh, err := j.UseNonce(t.Context(), "c", c.stamp().Time.Time); err == nil || fresh {
		t.Errorf("expired nonce: %v, %v, want an error", fresh, err)
	}
	c.advance(10 * time.Minute)
	if !use(j, "a", time.Minute) {
		t.Error("a nonce is still remembered long after it expired")
	}
}

func TestFailures(t *testing.T) {
	j, o, c := begin(t)
	last, until := c.stamp().Time.Time, c.stamp().Time.Add(time.Minute)
	must(t, j.SetFailures(t.Context(), "k", 4, last, time.Time{}))
	must(t, j.SetFailures(t.Context(), "k", 5, last, until))
	must(t, j.SetFailures(t.Context(), "other", 1, last, time.Time{}))
	j = open(t, died(t, o))
	check := func(key string, want int, wantLast, wantUntil time.Time) {
		t.Helper()
		n, l, u, err := j.Failures(t.Context(), key)
		if err != nil || n != want || !l.Equal(wantLast) || !u.Equal(wantUntil) {
			t.Errorf("failures of %s = %d, %v, %v, %v, want %d, %v, %v", key, n, l, u, err, want, wantLast, wantUntil)
		}
	}
	check("k", 5, last, until)
	check("other", 1, last, time.Time{})
	must(t, j.ClearFailures(t.Context(), "k"))
	must(t, j.ClearFailures(t.Context(), "k"))
	check("k", 0, time.Time{}, time.Time{})
	check("other", 1, last, time.Time{})
}
