package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const connectTimeout = 10 * time.Second

// An address is a broker's address, taken apart.
type address struct {
	url       *url.URL
	encrypted bool
	websocket bool
}

// parseBroker reads mqtt.broker.
func parseBroker(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return address{}, errors.New("mqtt.broker: not a URL (want for example ssl://broker.example:8883)")
	}
	a := address{url: u}
	port := ""
	switch u.Scheme {
	case "tcp":
		port = "1883"
	case "ssl":
		port, a.encrypted = "8883", true
	case "ws":
		port, a.websocket = "80", true
	case "wss":
		port, a.encrypted, a.websocket = "443", true, true
	default:
		return address{}, fmt.Errorf("mqtt.broker: unknown scheme %q (want embedded, tcp://, ssl://, ws:// or wss://)", u.Scheme)
	}
	switch {
	case u.User != nil:
		return address{}, errors.New("mqtt.broker: holds a user (use mqtt.username and mqtt.password_file)")
	case u.Hostname() == "":
		return address{}, errors.New("mqtt.broker: holds no host name")
	case !a.websocket && u.Path != "" && u.Path != "/":
		return address{}, fmt.Errorf("mqtt.broker: a path is for ws:// and wss:// only, not %q", u.Path)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return a, nil
}

// inClear says whether others could read a password on its way.
func (a address) inClear() bool {
	host := a.url.Hostname()
	ip := net.ParseIP(host)
	return !a.encrypted && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// dial opens the connection, without proxies from the environment.
func (a address) dial(ctx context.Context, c Credentials) (net.Conn, error) {
	conf, err := c.tls(a.url.Hostname())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	switch {
	case a.websocket:
		return a.dialWebSocket(ctx, conf)
	case a.encrypted:
		d := tls.Dialer{Config: conf}
		return d.DialContext(ctx, "tcp", a.url.Host)
	default:
		var d net.Dialer
		return d.DialContext(ctx, "tcp", a.url.Host)
	}
}

// dialWebSocket cannot be interrupted, so a connection that comes too late is
// closed here.
func (a address) dialWebSocket(ctx context.Context, conf *tls.Config) (net.Conn, error) {
	direct := func(*http.Request) (*url.URL, error) { return nil, nil }
	conn, err := paho.NewWebsocket(a.url.String(), conf, connectTimeout, nil, &paho.WebsocketOptions{Proxy: direct})
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a.url, err)
	}
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), conn.Close())
	}
	return conn, nil
}
