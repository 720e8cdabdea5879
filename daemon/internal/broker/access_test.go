package broker_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A second client of the daemon's id would throw the daemon out.
func TestNobodyTakesTheDaemonsClientID(t *testing.T) {
	b := start(t, broker.Config{ClientID: "facegate-1", UsersFile: users(t, "ann:x\n")}, io.Discard)
	conn, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "facegate-1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = peer(b, mqtttest.Login{ID: "facegate-1", User: "ann", Password: "x"})
	if code, ok := errors.AsType[mqtttest.RefusedError](err); !ok || code != 2 {
		t.Errorf("login with the daemon's client id: %v, want it refused with code 2", err)
	}
	if err := own.Publish(mqtttest.Message{Topic: "a", QoS: 1}); err != nil {
		t.Errorf("the daemon was thrown out: %v", err)
	}
}

// Whoever could publish an outcome or a status could forge one.
func TestOnlyTheDaemonPublishesItsTopics(t *testing.T) {
	const root = "facegate/hq/gate-1/"
	b := start(t, broker.Config{ClientID: "facegate-1", Topics: root}, io.Discard)
	conn, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "facegate-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Subscribe("#", 1); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{
		root + "event/attempt", root + "state/last", root + "status", root + "info", root + "health", root + "error",
		root + "attempt/1/progress", root + "rsp/verify", root + "cmd", "facegate/hq/gate-2/event/attempt", "anything",
	} {
		p, err := peer(b, mqtttest.Login{ID: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(mqtttest.Message{Topic: topic, QoS: 0, Payload: []byte("forged")}); err != nil {
			t.Errorf("%s at QoS 0: %v", topic, err)
		}
		if err := p.Publish(mqtttest.Message{Topic: topic, QoS: 1, Retained: true, Payload: []byte("forged")}); err == nil {
			t.Errorf("%s: the broker took it", topic)
		}
	}
	if code := will(t, b, root+"status"); code != 5 {
		t.Errorf("a will on the daemon's status: login answered with %d, want 5", code)
	}
	p, err := peer(b, mqtttest.Login{ID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(mqtttest.Message{Topic: root + "cmd/cancel", QoS: 1, Payload: []byte("a command")}); err != nil {
		t.Fatalf("a command: %v", err)
	}
	if m, err := own.Next(); err != nil || m.Topic != root+"cmd/cancel" {
		t.Errorf("the first message that came through is %q on %s, %v, want the command", m.Payload, m.Topic, err)
	}
	if err := own.Publish(mqtttest.Message{Topic: root + "event/attempt", QoS: 1}); err != nil {
		t.Errorf("an event of the daemon: %v", err)
	}
}

// will logs in with a will on a topic and returns the answer's code.
func will(t *testing.T, b *broker.Embedded, topic string) byte {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	body := append([]byte("\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w\x00"), byte(len(topic)))
	hello := mqtttest.Packet{Type: mqtttest.Connect, Body: append(append(body, topic...), "\x00\x01x"...)}
	if _, err := conn.Write(hello.Bytes()); err != nil {
		t.Fatal(err)
	}
	got, err := mqtttest.ReadPacket(bufio.NewReader(conn))
	if err != nil || got.Type != mqtttest.Connack || len(got.Body) != 2 {
		t.Fatalf("answer %+v, %v, want a CONNACK", got, err)
	}
	return got.Body[1]
}
