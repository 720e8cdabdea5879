package attempt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
)

// bench is a line with a fake at each edge, and what the fakes saw.
type bench struct {
	line    *attempt.Line
	latest  *capture.Latest
	matcher *matcher
	record  *record
	door    *door
	panel   *panel

	// mu guards the following
	mu     sync.Mutex
	phases []attempt.Phase
	hints  []attempt.Hint
	hintAt []time.Time
	told   []event.Event
	camera error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{latest: &capture.Latest{}, record: &record{failures: map[string]failure{}}, door: &door{}, panel: &panel{pressed: make(chan struct{})}}
	b.door.record = b.record
	b.matcher = &matcher{scores: []match.Score{0.3}}
	l := attempt.New()
	l.Frames, l.Matcher, l.Record, l.Door, l.Panel = b.latest, b.matcher, b.record, b.door, b.panel
	l.Camera = func() error { b.mu.Lock(); defer b.mu.Unlock(); return b.camera }
	l.Lockout = &attempt.Lockout{Store: b.record, After: 5, Delay: 30 * time.Second, Max: 5 * time.Minute, Disable: 50, Block: 24 * time.Hour, Forget: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)}
	l.Policy = match.Policy{Accept: 0.45, Reject: 0.60}
	l.Deadline, l.Probes, l.Spacing, l.Fresh, l.Stalled = 8*time.Second, 3, 100*time.Millisecond, 500*time.Millisecond, 3*time.Second
	l.Authorise, l.Wait, l.PulseLength = attempt.Always, 5*time.Second, 800*time.Millisecond
	l.Phase = func(p attempt.Phase) { b.mu.Lock(); defer b.mu.Unlock(); b.phases = append(b.phases, p) }
	l.Hint = func(_ string, h attempt.Hint) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hints, b.hintAt = append(b.hints, h), append(b.hintAt, time.Now())
	}
	l.Outcome = func(e event.Event) { b.mu.Lock(); defer b.mu.Unlock(); b.told = append(b.told, e) }
	l.Log = slog.New(slog.DiscardHandler)
	b.line = l
	return b
}

// start runs the line and a camera of 30 frames a second until the test ends.
func (b *bench) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.line.Run(ctx) })
	wg.Go(func() { b.film(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func (b *bench) film(ctx context.Context) {
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-tick.C:
			if b.failing() == nil {
				b.latest.Put(capture.Frame{Seq: seq, Time: time.Now(), Format: capture.Grey})
			}
		case <-ctx.Done():
			return
		}
	}
}

// toldOf returns the events of a kind that the line has told of.
func (b *bench) toldOf(k event.Kind) []event.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.told), func(e event.Event) bool { return e.Kind != k })
}

func (b *bench) failing() error { b.mu.Lock(); defer b.mu.Unlock(); return b.camera }

func (b *bench) setCamera(err error) { b.mu.Lock(); defer b.mu.Unlock(); b.camera = err }

// attempt runs one attempt to its end.
func (b *bench) attempt(t *testing.T, r attempt.Request) event.Event {
	t.Helper()
	ticket, err := b.line.Start(t.Context(), r)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return <-ticket.Done
}

// matcher answers from a script.
type matcher struct {
	mu     sync.Mutex
	refuse error
	look   error
	flaws  []attempt.Flaw                // one a frame, the last repeated
	scores []match.Score                 // one a probe, the last repeated
	slow   time.Duration                 // each Look takes this long
	face   func(at time.Time) match.Face // its box and landmarks are those of the face; may be nil
	live   []float64                     // what a model says of each probe, the last repeated; may be empty
	probed int
	looked int
	scored int
	frames []capture.Frame
}

var _ attempt.Matcher = (*matcher)(nil)

func (m *matcher) Reference(context.Context, []byte) (attempt.Reference, error) {
	if m.refuse != nil {
		return attempt.Reference{}, m.refuse
	}
	return attempt.Reference{Template: match.Template{1}, Picture: []byte("id crop")}, nil
}

func (m *matcher) Look(ctx context.Context, f capture.Frame) (attempt.Look, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-time.After(m.slow):
	case <-ctx.Done():
		return attempt.Look{}, context.Cause(ctx)
	}
	if m.look != nil {
		return attempt.Look{}, m.look
	}
	m.frames = append(m.frames, f)
	var flaw attempt.Flaw
	if len(m.flaws) > 0 {
		flaw = m.flaws[min(m.looked, len(m.flaws)-1)]
	}
	m.looked++
	sharpness := []float64{5, 9, 7}[m.looked%3]
	var face match.Face
	if m.face != nil {
		face = m.face(f.Time)
	}
	return attempt.Look{Box: face.Box, Points: face.Points,
		Flaw: flaw, Template: match.Template{2}, Gates: map[string]float64{"size": 200, "sharpness": sharpness},
		Picture: fmt.Appendf(nil, "live crop %v", sharpness),
	}, nil
}

func (m *matcher) Probe(ctx context.Context, f capture.Frame) (attempt.Look, error) {
	look, err := m.Look(ctx, f)
	if len(m.live) > 0 && look.Flaw == "" {
		look.Live = m.live[min(m.probed, len(m.live)-1)]
	}
	m.probed++
	return look, err
}

func (m *matcher) Score(match.Template, match.Template) match.Score {
	s := m.scores[min(m.scored, len(m.scores)-1)]
	m.scored++
	return s
}

func (m *matcher) Model() match.ModelID {
	return match.ModelID{Engine: "fake", Name: "fake", SHA256: "0123456789abcdef"}
}

type failure struct {
	count       int
	last, until time.Time
}

// diskTakes is how long a record takes to write an event: a door that does
// not wait for it moves before.
const diskTakes = 3 * time.Millisecond

// record is a journal in memory that can fail.
type record struct {
	mu      sync.Mutex
	begin   error
	onBegin func()
	fail    error // of Append
	start   error // of StartPulse

	takes, pulseTakes time.Duration // of each write, and of StartPulse besides

	events   []event.Event
	begun    []string
	pulses   []string
	failures map[string]failure
}

var (
	_ attempt.Record   = (*record)(nil)
	_ attempt.Failures = (*record)(nil)
)

func (r *record) Begin(_ context.Context, id, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, id)
	if r.onBegin != nil {
		r.onBegin()
	}
	return r.begin
}

// refuse makes every Append from now on fail.
func (r *record) refuse(err error) { r.mu.Lock(); defer r.mu.Unlock(); r.fail = err }

func (r *record) Append(ctx context.Context, e event.Event) (event.Event, error) {
	if ctx.Err() != nil {
		return e, ctx.Err()
	}
	time.Sleep(diskTakes + r.takes)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return e, r.fail
	}
	e.Seq = uint64(len(r.events) + 1)
	r.events = append(r.events, e)
	return e, nil
}

func (r *record) StartPulse(_ context.Context, id string, length time.Duration) (event.Event, error) {
	time.Sleep(diskTakes + r.takes + r.pulseTakes)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start != nil {
		return event.Event{}, r.start
	}
	r.pulses = append(r.pulses, id)
	e := event.Event{Kind: event.KindAccess, AttemptID: id, AccessEvent: &event.AccessEvent{Fact: event.PulseStarted, CommandedMS: length.Milliseconds()}}
	e.Seq = uint64(len(r.events) + 1)
	r.events = append(r.events, e)
	return e, nil
}

func (r *record) Failures(ctx context.Context, key string) (int, time.Time, time.Time, error) {
	if ctx.Err() != nil {
		return 0, time.Time{}, time.Time{}, ctx.Err()
	}
	f := r.failures[key]
	return f.count, f.last, f.until, nil
}

func (r *record) SetFailures(_ context.Context, key string, count int, last, until time.Time) error {
	r.failures[key] = failure{count, last, until}
	return nil
}

func (r *record) ClearFailures(_ context.Context, key string) error {
	delete(r.failures, key)
	return nil
}

// outcomes returns the attempt events in the journal.
func (r *record) outcomes() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []event.Event
	for _, e := range r.events {
		if e.Kind == event.KindAttempt {
			out = append(out, e)
		}
	}
	return out
}

// door notes each pulse and what the journal held when it began.
type door struct {
	record *record
	pulses []int // events in the journal at the start of each pulse
	err    error
}

func (d *door) Pulse(ctx context.Context, length time.Duration) (time.Duration, error) {
	d.record.mu.Lock()
	d.pulses = append(d.pulses, len(d.record.events))
	d.record.mu.Unlock()
	if d.err != nil {
		return 0, d.err
	}
	began := time.Now()
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
	return time.Since(began), nil
}

type panel struct{ pressed chan struct{} }

func (p *panel) Wait(ctx context.Context) error {
	select {
	case <-p.pressed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var (
	errFake = errors.New("scripted")
	notANum = match.Score(math.NaN())
)
