package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
)

// Bounds of the event stream.
const (
	maxFollowers = 16
	maxBehind    = 32 // messages that a follower may be behind
	heartbeat    = 15 * time.Second
)

// A hint is what the stream and MQTT say of progress.
type hint struct {
	V         int          `json:"v"`
	AttemptID string       `json:"attempt_id"`
	Hint      attempt.Hint `json:"hint"`
	Time      event.Time   `json:"ts"`
}

// A phase is what the line is doing.
type phase struct {
	V     int           `json:"v"`
	Phase attempt.Phase `json:"phase"`
}

// A feed copies messages to whoever follows.
type feed struct {
	log *slog.Logger

	// mu guards the following
	mu        sync.Mutex
	followers map[chan []byte]bool
	last      []byte // the latest phase; nil before the first
}

func newFeed(log *slog.Logger) *feed {
	return &feed{log: log, followers: map[chan []byte]bool{}}
}

// publish sends v to every follower. One that is too far behind is dropped:
// its channel is closed.
func (f *feed) publish(name string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		f.log.Error("event not sent", "kind", name, "err", err)
		return
	}
	message := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := v.(phase); ok {
		f.last = message
	}
	for c := range f.followers {
		select {
		case c <- message:
		default:
			delete(f.followers, c)
			close(c)
			f.log.Warn("event stream dropped", "err", "the client is too slow")
		}
	}
}

// join returns a channel of all that is published from now on, the last phase
// first, or false if too many follow already.
func (f *feed) join() (chan []byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) >= maxFollowers {
		return nil, false
	}
	c := make(chan []byte, maxBehind)
	if f.last != nil {
		c <- f.last
	}
	f.followers[c] = true
	return c, true
}

func (f *feed) leave(c chan []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, c)
}

// getEvents streams outcomes, hints and phases until the client leaves.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	messages, ok := s.feed.join()
	if !ok {
		refuse(overloaded, "%d clients follow already", maxFollowers).write(w)
		return
	}
	defer s.feed.leave(messages)
	w.Header().Set("Content-Type", "text/event-stream")
	if err := send(w, []byte("retry: 2000\n\n")); err != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		message, open := []byte(":\n\n"), true
		select {
		case message, open = <-messages:
		case <-beat.C:
		case <-r.Context().Done():
			return
		case <-s.stopping:
			return
		}
		if !open {
			return
		}
		if err := send(w, message); err != nil {
			return
		}
	}
}

// send writes a message through to the client.
func send(w http.ResponseWriter, message []byte) error {
	out := http.NewResponseController(w)
	if err := out.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return out.Flush()
}
