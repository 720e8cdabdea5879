package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// A pipeListener accepts in-memory connections, which synctest understands.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// A bench is a running board with what stands around it.
type bench struct {
	*pipeListener
	timeline timeline
	stop     func() // ends the board
}

// begin starts a board that the end of the test stops.
func begin(t *testing.T) *bench {
	t.Helper()
	b := &bench{pipeListener: &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}}
	board := &Board{Timeline: &b.timeline, Log: quiet()}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := board.Serve(ctx, b.pipeListener); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	b.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(b.stop)
	return b
}

func (b *bench) client(t *testing.T, consumer string) *Client {
	t.Helper()
	c := &Client{consumer: consumer, dial: b.dial}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) operator() *Operator { return &Operator{dial: b.dial} }

// level returns the level of the line of this name.
func (b *bench) level(t *testing.T, name string) Level {
	t.Helper()
	all, err := b.operator().Levels()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no line %s in %v", name, all)
	return Level{}
}

// A timeline is a file in memory.
type timeline struct {
	// mu guards the following
	mu   sync.Mutex
	text bytes.Buffer
	err  error
}

func (l *timeline) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.text.Write(p)
}

func (l *timeline) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *timeline) changes(t *testing.T) []Change {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	return readChanges(t, l.text.Bytes())
}

func readChanges(t *testing.T, text []byte) []Change {
	t.Helper()
	var all []Change
	for line := range bytes.Lines(text) {
		var c Change
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("timeline line %q: %v", line, err)
		}
		all = append(all, c)
	}
	return all
}
