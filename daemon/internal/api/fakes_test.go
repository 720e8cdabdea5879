package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// journalled fills what the journal fills.
func journalled(e event.Event, seq int) event.Event {
	e.V, e.Seq, e.Stamp = event.Version, uint64(seq), eventtest.Stamp(seq)
	e.JournalID, e.Site, e.Device = "QF3ZB6T5N7H2MJ4KXW6ACD7LYE", "hq", "gate-1"
	return e
}

// A line is a Starter whose attempts end when the test says so.
type line struct {
	requests chan attempt.Request // of attempts that were started

	// mu guards the following
	mu        sync.Mutex
	err       error // returned by Start
	n         int
	done      chan event.Event
	cancelled []string
	cancelErr error
}

var _ api.Starter = (*line)(nil)

func newLine() *line { return &line{requests: make(chan attempt.Request, 16)} }

func (l *line) Start(_ context.Context, r attempt.Request) (attempt.Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return attempt.Ticket{}, l.err
	}
	l.n++
	l.done = make(chan event.Event, 1)
	l.requests <- r
	return attempt.Ticket{ID: eventtest.AttemptID(l.n), Done: l.done}, nil
}

func (l *line) Cancel(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancelled = append(l.cancelled, id)
	return l.cancelErr
}

func (l *line) refuseWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.cancelErr = err, err
}

// end ends the latest attempt with a match and returns the outcome.
func (l *line) end() event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := journalled(eventtest.Match(eventtest.AttemptID(l.n)), l.n)
	l.done <- e
	return e
}

// A bench is a server with fakes around it.
type bench struct {
	line    *line
	server  *api.Server
	uploads *api.Uploads
	url     string
	client  *http.Client
	missing []api.Missing
	refused chan string
	stop    func() error // stops the server and waits for it
}

func parts(b *bench) api.Parts {
	return api.Parts{
		Line: b.line, Enabled: true, MayOpen: true, Uploads: b.uploads,
		Ready:   func(context.Context) []api.Missing { return b.missing },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "facegate_up 1\n") }),
		Refused: func(code string) { b.refused <- code },
		Log:     slog.New(slog.DiscardHandler),
	}
}

// serve starts a server on the given listener.
func serve(t *testing.T, l *api.Listener, set func(*api.Parts)) *bench {
	t.Helper()
	b := &bench{line: newLine(), uploads: api.NewUploads(), client: &http.Client{}, refused: make(chan string, 64)}
	p := parts(b)
	if set != nil {
		set(&p)
	}
	b.server = api.New(p)
	b.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.server.Serve(ctx, l) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		if err := b.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return b
}

// loopback starts a server on a free port.
func loopback(t *testing.T, set func(*api.Parts)) *bench {
	t.Helper()
	l, err := api.Listen(t.Context(), config.HTTP{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, set)
}

// An answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem returns the code and the field of an error, which must have the one
// shape that errors have.
func (a answer) problem(t *testing.T) (code, field string) {
	t.Helper()
	var got struct {
		Error struct{ Code, Message, Field string }
	}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil || got.Error.Message == "" {
		t.Errorf("not an error with a message: %v: %s", err, a.body)
	}
	return got.Error.Code, got.Error.Field
}

// text returns a string from a JSON answer.
func (a answer) text(t *testing.T, name string) string {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(a.body, &got); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	s, _ := got[name].(string)
	return s
}

func (b *bench) do(t *testing.T, method, path, media, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

func (b *bench) json(t *testing.T, path, body string) answer {
	t.Helper()
	return b.do(t, http.MethodPost, path, "application/json", body)
}

// form returns a multipart body of names and values, and its media type.
func form(t *testing.T, pairs ...string) (body, media string) {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for i := 0; i < len(pairs); i += 2 {
		part, err := w.CreateFormFile(pairs[i], "scan.jpg")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String(), w.FormDataContentType()
}

// A stream is an open event stream.
type stream struct {
	*bufio.Scanner
	close func()
}

func (b *bench) follow(t *testing.T) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("status %d, type %s", resp.StatusCode, got)
	}
	s := &stream{bufio.NewScanner(resp.Body), func() { _ = resp.Body.Close() }}
	s.Scan() // the first line says that the server is following
	return s
}

// next returns the name and the data of the next event, empty at the end.
func (s *stream) next() (name string, data []byte) {
	for s.Scan() {
		line := s.Text()
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			name = v
		}
		if v, ok := strings.CutPrefix(line, "data: "); ok {
			return name, []byte(v)
		}
	}
	return "", nil
}

// within fails t unless f returns in time.
func within(t *testing.T, most time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > most {
		t.Errorf("took %v, want at most %v", took, most)
	}
}
