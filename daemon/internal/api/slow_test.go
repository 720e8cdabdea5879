package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// pipes is a listener in virtual time: it hands out what dial makes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	mine, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() { _ = mine.Close() })
	return mine
}

// inVirtualTime runs f with a server on pipes.
func inVirtualTime(t *testing.T, f func(t *testing.T, b *bench, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		b := serve(t, &api.Listener{Listener: p}, nil)
		f(t, b, p)
	})
}

const start = "POST /v1/attempts%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

// A client that sends a byte now and then must not keep its connection.
func TestSlowClientsAreCutOff(t *testing.T) {
	tests := []struct {
		name, sends string
		most        time.Duration
	}{
		{"in the header", "POST /v1/attempts HTTP/1.1\r\nX: ", 6 * time.Second},
		{"in the body", fmt.Sprintf(start, "", 1000) + `{"id_photo":"`, 31 * time.Second},
		{"between requests", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 61 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, b *bench, p *pipes) {
				c := p.dial(t)
				began := time.Now()
				var sender sync.WaitGroup
				sender.Go(func() {
					_, err := io.WriteString(c, tt.sends)
					for err == nil && !strings.HasPrefix(tt.sends, "GET") {
						time.Sleep(time.Second)
						_, err = io.WriteString(c, "A")
					}
				})
				defer sender.Wait()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > tt.most {
					t.Errorf("cut off after %v, want at most %v", took, tt.most)
				}
				if len(b.line.requests) > 0 {
					t.Error("an attempt was started")
				}
			})
		})
	}
}

// Waiting for an outcome is not bounded by what bounds sending a picture.
func TestWaitOutlastsTimeouts(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, b *bench, p *pipes) {
		c := p.dial(t)
		body := `{"id_photo":"AAAA"}`
		if _, err := fmt.Fprintf(c, start+body, "?wait=1", len(body)); err != nil {
			t.Fatal(err)
		}
		<-b.line.requests
		time.Sleep(5 * time.Minute)
		b.line.end()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		eventtest.Validate(t, text)
	})
}

func TestStreamBeatsAndDropsTheSlow(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, b *bench, p *pipes) {
		reader, sleeper := p.dial(t), p.dial(t)
		for _, c := range []net.Conn{reader, sleeper} {
			if _, err := io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		// mu guards the following
		var mu sync.Mutex
		var got strings.Builder
		go func() {
			for lines := bufio.NewScanner(reader); lines.Scan(); {
				mu.Lock()
				got.WriteString(lines.Text() + "\n")
				mu.Unlock()
			}
		}()
		time.Sleep(65 * time.Second)
		for n := range 40 {
			b.server.Hint(eventtest.AttemptID(n), attempt.MoveCloser)
			synctest.Wait()
		}
		time.Sleep(15 * time.Second)
		mu.Lock()
		text := got.String()
		mu.Unlock()
		if n := strings.Count(text, "\n:\n"); n != 5 {
			t.Errorf("%d heartbeats in 80 s, want 5", n)
		}
		if n := strings.Count(text, "event: hint\n"); n != 40 {
			t.Errorf("the reader got %d hints, want 40", n)
		}
		if n, err := sleeper.Read(make([]byte, 1)); err == nil {
			t.Errorf("the client that did not read for so long still gets data: %d bytes", n)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *bench, p *pipes) {
		for range 64 {
			p.dial(t)
		}
		synctest.Wait()
		extra := p.dial(t)
		began := time.Now()
		if _, err := io.Copy(io.Discard, extra); err != nil || time.Since(began) > 0 {
			t.Errorf("after %v: %v, want an end at once", time.Since(began), err)
		}
	})
}

// An attempt that never ends does not keep the daemon from stopping.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		b := serve(t, &api.Listener{Listener: p}, nil)
		c := p.dial(t)
		body := `{"id_photo":"AAAA"}`
		if _, err := fmt.Fprintf(c, start+body, "?wait=1", len(body)); err != nil {
			t.Fatal(err)
		}
		<-b.line.requests
		began := time.Now()
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v, want at most 2s", took)
		}
	})
}

// Two slow clients that send pictures do not shut others out for long.
func TestTurnsToSendAreBounded(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, b *bench, p *pipes) {
		for range 2 {
			if _, err := fmt.Fprintf(p.dial(t), start, "", 1000); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		body := `{"id_photo":"AAAA"}`
		ask := func() int {
			c := p.dial(t)
			if _, err := fmt.Fprintf(c, start+body, "", len(body)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode
		}
		if got := ask(); got != http.StatusServiceUnavailable {
			t.Errorf("status %d while two send, want 503", got)
		}
		time.Sleep(31 * time.Second)
		if got := ask(); got != http.StatusAccepted {
			t.Errorf("status %d after they were cut off, want 202", got)
		}
	})
}
