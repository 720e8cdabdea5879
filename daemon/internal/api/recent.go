package api

import (
	"sync"

	"github.com/facegate/facegate/daemon/internal/event"
)

// maxRecent is how many attempts are remembered.
const maxRecent = 100

// recent remembers the latest attempts, whatever source they came from.
type recent struct {
	// mu guards the following
	mu    sync.Mutex
	order []string // attempt IDs, the oldest first
	byID  map[string]*record
}

// A record is what is known of one attempt.
type record struct {
	ended chan struct{} // closed once event is set
	event event.Event   // to be read only after ended is closed
}

func newRecent() *recent { return &recent{byID: map[string]*record{}} }

// begin notes an attempt unless it is known, and returns its record.
func (r *recent) begin(id string) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(id)
}

// end notes the outcome of an attempt and says whether that was news.
func (r *recent) end(e event.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.find(e.AttemptID)
	if rec.over() {
		return false
	}
	rec.event = e
	close(rec.ended)
	return true
}

func (r *recent) get(id string) (*record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.byID[id]
	return rec, ok
}

// find returns the record of an attempt, new if need be, with mu held.
func (r *recent) find(id string) *record {
	if rec, ok := r.byID[id]; ok {
		return rec
	}
	if len(r.order) == maxRecent {
		delete(r.byID, r.order[0])
		r.order = r.order[1:]
	}
	rec := &record{ended: make(chan struct{})}
	r.order = append(r.order, id)
	r.byID[id] = rec
	return rec
}

func (r *record) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}
