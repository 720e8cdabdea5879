package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/mxface"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/picture"
)

// services asks the compare services that the configuration names.
type services struct {
	asker  *cloud.Asker
	client *http.Client
	close  []func() error
	making sync.WaitGroup // of whole pictures, which nobody may wait for any more
	log    *slog.Logger

	callbacks *argos.Callbacks // nil without any
	listener  net.Listener     // for them
}

var _ attempt.Cloud = (*services)(nil)

// openServices returns nil if no service is configured. Every line of its error
// begins with a key of the configuration.
func openServices(cfg config.Cloud, ledger cloud.Ledger, log *slog.Logger) (*services, error) {
	if len(cfg.Providers) == 0 {
		return nil, nil
	}
	client, err := network(cfg)
	if err != nil {
		return nil, err
	}
	s := &services{client: client, log: log, asker: &cloud.Asker{
		Deadline: cfg.Deadline, Hedge: cfg.Hedge, Quorum: cfg.Quorum,
		Breaker: cloud.BreakerSettings{Failures: cfg.Breaker.Failures, Open: cfg.Breaker.Open},
		Ledger:  ledger, Log: log,
	}}
	if err := s.fill(cfg); err != nil {
		return nil, err
	}
	if err := s.asker.Check(); err != nil {
		return nil, prefixed("cloud.", err)
	}
	if s.callbacks != nil {
		if s.listener, err = s.callbacks.Open(); err != nil {
			return nil, prefixed("cloud.argos.", err)
		}
	}
	return s, nil
}

// run receives what services send on their own, if any does, until ctx ends.
func (s *services) run(ctx context.Context) error {
	if s.callbacks == nil {
		return nil
	}
	return s.callbacks.Serve(ctx, s.listener)
}

// checkServices reports what the clients find wrong with their settings, which
// package config does not know.
func checkServices(cfg config.Cloud) error {
	if len(cfg.Providers) == 0 {
		return nil
	}
	client, err := network(cfg)
	if _, ok := errors.AsType[*fs.PathError](err); ok { // package config has seen that
		client, err = new(http.Client), nil
	}
	s := &services{client: client, log: slog.New(slog.DiscardHandler), asker: new(cloud.Asker)}
	return errors.Join(err, s.fill(cfg))
}

// network returns the client for all services.
func network(cfg config.Cloud) (*http.Client, error) {
	if _, err := (wire.Network{Proxy: cfg.Proxy}).Client(); err != nil {
		return nil, fmt.Errorf("cloud.proxy: %w", err)
	}
	client, err := wire.Network{CAFile: cfg.CAFile, Proxy: cfg.Proxy}.Client()
	if err != nil {
		return nil, fmt.Errorf("cloud.ca_file: %w", err)
	}
	return client, nil
}

// fill makes the clients of the services.
func (s *services) fill(cfg config.Cloud) error {
	var problems []error
	for _, name := range cfg.Providers {
		p, err := s.provider(name, cfg)
		if err != nil {
			problems = append(problems, prefixed("cloud."+name+".", err))
			continue
		}
		e := cfg.Service(name)
		s.asker.Entries = append(s.asker.Entries, cloud.Entry{
			Provider: p, Accept: e.Accept, Reject: e.Reject, Timeout: e.Timeout, Cost: e.Cost,
			Budget: cloud.Budget{Daily: e.Daily, Monthly: e.Monthly},
		})
	}
	return errors.Join(problems...)
}

// prefixed puts the section before each line of an error that begins with a
// key.
func prefixed(section string, err error) error {
	return errors.New(section + strings.ReplaceAll(err.Error(), "\n", "\n"+section))
}

// provider makes the client of one service.
func (s *services) provider(name string, c config.Cloud) (cloud.Provider, error) {
	switch name {
	case "deepidv":
		d := c.DeepIDV
		p := &deepidv.Client{
			HTTP: s.client, Key: wire.Secret(d.KeyFile), BaseURL: d.BaseURL, Send: deepidv.Send(d.Send), IDAsSource: d.IDAsSource,
		}
		return p, p.Check()
	case "mxface":
		m := c.MXFace
		p := &mxface.Client{
			HTTP: s.client, Key: wire.Secret(m.KeyFile), BaseURL: m.BaseURL, Version: mxface.Version(m.Version), Confidence: m.Confidence,
			IDAsSource: m.IDAsSource, CompareAllFaces: m.CompareAllFaces, MinQuality: m.QualityThreshold, MinEyeDistance: m.MinEyeDistance,
		}
		return p, p.Check()
	case "rekognition":
		return s.rekognition(c.Rekognition)
	case "argos":
		a := c.ARGOS
		p := &argos.Client{HTTP: s.client, Key: wire.Secret(a.KeyFile), BaseURL: a.BaseURL, IDAsSource: a.IDAsSource}
		if b := a.Callback; b != (config.Callback{}) {
			s.callbacks = &argos.Callbacks{Listen: b.Listen, PublicURL: b.PublicURL, CertFile: b.CertFile, KeyFile: b.KeyFile, Log: s.log}
			p.Callbacks = s.callbacks
		}
		return p, p.Check()
	}
	return nil, errors.New("no such provider")
}

func (s *services) rekognition(r config.Rekognition) (cloud.Provider, error) {
	settings := rekognition.Settings{
		HTTP: s.client, Region: r.Region, Endpoint: r.Endpoint, Attempts: r.Attempts, IDAsSource: r.IDAsSource, Log: s.log,
		Keys: rekognition.Keys{
			AccessKeyID: wire.Secret(r.AccessKeyIDFile), SecretAccessKey: wire.Secret(r.SecretAccessKeyFile), SessionToken: wire.Secret(r.SessionTokenFile),
		},
		Role:   rekognition.Role{ARN: r.RoleARN, TokenFile: wire.Secret(r.RoleTokenFile), Endpoint: r.RoleEndpoint},
		Bucket: rekognition.Bucket{Name: r.Bucket, Prefix: r.BucketPrefix, Endpoint: r.BucketEndpoint},
	}
	p, err := rekognition.New(settings)
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, p.Close)
	return p, nil
}

// Ask implements attempt.Cloud. The asker's Deadline bounds all of it.
func (s *services) Ask(ctx context.Context, c attempt.Case) cloud.Result {
	ctx, stop := context.WithTimeout(ctx, s.asker.Deadline)
	defer stop()
	q, failure := cloud.Question{Live: c.Live, ID: c.ID}, cloud.Kind("")
	switch {
	case c.Why == cloud.EngineDown:
		q, failure = s.whole(ctx, c)
	case c.Live == nil || c.ID == nil:
		failure = event.PictureFailure
	}
	r := cloud.Result{Failure: failure}
	if failure == "" {
		r = s.asker.Ask(ctx, q, cloud.Context{AttemptID: c.AttemptID, Why: c.Why, Local: string(c.Local)})
	}
	s.log.Info("compare services asked", "attempt", c.AttemptID, "why", c.Why, "verdict", r.Verdict, "provider", r.Provider, "failure", r.Failure, "calls", r.Calls)
	return r
}

// whole makes the pictures of a case that the engine could not look at, or says
// why there are none. A large picture may take longer than there is time.
func (s *services) whole(ctx context.Context, c attempt.Case) (cloud.Question, cloud.Kind) {
	made := make(chan cloud.Question, 1)
	s.making.Go(func() {
		defer close(made)
		q, err := whole(c)
		if err != nil {
			s.log.Warn("pictures not shown to compare services", "attempt", c.AttemptID, "err", err)
			return
		}
		made <- q
	})
	select {
	case q, ok := <-made:
		if !ok {
			return cloud.Question{}, event.PictureFailure
		}
		return q, ""
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return cloud.Question{}, cloud.Cancelled
		}
		return cloud.Question{}, cloud.Overdue
	}
}

// whole encodes the pictures of a case that the engine could not look at.
func whole(c attempt.Case) (cloud.Question, error) {
	live, err := matcher.Picture(c.Frame)
	if err != nil {
		return cloud.Question{}, fmt.Errorf("frame: %w", err)
	}
	id, err := picture.Decode(c.Photo)
	if err != nil {
		return cloud.Question{}, fmt.Errorf("id photo: %w", err)
	}
	var q cloud.Question
	if q.Live, err = matcher.Shown(live, 0); err != nil {
		return cloud.Question{}, fmt.Errorf("frame: %w", err)
	}
	if q.ID, err = matcher.Shown(id, 0); err != nil {
		return cloud.Question{}, fmt.Errorf("id photo: %w", err)
	}
	return q, nil
}

// faults returns, by name, why a service is left alone at present, nil if it
// is not.
func (s *services) faults() map[string]error {
	if s == nil {
		return nil
	}
	all := map[string]error{}
	for _, state := range s.asker.States() {
		all[state.Provider] = nil
		if state.Breaker == cloud.Opened {
			all[state.Provider] = fmt.Errorf("failed %d times in a row; asked again after %s", state.Failures, state.Until.Format(time.TimeOnly))
		}
	}
	return all
}

// Close waits for the last calls to end and what they left to be removed.
func (s *services) Close() error {
	s.making.Wait()
	s.asker.Close()
	var errs []error
	for _, f := range s.close {
		errs = append(errs, f())
	}
	s.client.CloseIdleConnections()
	return errors.Join(errs...)
}
