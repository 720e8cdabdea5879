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
	users    accounts
	trusted  string // the listener that needs no password
	clientID string // of the one client there; empty: any
	topics   string // what its topics begin with; empty: anything
}

// ID implements mochi.Hook.
func (a *access) ID() string { return "facegate-access" }

// Provides implements mochi.Hook.
func (a *access) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck}, b) >= 0
}

// OnConnect implements mochi.Hook. It turns away:
//
//   - MQTT 5: for the receive maximum that such a client may set, the library
//     takes a read lock twice, which can stop that client's publishers for good;
//   - one that takes the id of the daemon's own client, which it would push off;
//   - one whose will it may not publish: the library asks nobody when it does.
func (a *access) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	switch {
	case pk.ProtocolVersion >= 5:
		return refuse(cl, packets.ErrUnsupportedProtocolVersion.Code, "MQTT 5 is not offered, use 3.1.1")
	case a.clientID != "" && cl.ID == a.clientID && cl.Net.Listener != a.trusted:
		return refuse(cl, packets.Err3ClientIdentifierNotValid.Code, "this client id is the daemon's own, choose another")
	case pk.Connect.WillFlag && !a.mayPublish(cl, pk.Connect.WillTopic):
		return refuse(cl, packets.Err3NotAuthorized.Code, "a will on a topic that this client may not publish to")
	}
	return nil
}

// refuse tells a client that it may not connect, and returns why.
func refuse(cl *mochi.Client, code byte, why string) error {
	answer := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ReasonCode: code}
	return errors.Join(errors.New(why), cl.WritePacket(answer))
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

// OnACLCheck implements mochi.Hook. Every user may read everything.
func (a *access) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	return !write || a.mayPublish(cl, topic)
}

// mayPublish keeps the broker's own figures to itself, and the daemon's topics
// to the daemon: whoever could publish an outcome could forge one.
func (a *access) mayPublish(cl *mochi.Client, topic string) bool {
	switch {
	case strings.HasPrefix(topic, "$"):
		return false
	case cl.Net.Listener == a.trusted || a.topics == "":
		return true
	}
	return strings.HasPrefix(topic, a.topics+"cmd/")
}
