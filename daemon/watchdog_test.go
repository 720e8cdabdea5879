package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
)

// A camera that may be silent for a minute had the daemon killed after fifteen
// seconds of silence, again and again, and nobody was told of the camera.
func TestWatchdogWaitsAsLongAsTheCameraMayBeSilent(t *testing.T) {
	for _, row := range []struct {
		stalled, silent time.Duration
		alive           bool
	}{
		{2 * time.Second, 6 * time.Second, true}, // until a first frame
		{2 * time.Second, 8 * time.Second, false},
		{time.Minute, 61 * time.Second, true},
		{time.Minute, 63 * time.Second, false},
	} {
		c := newCamera(config.Camera{Stalled: row.stalled}, slog.New(slog.DiscardHandler), func() {})
		c.stepped = time.Now().Add(-row.silent)
		w := watchdog{camera: c, ping: func(context.Context) error { return nil }, engine: func() error { return nil }}
		if err := w.alive(t.Context()); (err == nil) != row.alive {
			t.Errorf("stalled %v, silent for %v: %v", row.stalled, row.silent, err)
		}
	}
}
