// Package wire is what the clients of compare services have in common: an HTTP
// client that is configured by nobody but the operator, secrets in files, one
// bounded exchange, and what a status means.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/match/cloud"
)

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 1 << 20

// maxSecret bounds a secret, in bytes; more is the wrong file.
const maxSecret = 64 << 10

// A Secret names the file that holds a key. The file is read for each call, so
// that a key can be renewed without a restart. Printing a Secret prints the
// file's name.
type Secret string

// Read returns the file's text without white space around it.
func (s Secret) Read() (string, error) {
	f, err := os.Open(string(s))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", string(s), err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty", string(s))
	}
	if len(text) > maxSecret || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s does not hold one line of text", string(s))
	}
	return string(text), nil
}

// Network says how services are reached.
type Network struct {
	CAFile string // PEM of an authority trusted besides the system's; empty: none
	Proxy  string // URL of an HTTP proxy for all but this machine; empty: none, whatever the environment says
}

// Client returns an HTTP client for one service. It follows no redirect, takes
// nothing from the environment and has no time limit of its own: each call's
// context has one. Certificates are always checked.
func (n Network) Client() (*http.Client, error) {
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		OnProxyConnectResponse: askedProxy,
		// All calls share an HTTP/2 connection. One whose other end is gone
		// without a word, as when a NAT forgets it, would cost every call its
		// time. A slow uplink may keep the ping waiting behind the pictures.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: time.Second},
	}
	if n.Proxy != "" {
		proxy, err := url.Parse(n.Proxy)
		if err != nil || proxy.Hostname() == "" || proxy.Scheme != "http" && proxy.Scheme != "https" {
			return nil, errors.New("proxy is not an http:// or https:// URL")
		}
		if proxy.User != nil {
			return nil, fmt.Errorf("proxy %s holds a name or password (only proxies without are supported)", proxy.Host)
		}
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			if host := r.URL.Hostname(); loopback(host) || host == "localhost" {
				return nil, nil // its http:// is in the clear: not over the network
			}
			return proxy, nil
		}
	}
	if n.CAFile != "" {
		pem, err := os.ReadFile(n.CAFile)
		if err != nil {
			return nil, err
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", n.CAFile)
		}
		t.TLSClientConfig.RootCAs = roots
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// CheckURL refuses an address that would send faces in the clear: anything but
// https://, or http:// to this machine.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		// Not quoted: it may hold a password or a key.
		return errors.New("is not a plain https:// URL, without user, query and fragment")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%q is not https:// (http:// is for this machine only, as 127.0.0.1 or [::1])", address)
}

// loopback reports whether host is an address of this machine. A name is none,
// not even localhost: resolvers answer what they like.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Post returns a request that sends body to a path below base, and wants JSON
// for an answer.
func Post(ctx context.Context, base, path, contentType string, body []byte) (*http.Request, error) {
	address, err := url.JoinPath(base, path)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", "application/json")
	return r, nil
}

// A Response is one that has been read to its end.
type Response struct {
	Sent   int64 // bytes of the request's body that left for the network
	Status int
	Header http.Header
	Body   []byte
}

// Failure returns why the response is no answer. The text must be fit to be
// shown: see [Excerpt].
func (r Response) Failure(provider string, kind cloud.Kind, text string) *cloud.Failure {
	return &cloud.Failure{
		Kind: kind, Provider: provider, Status: r.Status, RetryAfter: RetryAfter(r.Header, time.Now()), Err: errors.New(text),
	}
}

// Exchange sends a request and reads the answer, whatever its status. An error
// is a *cloud.Failure of kind Network, or Server for an answer that is too
// long; the Response then holds what was sent and the status, if there is one.
//
// The secrets are what the request holds; no error does.
func Exchange(c *http.Client, provider string, r *http.Request, secrets ...string) (Response, error) {
	var sent atomic.Int64
	answer, err := c.Do(Count(r, &sent))
	if err != nil {
		return Response{Sent: sent.Load()}, &cloud.Failure{Kind: cloud.Network, Provider: provider, Err: Reason(r.Context(), err, secrets...)}
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	response := Response{Sent: sent.Load(), Status: answer.StatusCode, Header: answer.Header}
	if err != nil {
		return response, &cloud.Failure{Kind: cloud.Network, Provider: provider, Status: response.Status, Err: Reason(r.Context(), err, secrets...)}
	}
	if len(body) > maxAnswer {
		return response, response.Failure(provider, cloud.Server, fmt.Sprintf("answer is longer than %d bytes", maxAnswer))
	}
	response.Body = body
	return response, nil
}

// Count returns a copy of r that adds to sent what is read of its body, in
// bytes; again if it has to be sent again on a new connection. A request
// without a body is returned as it is.
func Count(r *http.Request, sent *atomic.Int64) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r = r.WithContext(r.Context())
	r.Body = counter{r.Body, sent}
	if body := r.GetBody; body != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			again, err := body()
			return counter{again, sent}, err
		}
	}
	return r
}

// A counter is a body that adds up what is read of it.
type counter struct {
	io.ReadCloser
	sent *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sent.Add(int64(n))
	return n, err
}

// RetryAfter reads the header of that name: whole seconds or a date; 0 without
// one, at most an hour.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), time.Hour)
}

// Kind says what a status means where a service's own documents don't say
// otherwise.
func Kind(status int) cloud.Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return cloud.Unauthorised
	case status == http.StatusPaymentRequired:
		return cloud.Quota
	case status == http.StatusTooManyRequests:
		return cloud.Throttled
	case status == http.StatusRequestTimeout:
		return cloud.Network
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return cloud.Server // a wrong address says nothing about the pictures
	case status >= 400 && status < 500:
		return cloud.Rejected
	}
	return cloud.Server
}
