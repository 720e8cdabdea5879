// Package eventtest holds events to the published schema, in tests.
package eventtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/docs/schema"
)

// BootID is a well-formed boot id.
const BootID = "6f1c2a34-9b0d-4c55-8a1e-0d9f3b7c2e11"

// Validate fails t unless body is one event as published.
func Validate(t testing.TB, body []byte) {
	t.Helper()
	ValidateAs(t, "event", body)
}

// ValidateAs fails t unless body follows the schema called name, see [Err].
func ValidateAs(t testing.TB, name string, body []byte) {
	t.Helper()
	if err := Err(name, body); err != nil {
		t.Errorf("%s does not follow its schema: %v\n%s", name, err, body)
	}
}

// Err returns in which way body breaks the schema called name, or nil. The
// name is one that [schema.File] knows, or command/ and a verb.
func Err(name string, body []byte) error {
	file, verb, part := strings.Cut(name, "/")
	address := schema.Base + file + ".schema.json"
	if part {
		address += "#/$defs/" + verb
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(published{})
	s, err := c.Compile(address)
	if err != nil {
		return fmt.Errorf("compile schema %s: %w", name, err)
	}

	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return s.Validate(value)
}

// published loads schemas by their public addresses, from the program.
type published struct{}

// Load implements jsonschema.URLLoader.
func (published) Load(address string) (any, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(address, schema.Base), ".schema.json")
	text, err := schema.File(name)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// AttemptID returns the n-th of a row of well-formed attempt ids.
func AttemptID(n int) string { return fmt.Sprintf("01K%023d", n) }

// Stamp returns a well-formed stamp, n seconds after a fixed time.
func Stamp(n int) event.Stamp {
	return event.Stamp{
		BootID:      BootID,
		Time:        event.Time{Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)},
		MonoMS:      int64(60_000 + 1000*n),
		ClockSynced: true,
	}
}

// Match returns the event of an attempt that matched and was let through, as
// it is before the journal takes it.
func Match(attemptID string) event.Event {
	score, fmr := 0.31, 1.6e-6
	return event.Event{
		Kind:      event.KindAttempt,
		AttemptID: attemptID,
		Attempt: &event.Attempt{
			Decision: event.DecisionMatch, Reason: event.OK, Source: "http", Route: "local", Access: event.Granted,
			Score: &score, FMR: &fmr, Scores: []float64{0.29, 0.31, 0.33}, Accept: 0.45, Reject: 0.60,
			Engine: "dlib", ModelID: "dlib@55533b28a958", FramesSeen: 9, FramesUsed: 3,
			Gates:   map[string]float64{"size": 184, "sharpness": 61.5, "luma": 122},
			StageMS: map[string]float64{"id": 84.2, "total": 412.9},
		},
	}
}

// NoMatch returns the event of an attempt by another person, as it is before
// the journal takes it.
func NoMatch(attemptID string) event.Event {
	e := Match(attemptID)
	score, fmr := 0.82, 0.64
	e.Attempt.Decision, e.Attempt.Reason, e.Attempt.Access = event.DecisionNoMatch, event.BelowThreshold, event.NotAttempted
	e.Attempt.Score, e.Attempt.FMR, e.Attempt.Scores = &score, &fmr, []float64{0.80, 0.82, 0.85}
	return e
}

// Access returns the event of a fact about the door, as it is before the
// journal takes it.
func Access(attemptID string, fact event.AccessFact) event.Event {
	return event.Event{Kind: event.KindAccess, AttemptID: attemptID, AccessEvent: &event.AccessEvent{Fact: fact}}
}
