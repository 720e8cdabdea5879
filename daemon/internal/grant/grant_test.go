package grant_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/grant"
)

const secret = "0123456789abcdef0123456789abcdef"

func key(t *testing.T, s string) grant.Key {
	t.Helper()
	k, err := grant.NewKey([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The expected value was made with
//
//	printf 'facegate-grant-v1\nhall/gate-1\n01J\n2026-01-02T03:04:05Z' | openssl dgst -sha256 -hmac "$SECRET"
func TestSignAgreesWithOpenSSL(t *testing.T) {
	g := grant.Sign(key(t, secret), "hall", "gate-1", "01J", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if want := "ff6239d9b8590304cdce3d4c6893bfafb323a221509751561b9b70df73f9e6c0"; g.MAC != want {
		t.Errorf("mac = %s, want %s", g.MAC, want)
	}
}

func TestVerify(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := grant.Sign(key(t, secret), "hall", "gate-1", "01J", now.Add(time.Minute))
	with := func(f func(*grant.Grant)) grant.Grant { g := good; f(&g); return g }
	tests := []struct {
		name         string
		g            grant.Grant
		key          string
		site, device string
		now          time.Time
		want         error
	}{
		{"good", good, secret, "hall", "gate-1", now, nil},
		{"upper-case hex", with(func(g *grant.Grant) { g.MAC = strings.ToUpper(g.MAC) }), secret, "hall", "gate-1", now, nil},
		{"the last instant", good, secret, "hall", "gate-1", now.Add(time.Minute), grant.ErrExpired},
		{"another key", good, secret + "x", "hall", "gate-1", now, grant.ErrMAC},
		{"another site", good, secret, "lobby", "gate-1", now, grant.ErrMAC},
		{"another device", good, secret, "hall", "gate-2", now, grant.ErrMAC},
		{"another attempt", with(func(g *grant.Grant) { g.AttemptID = "01K" }), secret, "hall", "gate-1", now, grant.ErrMAC},
		{"a later expiry", with(func(g *grant.Grant) { g.ExpiresAt = "2036-01-02T03:05:05Z" }), secret, "hall", "gate-1", now, grant.ErrMAC},
		{"a cut signature", with(func(g *grant.Grant) { g.MAC = g.MAC[:32] }), secret, "hall", "gate-1", now, grant.ErrMAC},
		{"no signature", with(func(g *grant.Grant) { g.MAC = "" }), secret, "hall", "gate-1", now, grant.ErrMAC},
		{"not hex", with(func(g *grant.Grant) { g.MAC = "zz" }), secret, "hall", "gate-1", now, grant.ErrMalformed},
		{"no attempt", with(func(g *grant.Grant) { g.AttemptID = "" }), secret, "hall", "gate-1", now, grant.ErrMalformed},
		{"a newline moved", grant.Grant{AttemptID: "01J\n" + good.ExpiresAt, MAC: good.MAC}, secret, "hall", "gate-1", now, grant.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.g.Verify(key(t, tt.key), tt.site, tt.device, tt.now); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestZeroKeyGrantsNothing(t *testing.T) {
	g := grant.Sign(grant.Key{}, "hall", "gate-1", "01J", time.Now().Add(time.Minute))
	if err := g.Verify(grant.Key{}, "hall", "gate-1", time.Now()); !errors.Is(err, grant.ErrMAC) {
		t.Errorf("Verify with the zero key = %v, want %v", err, grant.ErrMAC)
	}
}

func TestLoadKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	k, err := grant.LoadKey(write("key", secret+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	exp := time.Now().Add(time.Minute)
	if grant.Sign(k, "s", "d", "a", exp) != grant.Sign(key(t, secret), "s", "d", "a", exp) {
		t.Error("the newline at the end of the file became part of the key")
	}
	if _, err := grant.LoadKey(write("short", "abc\n")); err == nil || !strings.Contains(err.Error(), "short") {
		t.Errorf("short key: err = %v, want one that names the file", err)
	}
	if _, err := grant.LoadKey(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing key: err = %v", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := key(t, secret)
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(s, secret) {
		t.Errorf("printed as %s", s)
	}
}
