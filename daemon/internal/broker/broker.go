// Package broker is the MQTT broker inside the daemon (mqtt.broker:
// embedded), for a kiosk that has no other: demonstrations, a single gate,
// a user interface on the same machine.
//
// It keeps everything in memory. A subscriber that was away, and everything
// retained, is forgotten when the daemon ends; messages for an absent
// subscriber with a lasting session are kept up to [maxInflight] and not
// always sent in order within one second. A consumer therefore orders events
// by seq and fills gaps with cmd/replay. Whoever needs more uses a broker of
// its own.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
)

// Bounds of the embedded broker.
const (
	maxConns    = 64      // connections for each listener, also before they log in
	maxPacket   = 1 << 20 // bytes; the largest command is smaller
	maxInflight = 2048    // QoS 1 messages kept for a slow or absent subscriber
	maxWrites   = 512     // messages waiting to be written to one subscriber
	firstPacket = 10 * time.Second
	writeWait   = 3 * time.Second // for a client to take what is written to it
)

// Config says where the broker listens and who may use it.
type Config struct {
	Listen    string // host:port
	WebSocket string // host:port of MQTT over WebSocket; empty: none
	UsersFile string // lines of user:password; empty: anyone, on loopback only

	// ClientID is the id of the client behind Dial. Nobody else gets it: a
	// second client of the same id throws the first one out.
	ClientID string
	// Topics is what that client's topics begin with, with the slash at the end.
	// Everybody else may then publish commands, below Topics+"cmd/", and nothing
	// else. Empty: whatever they like.
	Topics string
}

// CheckUsers says what [Listen] would find wrong with a users file, under its
// key.
func CheckUsers(path string) error {
	_, err := loadUsers(path)
	return err
}

// An Embedded is a broker in this process. Use [Listen] to make one.
type Embedded struct {
	server *mochi.Server
	tcp    *listener
	ws     *listener // nil without a WebSocket address
	own    *listener // connections made by Dial
	log    *slog.Logger
}

// Listen checks c and opens the addresses. It accepts nobody before
// [Embedded.Run], which the caller must call: it also closes them.
func Listen(c Config, log *slog.Logger) (*Embedded, error) {
	users, err := loadUsers(c.UsersFile)
	if err != nil {
		return nil, err
	}
	if users == nil {
		err = errors.Join(needLoopback("mqtt.embedded.listen", c.Listen), needLoopback("mqtt.embedded.websocket", c.WebSocket))
		if err != nil {
			return nil, err
		}
	}
	e := &Embedded{log: log, own: newListener("own", nil, log)}
	if e.tcp, err = bind("tcp", "mqtt.embedded.listen", c.Listen, log); err != nil {
		return nil, err
	}
	if c.WebSocket != "" {
		if e.ws, err = bind("ws", "mqtt.embedded.websocket", c.WebSocket, log); err != nil {
			return nil, errors.Join(err, e.tcp.ln.Close())
		}
		e.ws.upgrade = &upgrader{open: users == nil}
	}
	if e.server, err = e.assemble(&access{users: users, trusted: e.own.id, clientID: c.ClientID, topics: c.Topics}); err != nil {
		return nil, errors.Join(err, e.closeSockets())
	}
	return e, nil
}

func bind(id, key, address string, log *slog.Logger) (*listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (is another broker running? choose another port or set mqtt.broker)", key, err)
	}
	return newListener(id, ln, log), nil
}

// needLoopback refuses an address that others can reach.
func needLoopback(key, address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w (want host:port)", key, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s: %s can be reached by others, and anyone may log in (set mqtt.embedded.users_file, or listen on 127.0.0.1)", key, address)
}

func (e *Embedded) assemble(a *access) (*mochi.Server, error) {
	limits := mochi.NewDefaultServerCapabilities()
	limits.MaximumClients = 3 * maxConns
	limits.MaximumPacketSize = maxPacket
	limits.MaximumInflight = maxInflight
	limits.MaximumClientWritesPending = maxWrites
	limits.MaximumSessionExpiryInterval = uint32((24 * time.Hour).Seconds())
	server := mochi.New(&mochi.Options{
		Capabilities:           limits,
		Logger:                 slog.New(&discreet{next: e.log.Handler()}),
		SysTopicResendInterval: 60,
	})
	if err := server.AddHook(a, nil); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	for _, l := range e.listeners() {
		if err := server.AddListener(l); err != nil {
			return nil, fmt.Errorf("embedded broker: %w", err)
		}
	}
	return server, nil
}

func (e *Embedded) listeners() []*listener {
	if e.ws == nil {
		return []*listener{e.tcp, e.own}
	}
	return []*listener{e.tcp, e.own, e.ws}
}

func (e *Embedded) closeSockets() error {
	if e.ws == nil {
		return e.tcp.ln.Close()
	}
	return errors.Join(e.tcp.ln.Close(), e.ws.ln.Close())
}

// Addr is the address of the TCP listener.
func (e *Embedded) Addr() net.Addr { return e.tcp.ln.Addr() }

// WebSocketAddr is the address of the WebSocket listener, nil without one.
func (e *Embedded) WebSocketAddr() net.Addr {
	if e.ws == nil {
		return nil
	}
	return e.ws.ln.Addr()
}

// Run serves until ctx ends, then says goodbye to every client and returns
// nil. It may be called once.
func (e *Embedded) Run(ctx context.Context) error {
	if err := e.server.Serve(); err != nil {
		return errors.Join(fmt.Errorf("embedded broker: %w", err), e.closeSockets())
	}
	e.log.Info("embedded broker ready", "address", e.Addr().String())
	<-ctx.Done()
	if err := e.server.Close(); err != nil {
		return fmt.Errorf("close embedded broker: %w", err)
	}
	return nil
}

// Dial connects this process to its own broker without the network and
// without a password; it waits until the broker runs. The caller owns the
// connection.
func (e *Embedded) Dial(ctx context.Context) (net.Conn, error) {
	select {
	case <-e.own.begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	near, far := net.Pipe()
	if !e.own.serve(far) {
		_ = near.Close()
		return nil, errors.New("embedded broker is closed")
	}
	return near, nil
}
