package mqtt

import (
	"bytes"
	"sync"
)

// A message is one publication.
type message struct {
	topic    string
	qos      byte
	retained bool
	payload  []byte
}

// The documents: of each, only the newest counts, and each is announced anew
// on every connection. They are sent in this order.
const (
	docStatus = iota
	docInfo
	docHealth
	docLast
	docCount
)

const (
	maxNotes = 64 // responses and faults waiting
	maxHints = 16 // progress hints waiting
)

// A mailbox holds what the program wants published apart from events. No
// method waits for the network: when a queue is full, its oldest message goes.
// The zero value is ready for use.
type mailbox struct {
	// mu guards the following
	mu      sync.Mutex
	signal  chan struct{} // holds a token when something may be waiting
	docs    [docCount]document
	notes   queue
	hints   queue
	dropped uint64
	state   State
}

type document struct {
	message
	changes uint64
	sent    uint64 // value of changes when it was sent; equal: nothing to do
}

type queue struct {
	waiting []message
	first   uint64 // number of waiting[0], counted from the first ever put
}

// A ticket names a message taken with next, for done.
type ticket struct {
	doc    int // index, or docCount for a note, docCount+1 for a hint
	number uint64
}

// woken returns a channel that receives after something was put.
func (m *mailbox) woken() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wake()
}

func (m *mailbox) wake() chan struct{} {
	if m.signal == nil {
		m.signal = make(chan struct{}, 1)
	}
	return m.signal
}

func (m *mailbox) ring() {
	select {
	case m.wake() <- struct{}{}:
	default:
	}
}

// setDoc replaces a document. The same content again is no change.
func (m *mailbox) setDoc(doc int, msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(doc, msg)
}

func (m *mailbox) put(doc int, msg message) {
	d := &m.docs[doc]
	if d.changes > 0 && bytes.Equal(d.payload, msg.payload) {
		return
	}
	d.message = msg
	d.changes++
	m.ring()
}

// setStatus changes the state to s, and the status document with it, if it is
// not that already. With keep, any state set before stays.
func (m *mailbox) setStatus(s State, keep bool, build func(State) message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == s || keep && m.state != "" {
		return
	}
	m.state = s
	m.put(docStatus, build(s))
}

// again makes a document be sent once more, if there is one.
func (m *mailbox) again(doc int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := &m.docs[doc]; d.changes > 0 {
		d.changes++
		m.ring()
	}
}

// note queues a response or a fault. It survives a lost connection.
func (m *mailbox) note(msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped += m.notes.put(msg, maxNotes)
	m.ring()
}

// hint queues a progress hint.
func (m *mailbox) hint(msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped += m.hints.put(msg, maxHints)
	m.ring()
}

// renew prepares for a new connection: every document is due again, and hints
// for people who have long walked on are dropped.
func (m *mailbox) renew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.docs {
		m.docs[i].sent = 0
	}
	m.hints.first += uint64(len(m.hints.waiting))
	m.hints.waiting = nil
	m.ring()
}

// next returns the message to send now and a ticket to hand to done once it
// has been sent.
func (m *mailbox) next() (message, ticket, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, d := range m.docs {
		if d.changes != d.sent {
			return d.message, ticket{i, d.changes}, true
		}
	}
	if len(m.notes.waiting) > 0 {
		return m.notes.waiting[0], ticket{docCount, m.notes.first}, true
	}
	if len(m.hints.waiting) > 0 {
		return m.hints.waiting[0], ticket{docCount + 1, m.hints.first}, true
	}
	return message{}, ticket{}, false
}

// done forgets a message that was sent, unless something newer took its place.
func (m *mailbox) done(t ticket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch t.doc {
	case docCount:
		m.notes.take(t.number)
	case docCount + 1:
		m.hints.take(t.number)
	default:
		m.docs[t.doc].sent = t.number
	}
}

// lost is how many messages were dropped for want of room.
func (m *mailbox) lost() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// put appends and returns how many were dropped to make room.
func (q *queue) put(msg message, limit int) uint64 {
	q.waiting = append(q.waiting, msg)
	if len(q.waiting) <= limit {
		return 0
	}
	q.waiting = behead(q.waiting)
	q.first++
	return 1
}

// take removes the first message if it is still the one with that number.
func (q *queue) take(number uint64) {
	if q.first == number && len(q.waiting) > 0 {
		q.waiting = behead(q.waiting)
		q.first++
	}
}

// behead drops the first message and lets go of its payload.
func behead(w []message) []message {
	w[0] = message{}
	return w[1:]
}
