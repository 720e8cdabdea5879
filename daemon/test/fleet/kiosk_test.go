//go:build fleet

package fleet

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/daemon/internal/mqtt"
)

// topic is where the fleet's kiosks are, those of docs/fleet.md.
const topic = "facegate/hall/"

// A kiosk is a journal on the disk and a connection.
type kiosk struct {
	*mqtt.Client
	*journal.Journal
	t        *testing.T
	appended atomic.Int64
}

func newKiosk(t *testing.T, s *site, device, url string) *kiosk {
	t.Helper()
	clock := event.Clock{BootID: eventtest.BootID, ClockSynced: func() bool { return true }}
	j, err := journal.Open(t.Context(), journal.Options{
		Path: s.file(device + ".db"), MaxBytes: 64 << 20, KeepDelivered: time.Hour, Site: "hall", Device: device, Stamp: clock.Stamp,
	})
	must(t, err)
	c := &mqtt.Client{
		Broker: url, Credentials: mqtt.Credentials{CAFile: s.file("ca.pem"), CertFile: s.file(device + ".pem"), KeyFile: s.file(device + ".key")},
		ClientID: device, Base: "facegate", Site: "hall", Device: device, BootID: eventtest.BootID, Version: "fleet",
		Outbox: j, History: j, Nonces: j, Handler: idle{}, ClockSynced: clock.ClockSynced, Log: slog.New(slog.DiscardHandler),
	}
	c.SetInfo(map[string]any{"v": 1, "version": "fleet", "engine": "dlib", "camera": "replay"})
	c.SetHealth(map[string]any{"v": 1, "camera": "ok", "matcher": "ok", "clock": "ok"})
	return &kiosk{Client: c, Journal: j, t: t}
}

// attempt appends the outcome of one more attempt.
func (k *kiosk) attempt() {
	n := int(k.appended.Add(1))
	if _, err := k.Append(context.Background(), eventtest.NoMatch(eventtest.AttemptID(n))); err != nil {
		k.t.Errorf("%s: %v", k.Device, err)
	}
}

// delivered is how many events the journal counts as delivered.
func (k *kiosk) delivered() int {
	s, err := k.Journal.Stats(context.Background())
	if err != nil {
		k.t.Errorf("%s: %v", k.Device, err)
	}
	return int(s.Delivered)
}

func (k *kiosk) close() {
	if err := k.Journal.Close(); err != nil {
		k.t.Errorf("%s: %v", k.Device, err)
	}
}

// idle gets no commands.
type idle struct{}

func (idle) Handle(context.Context, mqtt.Command) mqtt.Response {
	return mqtt.Response{Code: mqtt.NotAllowed}
}
