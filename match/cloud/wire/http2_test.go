package wire_test

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// over2 starts a service with HTTP/2 and returns a client that trusts it.
func over2(t *testing.T, l net.Listener, answer http.HandlerFunc) (*httptest.Server, *http.Client) {
	server := httptest.NewUnstartedServer(answer)
	server.EnableHTTP2 = true
	if l != nil {
		_ = server.Listener.Close()
		server.Listener = l
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := wiretest.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return server, wiretest.Client(t, wire.Network{CAFile: ca})
}

func TestHTTP2(t *testing.T) {
	var peers []string
	server, c := over2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		peers = append(peers, r.RemoteAddr)
		if r.ProtoMajor != 2 {
			t.Errorf("asked with %s", r.Proto)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	})
	for range 2 {
		got, err := wire.Exchange(c, "test", request(t, t.Context(), server.URL, "picture"))
		if err != nil || got.Status != http.StatusTeapot || string(got.Body) != "picture" || got.Sent != int64(len("picture")) {
			t.Errorf("Exchange() = %+v, %v", got, err)
		}
	}
	if len(peers) != 2 || peers[0] != peers[1] {
		t.Errorf("asked from %v, want one connection", peers)
	}
}

// Pipes are connections without a network, which [testing/synctest] can wait
// for.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()
	silent   atomic.Bool // the first connection goes silent
	dialled  int
}

func newPipes() *pipes {
	closed := make(chan struct{})
	return &pipes{accepted: make(chan net.Conn), closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.dialled++
	p.accepted <- theirs
	if p.dialled > 1 {
		return ours, nil
	}
	return &line{ours, &p.silent}, nil
}

// A line goes silent as a NAT's that forgot it: nothing arrives, nothing fails.
type line struct {
	net.Conn
	silent *atomic.Bool
}

func (l *line) Read(b []byte) (int, error) {
	for {
		n, err := l.Conn.Read(b)
		if err != nil || !l.silent.Load() {
			return n, err
		}
	}
}

func (l *line) Write(b []byte) (int, error) {
	if l.silent.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

// piped starts a service behind pipes.
func piped(t *testing.T, answer http.HandlerFunc) (*pipes, *http.Client) {
	p := newPipes()
	_, c := over2(t, p, answer)
	c.Transport.(*http.Transport).DialContext = p.dial
	return p, c
}

// A dead connection took the whole time of every call, for as long as calls
// kept it from being idle.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	for name, idle := range map[string]time.Duration{"in the middle of calls": 0, "between calls": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, c := piped(t, func(_ http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor != 2 {
						t.Errorf("asked with %s", r.Proto)
					}
				})
				ask := func() error {
					ctx, end := context.WithTimeout(t.Context(), 2*time.Second)
					defer end()
					_, err := wire.Exchange(c, "test", request(t, ctx, "https://127.0.0.1/", "picture"))
					return err
				}
				if err := ask(); err != nil {
					t.Fatal(err)
				}
				p.silent.Store(true)
				time.Sleep(idle)
				allowed := 2 // calls that fail
				if idle > 0 {
					allowed = 0
				}
				var err error
				for range allowed + 1 {
					err = ask()
				}
				if err != nil || p.dialled != 2 {
					t.Errorf("after %d calls, %d connections: %v", allowed+1, p.dialled, err)
				}
			})
		})
	}
}

// A service that takes its time is waited for.
func TestSlowAnswerKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := piped(t, func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Second) })
		for range 2 {
			if _, err := wire.Exchange(c, "test", request(t, t.Context(), "https://127.0.0.1/", "picture")); err != nil {
				t.Error(err)
			}
		}
		if p.dialled != 1 {
			t.Errorf("%d connections, want 1", p.dialled)
		}
	})
}
