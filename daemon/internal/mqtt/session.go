package mqtt

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/facegate/facegate/daemon/internal/event"
)

const (
	keepAlive   = 30 * time.Second
	pingTimeout = 10 * time.Second
	ackTimeout  = 15 * time.Second // for an acknowledgement by the broker
	healthEvery = 30 * time.Second
	goodbye     = time.Second // for the last message, at shutdown
	quiesce     = 250         // milliseconds
)

// A session is one connection, from dialling to its loss. It has a paho
// client of its own: one that reconnects by itself reports messages as
// delivered that no broker has acknowledged.
type session struct {
	*run
	paho  paho.Client
	conn  net.Conn
	began time.Duration // since boot, in whole milliseconds, as an event tells it
}

// session makes one connection and serves it until it is lost or ctx ends.
// It reports whether the broker had accepted us.
func (r *run) session(parent context.Context) (connected bool, err error) {
	ctx, lose := context.WithCancelCause(parent)
	defer lose(nil)
	s, err := r.connect(ctx, lose)
	if err != nil {
		return false, certificateError(err, r.Credentials)
	}
	defer r.stats.connected.Store(false)
	r.stats.sessions.Add(1)
	err = s.live(ctx, lose)
	s.close(parent)
	return true, err
}

// live announces the kiosk and then serves the connection. The error is why
// it ended.
func (s *session) live(ctx context.Context, lose context.CancelCauseFunc) error {
	s.box.renew()
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.announced()
	s.serve(ctx, lose)
	return context.Cause(ctx)
}

// serve runs what needs the connection, until ctx ends.
func (s *session) serve(ctx context.Context, lose context.CancelCauseFunc) {
	var wg sync.WaitGroup
	for _, job := range []func(context.Context) error{s.forward, s.announce, s.replays} {
		wg.Go(func() {
			if err := job(ctx); err != nil {
				lose(err)
			}
		})
	}
	wg.Wait()
}

// connect dials the broker and logs in.
func (r *run) connect(ctx context.Context, lose context.CancelCauseFunc) (*session, error) {
	password, err := r.Credentials.password()
	if err != nil {
		return nil, err
	}
	s := &session{run: r}
	opened := make(chan net.Conn, 1)
	o := paho.NewClientOptions().
		AddBroker("tcp://"+r.brokerName()). // a name only: open does the dialling
		SetClientID(r.ClientID).
		SetProtocolVersion(4). // 3.1.1; else a refused login is tried again as 3.1
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true). // commands stay in order; receive never waits, as paho then demands
		SetConnectTimeout(connectTimeout).
		SetWriteTimeout(writeTimeout).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetBinaryWill(r.topic("status"), r.status(Offline).payload, 1, true).
		SetConnectionLostHandler(func(_ paho.Client, err error) { lose(fmt.Errorf("connection lost: %w", err)) })
	if r.Dial == nil {
		o.SetUsername(r.Credentials.Username).SetPassword(password)
	}
	o.SetCustomOpenConnectionFn(s.open(ctx, lose, opened))
	s.paho = paho.NewClient(o)
	token := s.paho.Connect()
	select {
	case <-token.Done():
	case <-ctx.Done():
		s.abandon(opened)
		return nil, context.Cause(ctx)
	}
	if err := token.Error(); err != nil {
		return nil, loginError(err)
	}
	s.conn = <-opened
	s.began = event.SinceBoot().Truncate(time.Millisecond)
	return s, nil
}

// open returns the function by which paho opens its connection. The
// connection is closed if ctx ends before it is handed over.
func (s *session) open(ctx context.Context, lose context.CancelCauseFunc, opened chan<- net.Conn) paho.OpenConnectionFunc {
	return func(_ *url.URL, _ paho.ClientOptions) (net.Conn, error) {
		dial := s.Dial
		if dial == nil {
			dial = func(ctx context.Context) (net.Conn, error) { return s.broker.dial(ctx, s.Credentials) }
		}
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), conn.Close())
		}
		g := newGuard(conn, s.tooLarge, lose)
		opened <- g
		return g, nil
	}
}

// abandon ends a login that is not waited for any longer.
func (s *session) abandon(opened <-chan net.Conn) {
	select {
	case conn := <-opened:
		_ = conn.Close()
	default: // still dialling, which ends with the context
	}
}

// loginError explains a refusal.
func loginError(err error) error {
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("the broker refuses to let us in: %w (check mqtt.username, mqtt.password_file and mqtt.cert_file)", err)
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return fmt.Errorf("the broker refuses mqtt.client_id: %w", err)
	}
	return err
}

// certificateError explains a failure that is about certificates, with the
// files that they came from.
func certificateError(err error, c Credentials) error {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return fmt.Errorf("the broker's certificate is valid from %s to %s, the time here is %s (renew it, or set this machine's clock)",
			day(e.Cert.NotBefore), day(e.Cert.NotAfter), day(time.Now()))
	}
	if why := objection(err); why != nil {
		return fmt.Errorf("the broker refuses our certificate%s: %w (check mqtt.cert_file, mqtt.key_file and what the broker trusts)", c.expiry(), why)
	}
	return err
}

// objection returns what the other end of a TLS connection objects to, or nil.
func objection(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // so marked by crypto/tls
		return e.Err
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime + "Z") }

// close ends the connection, and paho's goroutines with it. Only when the
// program ends does it say goodbye: otherwise the broker is to publish our
// will, for it may be long before we are back.
func (s *session) close(parent context.Context) {
	if parent.Err() != nil {
		s.farewell(parent)
	} else {
		_ = s.conn.Close()
	}
	s.paho.Disconnect(quiesce)
	_ = s.conn.Close()
}

// subscribe asks for commands, at QoS 0: a command that the broker kept for
// us would come too late.
func (s *session) subscribe(ctx context.Context) error {
	filter := s.topic("cmd/+")
	token, err := s.hand(ctx, func() paho.Token {
		return s.paho.Subscribe(filter, 0, func(_ paho.Client, m paho.Message) {
			s.receive(m.Topic(), m.Retained(), m.Payload())
		})
	})
	if err != nil {
		return err
	}
	if err := await(ctx, token); err != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	if sub, ok := token.(*paho.SubscribeToken); ok && sub.Result()[filter] > 2 {
		s.Log.Warn("broker refuses the subscription to commands", "topic", filter, "hint", "check the broker's access list")
	}
	return nil
}

// announced notes that the connection is complete.
func (s *session) announced() {
	s.stats.mu.Lock()
	s.stats.lastErr = ""
	s.stats.mu.Unlock()
	s.stats.connected.Store(true)
	s.Log.Info("connected to the broker", "broker", s.brokerName(), "topic", s.topic(""))
}

// announce sends what comes into the mailbox, and the health now and then.
func (s *session) announce(ctx context.Context) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		if err := s.flush(ctx); err != nil {
			return err
		}
		select {
		case <-s.box.woken():
		case <-tick.C:
			s.box.again(docHealth)
		case <-ctx.Done():
			return nil
		}
	}
}

// flush empties the mailbox.
func (s *session) flush(ctx context.Context) error {
	for {
		m, ticket, ok := s.box.next()
		if !ok {
			return nil
		}
		token, err := s.publish(ctx, m)
		if err != nil {
			return err
		}
		if err := await(ctx, token); err != nil {
			return fmt.Errorf("publish %s: %w", m.topic, err)
		}
		s.box.done(ticket)
	}
}

// farewell says that the kiosk ends on purpose.
func (s *session) farewell(parent context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), goodbye)
	defer cancel()
	token, err := s.publish(ctx, s.status(Stopped))
	if err == nil {
		err = await(ctx, token)
	}
	if err != nil {
		s.Log.Warn("status stopped not published", "err", err)
	}
}

func (s *session) publish(ctx context.Context, m message) (paho.Token, error) {
	return s.hand(ctx, func() paho.Token { return s.paho.Publish(m.topic, m.qos, m.retained, m.payload) })
}

// hand calls into paho without being held up by it: its calls wait for a
// stalled connection up to writeTimeout, whatever the context says.
func (s *session) hand(ctx context.Context, call func() paho.Token) (paho.Token, error) {
	done := make(chan paho.Token, 1)
	go func() { done <- call() }()
	select {
	case token := <-done:
		return token, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// await waits for the broker's acknowledgement, but not for ever.
func await(ctx context.Context, token paho.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	default:
	}
	late := time.NewTimer(ackTimeout)
	defer late.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-late.C:
		return fmt.Errorf("no acknowledgement by the broker within %s", ackTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
