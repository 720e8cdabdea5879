package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// An Operator stands at a board: it presses buttons and looks on. It holds no
// line. Its methods may be called from any goroutine.
type Operator struct {
	dial func() (net.Conn, error)
}

// Dial returns an operator of the board that serves the socket, or an error if
// there is none.
func Dial(socket string) (*Operator, error) {
	o := &Operator{dial: dialer(socket)}
	if _, err := o.Levels(); err != nil {
		return nil, err
	}
	return o, nil
}

// Press turns the input of this name away from its idle level, waits for d or
// the end of ctx, and lets go of it. The idle level is what the line's holder
// asked for.
func (o *Operator) Press(ctx context.Context, line string, d time.Duration) error {
	if _, err := o.call(request{Op: opPress, Name: line}); err != nil {
		return fmt.Errorf("press %s: %w", line, err)
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	if _, err := o.call(request{Op: opRelease, Name: line}); err != nil {
		return fmt.Errorf("release %s: %w", line, err)
	}
	return nil
}

// Levels returns the state of every line, by number.
func (o *Operator) Levels() ([]Level, error) {
	r, err := o.call(request{Op: opLevels})
	if err != nil {
		return nil, fmt.Errorf("read levels: %w", err)
	}
	return r.Lines, nil
}

// Watch calls began with the state of every line, and then change with each
// change from there on, in order and without gaps, until ctx ends, whose cause
// it returns. A watcher that falls behind by many changes loses its connection.
func (o *Operator) Watch(ctx context.Context, began func([]Level), change func(Change)) error {
	conn, err := o.dial()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer conn.Close()
	// Closing the connection ends the read below.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	l := newLink("", conn)
	first, err := l.call(request{Op: opWatch})
	if err == nil {
		began(first.Lines)
	}
	for err == nil {
		var next reply
		if next, err = l.next(time.Time{}); err == nil && next.Change == nil {
			err = errors.New("board sent no change")
		}
		if err == nil {
			change(*next.Change)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("watch: %w", err)
}

// call sends one request by a connection of its own.
func (o *Operator) call(r request) (reply, error) {
	conn, err := o.dial()
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	return newLink("", conn).call(r)
}
