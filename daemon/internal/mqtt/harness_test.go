package mqtt_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

const root = "facegate/hall/gate-1/"

// newClient returns a client of a kiosk that obeys every command.
func newClient() (*mqtt.Client, *mqtttest.Journal) {
	j := &mqtttest.Journal{BootID: eventtest.BootID}
	return &mqtt.Client{
		ClientID: "facegate-test", Base: "facegate", Site: "hall", Device: "gate-1",
		BootID: eventtest.BootID, Version: "test",
		Outbox: j, History: j, Nonces: j, Handler: &handler{},
		ClockSynced: func() bool { return true },
		Log:         slog.New(slog.DiscardHandler),
	}, j
}

// A handler remembers what it was asked to do.
type handler struct {
	hold chan struct{} // if set, Handle waits for it

	// mu guards the following
	mu   sync.Mutex
	seen []mqtt.Command
}

func (h *handler) Handle(ctx context.Context, c mqtt.Command) mqtt.Response {
	if h.hold != nil {
		select {
		case <-h.hold:
		case <-ctx.Done():
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, c)
	return mqtt.Response{Code: mqtt.OK}
}

func (h *handler) commands() []mqtt.Command {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

// run runs c until the returned function is called, at the latest at the end
// of the test.
func run(t *testing.T, c *mqtt.Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
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
	t.Cleanup(stop)
	return stop
}

// startBroker runs the embedded broker for the length of the test.
func startBroker(t testing.TB, c broker.Config) *broker.Embedded {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	b, err := broker.Listen(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return b
}

// watch returns a peer that has subscribed to everything.
func watch(t testing.TB, address string, l mqtttest.Login) *mqtttest.Peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := mqtttest.NewPeer(conn, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.Subscribe(root+"#", 1); err != nil {
		t.Fatal(err)
	}
	return p
}

// next returns the next message on one of the topics below root.
func next(t testing.TB, p *mqtttest.Peer, topics ...string) mqtttest.Message {
	t.Helper()
	for {
		m, err := p.Next()
		if err != nil {
			t.Fatalf("waiting for a message on %v: %v", topics, err)
		}
		for _, topic := range topics {
			if strings.HasPrefix(m.Topic, root+topic) {
				return m
			}
		}
	}
}

// field decodes one field of a JSON payload.
func field[T any](t testing.TB, m mqtttest.Message, name string) T {
	t.Helper()
	var object map[string]json.RawMessage
	var value T
	if err := json.Unmarshal(m.Payload, &object); err != nil {
		t.Fatalf("%s: %v: %s", m.Topic, err, m.Payload)
	}
	if raw, ok := object[name]; ok {
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatalf("%s: %s: %v: %s", m.Topic, name, err, m.Payload)
		}
	}
	return value
}

// connected starts a client on an embedded broker and returns a peer that has
// seen it come online.
func connected(t *testing.T, c *mqtt.Client) *mqtttest.Peer {
	t.Helper()
	b := startBroker(t, broker.Config{})
	c.Dial = b.Dial
	p := watch(t, b.Addr().String(), mqtttest.Login{ID: "watcher"})
	run(t, c)
	if m := next(t, p, "status"); field[mqtt.State](t, m, "state") != mqtt.Online {
		t.Fatalf("first status is %s", m.Payload)
	}
	return p
}

func send(t testing.TB, p *mqtttest.Peer, verb string, payload []byte) {
	t.Helper()
	if err := p.Publish(mqtttest.Message{Topic: root + "cmd/" + verb, Payload: payload, QoS: 1}); err != nil {
		t.Fatal(err)
	}
}

// logTo returns a logger that sends each line of warning or information.
func logTo(lines chan<- string) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer(func(p []byte) { lines <- string(p) }), nil))
}

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
