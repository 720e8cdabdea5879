package wiretest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/facegate/facegate/match/cloud"
)

// ErrLate is the cause with which Stall ends its context.
var ErrLate = errors.New("too late")

// Reset is a handler that closes the connection so that the other end gets an
// error.
func Reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// Close is a handler that ends the connection without an answer.
func Close(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Cut returns a handler that promises more than the part of an answer it sends.
func Cut(part string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(part)+100))
		Say(http.StatusOK, part)(w, r)
	}
}

// Raw answers with bytes that need not be HTTP and closes the connection.
func Raw(w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// Stall returns a handler that reads the request, sends the part of an answer,
// if any, and no more until the client hangs up. Then it is too late for the
// context, which ends with ErrLate.
func Stall(t testing.TB, part string) (context.Context, http.HandlerFunc) {
	ctx, end := context.WithCancelCause(t.Context())
	return ctx, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if part != "" {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
		end(ErrLate)
		<-r.Context().Done()
	}
}

// TestLine asks over lines that break and services that stall. Client returns
// a new client of the service at an address. Part is what arrives of an answer
// that is cut off: a good one whole, if the client waits for all it was
// promised. Failures must be of kind network, with the status if there was one,
// and not show the secrets, nor the address.
func TestLine(t *testing.T, client func(t *testing.T, address string) cloud.Provider, part string, secrets ...string) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
	}{
		"reset":   {Reset, 0},
		"closed":  {Close, 0},
		"cut off": {Cut(part), http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := Serve(t, c.handler)
			p := client(t, s.URL)
			got, err := Ask(t, p)
			f := Failed(t, err, p.Name(), append([]string{s.URL}, secrets...)...)
			if f.Kind != cloud.Network || f.Status != c.status || got.Status != c.status || got.Score != 0 {
				t.Errorf("answer %+v, failure %v", got, f)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		s := Serve(t, Say(http.StatusOK, part))
		s.Close()
		p := client(t, s.URL)
		got, err := Ask(t, p)
		f := Failed(t, err, p.Name(), append([]string{s.URL}, secrets...)...)
		if f.Kind != cloud.Network || f.Status != 0 || got != (cloud.Answer{}) {
			t.Errorf("answer %+v, failure %v", got, f)
		}
	})
	for name, before := range map[string]string{"slow": "", "slow body": part} {
		t.Run(name, func(t *testing.T) {
			ctx, handler := Stall(t, before)
			p := client(t, Serve(t, handler).URL)
			got, err := p.Compare(ctx, Question())
			f := Failed(t, err, p.Name(), secrets...)
			if f.Kind != cloud.Network || !errors.Is(f, ErrLate) || got.Sent == 0 || got.Score != 0 {
				t.Errorf("answer %+v, failure %v", got, f)
			}
		})
	}
}
