package mqtt

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// maxSecret bounds the files read here, in bytes; more is the wrong file.
const maxSecret = 1 << 20

// Credentials prove to each other who the kiosk and the broker are. Secrets
// are named by file, and the files are read anew for each connection, so that
// a certificate can be renewed without a restart.
type Credentials struct {
	Username     string
	PasswordFile string // its text without the newline at the end
	CAFile       string // PEM; empty: the system's authorities
	CertFile     string // PEM, the kiosk's certificate
	KeyFile      string // PEM
}

// password reads the password.
func (c Credentials) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	b, err := readSecret("mqtt.password_file", c.PasswordFile)
	if err != nil {
		return "", err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return "", fmt.Errorf("mqtt.password_file: %s is empty", c.PasswordFile)
	}
	return string(b), nil
}

// tls reads what TLS needs. The broker's certificate and name are always
// checked; there is no way to switch that off.
func (c Credentials) tls(serverName string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if c.CAFile != "" {
		pem, err := readSecret("mqtt.ca_file", c.CAFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("mqtt.ca_file: %s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile == "" {
		return conf, nil
	}
	cert, err := readSecret("mqtt.cert_file", c.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readSecret("mqtt.key_file", c.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("mqtt.cert_file, mqtt.key_file: %s, %s: %w", c.CertFile, c.KeyFile, err)
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}

// expiry says so if the kiosk's certificate has expired, as far as the clock
// tells.
func (c Credentials) expiry() string {
	conf, err := c.tls("")
	if err != nil || len(conf.Certificates) == 0 {
		return ""
	}
	if end := conf.Certificates[0].Leaf.NotAfter; time.Now().After(end) {
		return ", which expired on " + day(end)
	}
	return ""
}

// check says what is wrong with the credentials for a connection that is
// encrypted or not.
func (c Credentials) check(encrypted bool) error {
	var errs []error
	if c.PasswordFile != "" && c.Username == "" {
		errs = append(errs, errors.New("mqtt.username: empty, but mqtt.password_file is set"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("mqtt.cert_file, mqtt.key_file: one is useless without the other"))
	} else if _, err := c.tls(""); err != nil {
		errs = append(errs, err)
	}
	if !encrypted && (c.CAFile != "" || c.CertFile != "") {
		errs = append(errs, errors.New("mqtt.broker: not encrypted, but certificates are set (use ssl:// or wss://)"))
	}
	if _, err := c.password(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// exposed lists secrets that everybody on the machine can read, by key.
func (c Credentials) exposed() []string {
	var keys []string
	for _, f := range []struct{ key, path string }{{"mqtt.password_file", c.PasswordFile}, {"mqtt.key_file", c.KeyFile}} {
		if f.path == "" {
			continue
		}
		if st, err := os.Stat(f.path); err == nil && st.Mode().Perm()&0o007 != 0 {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func readSecret(key, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s: %s has %d bytes, more than %d", key, path, len(b), maxSecret)
	}
	return b, nil
}
