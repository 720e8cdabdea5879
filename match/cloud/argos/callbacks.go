package argos

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// The bounds of what strangers may cost.
const (
	maxPosted      = 1 << 20 // bytes of a result
	maxConnections = 32
	requestTime    = 10 * time.Second // for one request, handshake included
)

// Callbacks receives results that the service posts. Each call of a Client has
// a path of its own, which nobody can guess, that takes one result and is gone
// when the call ends. Anything else is answered with 404.
//
// It is ready when its fields are set, and may be shared by clients.
type Callbacks struct {
	Listen    string       // address of the TLS listener, as host:port
	PublicURL string       // https:// URL under which the service reaches it, without the last part of the path
	CertFile  string       // PEM of its certificate and those that vouch for it
	KeyFile   string       // PEM of its key
	Log       *slog.Logger // hears of connections that failed, at level debug; nil: nobody does

	// mu guards the following
	mu      sync.Mutex
	waiting map[string]chan<- []byte // by the last part of the path
}

// Check reports all that is wrong with the settings. It opens nothing.
func (c *Callbacks) Check() error {
	var problems []error
	for _, s := range []struct{ name, value, remedy string }{
		{"listen", c.Listen, "the address to listen on, such as :8443"},
		{"public_url", c.PublicURL, "the https:// URL under which the service reaches this listener"},
		{"cert_file", c.CertFile, "a PEM file with the certificate of public_url's host"},
		{"key_file", c.KeyFile, "a PEM file with the certificate's key"},
	} {
		if s.value == "" {
			problems = append(problems, fmt.Errorf("callback.%s: missing (%s)", s.name, s.remedy))
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		problems = append(problems, fmt.Errorf("callback.listen: %q is not host:port (such as :8443)", c.Listen))
	}
	u, err := url.Parse(c.PublicURL)
	if c.PublicURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		problems = append(problems, fmt.Errorf("callback.public_url: %q is not a plain https:// URL", c.PublicURL))
	}
	return errors.Join(problems...)
}

// Open opens the listener and looks at the certificate, for [Callbacks.Serve].
// Both files are read again for each connection, so that they can be renewed.
func (c *Callbacks) Open() (net.Listener, error) {
	if _, err := c.certificate(nil); err != nil {
		return nil, fmt.Errorf("callback.cert_file: %w", err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("callback.listen: %w", err)
	}
	return l, nil
}

func (c *Callbacks) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	return &pair, err
}

// Serve receives results until ctx ends, which is no error, and closes l and
// every connection at once.
func (c *Callbacks) Serve(ctx context.Context, l net.Listener) error {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(c.receive),
		ReadHeaderTimeout: requestTime / 2,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("provider", Name).Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		secure := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.certificate}
		ended <- server.Serve(tls.NewListener(newLimited(l, maxConnections), secure))
	})
	defer wg.Wait()
	select {
	case err := <-ended:
		return fmt.Errorf("receive results of %s: %w", Name, err)
	case <-ctx.Done():
	}
	_ = server.Close() // not Shutdown: nobody waits for a result any more
	return nil
}

// expect returns the URL for one result, and where that will arrive. The caller
// calls forget when it waits no more.
func (c *Callbacks) expect() (address string, posted <-chan []byte, forget func()) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(random[:])
	arriving := make(chan []byte, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]chan<- []byte{}
	}
	c.waiting[token] = arriving
	return strings.TrimRight(c.PublicURL, "/") + "/" + token, arriving, func() { c.take(token) }
}

func (c *Callbacks) expects(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[token] != nil
}

// take returns where the result of a path goes, once, and then nil.
func (c *Callbacks) take(token string) chan<- []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	arriving := c.waiting[token]
	delete(c.waiting, token)
	return arriving
}

// receive answers a request. A proxy before it may cut the path but for its
// last part.
func (c *Callbacks) receive(w http.ResponseWriter, r *http.Request) {
	token := path.Base(r.URL.Path)
	if r.Method != http.MethodPost || !c.expects(token) {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPosted))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		body = nil // is no result; the call need not wait for another
	} else if err != nil {
		return // cut off; it may come again
	}
	arriving := c.take(token)
	if arriving == nil {
		http.NotFound(w, r)
		return
	}
	arriving <- body
}

// limited is a listener with a bound on its open connections.
type limited struct {
	net.Listener
	open   chan struct{} // a value for each
	closed chan struct{}
	stop   func()
}

func newLimited(l net.Listener, n int) *limited {
	closed := make(chan struct{})
	return &limited{l, make(chan struct{}, n), closed, sync.OnceFunc(func() { close(closed) })}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &counted{Conn: conn, release: sync.OnceFunc(func() { <-l.open })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.stop()
	return l.Listener.Close()
}

// counted is a connection of a limited listener.
type counted struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
