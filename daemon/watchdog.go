package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Bounds of the watchdog. A step of the camera loop may take as long as a camera
// may be silent, and as the kernel may need to close and open one that answers
// nothing: uvcvideo waits 5 s for each of some requests
// (UVC_CTRL_STREAMING_TIMEOUT), and a new start would only wait again. An answer
// of the owner comes at once.
const (
	maxKernel = 30 * time.Second
	maxAnswer = 2 * time.Second
)

// A watchdog tells systemd that the daemon is alive, only while its parts
// prove it: the camera loop makes steps (an unplugged camera is retried, and
// that is a step), the owner of the line answers, and no call into the engine
// hangs.
type watchdog struct {
	camera *camera
	ping   func(context.Context) error
	engine func() error
	log    *slog.Logger
}

// run feeds the watchdog until ctx ends. Without WatchdogSec it does nothing.
func (w *watchdog) run(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	starving := false
	for {
		err := w.alive(ctx)
		if err == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) // systemd acts on silence
		}
		if hungry := err != nil; hungry != starving {
			starving = hungry
			w.log.Warn("watchdog", "starving", starving, "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// alive returns the first part that does not prove it is alive.
func (w *watchdog) alive(ctx context.Context) error {
	if since := time.Since(w.camera.lastStep()); since > w.camera.feed.Stalled+maxKernel {
		return fmt.Errorf("camera loop stands since %v", since.Round(time.Second))
	}
	if err := w.engine(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxAnswer)
	defer cancel()
	if err := w.ping(ctx); err != nil {
		return fmt.Errorf("owner of the line: %w", err)
	}
	return nil
}
