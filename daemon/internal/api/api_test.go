package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// picture holds every pattern that base64 writes differently per alphabet.
var picture = strings.Repeat("\xff\xd8\xff\xfb\xef\xbe\x00", 30)[:200]

func TestPicturesArrive(t *testing.T) {
	b := loopback(t, nil)
	std := base64.StdEncoding.EncodeToString([]byte(picture))
	var lines strings.Builder
	for chunk := range slices.Chunk([]byte(std), 76) {
		lines.Write(chunk)
		lines.WriteString(`\r\n`)
	}
	multi, media := form(t, "id_photo", picture, "subject_ref", "card-7")
	tests := []struct{ name, media, body, ref string }{
		{"form", media, multi, "card-7"},
		{"base64", "application/json", `{"id_photo":"` + std + `","subject_ref":"card-7"}`, "card-7"},
		{"charset given", "application/json; charset=utf-8", `{"id_photo":"` + std + `"}`, ""},
		{"empty reference", "application/json", `{"id_photo":"` + std + `","subject_ref":""}`, ""},
		{"line breaks", "application/json", `{"id_photo":"` + lines.String() + `"}`, ""},
		{"other alphabet", "application/json", `{"id_photo":"` + base64.URLEncoding.EncodeToString([]byte(picture)) + `"}`, ""},
		{"no padding", "application/json", `{"id_photo":"` + base64.RawStdEncoding.EncodeToString([]byte(picture)) + `"}`, ""},
		{"other alphabet, no padding", "application/json", `{"id_photo":"` + base64.RawURLEncoding.EncodeToString([]byte(picture)) + `"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(t, http.MethodPost, "/v1/attempts", tt.media, tt.body)
			if got.status != http.StatusAccepted {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			id := got.text(t, "attempt_id")
			if want := "/v1/attempts/" + id; id == "" || got.header.Get("Location") != want {
				t.Errorf("Location %q, want %q", got.header.Get("Location"), want)
			}
			r := <-b.line.requests
			if string(r.Picture) != picture {
				t.Errorf("the line got %x, want %x", r.Picture, picture)
			}
			if r.SubjectRef != tt.ref || r.Source != "http" || !r.MayOpen {
				t.Errorf("the line got ref %q, source %q, may open %v", r.SubjectRef, r.Source, r.MayOpen)
			}
			b.line.end()
		})
	}
}

func TestConsentArrives(t *testing.T) {
	b := loopback(t, nil)
	for _, tt := range []struct {
		body string
		want attempt.Consent
	}{
		{`{"id_photo":"AAAA"}`, attempt.Consent{}},
		{`{"id_photo":"AAAA","consent_cloud":"none"}`, attempt.Consent{}},
		{`{"id_photo":"AAAA","consent_cloud":"faces"}`, attempt.Consent{Faces: true}},
		{`{"id_photo":"AAAA","consent_cloud":"whole"}`, attempt.Consent{Faces: true, Whole: true}},
	} {
		b.json(t, "/v1/attempts", tt.body)
		if r := <-b.line.requests; r.Consent != tt.want {
			t.Errorf("%s: consent %+v, want %+v", tt.body, r.Consent, tt.want)
		}
		b.line.end()
	}
}

func TestMatchMayNotOpenUnlessConfigured(t *testing.T) {
	b := loopback(t, func(p *api.Parts) { p.MayOpen = false })
	b.json(t, "/v1/attempts", `{"id_photo":"AAAA"}`)
	if r := <-b.line.requests; r.MayOpen {
		t.Error("an attempt may open the door against the configuration")
	}
}

func TestWaitAnswersWithOutcome(t *testing.T) {
	b := loopback(t, nil)
	answers := make(chan answer)
	go func() { answers <- b.json(t, "/v1/attempts?wait=1", `{"id_photo":"AAAA"}`) }()
	<-b.line.requests
	state := b.do(t, http.MethodGet, "/v1/attempts/"+eventtest.AttemptID(1), "", "")
	if got := state.text(t, "state"); state.status == http.StatusOK && got != "under_way" {
		t.Errorf("state %q, want under_way", got)
	}
	b.line.end()
	got := <-answers
	if got.status != http.StatusOK || got.text(t, "attempt_id") != eventtest.AttemptID(1) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	eventtest.Validate(t, got.body)
}

// A client that leaves does not take the attempt with it.
func TestAttemptGoesOnWithoutItsClient(t *testing.T) {
	b := loopback(t, nil)
	s := b.follow(t)
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/attempts?wait=1", strings.NewReader(`{"id_photo":"AAAA"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	left := make(chan error)
	go func() {
		resp, err := b.client.Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		left <- err
	}()
	<-b.line.requests
	leave()
	if err := <-left; err == nil {
		t.Fatal("the client got an answer before it left")
	}
	b.line.end()
	name, data := s.next()
	if name != "attempt" {
		t.Fatalf("event %q, want attempt", name)
	}
	eventtest.Validate(t, data)
	got := b.do(t, http.MethodGet, "/v1/attempts/"+eventtest.AttemptID(1), "", "")
	if got.text(t, "state") != "ended" {
		t.Errorf("after the end: %s", got.body)
	}
	if len(b.line.cancelled) > 0 {
		t.Error("the attempt was cancelled")
	}
}

func TestRefusalsOfTheLine(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{attempt.ErrBusy, http.StatusConflict, "busy"},
		{attempt.ErrStopped, http.StatusServiceUnavailable, "stopping"},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "overloaded"},
		{http.ErrAbortHandler, http.StatusInternalServerError, "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			b := loopback(t, nil)
			b.line.refuseWith(tt.err)
			got := b.json(t, "/v1/attempts?wait=1", `{"id_photo":"AAAA"}`)
			if code, _ := got.problem(t); got.status != tt.status || code != tt.code {
				t.Errorf("got %d %s, want %d %s", got.status, code, tt.status, tt.code)
			}
			if again := got.header.Get("Retry-After"); tt.code == "busy" && again != "1" {
				t.Errorf("Retry-After %q, want 1", again)
			}
			if counted := <-b.refused; counted != tt.code {
				t.Errorf("counted as %q, want %q", counted, tt.code)
			}
		})
	}
}

func TestDisabledSourceTakesNoPicture(t *testing.T) {
	b := loopback(t, func(p *api.Parts) { p.Enabled = false })
	got := b.json(t, "/v1/attempts", `{"id_photo":"AAAA"}`)
	if code, _ := got.problem(t); got.status != http.StatusForbidden || code != "forbidden" {
		t.Errorf("got %d %s", got.status, code)
	}
	if len(b.line.requests) > 0 {
		t.Error("an attempt was started")
	}
}

func TestCancel(t *testing.T) {
	b := loopback(t, nil)
	id := b.json(t, "/v1/attempts", `{"id_photo":"AAAA"}`).text(t, "attempt_id")
	path := "/v1/attempts/" + id + "/cancel"
	if got := b.do(t, http.MethodPost, path, "", ""); got.status != http.StatusAccepted || got.text(t, "attempt_id") != id {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	if got := b.line.cancelled; !slices.Equal(got, []string{id}) {
		t.Errorf("cancelled %v, want %s", got, id)
	}
	b.server.Outcome(b.line.end())
	b.line.refuseWith(attempt.ErrNoAttempt)
	got := b.do(t, http.MethodPost, path, "", "")
	if code, _ := got.problem(t); got.status != http.StatusConflict || code != "ended" {
		t.Errorf("of an ended attempt: %d %s", got.status, code)
	}
	got = b.do(t, http.MethodPost, "/v1/attempts/"+eventtest.AttemptID(77)+"/cancel", "", "")
	if code, _ := got.problem(t); got.status != http.StatusNotFound || code != "not_found" {
		t.Errorf("of an unknown attempt: %d %s", got.status, code)
	}
}

// Attempts from other sources can be looked up as well, the last hundred.
func TestRecentAttemptsAreBounded(t *testing.T) {
	b := loopback(t, nil)
	for n := range 101 {
		b.server.Outcome(journalled(eventtest.NoMatch(eventtest.AttemptID(n)), n+1))
	}
	for n, want := range map[int]int{0: http.StatusNotFound, 1: http.StatusOK, 100: http.StatusOK} {
		if got := b.do(t, http.MethodGet, "/v1/attempts/"+eventtest.AttemptID(n), "", ""); got.status != want {
			t.Errorf("attempt %d: status %d, want %d", n, got.status, want)
		}
	}
}

func TestUploadIsUsedOnce(t *testing.T) {
	b := loopback(t, nil)
	body, media := form(t, "id_photo", picture)
	up := b.do(t, http.MethodPost, "/v1/uploads", media, body)
	id := up.text(t, "upload_id")
	expires, err := time.Parse(time.RFC3339, up.text(t, "expires_at"))
	if up.status != http.StatusCreated || id == "" || err != nil || time.Until(expires) > time.Minute {
		t.Fatalf("status %d, %v: %s", up.status, err, up.body)
	}
	use := fmt.Sprintf(`{"upload":%q,"subject_ref":"card-7"}`, id)
	if got := b.json(t, "/v1/attempts", use); got.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if r := <-b.line.requests; string(r.Picture) != picture || r.SubjectRef != "card-7" {
		t.Errorf("the line got %x, ref %q", r.Picture, r.SubjectRef)
	}
	got := b.json(t, "/v1/attempts", use)
	if code, field := got.problem(t); got.status != http.StatusNotFound || code != "not_found" || field != "upload" {
		t.Errorf("second use: %d %s %s", got.status, code, field)
	}
	for range 8 {
		if got := b.json(t, "/v1/uploads", `{"id_photo":"AAAA"}`); got.status != http.StatusCreated {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	got = b.json(t, "/v1/uploads", `{"id_photo":"AAAA"}`)
	if code, _ := got.problem(t); got.status != http.StatusServiceUnavailable || code != "overloaded" {
		t.Errorf("ninth upload: %d %s", got.status, code)
	}
}

func TestEventStream(t *testing.T) {
	b := loopback(t, nil)
	b.server.Phase(attempt.Idle)
	first, second := b.follow(t), b.follow(t)
	id := eventtest.AttemptID(5)
	outcome := journalled(eventtest.Match(id), 9)
	b.server.Phase(attempt.Busy)
	b.server.Hint(id, attempt.LookAtCamera)
	b.server.Outcome(outcome)
	b.server.Outcome(outcome) // as the line and a ticket both tell of it
	b.server.Outcome(journalled(eventtest.Access(id, event.PulseEnded), 10))
	for _, s := range []*stream{first, second} {
		for _, want := range []string{"phase", "phase", "hint", "attempt", "access"} {
			name, data := s.next()
			if name != want {
				t.Fatalf("event %q, want %q", name, want)
			}
			switch name {
			case "hint":
				eventtest.ValidateAs(t, "progress", data)
			case "attempt", "access":
				eventtest.Validate(t, data)
			}
		}
	}
	if got := b.do(t, http.MethodGet, "/v1/attempts/"+id, "", ""); got.text(t, "state") != "ended" {
		t.Errorf("state: %s", got.body)
	}
}

func TestEventStreamsAreBounded(t *testing.T) {
	b := loopback(t, nil)
	streams := make([]*stream, 16)
	for i := range streams {
		streams[i] = b.follow(t)
	}
	got := b.do(t, http.MethodGet, "/v1/events", "", "")
	if code, _ := got.problem(t); got.status != http.StatusServiceUnavailable || code != "overloaded" {
		t.Errorf("seventeenth follower: %d %s", got.status, code)
	}
}

func TestHealth(t *testing.T) {
	b := loopback(t, nil)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if got := b.do(t, http.MethodGet, path, "", ""); got.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := b.do(t, http.MethodHead, path, "", ""); got.status != http.StatusOK || len(got.body) != 0 {
			t.Errorf("HEAD %s: status %d, body %q", path, got.status, got.body)
		}
	}
	b.missing = []api.Missing{{Part: "camera", Why: "no frame for 4 s"}}
	got := b.do(t, http.MethodGet, "/readyz", "", "")
	want := `{"ready":false,"missing":[{"part":"camera","why":"no frame for 4 s"}]}`
	if got.status != http.StatusServiceUnavailable || strings.TrimSpace(string(got.body)) != want {
		t.Errorf("got %d %s, want %s", got.status, got.body, want)
	}
	if got := b.do(t, http.MethodGet, "/healthz", "", ""); got.status != http.StatusOK {
		t.Errorf("alive: status %d", got.status)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	b := loopback(t, nil)
	tests := []struct {
		method, path string
		status       int
		code         string
	}{
		{http.MethodGet, "/", http.StatusNotFound, "not_found"},
		{http.MethodGet, "/v1/attempts", http.StatusMethodNotAllowed, "method_not_allowed"},
		{http.MethodDelete, "/healthz", http.StatusMethodNotAllowed, "method_not_allowed"},
		{http.MethodGet, "//v1/../healthz", http.StatusNotFound, "not_found"},
		{http.MethodGet, "/v1/./events", http.StatusNotFound, "not_found"},
		{http.MethodGet, "/healthz/", http.StatusNotFound, "not_found"},
		{http.MethodGet, "/v1/attempts/none", http.StatusNotFound, "not_found"},
	}
	for _, tt := range tests {
		got := b.do(t, tt.method, tt.path, "", "")
		if code, _ := got.problem(t); got.status != tt.status || code != tt.code {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, got.status, code, tt.status, tt.code)
		}
	}
}

// Streams end at once; a client that waits gets the outcome if it comes.
func TestStopping(t *testing.T) {
	b := loopback(t, nil)
	s := b.follow(t)
	answers := make(chan answer, 1)
	go func() { answers <- b.json(t, "/v1/attempts?wait=1", `{"id_photo":"AAAA"}`) }()
	<-b.line.requests
	within(t, 2500*time.Millisecond, func() {
		stopped := make(chan error, 1)
		go func() { stopped <- b.stop() }()
		if name, _ := s.next(); name != "" {
			t.Errorf("event %q while stopping", name)
		}
		b.line.end()
		if got := <-answers; got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	if _, err := b.client.Get(b.url + "/healthz"); err == nil {
		t.Error("the server answers after it stopped")
	}
}
