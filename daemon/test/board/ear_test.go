//go:build linux && board

package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// An ear hears what a kiosk says of itself, and when: the health of its
// components as far as it changes, and the hints to the person.
type ear struct {
	address string

	// mu guards the following
	mu     sync.Mutex
	peer   *mqtttest.Peer
	closed bool
	said   []saying
	more   chan struct{} // closed with the next saying
}

// A saying is one thing that was heard.
type saying struct {
	at    time.Time
	about string // camera, clock, matcher; or hint
	what  string // ok, fault; or the hint
	why   string
}

func listen(t *testing.T, address string) *ear {
	t.Helper()
	e := &ear{address: address, more: make(chan struct{})}
	must(t, e.login())
	done := make(chan error, 1)
	go func() { done <- e.run() }()
	t.Cleanup(func() {
		e.mu.Lock()
		e.closed = true
		_ = e.peer.Close()
		e.mu.Unlock()
		must(t, <-done)
	})
	return e
}

func (e *ear) login() error {
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		return err
	}
	peer, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "ear"})
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.peer = peer
	e.mu.Unlock()
	return errors.Join(peer.Subscribe(place+"health", 0), peer.Subscribe(place+"attempt/+/progress", 0))
}

func (e *ear) run() error {
	for {
		m, err := e.peer.Next()
		e.mu.Lock()
		closed := e.closed
		e.mu.Unlock()
		switch {
		case closed:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			if err := e.login(); err != nil { // thrown out for its silence
				return err
			}
		default:
			if err := e.take(m, time.Now()); err != nil {
				return err
			}
		}
	}
}

func (e *ear) take(m mqtttest.Message, at time.Time) error {
	var told struct {
		Hint       string
		Components map[string]struct{ State, Detail string }
	}
	if err := json.Unmarshal(m.Payload, &told); err != nil {
		return fmt.Errorf("%s: %w: %s", m.Topic, err, m.Payload)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if told.Hint != "" {
		e.note(saying{at, "hint", told.Hint, ""})
	}
	for about, c := range told.Components {
		if last, known := e.last(about); !known || last.what != c.State {
			e.note(saying{at, about, c.State, c.Detail})
		}
	}
	return nil
}

// note is called with mu held, as is last.
func (e *ear) note(s saying) {
	e.said = append(e.said, s)
	close(e.more)
	e.more = make(chan struct{})
}

func (e *ear) last(about string) (saying, bool) {
	for i := len(e.said) - 1; i >= 0; i-- {
		if e.said[i].about == about {
			return e.said[i], true
		}
	}
	return saying{}, false
}

// now returns what was last heard about something, nothing if nothing was.
func (e *ear) now(about string) saying {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, _ := e.last(about)
	return s
}

// since returns the first saying of that kind after a moment, and whether there
// was one within the limit, counted from now.
func (e *ear) since(moment time.Time, about, what string, limit time.Duration) (saying, bool) {
	for over := time.After(limit); ; {
		e.mu.Lock()
		more := e.more
		for _, s := range e.said {
			if s.at.After(moment) && s.about == about && s.what == what {
				e.mu.Unlock()
				return s, true
			}
		}
		e.mu.Unlock()
		select {
		case <-more:
		case <-over:
			return saying{}, false
		}
	}
}

// String is the last part of what was heard.
func (e *ear) String() string {
	const most = 20
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	for _, s := range e.said[max(0, len(e.said)-most):] {
		fmt.Fprintf(&b, "%s %s %s %s\n", s.at.Format("15:04:05.000"), s.about, s.what, s.why)
	}
	return b.String()
}

// hears waits until the kiosk says so, from a moment on.
func (k *kiosk) hears(moment time.Time, about, what string) saying {
	k.t.Helper()
	s, ok := k.ear.since(moment, about, what, patient)
	if !ok {
		log, _ := k.board.Run(k.t.Context(), "journalctl --no-pager --unit facegate --lines 30")
		k.t.Fatalf("no %s %s within %v; heard\n%v%s", about, what, patient, k.ear, log)
	}
	return s
}
