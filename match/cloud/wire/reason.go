package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// Reason says why a request got no answer: the cause of ctx if that ended, else
// what is known of err. net/http quotes what it can't parse, and that may be
// the request's own header sent back, key and all; so nothing of a server's
// text is shown but the names in its certificate, and those without the secrets.
func Reason(ctx context.Context, err error, secrets ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, known := range []func(error) string{proxyReason, tlsReason, netReason} {
		if text := known(err); text != "" {
			return errors.New(Excerpt(text, secrets...))
		}
	}
	return errors.New("the connection broke, or what came back is not HTTP")
}

// A proxyRefusal is a proxy's answer to CONNECT.
type proxyRefusal struct{ status int }

// Error implements error.
func (p *proxyRefusal) Error() string { return fmt.Sprintf("the proxy refused with HTTP %d", p.status) }

// askedProxy keeps the status of a refusal, of which net/http tells the text.
func askedProxy(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{answer.StatusCode}
}

func proxyReason(err error) string {
	if e, ok := errors.AsType[*proxyRefusal](err); ok {
		return e.Error()
	}
	return ""
}

func tlsReason(err error) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return e.Error()
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return http.ErrSchemeMismatch.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && (e.Op == "remote error" || e.Op == "local error") {
		return e.Op + ": " + e.Err.Error() // an alert, which has a number on the wire
	}
	return ""
}

func netReason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		problem := "name resolution does not work"
		if e.IsNotFound {
			problem = "no such host"
		}
		return "look up " + e.Name + ": " + problem
	}
	where := ""
	if e, ok := errors.AsType[*net.OpError](err); ok {
		where = e.Op + ": "
		if e.Addr != nil {
			where = e.Op + " " + e.Addr.String() + ": "
		}
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return where + e.Error()
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return where + "timed out"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "connection closed before the answer was complete"
	}
	return ""
}
