package wire_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestSecretIsRead(t *testing.T) {
	path := wiretest.File(t, "  sk_test_1\r\n")
	s := wire.Secret(path)
	if got, err := s.Read(); got != "sk_test_1" || err != nil {
		t.Errorf("Read() = %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("sk_test_2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(); got != "sk_test_2" || err != nil {
		t.Errorf("after renewal: Read() = %q, %v", got, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(verb, s); strings.Contains(shown, "sk_test") || !strings.Contains(shown, "file") {
			t.Errorf("%s shows %s, want the file's name", verb, shown)
		}
	}
}

func TestSecretRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"blank":     " \n\t\n",
		"two lines": "sk_secret\nsk_secret",
		"control":   "sk_secret\x00sk",
		"too long":  strings.Repeat("sk_secret", 8000),
	} {
		t.Run(name, func(t *testing.T) {
			path := wiretest.File(t, text)
			got, err := wire.Secret(path).Read()
			if err == nil || got != "" {
				t.Fatalf("Read() = %q, %v, want an error", got, err)
			}
			if strings.Contains(err.Error(), "sk_secret") || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q: want the file's name and not its text", err)
			}
		})
	}
	if _, err := wire.Secret("/no/such/key").Read(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := wire.Secret(t.TempDir()).Read(); err == nil {
		t.Error("a folder was read as a secret")
	}
}

func TestNothingComesFromTheEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	transport, ok := wiretest.Client(t, wire.Network{}).Transport.(*http.Transport)
	if !ok {
		t.Fatal("not a plain transport")
	}
	if transport.Proxy != nil {
		t.Error("a proxy is looked up though none was configured")
	}
	if transport.TLSClientConfig.InsecureSkipVerify || transport.TLSClientConfig.MinVersion < tls.VersionTLS12 {
		t.Error("TLS is not checked, or too old")
	}
}

func TestProxy(t *testing.T) {
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	c := wiretest.Client(t, wire.Network{Proxy: proxy.URL})
	_, err := wire.Exchange(c, "test", request(t, t.Context(), "https://compare.example/v1?signature=s3cret", "picture"))
	if got := <-asked; got != "CONNECT compare.example:443" {
		t.Errorf("the proxy was asked %q", got)
	}
	if f := wiretest.Failed(t, err, "test"); f.Kind != cloud.Network || strings.Contains(f.Error(), "s3cret") {
		t.Errorf("failure = %v", f)
	}

	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	if _, err := wire.Exchange(c, "test", request(t, t.Context(), server.URL, "")); err != nil {
		t.Errorf("this machine through a proxy: %v", err)
	}
	if len(asked) != 0 {
		t.Error("plain http left this machine for the proxy")
	}
}

func TestProxyRefused(t *testing.T) {
	for _, address := range []string{"proxy:3128", "socks5://proxy:1080", "http://", "http://:3128", "::", "http://user:s3cret@proxy:3128"} {
		if _, err := (wire.Network{Proxy: address}).Client(); err == nil {
			t.Errorf("proxy %q was taken", address)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused certificates
	server.StartTLS()
	defer server.Close()
	ca := wiretest.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	if _, err := wire.Exchange(wiretest.Client(t, wire.Network{CAFile: ca}), "test", request(t, t.Context(), server.URL, "")); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	_, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), server.URL, "picture"))
	if f := wiretest.Failed(t, err, "test"); f.Kind != cloud.Network || !strings.Contains(f.Error(), "certificate") {
		t.Errorf("without the authority: %v", f)
	}
	if _, err := (wire.Network{CAFile: wiretest.File(t, "no certificate")}).Client(); err == nil {
		t.Error("a file without a certificate was taken")
	}
	if _, err := (wire.Network{CAFile: "/no/such/ca"}).Client(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://api.deepidv.com":          true,
		"https://10.0.0.7:8443/base":       true,
		"HTTPS://api.deepidv.com":          true,
		"http://127.0.0.1:8080":            true,
		"http://[::1]:8080":                true,
		"https://localhost:8443":           true,
		"http://localhost:8080":            false, // a name, which a resolver may send anywhere
		"http://LOCALHOST":                 false,
		"http://127.1":                     false,
		"http://api.deepidv.com":           false,
		"http://10.0.0.7":                  false,
		"http://127.0.0.1.evil.example":    false,
		"http://localhost.evil.example":    false,
		"http://user:s3cret@127.0.0.1":     false,
		"https://user:s3cret@example.com":  false,
		"https://example.com/?key=s3cret":  false,
		"https://example.com/?":            false,
		"https://example.com/#s3cret":      false,
		"https://:443":                     false,
		"https://":                         false,
		"https:example.com":                false,
		"api.deepidv.com":                  false,
		"":                                 false,
		"ftp://127.0.0.1":                  false,
		"file:///etc/passwd":               false,
		"https://example.com:s3cret\x7f/x": false,
	} {
		err := wire.CheckURL(address)
		if (err == nil) != ok {
			t.Errorf("CheckURL(%q) = %v, want ok %t", address, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("CheckURL(%q) shows the secret: %v", address, err)
		}
	}
}

func TestKind(t *testing.T) {
	for status, want := range map[int]cloud.Kind{
		0: cloud.Server, 204: cloud.Server, 302: cloud.Server,
		400: cloud.Rejected, 401: cloud.Unauthorised, 402: cloud.Quota, 403: cloud.Unauthorised, 404: cloud.Server,
		405: cloud.Server, 407: cloud.Unauthorised, 408: cloud.Network, 413: cloud.Rejected, 415: cloud.Rejected,
		422: cloud.Rejected, 429: cloud.Throttled, 500: cloud.Server, 502: cloud.Server, 503: cloud.Server, 504: cloud.Server,
	} {
		if got := wire.Kind(status); got != want {
			t.Errorf("Kind(%d) = %s, want %s", status, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"-9223372037":                   0,
		"3600":                          time.Hour,
		"86400":                         time.Hour,
		"3000000000":                    time.Hour,
		"1.5":                           0,
		"soon":                          0,
		"Sat, 01 Aug 2026 12:00:30 GMT": 30 * time.Second,
		"Sat, 01 Aug 2026 11:00:00 GMT": 0,
		"Sat, 01 Aug 2037 12:00:00 GMT": time.Hour,
	} {
		if got := wire.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", text, got, want)
		}
	}
	if got := wire.RetryAfter(nil, now); got != 0 {
		t.Errorf("without a header: %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sat, 01 Aug 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		if got := wire.RetryAfter(http.Header{"Retry-After": {text}}, time.Unix(0, 0)); got < 0 || got > time.Hour {
			t.Errorf("RetryAfter(%q) = %v", text, got)
		}
	})
}

func request(t *testing.T, ctx context.Context, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	got, err := wire.Exchange(wiretest.Client(t, wire.Network{}), "test", request(t, t.Context(), "http://"+l.Addr().String()+"/?signature=s3cret", "picture"))
	f := wiretest.Failed(t, err, "test")
	if f.Kind != cloud.Network || f.Provider != "test" || f.Status != 0 || f.Err.Error() != "dial "+l.Addr().String()+": connection refused" {
		t.Errorf("failure = %v", f)
	}
	if got.Sent != 0 || got.Status != 0 {
		t.Errorf("sent %d bytes, status %d, though nobody listens", got.Sent, got.Status)
	}
}
