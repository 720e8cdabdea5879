//go:build fleet

package fleet

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// The documented settings must let no kiosk speak for another, read another's
// commands, or come in without a certificate. MQTT 3.1.1 can't refuse a
// publication, so that only a subscriber sees what became of it.
func TestAccessOfOneKiosk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T, s *site) engine
	}{
		{"Mosquitto", func(t *testing.T, s *site) engine { return startMosquitto(t, s) }},
		{"NATS", func(t *testing.T, s *site) engine { return startCluster(t, s) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, 2)
			e := tt.start(t, s)
			clients := 0
			dial := func(name string) *mqtttest.Peer {
				conn, err := s.dial(strings.TrimPrefix(e.URL(), "ssl://"), name)
				must(t, err)
				clients++ // NATS holds off a client that takes over from itself within a second
				p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: fmt.Sprintf("%s-%d", name, clients)})
				must(t, err)
				t.Cleanup(func() { _ = p.Close() })
				return p
			}
			host := dial("host")
			must(t, host.Subscribe(topic+"+/event/+", 1))
			first, second := s.devices[0], s.devices[1]
			must(t, dial(second).Subscribe(topic+second+"/cmd/+", 0))
			kiosk := dial(first)
			must(t, kiosk.Subscribe(topic+first+"/cmd/+", 0))
			_ = kiosk.Publish(mqtttest.Message{Topic: topic + second + "/event/attempt", QoS: 1, Payload: []byte("forged")}) // it may be thrown out for it
			must(t, dial(first).Publish(mqtttest.Message{Topic: topic + first + "/event/attempt", QoS: 1, Payload: []byte("true")}))
			if m, err := host.Next(); err != nil || string(m.Payload) != "true" {
				t.Errorf("the host got %q on %s, %v", m.Payload, m.Topic, err)
			}
			spy := dial(first)
			if err := spy.Subscribe(topic+second+"/cmd/+", 0); err != nil {
				spy = dial(first) // it was refused, and perhaps thrown out
			}
			must(t, spy.Subscribe(topic+first+"/cmd/+", 0))
			for _, device := range []string{second, first} {
				must(t, host.Publish(mqtttest.Message{Topic: topic + device + "/cmd/cancel", QoS: 1, Payload: []byte("{}")}))
			}
			if m, err := spy.Next(); err != nil || m.Topic != topic+first+"/cmd/cancel" {
				t.Errorf("%s got a message on %q, %v", first, m.Topic, err)
			}
			stranger(t, strings.TrimPrefix(e.URL(), "ssl://"))
		})
	}
}

// stranger has no certificate.
func stranger(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	if _, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "stranger"}); err == nil {
		t.Error("somebody without a certificate came in")
	}
}

// A shared subscription hands each event to one of a group of consumers.
// Mosquitto has them for clients of MQTT 3.1.1 too.
func TestSharedSubscription(t *testing.T) {
	const events = 200
	s := newSite(t, 1)
	m := startMosquitto(t, s)
	seen := make(chan string, 2*events)
	for n := range 2 {
		conn, err := m.dialHost()
		must(t, err)
		p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: fmt.Sprintf("worker-%d", n), Lasting: true})
		must(t, err)
		t.Cleanup(func() { _ = p.Close() })
		must(t, p.Subscribe("$share/workers/"+topic+"+/event/+", 1))
		go func() {
			for {
				m, err := p.Next()
				if err != nil {
					return
				}
				seen <- fmt.Sprintf("%d %s", n, m.Payload)
			}
		}()
	}
	conn, err := s.dial(m.address, s.devices[0])
	must(t, err)
	kiosk, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: s.devices[0]})
	must(t, err)
	defer kiosk.Close()
	for n := range events {
		must(t, kiosk.Publish(mqtttest.Message{Topic: topic + s.devices[0] + "/event/attempt", QoS: 1, Payload: fmt.Append(nil, n)}))
	}
	by, once := map[string]int{}, map[string]bool{}
	for range events {
		worker, event, _ := strings.Cut(<-seen, " ")
		if once[event] {
			t.Errorf("event %s came twice", event)
		}
		by[worker]++
		once[event] = true
	}
	if len(by) != 2 {
		t.Errorf("the events were shared as %v", by)
	}
}
