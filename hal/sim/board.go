// Package sim is a simulated board: a process of its own that holds lines like
// a GPIO chip, a client that drives them like the gpio package, and an operator
// that presses buttons and looks on.
//
//	daemon ── Client ──┐
//	                   ├── Unix socket ── Board ── timeline file
//	test, demo ─ Operator ┘
//
// Because the board is another process, its outputs keep their level when the
// daemon dies, as those of a Raspberry Pi 4 do, and its timeline tells the truth
// about a daemon that was killed. Each line that is held is one connection, so
// that the board frees the lines of a process that died.
//
// The simulation keeps the kernel's bad habit: a requested output is low before
// it is set. It has no electrical side and no timing but that of the machine.
package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"sync"
	"time"
)

// Chip is the name of the one chip of a simulated board.
const Chip = "sim"

// DefaultNames returns the names of lines 0 to 8, as the examples use them.
func DefaultNames() []string {
	return []string{
		"door", "lamp-ready", "lamp-busy", "lamp-granted", "lamp-denied", "lamp-attention", "lamp-fault",
		"button", "panel",
	}
}

// A Change is one line of the timeline: a line took another level.
type Change struct {
	Millis    float64   `json:"t_ms"` // since the board's start, by the monotonic clock, to the microsecond
	Time      time.Time `json:"ts"`   // the same by the wall clock, UTC
	Line      int       `json:"line"`
	Name      string    `json:"name"`
	Level     int       `json:"level"`      // 0 low, 1 high
	HolderPID int       `json:"holder_pid"` // the process that holds the line; 0: nobody
}

// A Level is the present state of a line.
type Level struct {
	Line   int    `json:"line"`
	Name   string `json:"name"`
	Level  int    `json:"level"`            // 0 low, 1 high
	Holder string `json:"holder,omitempty"` // consumer@pid; empty: free
}

// A Board holds the lines. Serve it once.
type Board struct {
	Names    []string     // one a line; nil: DefaultNames
	Timeline io.Writer    // gets each Change as one JSON line in one Write; nil: none
	Log      *slog.Logger // required

	start time.Time

	// mu guards the following
	mu    sync.Mutex
	lines []line
	peers map[*peer]struct{}
}

// A line is one line of the board. Its level outlives its holder.
type line struct {
	name    string
	level   int
	idle    int    // inputs: the level while nobody presses
	pressed bool   // by an operator
	role    string // opOutput or opInput, as last requested; "": never
	holder  *peer
	freed   chan struct{} // closed when the holder leaves; nil without one
}

// maxPeers bounds the connections.
const maxPeers = 128

// Listen opens the board's socket, replacing one that a dead board has left.
func Listen(socket string) (net.Listener, error) {
	if conn, err := net.Dial("unix", socket); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: another board serves it", socket)
	}
	if info, err := os.Lstat(socket); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(socket); err != nil {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
	}
	return net.Listen("unix", socket)
}

// Serve accepts clients and operators until ctx ends, then drops them and
// returns nil. It closes l.
func (b *Board) Serve(ctx context.Context, l net.Listener) error {
	b.begin()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		_ = l.Close()
		b.drop()
	})
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		p := newPeer(conn)
		if !b.admit(ctx, p) {
			b.Log.Warn("too many connections", "max", maxPeers)
			_ = conn.Close()
			continue
		}
		wg.Go(func() { p.send() })
		wg.Go(func() {
			defer b.leave(p)
			if err := p.serve(b); err != nil {
				b.Log.Warn("client dropped", "consumer", p.consumer, "pid", p.pid, "err", err)
			}
		})
	}
}

func (b *Board) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.start = time.Now()
	b.peers = make(map[*peer]struct{})
	names := b.Names
	if names == nil {
		names = DefaultNames()
	}
	for _, n := range names {
		b.lines = append(b.lines, line{name: n})
	}
}

// admit adds p unless there are too many or the board is closing.
func (b *Board) admit(ctx context.Context, p *peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.peers) >= maxPeers || ctx.Err() != nil {
		return false
	}
	b.peers[p] = struct{}{}
	return true
}

// drop closes all connections, which ends their goroutines.
func (b *Board) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.peers {
		p.close()
	}
}

// leave frees what p held. The levels stay.
func (b *Board) leave(p *peer) {
	p.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.peers, p)
	for n := range b.lines {
		if l := &b.lines[n]; l.holder == p {
			l.holder = nil
			close(l.freed)
			l.freed = nil
		}
	}
}

// find returns the number of the line that r names.
func (b *Board) find(r request) (int, error) {
	for n := range b.lines {
		if r.Name == b.lines[n].name && r.Name != "" || r.Name == "" && r.Line == n {
			return n, nil
		}
	}
	if r.Name == "" {
		return 0, fmt.Errorf("line %d: no such line (the board has lines 0 to %d)", r.Line, len(b.lines)-1)
	}
	return 0, fmt.Errorf("line %q: no such line (the board has %s)", r.Name, b.names())
}

func (b *Board) names() string {
	text := ""
	for n := range b.lines {
		if n > 0 {
			text += ", "
		}
		text += b.lines[n].name
	}
	return text
}

// set gives a line a level, with mu held. The change is in the timeline, and on
// its way to the line's holder and all watchers, before it takes effect.
func (b *Board) set(n, level int) error {
	l := &b.lines[n]
	if l.level == level {
		return nil
	}
	now := time.Now()
	c := Change{
		Millis: math.Round(float64(now.Sub(b.start).Nanoseconds())/1e3) / 1e3,
		Time:   now.UTC().Round(0), Line: n, Name: l.name, Level: level,
	}
	if l.holder != nil {
		c.HolderPID = l.holder.pid
	}
	if b.Timeline != nil {
		text, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if _, err := b.Timeline.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("write timeline: %w", err)
		}
	}
	l.level = level
	for p := range b.peers {
		switch {
		case p.watching:
			p.push(c)
		case l.role == opInput && l.holder == p:
			// If there is no room, p is not listening, and asks for the level
			// before it does.
			_ = p.offer(c)
		}
	}
	return nil
}

// levels returns the state of every line, with mu held.
func (b *Board) levels() []Level {
	var all []Level
	for n := range b.lines {
		l := &b.lines[n]
		level := Level{Line: n, Name: l.name, Level: l.level}
		if l.holder != nil {
			level.Holder = l.holder.String()
		}
		all = append(all, level)
	}
	return all
}

// errHeld is the reply to a request for a line that is taken.
var errHeld = errors.New("line is in use")
