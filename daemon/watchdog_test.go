package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
)

// A USB camera that answers nothing holds the kernel up for a multiple of 5 s, and
// is told of; to kill the daemon would not help. And a camera that may be silent for a minute had the daemon killed after fifteen
// seconds of silence, again and again, and nobody was told of the camera.
func TestWatchdogWaitsAsLongAsTheCameraMayBeSilent(t *testing.T) {
	for _, row := range []struct {
		stalled, silent time.Duration
		alive           bool
	}{
		{2 * time.Second, 31 * time.Second, true},
		{2 * time.Second, 33 * time.Second, false},
		{time.Minute, 89 * time.Second, true},
		{time.Minute, 91 * time.Second, false},
	} {
		c := newCamera(config.Camera{Stalled: row.stalled}, slog.New(slog.DiscardHandler), func() {})
		c.stepped = time.Now().Add(-row.silent)
		w := watchdog{camera: c, ping: func(context.Context) error { return nil }, engine: func() error { return nil }}
		if err := w.alive(t.Context()); (err == nil) != row.alive {
			t.Errorf("stalled %v, silent for %v: %v", row.stalled, row.silent, err)
		}
	}
}
