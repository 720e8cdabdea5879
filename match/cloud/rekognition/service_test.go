package rekognition_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire"
)

const (
	accessKeyID     = "AKIDEXAMPLE"
	secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// A request is one that a test's server got.
type request struct {
	*http.Request
	body []byte
}

// A service answers as a test says and keeps what it was sent.
type service struct {
	*httptest.Server

	// mu guards the following
	mu   sync.Mutex
	seen []request
}

func serve(t *testing.T, answer http.HandlerFunc) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client hung up
		}
		s.mu.Lock()
		s.seen = append(s.seen, request{r, body})
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// says answers everything with one body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func secret(t testing.TB, text string) wire.Secret {
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return wire.Secret(name)
}

func settings(t testing.TB, address string) rekognition.Settings {
	client, err := wire.Network{}.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return rekognition.Settings{
		HTTP:     client,
		Region:   "eu-central-1",
		Keys:     rekognition.Keys{AccessKeyID: secret(t, accessKeyID), SecretAccessKey: secret(t, secretAccessKey)},
		Endpoint: address,
	}
}

func client(t testing.TB, s rekognition.Settings) *rekognition.Client {
	c, err := rekognition.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func question() cloud.Question {
	return cloud.Question{Live: []byte("\xff\xd8live"), ID: []byte("\xff\xd8id")}
}

func ask(t testing.TB, c *rekognition.Client) (cloud.Answer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Compare(ctx, question())
}

func failureOf(t testing.TB, err error) *cloud.Failure {
	t.Helper()
	f, ok := errors.AsType[*cloud.Failure](err)
	if !ok {
		t.Fatalf("error %v is not a failure", err)
	}
	if f.Provider != "rekognition" {
		t.Errorf("provider %q, want rekognition", f.Provider)
	}
	return f
}

// signature computes what Authorization must hold, from what the server got,
// by the rules of Signature Version 4.
func signature(r request, host, secret string) (given, want string) {
	field := func(name string) string {
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return value
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(field("SignedHeaders"), ";") {
		value := strings.TrimSpace(strings.Join(r.Header.Values(name), ","))
		switch name {
		case "host":
			value = host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), field("SignedHeaders"), sum(r.body)}, "\n")
	scope := strings.SplitN(field("Credential"), "/", 2)[1]
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, sum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return field("Signature"), hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
