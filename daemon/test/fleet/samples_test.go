//go:build fleet

package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sample returns the configuration in a document that begins with a comment
// of the given text, with pieces of it replaced, in pairs. Every piece must
// be there. So what is documented is what is tested.
func sample(t *testing.T, document, title, end string, edits ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/" + document)
	must(t, err)
	_, after, found := strings.Cut(string(text), "# "+title)
	body, _, ended := strings.Cut(after, end)
	if !found || !ended {
		t.Fatalf("docs/%s has no sample %q", document, title)
	}
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(body, edits[i]) {
			t.Fatalf("sample %q of docs/%s holds no %q", title, document, edits[i])
		}
		body = strings.ReplaceAll(body, edits[i], edits[i+1])
	}
	return "#" + body
}

// An authority signs the certificates of a site, all of them for a day.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir, pool: x509.NewCertPool()}
	a.cert, a.key = a.issue("ca", nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key.
func (a *authority) issue(name string, addresses []net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(a.t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: addresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(23 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	must(a.t, err)
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(a.t, err)
	must(a.t, os.WriteFile(a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(a.t, os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}

// broker issues the certificate of every node, which all have one name.
func (a *authority) broker() {
	a.t.Helper()
	var addresses []net.IP
	for i := range nodes {
		addresses = append(addresses, net.IPv4(127, 0, 0, byte(i+1)))
	}
	a.issue("broker", addresses)
}

// dial connects to a broker as one of those that have a certificate.
func (a *authority) dial(address, name string) (net.Conn, error) {
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{Config: &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{pair}}}
	return d.Dial("tcp", address)
}
