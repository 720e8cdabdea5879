package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
)

// A camera that stays away is tried again and again, and the log says so now
// and then.
func TestLogRepeatsThatCameraIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		changes := 0
		c := newCamera(config.Camera{Driver: "v4l2", Device: t.TempDir() + "/none", Format: "auto", Stalled: time.Second},
			slog.New(slog.NewTextHandler(&text, nil)), func() { changes++ })
		ctx, stop := context.WithTimeout(t.Context(), 25*time.Minute)
		defer stop()
		_ = c.feed.Run(ctx)
		if lost, still := strings.Count(text.String(), `msg="camera lost"`), strings.Count(text.String(), `msg="camera still lost"`); lost != 1 || still != 2 || changes != 1 {
			t.Errorf("lost %d times, still lost %d times, %d changes; want 1, 2, 1:\n%s", lost, still, changes, &text)
		}
		if want := 25 * time.Minute / (3 * time.Second); c.tries < int(want)-2 || c.tries > int(want)+6 {
			t.Errorf("%d tries, want about %d", c.tries, want)
		}
	})
}
