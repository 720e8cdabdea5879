package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/grant"
	"github.com/facegate/facegate/daemon/internal/metrics"
)

// buildServer opens the address of the local interface.
func (k *kiosk) buildServer(ctx context.Context) error {
	c := k.cfg.HTTP
	k.server = api.New(api.Parts{
		Line: k.line, Enabled: k.cfg.Sources.HTTP.Enabled, MayOpen: k.cfg.Sources.HTTP.MayOpen,
		Uploads: k.uploads, Ready: k.missing, Metrics: k.metrics.Handler(),
		Refused: func(code string) { k.metrics.Refused("http", code) }, Log: k.log,
	})
	l, err := api.Listen(ctx, c)
	if err != nil {
		return err
	}
	k.listener = l
	return nil
}

// missing lists what keeps the kiosk from being ready.
func (k *kiosk) missing(ctx context.Context) []api.Missing {
	var all []api.Missing
	add := func(part string, err error) {
		if err != nil {
			all = append(all, api.Missing{Part: part, Why: err.Error()})
		}
	}
	add("camera", k.live.Fault())
	add("document_camera", k.document.Fault())
	if age, ok := k.live.age(); ok && age > k.cfg.Camera.Stalled {
		add("camera", fmt.Errorf("newest frame is %v old", age.Round(time.Second)))
	}
	add("models", k.matcher.Hung())
	_, err := k.journal.Stats(ctx)
	add("journal", cmp.Or(k.journal.Fault(), err))
	return all
}

// reading takes the figures of other parts, for a scrape.
func (k *kiosk) reading() metrics.Reading {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r := metrics.Reading{Cameras: map[string]metrics.Camera{"live": k.live.reading()}}
	if k.document != nil {
		r.Cameras["document"] = k.document.reading()
	}
	if s, err := k.journal.Stats(ctx); err == nil {
		r.Journal = metrics.Journal{Seq: s.Last, Pending: s.Pending, Bytes: s.Bytes}
	}
	m := k.client.Stats()
	r.MQTT = metrics.MQTT{Connected: m.Connected, Published: m.Sent}
	r.Paused = map[string]bool{}
	for name, err := range k.services.faults() {
		r.Paused[name] = err != nil
	}
	return r
}

func (c *camera) reading() metrics.Camera {
	f, _ := c.latest.Newest()
	return metrics.Camera{Up: c.Fault() == nil, Frames: f.Seq, Newest: f.Time}
}

// grantKey loads the key that a host signs with, nil where none authorises.
func grantKey(c config.Door) (*grant.Key, error) {
	if c.Authorise != "host" {
		return nil, nil
	}
	key, err := grant.LoadKey(c.GrantKeyFile)
	if err != nil {
		return nil, fmt.Errorf("door.grant_key_file: %w", err)
	}
	return &key, nil
}
