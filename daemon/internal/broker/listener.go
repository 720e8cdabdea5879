package broker

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// A listener is the broker's door to one address. The library's own ones
// bound neither the number of connections nor the wait for a first packet,
// learn of a WebSocket address in use only while serving, and wait for ever
// at shutdown for a client that has not logged in.
type listener struct {
	id      string
	ln      net.Listener // nil: connections come from Dial
	upgrade *upgrader    // set for WebSocket
	log     *slog.Logger
	wg      sync.WaitGroup
	begun   chan struct{} // closed when establish is set

	// mu guards the following
	mu        sync.Mutex
	establish listeners.EstablishFn
	conns     map[net.Conn]struct{} // nil once closed
	refusals  int                   // not yet logged
	logAfter  time.Time
}

func newListener(id string, ln net.Listener, log *slog.Logger) *listener {
	return &listener{id: id, ln: ln, log: log, begun: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

// ID implements listeners.Listener.
func (l *listener) ID() string { return l.id }

// Protocol implements listeners.Listener.
func (l *listener) Protocol() string { return l.id }

// Address implements listeners.Listener.
func (l *listener) Address() string {
	if l.ln == nil {
		return l.id
	}
	return l.ln.Addr().String()
}

// Init implements listeners.Listener; the address is open already.
func (l *listener) Init(*slog.Logger) error { return nil }

// Serve implements listeners.Listener.
func (l *listener) Serve(establish listeners.EstablishFn) {
	l.mu.Lock()
	l.establish = establish
	l.mu.Unlock()
	close(l.begun)
	switch {
	case l.ln == nil:
	case l.upgrade != nil:
		l.serveHTTP()
	default:
		l.accept()
	}
}

func (l *listener) accept() {
	for {
		conn, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or a client that left at once
			l.refused("", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		l.serve(conn)
	}
}

func (l *listener) serveHTTP() {
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := l.upgrade.accept(w, r)
			if err != nil {
				l.refused(r.RemoteAddr, err)
				return
			}
			l.serve(conn)
		}),
		ReadHeaderTimeout: firstPacket,
		IdleTimeout:       firstPacket,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	// It ends when Close closes the address.
	if err := s.Serve(&bounded{l.ln, make(chan struct{}, maxConns)}); !errors.Is(err, net.ErrClosed) {
		l.log.Error("embedded broker stopped listening", "address", l.Address(), "err", err)
	}
}

// serve hands raw to the broker and reports whether it took it. Otherwise
// raw is closed.
func (l *listener) serve(raw net.Conn) bool {
	conn := net.Conn(steady{raw})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil || l.establish == nil || len(l.conns) >= maxConns {
		_ = conn.Close()
		return false
	}
	l.conns[conn] = struct{}{}
	// The broker sets its own deadlines once the client has said hello.
	_ = conn.SetDeadline(time.Now().Add(firstPacket))
	establish := l.establish
	l.wg.Go(func() {
		defer l.drop(conn)
		if err := establish(l.id, conn); err != nil {
			l.refused(conn.RemoteAddr().String(), err)
		}
	})
	return true
}

func (l *listener) drop(conn net.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// refused logs a connection that ended badly, at most one each ten seconds.
func (l *listener) refused(remote string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.logAfter) || l.conns == nil {
		l.refusals++
		return
	}
	l.log.Info("broker client ended", "remote", remote, "err", err, "more", l.refusals)
	l.logAfter, l.refusals = time.Now().Add(10*time.Second), 0
}

// Close implements listeners.Listener. It ends every connection itself: the
// function it is given takes a read lock twice, and so waits for ever if a
// client leaves in between.
func (l *listener) Close(listeners.CloseFn) {
	l.mu.Lock()
	open := l.conns
	l.conns = nil
	l.mu.Unlock()
	if l.ln != nil {
		_ = l.ln.Close()
	}
	for conn := range open {
		_ = conn.Close()
	}
	l.wg.Wait()
}

// A steady connection bounds every write. The library writes to a subscriber
// while holding a lock that publishers need, sets no deadline for a client
// without a keep-alive, and carries on after a failed write; so one that does
// not read would stop everyone.
type steady struct{ net.Conn }

// Write implements net.Conn. A failure ends the connection.
func (s steady) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		_ = s.Close()
	}
	return n, err
}

// SetDeadline implements net.Conn for reading only.
func (s steady) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// bounded limits the connections of an HTTP server.
type bounded struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.slots <- struct{}{}:
			return &slotted{Conn: conn, free: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			_ = conn.Close()
		}
	}
}

type slotted struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (s *slotted) Close() error {
	s.free()
	return s.Conn.Close()
}
