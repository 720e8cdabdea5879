//go:build dlib && integration

package test

import (
	"errors"
	"testing"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// TestForgery lets a client of the daemon's own broker try to speak for the
// daemon, and to take its place.
func TestForgery(t *testing.T) {
	t.Parallel()
	s := newSite(t, "broker: embedded,", "broker: embedded, client_id: gate,")
	d := s.start()
	_, err := mqtttest.NewPeer(mqtttest.Dial(t, s.embedded()), mqtttest.Login{ID: "gate"})
	if _, refused := errors.AsType[mqtttest.RefusedError](err); !refused {
		t.Errorf("login with the daemon's client id: %v, want it refused", err)
	}
	for topic, want := range map[string]bool{"event/attempt": false, "status": false, "cmd/cancel": true} {
		h := s.host(s.embedded())
		err := h.peer.Publish(mqtttest.Message{Topic: root + topic, QoS: 1, Payload: mqtttest.Command("1", `{}`)})
		if taken := err == nil; taken != want {
			t.Errorf("%s: taken %v (%v), want %v", topic, taken, err, want)
		}
	}
	s.terminate(d)
}
