package wire_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestExchange(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	}))
	defer server.Close()
	got, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), server.URL, "picture"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTeapot || string(got.Body) != "picture" || got.Sent != int64(len("picture")) {
		t.Errorf("Exchange() = %+v", got)
	}
	f := got.Failure("test", cloud.Throttled, "slow down")
	if f.RetryAfter != 7*time.Second || f.Error() != "test: throttled (HTTP 418): slow down" {
		t.Errorf("failure = %v after %v", f, f.RetryAfter)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		got, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), server.URL, "picture"))
		if err != nil || got.Status != status {
			t.Errorf("status %d: got %d, %v", status, got.Status, err)
		}
		server.Close()
	}
	if followed {
		t.Error("a picture went where the service did not ask the operator")
	}
}

func TestAnswerIsBounded(t *testing.T) {
	const limit = 1 << 20
	for name, c := range map[string]struct {
		size    int
		zipped  bool
		tooLong bool
	}{
		"at the limit":   {limit, false, false},
		"over the limit": {limit + 1, false, true},
		"packed bomb":    {64 * limit, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				var to io.Writer = w
				if c.zipped {
					w.Header().Set("Content-Encoding", "gzip")
					packer := gzip.NewWriter(w)
					defer func() { _ = packer.Close() }()
					to = packer
				}
				block := strings.Repeat("x", 1<<10)
				for n := c.size; n > 0; n -= len(block) {
					if _, err := io.WriteString(to, block[:min(n, len(block))]); err != nil {
						return
					}
				}
			}))
			defer server.Close()
			got, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), server.URL, ""))
			if !c.tooLong {
				if err != nil || len(got.Body) != c.size {
					t.Errorf("got %d bytes, %v", len(got.Body), err)
				}
				return
			}
			if f := wiretest.Failed(t, err, "test"); f.Kind != cloud.Server || f.Status != 200 || len(got.Body) != 0 {
				t.Errorf("got %d bytes, %v", len(got.Body), f)
			}
		})
	}
}

func TestCutOff(t *testing.T) {
	for name, cut := range map[string]http.HandlerFunc{
		"truncated": wiretest.Cut(`{"confidence":`),
		"reset":     wiretest.Reset,
		"closed":    wiretest.Close,
		"no HTTP":   func(w http.ResponseWriter, _ *http.Request) { wiretest.Raw(w, strings.Repeat("\x1bA", 300)+"\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(cut)
			defer server.Close()
			_, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), server.URL, "picture"))
			f := wiretest.Failed(t, err, "test")
			if f.Kind != cloud.Network || len(f.Error()) > 300 || strings.Contains(f.Error(), "\x1b") {
				t.Errorf("failure = %q", f)
			}
		})
	}
}

func TestSlowAnswerEndsWithTheContext(t *testing.T) {
	for name, part := range map[string]string{"no answer": "", "half an answer": `{"confidence":`} {
		t.Run(name, func(t *testing.T) {
			ctx, stall := wiretest.Stall(t, part)
			server := httptest.NewServer(stall)
			defer server.Close()
			_, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, ctx, server.URL, "picture"))
			if f := wiretest.Failed(t, err, "test"); f.Kind != cloud.Network || !errors.Is(f, wiretest.ErrLate) {
				t.Errorf("failure = %v", f)
			}
		})
	}
}

// twice sends a body again, as a transport does whose first connection was
// closed before it answered.
type twice struct{}

func (twice) RoundTrip(r *http.Request) (*http.Response, error) {
	again, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	var got []byte
	for _, body := range []io.ReadCloser{r.Body, again} {
		part, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		got = append(got, part...)
		_ = body.Close()
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(got))}, nil
}

func TestBodySentAgainCountsAgain(t *testing.T) {
	r := request(t, t.Context(), "http://127.0.0.1/", "picture")
	got, err := wire.Exchange(&http.Client{Transport: twice{}}, "test", r)
	if err != nil || string(got.Body) != "picturepicture" || got.Sent != int64(len(got.Body)) {
		t.Errorf("Exchange() = %+v, %v", got, err)
	}
}
