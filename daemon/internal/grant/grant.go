// Package grant signs and checks the permission that a host gives for one
// attempt at one kiosk (door.authorise: host).
//
// The signature is the lower-case hex HMAC-SHA256, under a key that the host
// and the kiosk share, of four lines joined by single newlines:
//
//	facegate-grant-v1
//	<site>/<device>
//	<attempt_id>
//	<expires_at, exactly as sent>
//
// It binds the grant to this kiosk and this attempt, so that one overheard on
// the broker is of no use anywhere else or later.
package grant

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Why a grant is refused.
var (
	ErrMalformed = errors.New("malformed grant")
	ErrExpired   = errors.New("grant has expired")
	ErrMAC       = errors.New("signature does not fit")
)

const (
	minKey = 16   // bytes
	maxKey = 4096 // bytes; more is the wrong file
)

// A Key is the secret shared by the host and the kiosk. It hides itself from
// logs and from formatting.
type Key struct{ secret []byte }

// NewKey returns a key of at least 16 bytes. It keeps a copy.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < minKey {
		return Key{}, fmt.Errorf("key has %d bytes, at least %d are needed (openssl rand -hex 32)", len(secret), minKey)
	}
	return Key{bytes.Clone(secret)}, nil
}

// LoadKey reads a key from a file. One newline at its end does not count.
func LoadKey(path string) (Key, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	if len(b) > maxKey {
		return Key{}, fmt.Errorf("read key %s: %d bytes, more than %d", path, len(b), maxKey)
	}
	k, err := NewKey(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")))
	if err != nil {
		return Key{}, fmt.Errorf("read key %s: %w", path, err)
	}
	return k, nil
}

// String implements fmt.Stringer without the secret.
func (Key) String() string { return "key(hidden)" }

// GoString implements fmt.GoStringer without the secret.
func (Key) GoString() string { return "grant.Key(hidden)" }

// LogValue implements slog.LogValuer without the secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A Grant is the argument of the grant command.
type Grant struct {
	AttemptID string `json:"attempt_id"`
	ExpiresAt string `json:"expires_at"` // RFC 3339
	MAC       string `json:"mac"`        // hex
}

// Sign returns a grant for one attempt at the kiosk site/device. It is what a
// host does; the daemon only verifies.
func Sign(k Key, site, device, attemptID string, expires time.Time) Grant {
	g := Grant{AttemptID: attemptID, ExpiresAt: expires.UTC().Format(time.RFC3339)}
	g.MAC = hex.EncodeToString(k.mac(site, device, g))
	return g
}

// Verify says whether g permits its attempt at the kiosk site/device at the
// time now. The error wraps [ErrMalformed], [ErrExpired] or [ErrMAC]; nothing
// is said about a grant whose signature does not fit.
func (g Grant) Verify(k Key, site, device string, now time.Time) error {
	if len(k.secret) < minKey {
		return fmt.Errorf("%w: no key to check it with", ErrMAC)
	}
	if g.AttemptID == "" || strings.Contains(site+device+g.AttemptID+g.ExpiresAt, "\n") {
		return ErrMalformed
	}
	mac, err := hex.DecodeString(g.MAC)
	if err != nil {
		return fmt.Errorf("%w: mac is not hex", ErrMalformed)
	}
	if !hmac.Equal(mac, k.mac(site, device, g)) {
		return ErrMAC
	}
	expires, err := time.Parse(time.RFC3339, g.ExpiresAt)
	if err != nil {
		return fmt.Errorf("%w: expires_at is not RFC 3339", ErrMalformed)
	}
	if !now.Before(expires) {
		return ErrExpired
	}
	return nil
}

func (k Key) mac(site, device string, g Grant) []byte {
	h := hmac.New(sha256.New, k.secret)
	fmt.Fprintf(h, "facegate-grant-v1\n%s/%s\n%s\n%s", site, device, g.AttemptID, g.ExpiresAt)
	return h.Sum(nil)
}
