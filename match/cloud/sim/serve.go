package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Serve answers for each service on its listener until ctx ends, with TLS if
// there is a certificate. It closes the listeners and the Server, and waits for
// what it started.
func (s *Server) Serve(ctx context.Context, listeners map[Service]net.Listener, certificate *tls.Certificate) error {
	if err := s.Check(); err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	ended := make(chan error, len(listeners))
	var servers []*http.Server
	for service, l := range listeners {
		web := &http.Server{Handler: s.Handler(service), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		web.Protocols = new(http.Protocols)
		web.Protocols.SetHTTP1(true) // the only one whose connections can be broken
		servers = append(servers, web)
		go func() {
			if certificate == nil {
				ended <- web.Serve(l)
				return
			}
			web.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
			ended <- web.ServeTLS(l, "", "")
		}()
	}
	var failed error
	left := len(listeners)
	select {
	case <-ctx.Done():
	case failed = <-ended:
		left--
	}
	s.Close()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, web := range servers {
		if web.Shutdown(patience) != nil {
			_ = web.Close()
		}
	}
	for range left {
		<-ended
	}
	if failed != nil {
		return fmt.Errorf("serve: %w", failed)
	}
	return nil
}

// callTimeout bounds a callback.
const callTimeout = 10 * time.Second

// call posts a result to a callbackUrl, as the script of argos.callback wants.
// It returns at once; Close waits for it.
func (s *Server) call(address, transaction string, c Comparison) {
	step := s.next(CallbackARGOS)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.callback.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout+step.Latency)
		defer cancel()
		if step.Do == HalfOpen || step.Do == Reset || !s.wait(ctx, step.Latency) {
			return
		}
		switch step.Do {
		case NoSource:
			c.Source = nil
		case NoTarget:
			c.Target = nil
		case NoFaces:
			c.Source, c.Target = nil, nil
		}
		form := []int{2, 0, 1}[step.Form%3] // the callback's own shape is its first
		a := resultARGOS(c, transaction, form, step.NoFace)
		a = operation{fail: failCallback(transaction), wrong: wrongARGOS()}.scripted(step, a)
		if step.Do == Truncated {
			a.body = a.body[:len(a.body)/2]
		}
		s.post(ctx, address, step, a)
		if step.Do == Twice {
			s.post(ctx, address, step, a)
		}
	})
}

// failCallback returns the errors that come by callback, which name the
// transaction.
func failCallback(transaction string) func(Step) answer {
	return func(step Step) answer {
		a := pick(step.Form,
			errorARGOS(http.StatusBadRequest, 1003, "Failed to process data"),
			errorARGOS(http.StatusBadRequest, 1002, "Failed to compare face."))
		a.body = bytes.ReplaceAll(a.body, []byte("sim-000000"), []byte(transaction))
		return a
	}
}

// post sends one callback and logs what was answered.
func (s *Server) post(ctx context.Context, address string, step Step, a answer) {
	entry := s.enter(Request{Service: ARGOS, Op: CallbackARGOS, At: time.Now(), Method: http.MethodPost, Sent: len(a.body), Did: step.Do})
	status, got, err := s.deliver(ctx, address, a)
	if err != nil { // which must not name the address: it is a secret
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		s.logger().Warn("callback not delivered", "provider", string(ARGOS), "err", err)
	}
	s.change(func() { entry.Status, entry.Answered = status, got })
}

// deliver posts to a callbackUrl and returns the status and the bytes of the
// answer.
func (s *Server) deliver(ctx context.Context, address string, a answer) (status, got int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(string(a.body)))
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Content-Type", typeJSON)
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            s.Roots,
		InsecureSkipVerify: s.Insecure && loopback(r.URL.Hostname()),
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, len(body), err
}
