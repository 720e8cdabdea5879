package broker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
)

// An upgrader turns HTTP requests into MQTT connections.
type upgrader struct {
	open bool // nobody needs a password
}

// accept takes the request over. A web page may connect only if it was served
// by this machine: any page that a browser on the kiosk shows could otherwise
// send commands.
func (u *upgrader) accept(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	ws := websocket.Upgrader{
		HandshakeTimeout: firstPacket,
		Subprotocols:     []string{"mqtt"},
		CheckOrigin:      u.trusts,
	}
	c, err := ws.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	return &wsConn{Conn: c.NetConn(), ws: c}, nil
}

// trusts compares host names only: a page on another port of the same machine
// is welcome. Without passwords the name must be one that no foreign DNS can
// point here.
func (u *upgrader) trusts(r *http.Request) bool {
	host := hostname(r.Host)
	if u.open && !loopbackName(host) {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	page, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := strings.ToLower(page.Hostname())
	return name != "" && (name == host || loopbackName(name) && loopbackName(host))
}

func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A wsConn is a stream of bytes over binary WebSocket messages. Reads come
// from one goroutine; writes are serialised by the broker.
type wsConn struct {
	net.Conn
	ws  *websocket.Conn
	cur io.Reader // the message being read, or nil
}

// Read implements net.Conn.
func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.cur == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("websocket message is not binary")
			}
			c.cur = r
		}
		n, err := c.cur.Read(p)
		if errors.Is(err, io.EOF) {
			c.cur, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements net.Conn; each call is one message.
func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
