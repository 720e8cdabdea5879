// Package mqtt connects the kiosk to its MQTT broker: it publishes the
// journal's events at least once and in order, announces the kiosk's state on
// every connection, and receives commands. docs/mqtt.md is its contract with
// the outside.
//
//	journal ─► Outbox ─► forward ─┐
//	SetStatus, SetHealth,         ├─► one connection ─► broker
//	Progress, Report ─► mailbox ──┘        │
//	Handler ◄── commands, checked ◄────────┘
//
// Nothing in the kiosk ever waits for the broker: whatever goes in is put
// into the journal by others or into a bounded mailbox here.
package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/facegate/facegate/daemon/internal/event"
)

// An Outbox is the part of the journal that a broker has not acknowledged.
// The client calls it from one goroutine.
type Outbox interface {
	// Pending returns the oldest events not yet delivered, in order of seq,
	// at most limit.
	Pending(ctx context.Context, limit int) ([]event.Event, error)
	// Delivered records that the broker has every event up to and including
	// the one with that seq.
	Delivered(ctx context.Context, through uint64) error
	// Changed returns a channel that receives, or is closed, once there may be
	// more to send than at the last Pending. It is asked for before Pending.
	Changed() <-chan struct{}
}

// History is the journal's memory, for the replay command.
type History interface {
	// Range returns the events from seq from to seq to that still exist, in
	// order, at most limit.
	Range(ctx context.Context, from, to uint64, limit int) ([]event.Event, error)
}

// Nonces remembers on disk which commands were seen.
type Nonces interface {
	// UseNonce records nonce and reports whether it was new. It may forget it
	// some minutes after expires, lest the clock is set back. Once it has returned true, the nonce stays used even
	// after a loss of power.
	UseNonce(ctx context.Context, nonce string, expires time.Time) (bool, error)
}

// A Handler carries out the commands verify, cancel and grant. Handle is
// called from one goroutine and should answer within a second; ctx ends after
// ten.
type Handler interface {
	Handle(ctx context.Context, c Command) Response
}

// A Client is the kiosk's end of the connection. Fill in the fields, call
// [Client.Check], and then [Client.Run] once. The other methods never block
// and may be called from anywhere at any time, before Run too.
type Client struct {
	Broker      string // tcp://, ssl://, ws:// or wss:// and an address; not used with Dial
	Credentials Credentials
	// Dial, if set, opens the connection instead: to the embedded broker.
	Dial     func(ctx context.Context) (net.Conn, error)
	ClientID string // unique among all clients of the broker, the same at each start

	Base, Site, Device string // levels of every topic
	BootID, Version    string // shown in the status

	Outbox      Outbox
	History     History
	Nonces      Nonces
	Handler     Handler
	ClockSynced func() bool  // commands are refused while it says no
	Last        *event.Event // the newest attempt of an earlier run, or nil
	Log         *slog.Logger

	box   mailbox
	stats stats
}

// stats counts for [Client.Stats].
type stats struct {
	connected                                      atomic.Bool
	sessions, sent, historical, commands, refusals atomic.Uint64

	// mu guards the following
	mu      sync.Mutex
	lastErr string
}

// Stats says how the connection fares. Counters count from the start of the
// program.
type Stats struct {
	Connected  bool
	LastError  string // why there is no connection, empty while there is one
	Sessions   uint64 // connections made
	Sent       uint64 // events acknowledged by the broker
	Historical uint64 // of these, marked historical
	Commands   uint64 // commands carried out or handed to the Handler
	Refused    uint64 // commands refused, whatever the reason
	Dropped    uint64 // hints, responses and faults dropped for want of room
}

// Stats returns the figures of this moment.
func (c *Client) Stats() Stats {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	return Stats{
		Connected: c.stats.connected.Load(), LastError: c.stats.lastErr,
		Sessions: c.stats.sessions.Load(), Sent: c.stats.sent.Load(), Historical: c.stats.historical.Load(),
		Commands: c.stats.commands.Load(), Refused: c.stats.refusals.Load(), Dropped: c.box.lost(),
	}
}

// Check says everything that is wrong with the fields that come from the
// configuration, joined, each under its key. It reads the secrets' files but
// does not connect.
func (c *Client) Check() error {
	errs := []error{
		checkLevel("device.base", c.Base),
		checkLevel("device.site", c.Site),
		checkLevel("device.name", c.Device),
	}
	if c.ClientID == "" {
		errs = append(errs, errors.New("mqtt.client_id: empty (the machine id is a good choice)"))
	}
	if c.Dial == nil {
		a, err := parseBroker(c.Broker)
		if err == nil {
			err = c.Credentials.check(a.encrypted)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run connects, and connects again whenever the connection is lost, until ctx
// ends; then it says that the kiosk has stopped and returns nil. Only what
// Check finds makes it return an error: a broker that is away or refuses us is
// logged when that changes, and tried again.
func (c *Client) Run(ctx context.Context) error {
	if err := c.Check(); err != nil {
		return err
	}
	r := &run{
		Client: c,
		inbox:  make(chan incoming, maxInbox),
		replay: make(chan Replay, 1),
	}
	if c.Dial == nil {
		r.broker, _ = parseBroker(c.Broker) // as checked
		c.advise(r.broker)
	}
	r.seed()
	var wg sync.WaitGroup
	wg.Go(func() { r.work(ctx) })
	r.keepConnected(ctx)
	wg.Wait()
	return nil
}

// advise warns of what is allowed but unwise.
func (c *Client) advise(a address) {
	if c.Credentials.PasswordFile != "" && a.inClear() {
		c.Log.Warn("broker password crosses the network in clear", "broker", a.url.String(), "hint", "use ssl:// or wss://")
	}
	for _, key := range c.Credentials.exposed() {
		c.Log.Warn("secret can be read by every user of this machine", "key", key, "hint", "chmod 0600")
	}
}

// A run is what one call of Run keeps.
type run struct {
	*Client
	broker address
	inbox  chan incoming // commands not yet looked at
	replay chan Replay   // at most one
	sent   uint64        // the highest seq ever put on the wire

	replaying atomic.Bool // from the command to the last event

	unreadable, retained, busy, journal limiter
}

// seed puts the documents in place that must exist before anyone sets them.
func (r *run) seed() {
	r.box.setStatus(Online, true, r.status)
	if r.Last != nil {
		r.setLast(r.Last)
	}
}

// keepConnected makes one connection after another.
func (r *run) keepConnected(ctx context.Context) {
	var wait backoff
	for ctx.Err() == nil {
		began, sent := time.Now(), r.stats.sent.Load()
		connected, err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		// A connection that achieved something was a good one, but not if it was
		// lost soon: of clients with one id each would deliver something before
		// the next throws it out, and all would come back at once for ever.
		lasted := time.Since(began)
		if connected && (lasted >= stable || lasted >= soon && r.stats.sent.Load() > sent) {
			wait.reset()
		}
		if connected && lasted < soon {
			err = fmt.Errorf("%w soon after logging in (has another client the same mqtt.client_id?)", err)
		}
		delay := wait.next()
		r.failed(err, delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

// failed logs why there is no connection, once for each reason.
func (r *run) failed(err error, wait time.Duration) {
	r.stats.mu.Lock()
	news := !sameReason(r.stats.lastErr, err.Error())
	r.stats.lastErr = err.Error()
	r.stats.mu.Unlock()
	level := slog.LevelDebug
	if news {
		level = slog.LevelWarn
	}
	r.Log.Log(context.Background(), level, "no connection to the broker",
		"broker", r.brokerName(), "err", err, "wait", wait.Round(time.Millisecond))
}

// sameReason compares two errors without their digits: the port at our end,
// the number of an event and the time of day differ at each failure.
func sameReason(a, b string) bool {
	letters := func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}
	return strings.Map(letters, a) == strings.Map(letters, b)
}

func (r *run) brokerName() string {
	if r.broker.url == nil {
		return "embedded"
	}
	return r.broker.url.String()
}

// SetStatus says how the kiosk is: Online, or Degraded while a component has a
// fault. Stopped and Offline are published without being asked for.
func (c *Client) SetStatus(s State) {
	c.box.setStatus(s, false, c.status)
}

func (c *Client) status(s State) message {
	return c.message("status", 1, true, statusPayload{1, s, now(), c.BootID, c.Version})
}

// SetInfo sets what the info topic says: versions, models, camera. It should
// marshal to a JSON object with "v":1, and hold no secret.
func (c *Client) SetInfo(info any) { c.setDoc(docInfo, "info", 1, info) }

// SetHealth sets what the health topic says: one state for each component. It
// is published when it changes, and every 30 s. It should marshal to a JSON
// object with "v":1.
func (c *Client) SetHealth(health any) { c.setDoc(docHealth, "health", 0, health) }

func (c *Client) setDoc(doc int, topic string, qos byte, content any) {
	payload, err := json.Marshal(content)
	if err != nil { // an empty payload would erase what the broker retains
		c.Log.Error("not published", "topic", topic, "err", err)
		return
	}
	c.box.setDoc(doc, message{c.topic(topic), qos, true, payload})
}

// Progress publishes a hint to the person in front of the camera.
func (c *Client) Progress(attemptID, hint string) {
	if !event.ValidAttemptID(attemptID) {
		return
	}
	c.box.hint(c.message("attempt/"+attemptID+"/progress", 0, false, progressPayload{1, attemptID, hint, now()}))
}

// Report publishes a fault.
func (c *Client) Report(f Fault) {
	c.box.note(c.message("error", 1, false, faultPayload{1, f.Code, f.Component, f.Detail, f.RetryIn.Milliseconds(), now()}))
}

func (c *Client) setLast(e *event.Event) {
	if e.Attempt != nil {
		c.box.setDoc(docLast, c.message("state/last", 1, true, lastPayload{1, e.Decision, e.Reason, e.Time}))
	}
}

// message builds a publication under this kiosk's topics.
func (c *Client) message(topic string, qos byte, retained bool, payload any) message {
	return message{c.topic(topic), qos, retained, encode(payload)}
}
