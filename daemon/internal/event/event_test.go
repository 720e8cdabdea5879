package event_test

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/docs/schema"
)

// published returns e as the journal would complete it.
func published(e event.Event) event.Event {
	e.V, e.Seq, e.JournalID, e.Site, e.Device = event.Version, 7, strings.Repeat("A", 26), "hq", "gate-1"
	e.Stamp = eventtest.Stamp(0)
	return e
}

func marshal(t *testing.T, e event.Event) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gap() event.Event {
	return event.Event{Kind: event.KindGap, Gap: &event.Gap{From: 3, To: 5, Undelivered: 3, Cause: event.CauseAge}}
}

// byCloud returns an attempt that a compare service decided.
func byCloud(id string) event.Event {
	e := eventtest.Match(id)
	score, accept, reject := 96.4, 90.0, 60.0
	e.Route, e.Cloud = "cloud", &event.Cloud{
		Why: "unsure", Verdict: "match", Provider: "deepidv", Score: &score, Accept: &accept, Reject: &reject, Calls: 1, SentBytes: 52_000,
	}
	return e
}

func TestEventsFollowTheSchemaAndSurviveJSON(t *testing.T) {
	id := eventtest.AttemptID(1)
	ended := eventtest.Access(id, event.PulseEnded)
	ended.AccessEvent.CommandedMS, ended.AccessEvent.MeasuredMS = 3000, 3001.2
	for _, e := range []event.Event{
		eventtest.Match(id), eventtest.NoMatch(id), byCloud(id), ended, eventtest.Access(id, event.PulseStarted), gap(),
	} {
		if err := e.Check(); err != nil {
			t.Errorf("check of %s: %v", e.Kind, err)
		}
		want := published(e)
		body := marshal(t, want)
		eventtest.Validate(t, body)

		var got event.Event
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s after JSON (-want +got):\n%s", e.Kind, d)
		}
	}
}

// byModel is the verdict of a model that has to say 0.5.
func byModel(score float64, verdict string) *event.PAD {
	accept := 0.5
	return &event.PAD{Kind: event.Model, Score: &score, Accept: &accept, Verdict: verdict}
}

func TestPADAsPublished(t *testing.T) {
	turned := byModel(0.9, "passed")
	turned.Kind, turned.Side = event.Turn, "right"
	for name, p := range map[string]*event.PAD{
		"turn": {Kind: event.Turn, Side: "left", Verdict: "passed"}, "model": byModel(0.9, "passed"), "both": turned,
		"nothing like a person": byModel(0, "passed"),
	} {
		e := eventtest.Match(eventtest.AttemptID(1))
		e.PAD = p
		if err := e.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		eventtest.Validate(t, marshal(t, published(e)))
	}
}

func TestCheckAndSchemaRefuseTheSame(t *testing.T) {
	id := eventtest.AttemptID(1)
	attempt := func(change func(e *event.Event)) event.Event {
		e := eventtest.Match(id)
		change(&e)
		return e
	}
	for name, e := range map[string]event.Event{
		"no part":               {Kind: event.KindAttempt, AttemptID: id},
		"part of another kind":  attempt(func(e *event.Event) { e.Kind = event.KindAccess }),
		"unknown kind":          attempt(func(e *event.Event) { e.Kind = "other" }),
		"two parts":             attempt(func(e *event.Event) { e.AccessEvent = &event.AccessEvent{Fact: event.PulseEnded} }),
		"no id":                 attempt(func(e *event.Event) { e.AttemptID = "" }),
		"small id":              attempt(func(e *event.Event) { e.AttemptID = strings.ToLower(id) }),
		"id beyond 128 bits":    attempt(func(e *event.Event) { e.AttemptID = "8" + id[1:] }),
		"unknown decision":      attempt(func(e *event.Event) { e.Decision = "maybe" }),
		"unknown reason":        attempt(func(e *event.Event) { e.Reason = "" }),
		"unknown source":        attempt(func(e *event.Event) { e.Source = "fax" }),
		"unknown route":         attempt(func(e *event.Event) { e.Route = "fax" }),
		"cloud without cloud":   attempt(func(e *event.Event) { e.Route = "cloud" }),
		"cloud without decider": attempt(func(e *event.Event) { e.Route, e.Cloud = "cloud", &event.Cloud{Why: "unsure", Verdict: "match"} }),
		"unknown failure": attempt(func(e *event.Event) {
			e.Cloud = &event.Cloud{Why: "unsure", Verdict: "unsure", Failure: "rain"}
		}),
		"unknown kind of pad": attempt(func(e *event.Event) { e.PAD = &event.PAD{Kind: "blink", Side: "left", Verdict: "passed"} }),
		"pad to no side":      attempt(func(e *event.Event) { e.PAD = &event.PAD{Kind: event.Turn, Side: "none", Verdict: "passed"} }),
		"unknown pad verdict": attempt(func(e *event.Event) { e.PAD = &event.PAD{Kind: event.Turn, Side: "left", Verdict: "open"} }),
		"model to a side":     attempt(func(e *event.Event) { e.PAD = byModel(0.9, "passed"); e.PAD.Side = "left" }),
		"model without score": attempt(func(e *event.Event) { e.PAD = &event.PAD{Kind: event.Model, Verdict: "passed"} }),
		"model beyond one":    attempt(func(e *event.Event) { e.PAD = byModel(1.1, "passed") }),
		"turn of a model": attempt(func(e *event.Event) {
			e.Decision, e.Reason, e.Access = event.DecisionNoMatch, event.PADFailed, event.NotAttempted
			e.PAD = byModel(0.9, "flat")
		}),
		"model's turn": attempt(func(e *event.Event) {
			e.Decision, e.Reason, e.Access = event.DecisionNoMatch, event.PADFailed, event.NotAttempted
			e.PAD = &event.PAD{Kind: event.Turn, Side: "left", Verdict: "not_live"}
		}),
		"match of a model's": attempt(func(e *event.Event) { e.PAD = byModel(0.1, "not_live") }),
		"match of a picture": attempt(func(e *event.Event) { e.PAD = &event.PAD{Kind: event.Turn, Side: "left", Verdict: "flat"} }),
		"pad failed without pad": attempt(func(e *event.Event) {
			e.Decision, e.Reason, e.Access = event.DecisionNoMatch, event.PADFailed, event.NotAttempted
		}),
		"unknown access":        attempt(func(e *event.Event) { e.Access = "" }),
		"granted without match": attempt(func(e *event.Event) { e.Decision = event.DecisionUnsure }),
		"granted against rule":  attempt(func(e *event.Event) { e.Reason = event.NotAuthorised }),
		"long subject":          attempt(func(e *event.Event) { e.SubjectRef = strings.Repeat("x", event.MaxSubjectRef+1) }),
		"negative count":        attempt(func(e *event.Event) { e.FramesUsed = -1 }),
		"no false matches":      attempt(func(e *event.Event) { e.FMR = new(float64) }),
		"only false matches":    attempt(func(e *event.Event) { e.FMR = pointer(1.01) }),
		"rate of no score":      attempt(func(e *event.Event) { e.FMR, e.Score = pointer(0.01), nil }),
		"negative distance":     attempt(func(e *event.Event) { e.Accept = -0.1 }),
		"access without id":     eventtest.Access("", event.PulseEnded),
		"unknown fact":          eventtest.Access(id, "door_forced"),
		"negative pulse": {Kind: event.KindAccess, AttemptID: id, AccessEvent: &event.AccessEvent{
			Fact: event.PulseEnded, CommandedMS: -1}},
		"gap with id":     {Kind: event.KindGap, AttemptID: id, Gap: gap().Gap},
		"gap from 0":      {Kind: event.KindGap, Gap: &event.Gap{To: 4, Undelivered: 1, Cause: "age"}},
		"gap of nothing":  {Kind: event.KindGap, Gap: &event.Gap{From: 1, To: 4, Cause: "age"}},
		"gap of no cause": {Kind: event.KindGap, Gap: &event.Gap{From: 1, To: 4, Undelivered: 1}},
	} {
		if e.Check() == nil {
			t.Errorf("%s: check says nothing", name)
		}
		if eventtest.Err("event", marshal(t, published(e))) == nil {
			t.Errorf("%s: the schema says nothing", name)
		}
	}
}

func pointer(v float64) *float64 { return &v }

func TestCheckRefusesNumbersThatJSONCannotWrite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		e := eventtest.Match(eventtest.AttemptID(1))
		e.Score = &bad
		if e.Check() == nil {
			t.Errorf("check of a score of %v says nothing", bad)
		}
	}
}

func TestSchemaRefusesUnknownFields(t *testing.T) {
	body := string(marshal(t, published(gap())))
	body = strings.Replace(body, `"from"`, `"name":"somebody","from"`, 1)
	if eventtest.Err("event", []byte(body)) == nil {
		t.Errorf("the schema accepts a field it does not name: %s", body)
	}
}

// object is the part of a JSON Schema that the tests look at.
type object struct {
	Required   []string
	Properties map[string]struct{ Enum []string }
	Defs       map[string]object `json:"$defs"`
}

func readSchema(t *testing.T, name string) object {
	t.Helper()
	text, err := schema.File(name)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func words[T ~string](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

func TestEnumsEqualTheSchema(t *testing.T) {
	s := readSchema(t, "event")
	attempt, access, gap := s.Defs["attempt"].Properties, s.Defs["access"].Properties, s.Defs["gap"].Properties
	for _, c := range []struct {
		name     string
		ours     []string
		schema   []string
		typeName string
	}{
		{"kind", words(event.Kinds()), s.Properties["kind"].Enum, "Kind"},
		{"decision", words(event.Decisions()), attempt["decision"].Enum, "Decision"},
		{"reason", words(event.Reasons()), attempt["reason"].Enum, "Reason"},
		{"access", words(event.Accesses()), attempt["access"].Enum, "Access"},
		{"fact", words(event.AccessFacts()), access["fact"].Enum, "AccessFact"},
		{"source", event.Sources(), attempt["source"].Enum, ""},
		{"route", event.Routes(), attempt["route"].Enum, ""},
		{"cause", event.Causes(), gap["cause"].Enum, ""},
	} {
		if d := cmp.Diff(c.ours, c.schema); d != "" {
			t.Errorf("%s (-go +schema):\n%s", c.name, d)
		}
		if c.typeName == "" {
			continue
		}
		if d := cmp.Diff(constants(t, c.typeName), sorted(c.ours)); d != "" {
			t.Errorf("%s (-constants +list):\n%s", c.name, d)
		}
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// constants returns the values of the constants of a type in event.go, so
// that one added there and forgotten in the lists is found.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +`+typeName+` += "(\w+)"`).FindAllSubmatch(source, -1) {
		out = append(out, string(m[1]))
	}
	return sorted(out)
}

// fields returns the JSON names of a struct and those that are always there.
func fields(v any) (all, always []string) {
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		all = append(all, name)
		if options != "omitempty" {
			always = append(always, name)
		}
	}
	return all, always
}

func TestFieldsEqualTheSchema(t *testing.T) {
	s := readSchema(t, "event")
	head, headAlways := fields(event.Event{})
	stamp, stampAlways := fields(event.Stamp{})
	head = slices.DeleteFunc(head, func(f string) bool { return f == "attempt_id" })
	attempt, attemptAlways := fields(event.Attempt{})
	access, accessAlways := fields(event.AccessEvent{})
	gap, gapAlways := fields(event.Gap{})
	id := []string{"attempt_id"}
	for _, c := range []struct {
		name        string
		all, always []string
		schema      object
	}{
		{"event", slices.Concat(head, stamp), slices.Concat(headAlways, stampAlways), s},
		{"attempt", slices.Concat(id, attempt), slices.Concat(id, attemptAlways), s.Defs["attempt"]},
		{"access", slices.Concat(id, access), slices.Concat(id, accessAlways), s.Defs["access"]},
		{"gap", gap, gapAlways, s.Defs["gap"]},
	} {
		var names []string
		for name := range c.schema.Properties {
			names = append(names, name)
		}
		if d := cmp.Diff(sorted(c.all), sorted(names)); d != "" {
			t.Errorf("fields of %s (-go +schema):\n%s", c.name, d)
		}
		if d := cmp.Diff(sorted(c.always), sorted(c.schema.Required)); d != "" {
			t.Errorf("required fields of %s (-go +schema):\n%s", c.name, d)
		}
	}
}

func TestDocumentedExamplesFollowTheirSchemas(t *testing.T) {
	text, err := os.ReadFile("../../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, m := range regexp.MustCompile("(?s)```json (\\w+)\n(.*?)```").FindAllSubmatch(text, -1) {
		name := string(m[1])
		seen[name]++
		eventtest.ValidateAs(t, name, m[2])
	}
	want := map[string]int{"event": 3, "status": 1, "info": 1, "health": 1, "last": 1, "error": 1, "progress": 1, "command": 1, "response": 1}
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("examples in docs/events.md (-want +got):\n%s", d)
	}
	for _, o := range []object{readSchema(t, "event"), readSchema(t, "event").Defs["attempt"],
		readSchema(t, "event").Defs["access"], readSchema(t, "event").Defs["gap"]} {
		for name, p := range o.Properties {
			for _, word := range append(p.Enum, name) {
				if !strings.Contains(string(text), "`"+word+"`") {
					t.Errorf("docs/events.md does not explain `%s`", word)
				}
			}
		}
	}
}

func TestTimeIsUTCWithMilliseconds(t *testing.T) {
	zone := time.FixedZone("east", 2*3600)
	at := event.Time{Time: time.Date(2026, 3, 1, 10, 0, 0, 5_999_999, zone)}
	const want = "2026-03-01T08:00:00.005Z"
	if b, err := at.MarshalText(); err != nil || string(b) != want {
		t.Errorf("text of %v = %s, %v, want %s", at, b, err, want)
	}
	if b, err := json.Marshal(at); err != nil || string(b) != `"`+want+`"` {
		t.Errorf("JSON of %v = %s, %v, want %q", at, b, err, want)
	}
}
