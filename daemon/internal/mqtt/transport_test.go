package mqtt_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/mqtt"
)

// An authority signs certificates for a test.
type authority struct {
	ends time.Duration // from now, of the certificates it issues; 0: an hour

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.file, _ = a.issue(t, "ca", "test authority")
	return a
}

// issue returns a certificate for a name, and the files it and its key are in.
// The first one is the authority's own.
func (a *authority) issue(t *testing.T, kind, name string) (cert *x509.Certificate, key *ecdsa.PrivateKey, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(cmp.Or(a.ends, time.Hour)),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name},
	}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, kind+".pem"), filepath.Join(dir, kind+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
	return cert, key, certFile, keyFile
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// encrypt serves TLS in front of address, under a certificate for name. With
// clients set, these must have a certificate of that authority.
func encrypt(t *testing.T, a *authority, name, address string, clients *authority) net.Addr {
	t.Helper()
	_, _, certFile, keyFile := a.issue(t, "broker", name)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		conf.ClientCAs.AddCert(clients.cert)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	return ln.Addr()
}

// firstLine runs c and returns the first line it logs: connected, or why not.
func firstLine(t *testing.T, c *mqtt.Client) string {
	t.Helper()
	lines := make(chan string, 100)
	c.Log = logTo(lines)
	run(t, c)
	select {
	case line := <-lines:
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was logged")
		return ""
	}
}

func TestTLS(t *testing.T) {
	b := startBroker(t, broker.Config{})
	to := b.Addr().String()
	ours, others := newAuthority(t), newAuthority(t)
	_, _, cert, key := ours.issue(t, "kiosk", "gate-1")
	_, _, badCert, badKey := others.issue(t, "kiosk", "gate-1")
	plain := encrypt(t, ours, "127.0.0.1", to, nil)
	misnamed := encrypt(t, ours, "other.example", to, nil)
	mutual := encrypt(t, ours, "127.0.0.1", to, ours)
	tests := []struct {
		name string
		addr net.Addr
		c    mqtt.Credentials
		want string // in the log
	}{
		{"right authority", plain, mqtt.Credentials{CAFile: ours.file}, "connected to the broker"},
		{"wrong authority", plain, mqtt.Credentials{CAFile: others.file}, "unknown authority"},
		{"system's authorities", plain, mqtt.Credentials{}, "unknown authority"},
		{"wrong name", misnamed, mqtt.Credentials{CAFile: ours.file}, "certificate"},
		{"client certificate", mutual, mqtt.Credentials{CAFile: ours.file, CertFile: cert, KeyFile: key}, "connected to the broker"},
		{"no client certificate", mutual, mqtt.Credentials{CAFile: ours.file}, "no connection"},
		{"client certificate of others", mutual, mqtt.Credentials{CAFile: ours.file, CertFile: badCert, KeyFile: badKey}, "no connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newClient()
			c.Broker = "ssl://" + tt.addr.String()
			c.Credentials = tt.c
			if line := firstLine(t, c); !strings.Contains(line, tt.want) {
				t.Errorf("log says %q, want %q", line, tt.want)
			}
		})
	}
}

func TestWebSocket(t *testing.T) {
	b := startBroker(t, broker.Config{WebSocket: "127.0.0.1:0"})
	ca := newAuthority(t)
	secure := encrypt(t, ca, "127.0.0.1", b.WebSocketAddr().String(), nil)
	for _, url := range []string{"ws://" + b.WebSocketAddr().String() + "/mqtt", "wss://" + secure.String() + "/"} {
		c, j := newClient()
		c.Broker = url
		if strings.HasPrefix(url, "wss") {
			c.Credentials.CAFile = ca.file
		}
		j.Append()
		if line := firstLine(t, c); !strings.Contains(line, "connected to the broker") {
			t.Errorf("%s: log says %q", url, line)
		}
	}
}

func TestUnwiseSettingsAreWarnedOf(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret, 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	c, _ := newClient()
	c.Broker = "tcp://192.0.2.1:1883" // for documentation: nobody is there
	c.Credentials = mqtt.Credentials{Username: "u", PasswordFile: secret}
	lines := make(chan string, 10)
	c.Log = logTo(lines)
	run(t, c)
	for _, want := range []string{"in clear", "mqtt.password_file"} {
		if line := <-lines; !strings.Contains(line, want) || strings.Contains(line, "hunter2") {
			t.Errorf("log says %q, want %q", line, want)
		}
	}
}
