package broker

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// accounts maps each user to the SHA-256 of the password. Nil lets anyone in.
type accounts map[string][sha256.Size]byte

// loadUsers reads lines of user:password. Empty lines and lines that begin
// with # do not count. An empty path gives nil.
func loadUsers(path string) (accounts, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("mqtt.embedded.users_file: %w", err)
	}
	users, err := parseUsers(string(b))
	if err != nil {
		return nil, fmt.Errorf("mqtt.embedded.users_file: %s: %w", path, err)
	}
	return users, nil
}

// parseUsers never repeats a line in an error: it may hold a password.
func parseUsers(text string) (accounts, error) {
	users := accounts{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, password, ok := strings.Cut(line, ":")
		if !ok || user == "" || password == "" {
			return nil, fmt.Errorf("line %d: want user:password", n)
		}
		if _, twice := users[user]; twice {
			return nil, fmt.Errorf("line %d: user %q appears twice", n, user)
		}
		users[user] = sha256.Sum256([]byte(password))
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("no users (want lines of user:password)")
	}
	return users, nil
}

// access decides who may connect and publish.
type access struct {
	mochi.HookBase
	users   accounts
	trusted string // the listener that needs no password
}

// ID implements mochi.Hook.
func (a *access) ID() string { return "facegate-access" }

// Provides implements mochi.Hook.
func (a *access) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck}, b) >= 0
}

// OnConnect implements mochi.Hook. It turns MQTT 5 away: for the receive
// maximum that such a client may set, the library takes a read lock twice,
// which can stop that client's publishers for good.
func (a *access) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	if pk.ProtocolVersion < 5 {
		return nil
	}
	refusal := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ReasonCode: packets.ErrUnsupportedProtocolVersion.Code}
	return errors.Join(errors.New("MQTT 5 is not offered, use 3.1.1"), cl.WritePacket(refusal))
}

// OnConnectAuthenticate implements mochi.Hook.
func (a *access) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	if a.users == nil || cl.Net.Listener == a.trusted {
		return true
	}
	got := sha256.Sum256(pk.Connect.Password)
	want, known := a.users[string(pk.Connect.Username)]
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && known
}

// OnACLCheck implements mochi.Hook. Every user may read and write everything
// but the broker's own figures.
func (a *access) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	return !write || !strings.HasPrefix(topic, "$")
}
