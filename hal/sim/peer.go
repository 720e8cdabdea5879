package sim

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxQueue bounds the messages on their way to one peer.
const maxQueue = 256

// freeing is how long a request for a line that is taken waits: the holder may
// have died just before, with its connection not yet read to the end.
const freeing = 300 * time.Millisecond

// A peer is a connection as the board sees it.
type peer struct {
	wire
	pid    int
	queue  chan reply
	closed chan struct{}
	once   sync.Once

	// The following belong to serve, and are read by others only once the peer
	// holds a line, under the board's mu.
	consumer string
	line     int    // held
	role     string // "": none yet; else opOutput or opInput

	watching bool // guarded by the board's mu
}

func newPeer(conn net.Conn) *peer {
	return &peer{wire: wire{Conn: conn, max: maxRequest}, pid: peerPID(conn), queue: make(chan reply, maxQueue), closed: make(chan struct{})}
}

// peerPID returns the process at the other end, or 0 if the kernel cannot tell.
func peerPID(conn net.Conn) int {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
}

// String names the peer as gpioinfo would: consumer@pid.
func (p *peer) String() string { return fmt.Sprintf("%s@%d", p.consumer, p.pid) }

// close ends send and serve.
func (p *peer) close() {
	p.once.Do(func() {
		close(p.closed)
		_ = p.Close()
	})
}

// send writes the queue to the connection until the peer is closed.
func (p *peer) send() {
	for {
		select {
		case r := <-p.queue:
			if err := p.write(r, time.Time{}); err != nil {
				p.close()
				return
			}
		case <-p.closed:
			return
		}
	}
}

// answer queues a reply, waiting for room.
func (p *peer) answer(r reply) {
	select {
	case p.queue <- r:
	case <-p.closed:
	}
}

// offer queues a change, and returns false without room for it.
func (p *peer) offer(c Change) bool {
	select {
	case p.queue <- reply{Change: &c, Line: c.Line, Level: c.Level}:
		return true
	default:
		return false
	}
}

// push queues a change. A watcher that is too slow is dropped rather than left
// with a gap, or waited for.
func (p *peer) push(c Change) {
	if !p.offer(c) {
		p.close()
	}
}

// serve answers requests until the connection ends, which is no error.
func (p *peer) serve(b *Board) error {
	for {
		text, err := p.read(time.Time{})
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET):
			return nil
		case errors.Is(err, errTooLong):
			return err
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		r, err := parseRequest(text)
		if err != nil {
			return fmt.Errorf("request: %w", err)
		}
		b.handle(p, r)
	}
}

// handle does what r asks and answers it.
func (b *Board) handle(p *peer, r request) {
	var (
		answer reply
		err    error
	)
	switch r.Op {
	case opOutput, opInput:
		answer, err = b.request(p, r)
	case opSet:
		answer, err = b.drive(p, r.Level)
	case opLevel:
		if p.role == opInput {
			b.level(p)
			return
		}
		err = errors.New("this connection holds no input")
	case opPress, opRelease:
		answer, err = b.press(r)
	case opLevels:
		b.mu.Lock()
		answer.Lines = b.levels()
		b.mu.Unlock()
	case opWatch:
		b.watch(p)
		return
	}
	if err != nil {
		answer.Err = err.Error()
	}
	p.answer(answer)
}

// request makes p the holder of a line.
func (b *Board) request(p *peer, r request) (reply, error) {
	if p.role != "" {
		return reply{}, errors.New("this connection holds a line already")
	}
	answer, freed, err := b.take(p, r)
	if freed == nil {
		return answer, err
	}
	timer := time.NewTimer(freeing)
	defer timer.Stop()
	select {
	case <-freed:
	case <-timer.C:
	case <-p.closed:
	}
	answer, _, err = b.take(p, r)
	return answer, err
}

// take makes p the holder of a line; if it has another holder it also returns
// a channel closed when that one leaves.
func (b *Board) take(p *peer, r request) (reply, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.find(r)
	if err != nil {
		return reply{}, nil, err
	}
	l := &b.lines[n]
	if l.holder != nil {
		return reply{Holder: l.holder.String()}, l.freed, errHeld
	}
	p.consumer, p.line, p.role = r.Consumer, n, r.Op
	l.holder, l.freed = p, make(chan struct{})
	l.role = r.Op
	level := 0
	if l.role == opInput {
		l.idle = r.Level
		level = l.now()
	}
	if err := b.set(n, level); err != nil {
		return reply{}, nil, err
	}
	return reply{Line: n, Name: l.name, Level: l.level}, nil, nil
}

// now is the level of an input.
func (l *line) now() int {
	if l.pressed {
		return 1 - l.idle
	}
	return l.idle
}

func (b *Board) drive(p *peer, level int) (reply, error) {
	if p.role != opOutput {
		return reply{}, errors.New("this connection holds no output")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.set(p.line, level); err != nil {
		return reply{}, err
	}
	return reply{Line: p.line, Level: level}, nil
}

// level answers with the level of p's input. The answer takes the place of
// changes that p has not read, so that there is room for it, and what p reads
// after it is newer.
func (b *Board) level(p *peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p.queue) > 0 {
		select {
		case <-p.queue:
		default:
		}
	}
	p.queue <- reply{Line: p.line, Level: b.lines[p.line].level}
}

func (b *Board) press(r request) (reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.find(r)
	if err != nil {
		return reply{}, err
	}
	l := &b.lines[n]
	if l.role == opOutput {
		return reply{}, fmt.Errorf("line %q is an output", l.name)
	}
	l.pressed = r.Op == opPress
	if err := b.set(n, l.now()); err != nil {
		return reply{}, err
	}
	return reply{Line: n, Name: l.name, Level: l.level}, nil
}

// watch sends p the state of every line, and from then on every change.
func (b *Board) watch(p *peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.watching = true
	// Never waits: with mu held nobody else queues, and a queue that the peer
	// filled by asking for more than it reads is the peer's end.
	select {
	case p.queue <- reply{Lines: b.levels()}:
	default:
		p.close()
	}
}
