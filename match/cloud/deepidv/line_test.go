package deepidv_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/deepidv"
)

// reset closes the connection so that the other end gets an error.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

func TestBrokenLine(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    cloud.Kind
		status  int
	}{
		"reset": {reset, cloud.Network, 0},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "500")
			say(200, good)(w, r)
		}, cloud.Network, 200},
		"huge": {func(w http.ResponseWriter, r *http.Request) {
			say(200, good+strings.Repeat(" ", 2<<20))(w, r)
		}, cloud.Server, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, c.handler).Compare(t.Context(), question())
			if f := failed(t, err); f.Kind != c.kind || f.Status != c.status || got.Status != c.status || got.Score != 0 {
				t.Errorf("answer %+v, failure %v", got, f)
			}
		})
	}
}

// A service that stalls at any step holds nobody longer than the context.
func TestStallEndsWithTheContext(t *testing.T) {
	for send, stall := range map[deepidv.Send]string{
		deepidv.Multipart: "/v1/face/compare",
		deepidv.JSON:      "/v1/face/compare",
		deepidv.Presigned: "/v1/upload/presign",
		"presigned put":   "/store/1",
	} {
		t.Run(string(send), func(t *testing.T) {
			late := errors.New("too late")
			ctx, end := context.WithCancelCause(t.Context())
			s := newStore(t)
			c := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != stall {
					s.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				end(late)
				<-r.Context().Done()
			})
			s.base, c.Send = c.BaseURL, send
			if send == "presigned put" {
				c.Send = deepidv.Presigned
			}
			_, err := c.Compare(ctx, question())
			if f := failed(t, err); f.Kind != cloud.Network || !errors.Is(f, late) {
				t.Errorf("failure = %v", f)
			}
		})
	}
}

func TestNobodyIsAskedAfterTheEnd(t *testing.T) {
	for _, send := range []deepidv.Send{deepidv.Multipart, deepidv.JSON, deepidv.Presigned} {
		c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked after the end") })
		c.Send = send
		ctx, end := context.WithCancel(t.Context())
		end()
		got, err := c.Compare(ctx, question())
		if f := failed(t, err); f.Kind != cloud.Network || got.Sent != 0 {
			t.Errorf("answer %+v, failure %v", got, f)
		}
	}
}
