package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// used returns metrics in which every series has been touched.
func used() *Metrics {
	m := New("v1.2.3", func() Reading {
		return Reading{
			Cameras: map[string]Camera{"live": {Up: true, Frames: 300, Skipped: 2, Newest: time.Now().Add(-2 * time.Second)}, "document": {}},
			Journal: Journal{Seq: 41, Pending: 3, Bytes: 8192},
			MQTT:    MQTT{Connected: true, Published: 38},
			Paused:  map[string]bool{"deepidv": true, "argos": false},
		}
	})
	id := eventtest.AttemptID(1)
	m.Event(eventtest.Match(id))
	other := eventtest.NoMatch(id)
	other.Attempt.Cloud = &event.Cloud{Why: "unsure", Verdict: "unsure", Failure: "budget", Calls: 2, SentBytes: 4000}
	m.Event(other)
	ended := eventtest.Access(id, event.PulseEnded)
	ended.MeasuredMS = 2999
	m.Event(ended)
	m.Event(event.Event{Kind: event.KindGap, Gap: &event.Gap{From: 5, To: 9, Undelivered: 4, Cause: event.CauseBytes}})
	m.Refused("inbox", "busy")
	m.EngineFault()
	return m
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestScrape(t *testing.T) {
	body := scrape(t, used())
	lines := strings.Split(body, "\n")
	for _, want := range []string{
		`facegate_attempts_total{decision="match",reason="ok",source="http"} 1`,
		`facegate_attempts_total{decision="no_match",reason="below_threshold",source="http"} 1`,
		`facegate_attempts_refused_total{cause="busy",source="inbox"} 1`,
		`facegate_attempt_stage_seconds_bucket{stage="id",le="0.1"} 2`,
		`facegate_attempt_stage_seconds_bucket{stage="id",le="0.05"} 0`,
		`facegate_attempt_stage_seconds_count{stage="total"} 2`,
		`facegate_attempt_access_total{access="granted"} 1`,
		`facegate_attempt_access_total{access="denied"} 0`,
		`facegate_door_facts_total{fact="pulse_ended"} 1`,
		`facegate_door_facts_total{fact="pulse_failed"} 0`,
		`facegate_door_pulse_seconds_sum 2.999`,
		`facegate_events_dropped_total 4`,
		`facegate_engine_faults_total 1`,
		`facegate_camera_up{camera="live"} 1`,
		`facegate_camera_up{camera="document"} 0`,
		`facegate_camera_frames_total{camera="live"} 300`,
		`facegate_camera_skipped_frames_total{camera="live"} 2`,
		`facegate_journal_seq 41`,
		`facegate_journal_pending_events 3`,
		`facegate_journal_size_bytes 8192`,
		`facegate_mqtt_connected 1`,
		`facegate_mqtt_published_total 38`,
		`facegate_cloud_attempts_total{result="budget",why="unsure"} 1`,
		`facegate_cloud_calls_total 2`,
		`facegate_cloud_sent_bytes_total 4000`,
		`facegate_cloud_paused{provider="deepidv"} 1`,
		`facegate_cloud_paused{provider="argos"} 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
	if !regexp.MustCompile(`(?m)^facegate_camera_frame_age_seconds\{camera="live"\} 2\.`).MatchString(body) {
		t.Error("age of the live camera's frame is not 2 s")
	}
	if strings.Contains(body, `age_seconds{camera="document"}`) {
		t.Error("a camera without a frame has an age")
	}
	for _, want := range []string{`facegate_build_info{goversion="go`, `version="v1.2.3"} 1`, "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestNamesFollowPrometheus(t *testing.T) {
	problems, err := testutil.GatherAndLint(used().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A metric that nobody can look up is of no use to an operator.
func TestDocsListEveryMetric(t *testing.T) {
	families, err := used().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "facegate_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		got[f.GetName()] = fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	text, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "| `facegate_"); ok {
			name, _, _ = strings.Cut(name, "`")
			want["facegate_"+name] = strings.Join(strings.Fields(line), " ")
		}
	}
	for name, row := range got {
		got[name] = strings.Join(strings.Fields(row), " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-) and the program (+) differ:\n%s", diff)
	}
}
