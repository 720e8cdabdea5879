// Package wiretest is the other end of the wire, for tests of clients of
// compare services: a service on this machine that follows a handler and keeps
// what it was sent, pictures to send, ways to break a line, and what a failure
// must and must not tell.
//
//	s := wiretest.Serve(t, wiretest.Say(200, `{"confidence":97}`))
//	got, err := wiretest.Ask(t, &deepidv.Client{HTTP: wiretest.Client(t, wire.Network{}), BaseURL: s.URL, …})
//	sent := s.Requests()[0].Data
//
// A service with states, budgets and a script of its own is match/cloud/sim;
// a cloud.Provider without a wire is in match/cloud/cloudtest.
package wiretest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/facegate/facegate/match/cloud/wire"
)

// A Request is one that a Service got.
type Request struct {
	*http.Request
	Data []byte // the whole body
}

// A Service answers as a handler says and keeps what it was sent.
type Service struct {
	*httptest.Server

	mu sync.Mutex
	// mu guards the following
	seen []Request
}

// Serve starts a service that ends with the test. A request whose body arrived
// whole is kept and handed to the handler, which can read the body again. A
// body without its length is an error of the test: services refuse it.
func Serve(t testing.TB, handler http.HandlerFunc) *Service {
	t.Helper()
	s := &Service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client hung up
		}
		if int64(len(data)) != r.ContentLength {
			t.Errorf("%s %s: %d bytes with a Content-Length of %d", r.Method, r.URL.Path, len(data), r.ContentLength)
		}
		r.Body = io.NopCloser(bytes.NewReader(data))
		s.mu.Lock()
		s.seen = append(s.seen, Request{r, data})
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// Requests returns those that arrived so far, the oldest first.
func (s *Service) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Say returns a handler that answers with a literal: JSON, unless it begins as
// a page or the header already says what it is.
func Say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if w.Header().Get("Content-Type") == "" && !strings.HasPrefix(body, "<") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// SayWait is Say with a Retry-After header, if wait is not empty.
func SayWait(status int, body, wait string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if wait != "" {
			w.Header().Set("Retry-After", wait)
		}
		Say(status, body)(w, r)
	}
}

// A Transport answers requests without a network.
type Transport func(*http.Request) (*http.Response, error)

var _ http.RoundTripper = Transport(nil)

// RoundTrip implements http.RoundTripper.
func (f Transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Canned returns a Transport that answers everything with what status and body
// point to at the time.
func Canned(status *int, body *string) Transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: *status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(*body)), Request: r}, nil
	}
}

// Client returns the network's HTTP client, whose connections end with the
// test.
func Client(t testing.TB, n wire.Network) *http.Client {
	t.Helper()
	c, err := n.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// File returns the path of a new file that holds the text and is gone after
// the test.
func File(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
