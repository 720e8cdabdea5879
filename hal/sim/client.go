package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/hal"
)

const (
	patience = 8 * time.Second        // for an answer of the board, which a loaded machine may hold up
	bound    = 200 * time.Millisecond // of one wait for a change
)

// A Client holds lines of a board in another process. Its methods may be
// called from any goroutine. It starts no goroutine; each line is a connection.
type Client struct {
	consumer string
	dial     func() (net.Conn, error)

	// mu guards the following
	mu   sync.Mutex
	open []interface{ Close() error }
}

// Open returns a client of the board that serves the socket. The board lists
// lines as held by consumer.
func Open(socket, consumer string) (*Client, error) {
	c := &Client{consumer: consumer, dial: dialer(socket)}
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	return c, nil
}

func dialer(socket string) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		conn, err := net.DialTimeout("unix", socket, patience)
		if err != nil {
			return nil, fmt.Errorf("open simulated board: %w (is a simulated board running there?)", err)
		}
		return conn, nil
	}
}

// Output requests a line as an output and turns it off. It fails with an error
// that wraps [hal.ErrInUse] and names the holder if the line is taken.
func (c *Client) Output(spec hal.Line) (hal.Output, error) {
	l, err := c.request(spec, request{Op: opOutput})
	if err != nil {
		return nil, fmt.Errorf("open output %v: %w", spec, err)
	}
	o := &output{link: l, activeLow: spec.ActiveLow}
	if err := o.Set(false); err != nil {
		_ = l.wire.Close()
		return nil, fmt.Errorf("open output %v: %w", spec, err)
	}
	c.keep(o)
	return o, nil
}

// Input requests a line as an input. Without a pull its idle level is taken to
// be the inactive one, as if a resistor of the board saw to that.
func (c *Client) Input(spec hal.Line) (hal.Input, error) {
	idle := 0
	switch spec.Pull {
	case "", "none":
		if spec.ActiveLow {
			idle = 1
		}
	case "up":
		idle = 1
	case "down":
	default:
		return nil, fmt.Errorf("open input %v: pull %q: must be none, up or down", spec, spec.Pull)
	}
	l, err := c.request(spec, request{Op: opInput, Level: idle})
	if err != nil {
		return nil, fmt.Errorf("open input %v: %w", spec, err)
	}
	i := &input{link: l, activeLow: spec.ActiveLow, debounce: spec.Debounce, taken: make(chan struct{}, 1)}
	c.keep(i)
	return i, nil
}

// Close closes all lines that are still open, turning outputs off.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, l := range c.open {
		errs = append(errs, l.Close())
	}
	c.open = nil
	return errors.Join(errs...)
}

func (c *Client) keep(l interface{ Close() error }) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, l)
}

// request opens a connection that holds the line.
func (c *Client) request(spec hal.Line, r request) (*link, error) {
	if !spec.Wired() {
		return nil, errors.New("no line named")
	}
	if spec.Chip != "" && spec.Chip != Chip {
		return nil, fmt.Errorf("no such chip: a simulated board has the chip %q alone", Chip)
	}
	r.Name, r.Line, r.Consumer = spec.Name, spec.Number, c.consumer
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	l := newLink(spec.String(), conn)
	if _, err := l.call(r); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// A link is a connection to the board.
type link struct {
	name string
	wire wire
}

func newLink(name string, conn net.Conn) *link {
	return &link{name: name, wire: wire{Conn: conn, max: maxReply}}
}

// call sends a request and returns the answer to it.
func (l *link) call(r request) (reply, error) {
	deadline := time.Now().Add(patience)
	if err := l.wire.write(r, deadline); err != nil {
		return reply{}, err
	}
	for {
		answer, err := l.next(deadline)
		switch {
		case err != nil:
			return reply{}, err
		case answer.Change != nil:
			continue // older than the answer
		case answer.Holder != "":
			return reply{}, fmt.Errorf("%w by %q (stop that program, or choose another line)", hal.ErrInUse, answer.Holder)
		case answer.Err != "":
			return reply{}, errors.New(answer.Err)
		}
		return answer, nil
	}
}

// next reads one message.
func (l *link) next(deadline time.Time) (reply, error) {
	text, err := l.wire.read(deadline)
	if err != nil {
		return reply{}, err
	}
	return parseReply(text)
}

// An output is a line held by this process.
type output struct {
	link      *link
	activeLow bool

	// mu guards the following, and every use of link
	mu     sync.Mutex
	failed error // why the connection is of no use any more
}

// Set implements hal.Output. Once it returned, the change is in the board's
// timeline. The first error is final: a lost connection cannot be resumed.
func (o *output) Set(on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return fmt.Errorf("set %s: %w", o.link.name, o.failed)
	}
	level := 0
	if on != o.activeLow {
		level = 1
	}
	if _, err := o.link.call(request{Op: opSet, Level: level}); err != nil {
		o.failed = err
		_ = o.link.wire.Close()
		return fmt.Errorf("set %s: %w", o.link.name, err)
	}
	return nil
}

// Close implements hal.Output.
func (o *output) Close() error {
	o.mu.Lock()
	done := errors.Is(o.failed, fs.ErrClosed)
	o.mu.Unlock()
	if done {
		return nil
	}
	err := o.Set(false)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = fs.ErrClosed
	_ = o.link.wire.Close()
	return err
}

// An input is a line held by this process.
type input struct {
	link      *link
	activeLow bool
	debounce  time.Duration

	closed atomic.Bool
	taken  chan struct{} // holds one value while link is used
}

// Wait implements hal.Input. It runs in the caller's goroutine.
func (i *input) Wait(ctx context.Context) error {
	i.taken <- struct{}{}
	defer func() { <-i.taken }()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now, err := i.link.call(request{Op: opLevel})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", i.link.name, err)
	}
	d := hal.Debounce{Length: i.debounce}
	changed := false
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i.closed.Load() {
			return fmt.Errorf("wait for %s: %w", i.link.name, fs.ErrClosed)
		}
		counts, left := d.Sample(time.Now(), (now.Level == 1) != i.activeLow, changed)
		if counts {
			return nil
		}
		wait := bound
		if left > 0 {
			wait = min(wait, left)
		}
		next, err := i.link.next(time.Now().Add(wait))
		changed = err == nil
		switch {
		case changed:
			now = next
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("wait for %s: %w", i.link.name, err)
		}
	}
}

// Close implements hal.Input. It returns once a running Wait has ended, which
// takes up to 200 ms.
func (i *input) Close() error {
	if i.closed.Swap(true) {
		return nil
	}
	i.taken <- struct{}{}
	defer func() { <-i.taken }()
	_ = i.link.wire.Close()
	return nil
}
