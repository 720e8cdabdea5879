package wiretest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// A poster is the least client: it posts a picture and takes any answer for a
// score of 1.
type poster struct{ address string }

var _ cloud.Provider = poster{}

func (p poster) Name() string { return "poster" }

func (p poster) Compare(ctx context.Context, q cloud.Question) (cloud.Answer, error) {
	c, err := wire.Network{}.Client()
	if err != nil {
		return cloud.Answer{}, err
	}
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address, strings.NewReader(string(q.Live)))
	if err != nil {
		return cloud.Answer{}, err
	}
	got, err := wire.Exchange(c, p.Name(), r)
	if err != nil {
		return cloud.Answer{Sent: got.Sent, Status: got.Status}, err
	}
	return cloud.Answer{Score: 1, Sent: got.Sent, Status: got.Status}, nil
}

func TestServiceKeepsWhatItWasSent(t *testing.T) {
	live := string(wiretest.Question().Live)
	s := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if again, err := io.ReadAll(r.Body); string(again) != live || err != nil {
			t.Errorf("the handler read %q, %v", again, err)
		}
		wiretest.SayWait(429, "{}", "7")(w, r)
	})
	for range 2 {
		got, err := wiretest.Ask(t, poster{s.URL + "/x"})
		if want := (cloud.Answer{Score: 1, Sent: int64(len(live)), Status: 429}); got != want || err != nil {
			t.Errorf("answer %+v, %v, want %+v", got, err, want)
		}
	}
	requests := s.Requests()
	if len(requests) != 2 || requests[1].URL.Path != "/x" || string(requests[1].Data) != live {
		t.Errorf("requests: %+v", requests)
	}
}

func TestSayTellsItsType(t *testing.T) {
	for body, want := range map[string]string{"{}": "application/json", "<html>": "text/html; charset=utf-8"} {
		s := wiretest.Serve(t, wiretest.SayWait(503, body, "7"))
		got, err := wiretest.Client(t, wire.Network{}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if kind := got.Header.Get("Content-Type"); kind != want || got.Header.Get("Retry-After") != "7" || got.StatusCode != 503 {
			t.Errorf("%s: status %d, header %v, want type %s", body, got.StatusCode, got.Header, want)
		}
	}
}

func TestLinesBreak(t *testing.T) {
	wiretest.TestLine(t, func(_ *testing.T, address string) cloud.Provider { return poster{address} }, "answer")
}

func TestResetIsNoEnd(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{"reset": {wiretest.Reset, syscall.ECONNRESET}, "closed": {wiretest.Close, io.EOF}} {
		s := wiretest.Serve(t, c.handler)
		if _, err := wiretest.Client(t, wire.Network{}).Post(s.URL, "", strings.NewReader("x")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A witness is a test that is told of errors and does not fail.
type witness struct {
	testing.TB
	told []string
}

func (w *witness) Helper() {}

func (w *witness) Errorf(format string, args ...any) {
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

func TestWrongFailuresAreNoticed(t *testing.T) {
	fault := func(provider, text string) *cloud.Failure {
		return &cloud.Failure{Kind: cloud.Server, Provider: provider, Status: 200, Err: errors.New(text)}
	}
	took := cloud.Answer{Sent: 1, Status: 200}
	wanted := cloud.Failure{Kind: cloud.Server, Status: 200, Err: errors.New("down")}
	for name, c := range map[string]struct {
		check func(t testing.TB)
		ok    bool
	}{
		"right":  {func(t testing.TB) { wiretest.Failed(t, fault("p", "down"), "p", "k3y") }, true},
		"who":    {func(t testing.TB) { wiretest.Failed(t, fault("q", "down"), "p", "k3y") }, false},
		"secret": {func(t testing.TB) { wiretest.Failed(t, fault("p", "bad k3y"), "p", "k3y") }, false},
		"long":   {func(t testing.TB) { wiretest.Failed(t, fault("p", strings.Repeat("x", 301)), "p") }, false},
		"answer": {func(t testing.TB) {
			wiretest.CheckAnswer(t, cloud.Answer{Score: 1, Sent: 1}, nil, cloud.Answer{Score: 1})
		}, true},
		"other answer":         {func(t testing.TB) { wiretest.CheckAnswer(t, took, nil, cloud.Answer{Score: 1, Status: 200}) }, false},
		"answer with an error": {func(t testing.TB) { wiretest.CheckAnswer(t, took, io.EOF, took) }, false},
		"unsent answer":        {func(t testing.TB) { wiretest.CheckAnswer(t, cloud.Answer{}, nil, cloud.Answer{}) }, false},
		"refusal":              {func(t testing.TB) { wiretest.CheckRefusal(t, took, fault("p", "down"), wanted) }, true},
		"other text":           {func(t testing.TB) { wiretest.CheckRefusal(t, took, fault("p", "up"), wanted) }, false},
		"other status":         {func(t testing.TB) { wiretest.CheckRefusal(t, took, fault("p", ""), cloud.Failure{Kind: cloud.Server}) }, false},
		"no score":             {func(t testing.TB) { wiretest.CheckNoScore(t, took, fault("p", "")) }, true},
		"score": {func(t testing.TB) {
			wiretest.CheckNoScore(t, cloud.Answer{Score: 1, Sent: 1, Status: 200}, fault("p", ""))
		}, false},
		"no face": {func(t testing.TB) {
			wiretest.CheckNoScore(t, cloud.Answer{Missing: cloud.Live, Sent: 1, Status: 200}, fault("p", ""))
		}, false},
		"nothing sent": {func(t testing.TB) { wiretest.CheckNoScore(t, cloud.Answer{Status: 200}, fault("p", "")) }, false},
		"other kind": {func(t testing.TB) {
			wiretest.CheckNoScore(t, took, &cloud.Failure{Kind: cloud.Network, Status: 200, Err: io.EOF})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{TB: t}
			if c.check(w); (len(w.told) == 0) != c.ok {
				t.Errorf("told %q, want errors %t", w.told, !c.ok)
			}
		})
	}
}

func TestNoiseIsTheSameAndLarge(t *testing.T) {
	a, b := wiretest.Noise(t, 100, 80, 95), wiretest.Noise(t, 100, 80, 95)
	if string(a) != string(b) || len(a) < 100*80/2 {
		t.Errorf("%d and %d bytes", len(a), len(b))
	}
}
