package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The longest message that the board and a client read, in bytes. The board's
// list of lines is long.
const (
	maxRequest = 4 << 10
	maxReply   = 64 << 10
)

// errTooLong says that a message has no end within its bound.
var errTooLong = errors.New("message is too long")

// A request is what a client sends: one JSON object a line. The first request
// of a connection decides what it is: an output, an input, or an operator.
type request struct {
	Op       string `json:"op"`
	Name     string `json:"name,omitempty"`     // of the line; empty: by Line
	Line     int    `json:"line,omitempty"`     // its number
	Consumer string `json:"consumer,omitempty"` // output, input: what the client calls itself
	Level    int    `json:"level,omitempty"`    // set: 0 or 1; input: the level while nobody presses
}

// The operations.
const (
	opOutput  = "output"  // request a line as an output; it is low then
	opSet     = "set"     // drive the output of this connection
	opInput   = "input"   // request a line as an input; its changes follow as replies
	opLevel   = "level"   // tell the level of the input of this connection
	opPress   = "press"   // operator: turn an input away from its idle level
	opRelease = "release" // operator: and back
	opLevels  = "levels"  // operator: tell the level of every line
	opWatch   = "watch"   // operator: send every change from now on
)

// A reply is what the board sends: one JSON object a line. Every request has
// one reply. Changes are sent unasked, with Change set.
type reply struct {
	Err    string  `json:"err,omitempty"`
	Holder string  `json:"holder,omitempty"` // with Err: who holds the line
	Line   int     `json:"line"`
	Name   string  `json:"name,omitempty"`
	Level  int     `json:"level"`
	Lines  []Level `json:"lines,omitempty"`
	Change *Change `json:"change,omitempty"`
}

// parseRequest reads one request, strictly.
func parseRequest(line []byte) (request, error) {
	var r request
	if err := parse(line, &r); err != nil {
		return request{}, err
	}
	switch r.Op {
	case opOutput, opSet, opInput, opLevel, opPress, opRelease, opLevels, opWatch:
	default:
		return request{}, fmt.Errorf("op %q: unknown", r.Op)
	}
	if r.Level != 0 && r.Level != 1 {
		return request{}, fmt.Errorf("level %d: must be 0 or 1", r.Level)
	}
	return r, nil
}

// parseReply reads one reply, strictly.
func parseReply(line []byte) (reply, error) {
	var r reply
	if err := parse(line, &r); err != nil {
		return reply{}, err
	}
	return r, nil
}

func parse(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one object in a line")
	}
	return nil
}

// A wire is a connection that speaks in lines. One goroutine reads and one
// writes at a time.
type wire struct {
	net.Conn
	max int    // length of a line that is read, in bytes
	buf []byte // received, not yet returned by read
}

// read returns the next line, without its end, or an error that wraps
// os.ErrDeadlineExceeded when deadline passes; the zero time never does. A line
// begun by then is kept for the next read.
func (w *wire) read(deadline time.Time) ([]byte, error) {
	if err := w.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		if line, rest, found := bytes.Cut(w.buf, []byte{'\n'}); found {
			w.buf = bytes.Clone(rest)
			return line, nil
		}
		if len(w.buf) > w.max {
			return nil, errTooLong
		}
		more := make([]byte, 1024)
		n, err := w.Read(more)
		w.buf = append(w.buf, more[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// write sends v as one line.
func (w *wire) write(v any, deadline time.Time) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := w.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
