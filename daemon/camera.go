package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/capture/replay"
	"github.com/facegate/facegate/capture/v4l2"
	"github.com/facegate/facegate/daemon/internal/config"
)

// errStarting is the fault of a camera that has not yet been heard of.
var errStarting = errors.New("camera is starting")

// stillLost is how often the log repeats that a camera is lost.
const stillLost = 10 * time.Minute

// A camera is one source of frames that is kept open, and its health.
type camera struct {
	latest capture.Latest
	feed   *capture.Feed
	log    *slog.Logger

	// mu guards the following
	mu      sync.Mutex
	fault   error     // nil while frames come
	stepped time.Time // when the loop last made a step
	tries   int       // how often a lost camera was opened again
	told    time.Time // when the log last said that it is lost
	known   chan struct{}
	settled bool // known is closed: a first frame or a named fault is there
	changed func()
}

// newCamera returns a camera that delivers once its feed runs. Changed is
// called, without arguments, whenever its fault changes; it must not block.
func newCamera(c config.Camera, log *slog.Logger, changed func()) *camera {
	cam := &camera{log: log, fault: errStarting, stepped: time.Now(), known: make(chan struct{}), changed: changed}
	cam.feed = &capture.Feed{
		Open:   func(ctx context.Context) (capture.Source, error) { return openSource(ctx, c) },
		Latest: &cam.latest, Stalled: c.Stalled, Step: cam.step, Changed: cam.change,
	}
	return cam
}

// openSource opens the camera that the configuration names.
func openSource(ctx context.Context, c config.Camera) (capture.Source, error) {
	if c.Driver == "replay" {
		source, err := replay.Open(replay.Config{Paths: c.Replay, FPS: c.FPS})
		if err != nil {
			return nil, err
		}
		return source, nil
	}
	source, err := v4l2.Open(ctx, v4l2.Config{Device: c.Device, Format: c.Format, Width: c.Width, Height: c.Height, FPS: c.FPS})
	if err != nil {
		return nil, err
	}
	return source, nil
}

func (c *camera) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepped = time.Now()
	if !c.settled || c.fault == nil {
		return
	}
	c.tries++
	if c.stepped.Sub(c.told) >= stillLost {
		c.told = c.stepped
		c.log.Warn("camera still lost", "tries", c.tries, "err", c.fault)
	}
}

func (c *camera) change(fault error) {
	c.mu.Lock()
	if c.fault = fault; fault == nil {
		c.tries = 0
	}
	c.told = time.Now()
	if !c.settled {
		c.settled = true
		close(c.known)
	}
	c.mu.Unlock()
	if fault != nil {
		c.log.Warn("camera lost", "err", fault)
	} else {
		c.log.Info("camera delivers")
	}
	c.changed()
}

// Fault returns what is wrong with the camera, nil while it delivers or if
// there is none.
func (c *camera) Fault() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// lastStep returns when the loop last read a frame or tried to open the device.
func (c *camera) lastStep() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepped
}

// age returns how old the newest frame is, false if there was none yet.
func (c *camera) age() (time.Duration, bool) {
	f, ok := c.latest.Newest()
	return time.Since(f.Time), ok
}

// documentConfig is the document camera's configuration in the live camera's
// shape, so that both run the same loop.
func documentConfig(c config.Config) config.Camera {
	d := c.Document
	return config.Camera{
		Driver: d.Driver, Device: d.Device, Replay: d.Replay, Format: d.Format,
		Width: d.Width, Height: d.Height, FPS: d.FPS, Fresh: c.Camera.Fresh, Stalled: c.Camera.Stalled,
	}
}

// take returns a frame taken after now, as a picture file.
func (c *camera) take(ctx context.Context, limit time.Duration) (capture.Frame, error) {
	if err := c.Fault(); err != nil {
		return capture.Frame{}, fmt.Errorf("document camera: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("document camera: no frame"))
	defer cancel()
	return c.latest.After(ctx, time.Now())
}
