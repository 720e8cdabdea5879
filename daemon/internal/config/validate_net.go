package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) sources() {
	s, doc := c.cfg.Sources, c.cfg.Document
	c.path("sources.inbox.dir", s.Inbox.Dir, !s.Inbox.Enabled)
	if s.Inbox.Enabled {
		// What lies in the inbox is read as a picture and removed.
		for _, own := range []struct{ key, dir string }{{"data", c.cfg.Data}, {"models.dir", c.cfg.Models.Dir}} {
			if contains(s.Inbox.Dir, own.dir) {
				c.fail("sources.inbox.dir", "must not be or hold %s (%s): files in the inbox are removed once read", own.key, own.dir)
			}
		}
	}
	if s.Button.Enabled && !doc.Enabled {
		c.fail("sources.button.enabled", "needs document_camera.enabled: true")
	}
	if s.Button.Enabled && !doc.Button.Wired() {
		c.fail("sources.button.enabled", "needs a wired document_camera.button")
	}
}

// contains says whether path is dir or lies below it.
func contains(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func (c *checker) http() {
	h := c.cfg.HTTP
	c.path("http.token_file", h.TokenFile, true)
	c.pair("http", h.CertFile, h.KeyFile)
	if path, ok := strings.CutPrefix(h.Listen, "unix:"); ok {
		c.path("http.listen", path, false)
		if h.CertFile != "" && h.KeyFile != "" {
			c.fail("http.cert_file", "a socket takes none: remove it, or listen on host:port")
		}
		return
	}
	if c.address("http.listen", h.Listen) && !loopback(h.Listen) && (h.CertFile == "" || h.KeyFile == "" || h.TokenFile == "") {
		c.fail("http.listen", "others can reach %s: it needs http.cert_file, http.key_file and http.token_file, or listen on 127.0.0.1 or unix:/path", h.Listen)
	}
}

func (c *checker) mqtt() {
	m := c.cfg.MQTT
	c.path("mqtt.password_file", m.PasswordFile, true)
	c.path("mqtt.ca_file", m.CAFile, true)
	c.pair("mqtt", m.CertFile, m.KeyFile)
	c.path("mqtt.embedded.users_file", m.Embedded.UsersFile, true)
	if m.PasswordFile != "" && m.Username == "" {
		c.fail("mqtt.password_file", "needs mqtt.username")
	}
	if m.Broker == "embedded" {
		c.embedded(m.Embedded)
	} else {
		c.broker(m.Broker)
	}
	if scheme, _, _ := strings.Cut(m.Broker, ":"); scheme == "ssl" || scheme == "wss" {
		return
	}
	if m.CAFile != "" {
		c.fail("mqtt.ca_file", "needs an mqtt.broker of ssl:// or wss://")
	}
	if m.CertFile != "" {
		c.fail("mqtt.cert_file", "needs an mqtt.broker of ssl:// or wss://")
	}
}

// broker checks the address of an external broker.
func (c *checker) broker(broker string) {
	const key = "mqtt.broker"
	u, err := url.Parse(broker)
	if err != nil || !slices.Contains([]string{"tcp", "ssl", "ws", "wss"}, u.Scheme) || u.Hostname() == "" {
		c.fail(key, "must be embedded, or an address such as tcp://host:1883, ssl://host:8883, ws://host:80/mqtt or wss://host:443/mqtt")
		return
	}
	web := u.Scheme == "ws" || u.Scheme == "wss"
	switch {
	case u.User != nil:
		c.fail(key, "must not hold a user or password: use mqtt.username and mqtt.password_file")
	case u.RawQuery != "" || u.Fragment != "" || !web && u.Path != "":
		c.fail(key, "must end after the host and port; only ws:// and wss:// have a path")
	case !validPort(u.Port()):
		c.fail(key, "needs a port of 1 to 65535, as in %s://%s:%s", u.Scheme, u.Host, map[string]string{"tcp": "1883", "ssl": "8883", "ws": "80", "wss": "443"}[u.Scheme])
	}
}

// embedded checks where the daemon's own broker listens.
func (c *checker) embedded(e Embedded) {
	listens := []struct{ key, address string }{{"mqtt.embedded.listen", e.Listen}, {"mqtt.embedded.websocket", e.WebSocket}}
	for _, l := range listens {
		if l.key == "mqtt.embedded.websocket" && l.address == "" {
			continue
		}
		if c.address(l.key, l.address) && !loopback(l.address) && e.UsersFile == "" {
			c.fail(l.key, "others can reach %s: it needs mqtt.embedded.users_file, or listen on 127.0.0.1", l.address)
		}
	}
	if e.Listen != "" && e.Listen == e.WebSocket {
		c.fail("mqtt.embedded.websocket", "must not be the address of mqtt.embedded.listen")
	}
}

// pair demands absolute paths, both or none, of a certificate and its key.
func (c *checker) pair(section, cert, key string) {
	c.path(section+".cert_file", cert, true)
	c.path(section+".key_file", key, true)
	if cert != "" && key == "" {
		c.fail(section+".cert_file", "needs %s.key_file", section)
	}
	if key != "" && cert == "" {
		c.fail(section+".key_file", "needs %s.cert_file", section)
	}
}

// address demands host:port and says whether it got it.
func (c *checker) address(key, v string) bool {
	host, port, err := net.SplitHostPort(v)
	if err != nil || !validPort(port) || strings.ContainsAny(host, "/ ") {
		c.fail(key, "must be an address such as 127.0.0.1:8080, not %q", short(v))
		return false
	}
	return true
}

func validPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0
}

// loopback says whether only this machine reaches the address host:port. A
// name other than localhost may mean any address, so it is taken as reachable.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
