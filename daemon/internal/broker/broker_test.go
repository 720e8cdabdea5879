package broker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// start runs a broker for the length of the test.
func start(t *testing.T, c broker.Config, logTo io.Writer) *broker.Embedded {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	log := slog.New(slog.NewTextHandler(logTo, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := broker.Listen(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not end within 5 s")
		}
	})
	return b
}

func peer(b *broker.Embedded, l mqtttest.Login) (*mqtttest.Peer, error) {
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		return nil, err
	}
	return mqtttest.NewPeer(conn, l)
}

func users(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsers(t *testing.T) {
	b := start(t, broker.Config{UsersFile: users(t, "# the panel\nann:se:cret\n\nbob:x\n")}, io.Discard)
	tests := []struct {
		name, user, password string
		welcome              bool
	}{
		{"right", "ann", "se:cret", true},
		{"wrong password", "ann", "x", false},
		{"another's password", "bob", "se:cret", false},
		{"unknown user", "eve", "x", false},
		{"unknown user without password", "eve", "", false},
		{"nobody", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := peer(b, mqtttest.Login{ID: "test", User: tt.user, Password: tt.password})
			if _, refused := errors.AsType[mqtttest.RefusedError](err); refused == tt.welcome {
				t.Fatalf("login: %v, want welcome %v", err, tt.welcome)
			}
			if tt.welcome {
				_ = p.Close()
			}
		})
	}
}

func TestDialNeedsNoPassword(t *testing.T) {
	b := start(t, broker.Config{UsersFile: users(t, "ann:x\n")}, io.Discard)
	conn, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "facegate"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(mqtttest.Message{Topic: "a/b", QoS: 1, Retained: true, Payload: []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	ann, err := peer(b, mqtttest.Login{ID: "ann", User: "ann", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := ann.Subscribe("#", 1); err != nil {
		t.Fatal(err)
	}
	if m, err := ann.Next(); err != nil || string(m.Payload) != "kept" || !m.Retained {
		t.Errorf("Next = %+v, %v, want the retained message", m, err)
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	tests := []struct {
		name string
		c    broker.Config
		want string // what the error must name
	}{
		{"address in use", broker.Config{Listen: at}, "mqtt.embedded.listen: listen tcp " + at},
		{"websocket in use", broker.Config{Listen: "127.0.0.1:0", WebSocket: at}, "mqtt.embedded.websocket: listen tcp " + at},
		{"open to all", broker.Config{Listen: "0.0.0.0:0"}, "mqtt.embedded.users_file"},
		{"open to all, no host", broker.Config{Listen: ":0"}, "mqtt.embedded.users_file"},
		{"open to all by websocket", broker.Config{Listen: "127.0.0.1:0", WebSocket: "[::]:0"}, "mqtt.embedded.websocket"},
		{"no address", broker.Config{Listen: "nonsense"}, "want host:port"},
		{"users missing", broker.Config{Listen: "127.0.0.1:0", UsersFile: "/nowhere/users"}, "mqtt.embedded.users_file: open /nowhere/users"},
		{"users malformed", broker.Config{Listen: "127.0.0.1:0", UsersFile: users(t, "ann:x\nbob hunter2\n")}, "line 2"},
		{"users twice", broker.Config{Listen: "127.0.0.1:0", UsersFile: users(t, "ann:x\nann:y\n")}, `"ann" appears twice`},
		{"users empty", broker.Config{Listen: "127.0.0.1:0", UsersFile: users(t, "# none\n")}, "no users"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := broker.Listen(tt.c, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Listen = %v, want an error that names %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a password: %v", err)
			}
		})
	}
}

// A client that never says hello must not hold up the end of the daemon, nor
// one that does not read: start's cleanup checks both.
func TestSilentClientsDoNotHoldUpTheEnd(t *testing.T) {
	b := start(t, broker.Config{}, io.Discard)
	for range 3 {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	own, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	if _, err := mqtttest.NewPeer(own, mqtttest.Login{ID: "deaf"}); err != nil {
		t.Fatal(err)
	}
}

// One that asks for everything and reads nothing must not stop the others.
func TestDeafSubscriberStopsNobody(t *testing.T) {
	b := start(t, broker.Config{}, io.Discard)
	deaf, err := peer(b, mqtttest.Login{ID: "deaf"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.Close() })
	if err := deaf.Subscribe("#", 1); err != nil {
		t.Fatal(err)
	}
	loud, err := peer(b, mqtttest.Login{ID: "loud"})
	if err != nil {
		t.Fatal(err)
	}
	// More than the buffers of the two sockets hold. Publish waits for each
	// acknowledgement, ten seconds at most.
	m := mqtttest.Message{Topic: "a", QoS: 1, Payload: make([]byte, 900<<10)}
	for i := range 64 {
		if err := loud.Publish(m); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestMQTT5IsTurnedAway(t *testing.T) {
	b := start(t, broker.Config{}, io.Discard)
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := mqtttest.Packet{Type: mqtttest.Connect, Body: []byte("\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a")}
	if _, err := conn.Write(hello.Bytes()); err != nil {
		t.Fatal(err)
	}
	got, err := mqtttest.ReadPacket(bufio.NewReader(conn))
	if err != nil || got.Type != mqtttest.Connack || len(got.Body) < 2 || got.Body[1] != 0x84 {
		t.Errorf("answer %+v, %v, want a CONNACK with reason 0x84", got, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	b := start(t, broker.Config{}, io.Discard)
	var refused bool
	for range 80 {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	_, err := peer(b, mqtttest.Login{ID: "late"})
	if refused = err != nil; !refused {
		t.Error("the 81st connection was served")
	}
}

// The library logs whole packets when one is wrong; those may hold a photo.
func TestLogHoldsNothingThatClientsSent(t *testing.T) {
	buf := &journal{lines: make(chan string, 1000)}
	b := start(t, broker.Config{UsersFile: users(t, "ann:hunter2\n")}, buf)
	p, err := peer(b, mqtttest.Login{ID: "ann", User: "ann", Password: "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	// A wildcard in the topic of a QoS 1 publication is a protocol violation.
	_ = p.Publish(mqtttest.Message{Topic: "a/#", QoS: 1, Payload: []byte("PORTRAIT")})
	_, _ = peer(b, mqtttest.Login{ID: "eve", User: "eve", Password: "letmein"})
	_ = p.Close()
	text := buf.wait(t, "broker client ended")
	for _, secret := range []string{"hunter2", "letmein", "PORTRAIT"} {
		if strings.Contains(text, secret) {
			t.Errorf("log holds %q:\n%s", secret, text)
		}
	}
}

// A journal is a log to wait for.
type journal struct{ lines chan string }

func (j *journal) Write(p []byte) (int, error) {
	j.lines <- string(p)
	return len(p), nil
}

// wait returns everything logged up to a line that holds text.
func (j *journal) wait(t *testing.T, text string) string {
	t.Helper()
	late := time.After(5 * time.Second)
	var all strings.Builder
	for {
		select {
		case line := <-j.lines:
			all.WriteString(line)
			if strings.Contains(line, text) {
				return all.String()
			}
		case <-late:
			t.Fatalf("%q was not logged in 5 s:\n%s", text, &all)
		}
	}
}
