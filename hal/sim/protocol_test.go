package sim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		text string
		want request
		err  string
	}{
		{`{"op":"set","level":1}`, request{Op: opSet, Level: 1}, ""},
		{`{"op":"output","name":"door","consumer":"facegate"}`, request{Op: opOutput, Name: "door", Consumer: "facegate"}, ""},
		{`{"op":"input","line":7} `, request{Op: opInput, Line: 7}, ""},
		{`{"op":"open"}`, request{}, `op "open": unknown`},
		{`{"op":"set","level":2}`, request{}, "level 2: must be 0 or 1"},
		{`{"op":"set","levels":1}`, request{}, "unknown field"},
		{`{"op":"set"}{"op":"set"}`, request{}, "more than one object"},
		{``, request{}, "EOF"},
	} {
		got, err := parseRequest([]byte(tt.text))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("parseRequest(%s) = %+v, %v, want %+v, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func TestReadKeepsABegunLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		w := wire{Conn: theirs, max: 100}
		go func() {
			_, _ = ours.Write([]byte("on"))
			time.Sleep(time.Second)
			_, _ = ours.Write([]byte("e\ntwo\n"))
		}()
		if _, err := w.read(time.Now().Add(bound)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read of half a line = %v, want ErrDeadlineExceeded", err)
		}
		for _, want := range []string{"one", "two"} {
			if got, err := w.read(time.Time{}); err != nil || string(got) != want {
				t.Errorf("read = %q, %v, want %q", got, err, want)
			}
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{`{"op":"set","level":1}`, `{"op":"output","name":"door","consumer":"facegate"}`, `{"op":"press","line":-1}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRequest(text)
		if err != nil && r != (request{}) {
			t.Errorf("parseRequest(%q) = %+v with error %v", text, r, err)
		}
		if err == nil && (r.Op == "" || r.Level < 0 || r.Level > 1) {
			t.Errorf("parseRequest(%q) = %+v", text, r)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	for _, seed := range []string{`{"line":0,"level":1}`, `{"change":{"t_ms":1.5,"line":0,"level":1}}`, `{"lines":[{"name":"door"}]}`, `null`, `{"err":"no"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := parseReply(text); err != nil && (r.Change != nil || r.Lines != nil) {
			t.Errorf("parseReply(%q) = %+v with error %v", text, r, err)
		}
	})
}

// A scriptConn delivers its text in pieces of size bytes.
type scriptConn struct {
	net.Conn
	text io.Reader
	size int
}

func (c *scriptConn) Read(p []byte) (int, error) { return c.text.Read(p[:min(len(p), c.size)]) }

func (c *scriptConn) SetReadDeadline(time.Time) error { return nil }

func FuzzWireRead(f *testing.F) {
	f.Add([]byte("one\ntwo\nthr"), 2)
	f.Add([]byte("\n\n"), 1)
	f.Add(bytes.Repeat([]byte("x"), 300), 1024)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		w := wire{Conn: &scriptConn{text: bytes.NewReader(text), size: max(size, 1)}, max: 128}
		var got []byte
		for {
			line, err := w.read(time.Time{})
			if err != nil {
				break
			}
			got = append(append(got, line...), '\n')
		}
		if !bytes.HasPrefix(text, got) {
			t.Errorf("lines %q are not the beginning of %q", got, text)
		}
		if len(w.buf) > w.max+1024 {
			t.Errorf("%d bytes kept, more than the bound", len(w.buf))
		}
	})
}
