package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/config"
)

const token = "0123456789abcdef"

// write puts text into a new file and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBrowsersAreKeptOff(t *testing.T) {
	b := loopback(t, nil)
	own := strings.TrimPrefix(b.url, "http://")
	tests := []struct {
		name    string
		headers []string
		want    int
	}{
		{"by address", nil, http.StatusOK},
		{"by name", []string{"Host", "localhost:8080"}, http.StatusOK},
		{"by IPv6 address", []string{"Host", "[::1]:8080"}, http.StatusOK},
		{"by IPv6 address alone", []string{"Host", "[::1]"}, http.StatusOK},
		{"a name made to mean this machine", []string{"Host", "evil.example:8080"}, http.StatusForbidden},
		{"a name that begins like ours", []string{"Host", "localhost.evil.example"}, http.StatusForbidden},
		{"an address of elsewhere", []string{"Host", "192.0.2.7"}, http.StatusForbidden},
		{"own page", []string{"Origin", "http://" + own}, http.StatusOK},
		{"page of elsewhere", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"page of another local server", []string{"Origin", "http://127.0.0.1:1"}, http.StatusForbidden},
		{"page by another scheme", []string{"Origin", "https://" + own}, http.StatusForbidden},
		{"page of no origin", []string{"Origin", "null"}, http.StatusForbidden},
		{"picture in a page of elsewhere", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"picture in a page of another local server", []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{"picture in the own page", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		{"address typed by hand", []string{"Sec-Fetch-Site", "none"}, http.StatusOK},
		{"two origins", []string{"Origin", "http://" + own, "Origin", "https://evil.example"}, http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(t, http.MethodGet, "/healthz", "", "", tt.headers...)
			if got.status != tt.want {
				t.Errorf("status %d, want %d: %s", got.status, tt.want, got.body)
			}
		})
	}
}

func TestTokenIsEnforcedWhereConfigured(t *testing.T) {
	l, err := api.Listen(t.Context(), config.HTTP{Listen: "127.0.0.1:0", TokenFile: write(t, "token", token+"\n")})
	if err != nil {
		t.Fatal(err)
	}
	b := serve(t, l, nil)
	tests := []struct {
		name, path string
		headers    []string
		want       int
	}{
		{"right", "/metrics", []string{"Authorization", "Bearer " + token}, http.StatusOK},
		{"none", "/metrics", nil, http.StatusUnauthorized},
		{"none, events", "/v1/events", nil, http.StatusUnauthorized},
		{"none, unknown path", "/x", nil, http.StatusUnauthorized},
		{"none, path that is cleaned", "/healthz/../metrics", nil, http.StatusUnauthorized},
		{"wrong", "/metrics", []string{"Authorization", "Bearer " + token + "0"}, http.StatusUnauthorized},
		{"empty", "/metrics", []string{"Authorization", "Bearer "}, http.StatusUnauthorized},
		{"other scheme", "/metrics", []string{"Authorization", "Basic " + token}, http.StatusUnauthorized},
		{"none, alive", "/healthz", nil, http.StatusOK},
		{"none, ready", "/readyz", nil, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(t, http.MethodGet, tt.path, "", "", tt.headers...)
			if got.status != tt.want {
				t.Errorf("status %d, want %d: %s", got.status, tt.want, got.body)
			}
			if tt.want == http.StatusUnauthorized && got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate %q", got.header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestListenRefuses(t *testing.T) {
	good := write(t, "token", token)
	cert, key := certificate(t)
	plain := write(t, "file", "not a socket")
	tests := []struct {
		name string
		cfg  config.HTTP
		want []string // in the error
	}{
		{"reachable, bare", config.HTTP{Listen: "0.0.0.0:0"}, []string{"http.listen", "http.token_file"}},
		{"reachable, all addresses", config.HTTP{Listen: ":0", TokenFile: good}, []string{"http.listen", "http.cert_file"}},
		{"reachable, without token", config.HTTP{Listen: "0.0.0.0:0", CertFile: cert, KeyFile: key}, []string{"http.listen", "http.token_file"}},
		{"no token file", config.HTTP{Listen: "127.0.0.1:0", TokenFile: good + "x"}, []string{"http.token_file", "no such file"}},
		{"short token", config.HTTP{Listen: "127.0.0.1:0", TokenFile: write(t, "t", "short\n")}, []string{"http.token_file", "16"}},
		{"token of two lines", config.HTTP{Listen: "127.0.0.1:0", TokenFile: write(t, "t", token+"\n"+token)}, []string{"http.token_file", "printable"}},
		{"token too long", config.HTTP{Listen: "127.0.0.1:0", TokenFile: write(t, "t", strings.Repeat("x", 5000))}, []string{"http.token_file", "4096"}},
		{"no certificate", config.HTTP{Listen: "0.0.0.0:0", TokenFile: good, CertFile: key, KeyFile: key}, []string{"http.cert_file"}},
		{"no address", config.HTTP{Listen: "nonsense"}, []string{"http.listen", "nonsense"}},
		{"socket without folder", config.HTTP{Listen: "unix:" + good + ".d/x.sock"}, []string{"http.listen", "no folder"}},
		{"socket over a file", config.HTTP{Listen: "unix:" + plain}, []string{"http.listen", "not a socket"}},
		{"socket with certificate", config.HTTP{Listen: "unix:" + good + ".sock", CertFile: cert, KeyFile: key}, []string{"http.listen", "http.cert_file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := api.Listen(t.Context(), tt.cfg)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it listens"), l.Close()))
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	if text, err := os.ReadFile(plain); err != nil || string(text) != "not a socket" {
		t.Errorf("the file in the way: %q, %v", text, err)
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.sock")
	cfg := config.HTTP{Listen: "unix:" + path}
	leaveSocket(t, path)
	l, err := api.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v, want 0660", info.Mode(), err)
	}
	b := serve(t, l, nil)
	var dialer net.Dialer
	b.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", path)
	}}
	b.url = "http://facegate"
	if got := b.do(t, http.MethodGet, "/healthz", "", ""); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if second, err := api.Listen(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a second daemon: %v, %v", second, err)
	}
	if got := b.do(t, http.MethodGet, "/healthz", "", ""); got.status != http.StatusOK {
		t.Errorf("after a second daemon tried: status %d", got.status)
	}
	b.client.CloseIdleConnections()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// leaveSocket leaves a socket behind as a killed daemon does.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReachableAddressSpeaksTLS(t *testing.T) {
	cert, key := certificate(t)
	l, err := api.Listen(t.Context(), config.HTTP{Listen: "0.0.0.0:0", TokenFile: write(t, "token", token), CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	b := serve(t, l, nil)
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	b.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "gate.example"}}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	plain := "http://127.0.0.1:" + port
	b.url = "https://127.0.0.1:" + port
	if got := b.do(t, http.MethodGet, "/metrics", "", "", "Host", "gate.example", "Authorization", "Bearer "+token); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := b.do(t, http.MethodGet, "/metrics", "", ""); got.status != http.StatusUnauthorized {
		t.Errorf("without the token: status %d", got.status)
	}
	b.url = plain
	if got := b.do(t, http.MethodGet, "/healthz", "", ""); got.status != http.StatusBadRequest {
		t.Errorf("without TLS: status %d", got.status)
	}
}

// certificate writes a certificate for gate.example, signed by itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gate.example"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	key = write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key
}
