package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// net/http quotes what it can't parse. A server that sends our headers back,
// whole or in part, must not bring the key into the log.
func TestUnreadableAnswersAreNotQuoted(t *testing.T) {
	const key = "sk_live_0123456789"
	for name, answer := range map[string]string{
		"header without a colon": "HTTP/1.1 200 OK\r\nX-Api-Key " + key + "\r\n\r\n",
		"part of the key":        "HTTP/1.1 200 OK\r\nX-Api-Key " + key[:10] + "\r\n\r\n",
		"no HTTP":                key + "\r\n\r\n",
		"status":                 "HTTP/1.1 " + key + " OK\r\n\r\n",
		"version":                "HTTP/" + key + " 200 OK\r\n\r\n",
		"length":                 "HTTP/1.1 200 OK\r\nContent-Length: " + key + "\r\n\r\n",
		"encoding":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + key + "\r\n\r\n",
		"chunk":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + key + "\r\n",
		"trailer":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + key + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { wiretest.Raw(w, answer) }))
			defer server.Close()
			r := request(t, t.Context(), server.URL, "picture")
			r.Header.Set("X-Api-Key", key)
			_, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", r, key)
			if f := wiretest.Failed(t, err, "test"); f.Kind != cloud.Network || strings.Contains(f.Error(), "sk_live") {
				t.Errorf("failure = %q", f)
			}
		})
	}
}

func TestRefusalOfAProxyIsNotQuoted(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		wiretest.Raw(w, "HTTP/1.1 503 s3cret\r\nContent-Length: 0\r\n\r\n")
	}))
	defer proxy.Close()
	_, err := wire.Exchange(wiretest.Client(t, wire.Network{Proxy: proxy.URL}), "test", request(t, t.Context(), "https://compare.example/", ""))
	if f := wiretest.Failed(t, err, "test"); f.Error() != "test: network: the proxy refused with HTTP 503" {
		t.Errorf("failure = %q", f)
	}
}

func TestReason(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 443}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "dial 192.0.2.7:443: connection refused"},
		{dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), "dial 192.0.2.7:443: network is unreachable"},
		{dial(os.ErrDeadlineExceeded), "dial 192.0.2.7:443: timed out"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}, "proxyconnect: connection refused"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: at, Err: syscall.ECONNRESET}, "read 192.0.2.7:443: connection reset by peer"},
		{dial(&net.DNSError{Err: "no such host", Name: "s3cret.example", Server: "192.0.2.53:53", IsNotFound: true}), "look up ….example: no such host"},
		{&net.DNSError{Err: "server misbehaving", Name: "compare.example"}, "look up compare.example: name resolution does not work"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, "remote error: tls: handshake failure"},
		{&tls.CertificateVerificationError{Err: errors.New("x509: certificate is for s3cret, not compare.example")}, "tls: failed to verify certificate: x509: certificate is for …, not compare.example"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "tls: first record does not look like a TLS handshake"},
		{http.ErrSchemeMismatch, "http: server gave HTTP response to HTTPS client"},
		{io.ErrUnexpectedEOF, "connection closed before the answer was complete"},
		{context.DeadlineExceeded, "timed out"},
		{errors.New(`malformed MIME header: missing colon: "X-Api-Key s3cr"`), "the connection broke, or what came back is not HTTP"},
		{dial(errors.New("X-Api-Key s3cr")), "the connection broke, or what came back is not HTTP"},
	} {
		if got := wire.Reason(t.Context(), tt.err, "s3cret"); got.Error() != tt.want {
			t.Errorf("Reason(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
	ended := errors.New("too late")
	ctx, end := context.WithCancelCause(t.Context())
	end(ended)
	if got := wire.Reason(ctx, io.EOF); got != ended {
		t.Errorf("after the end: %v", got)
	}
}
