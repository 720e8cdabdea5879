package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/inbox"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/daemon/internal/metrics"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/match"
)

// A kiosk is every part of the daemon, put together and not yet running.
type kiosk struct {
	cfg      config.Config
	log      *slog.Logger
	hw       *hardware
	clock    event.Clock
	journal  *journal.Journal
	engine   match.Engine
	matcher  *matcher.Matcher
	rates    rates
	live     *camera
	document *camera   // nil without one
	services *services // nil if no compare service is configured
	line     *attempt.Line
	intake   *intake
	uploads  *api.Uploads
	server   *api.Server
	listener *api.Listener
	metrics  *metrics.Metrics
	inbox    *inbox.Inbox     // nil when switched off
	broker   *broker.Embedded // nil with an external one
	client   *mqtt.Client
	last     *event.Event // the newest attempt of an earlier run
	stop     context.CancelCauseFunc
}

// assemble opens everything that must be there for the kiosk to start. What the
// configuration can be blamed for has been looked at before; the rest, such as a
// full disk or a port in use, may be over when the daemon is started again.
func assemble(ctx context.Context, cfg config.Config, hw *hardware, log *slog.Logger) (*kiosk, error) {
	k := &kiosk{cfg: cfg, log: log, hw: hw}
	if err := k.identify(); err != nil {
		return nil, fail(exitUnavailable, err)
	}
	if err := k.openJournal(ctx); err != nil {
		return nil, fail(exitUnavailable, err)
	}
	if err := k.openRest(ctx); err != nil {
		return nil, fail(exitUnavailable, errors.Join(err, k.journal.Close()))
	}
	return k, nil
}

// identify fills in the names and the clock.
func (k *kiosk) identify() error {
	if k.cfg.Device.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("device.name: %w (name the device)", err)
		}
		k.cfg.Device.Name = host
	}
	boot, err := event.BootID(event.BootIDFile)
	if err != nil {
		return err
	}
	k.clock = event.Clock{BootID: boot, ClockSynced: func() bool { ok, _ := event.Synced(k.cfg.Clock.Marker); return ok }}
	return nil
}

func (k *kiosk) openJournal(ctx context.Context) error {
	if err := os.MkdirAll(k.cfg.Data, 0o750); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	j, err := journal.Open(ctx, journal.Options{
		Path:     filepath.Join(k.cfg.Data, "journal.db"),
		MaxBytes: int64(k.cfg.Journal.MaxBytes), MaxAge: k.cfg.Journal.MaxAge, KeepDelivered: k.cfg.Journal.KeepDelivered,
		Site: k.cfg.Device.Site, Device: k.cfg.Device.Name, Stamp: k.clock.Stamp, Log: k.log,
	})
	if err != nil {
		return err
	}
	k.journal = j
	_, err = j.Recover(ctx)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	k.last, err = lastAttempt(ctx, j)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	return nil
}

// lastAttempt finds the newest outcome for whoever joins late.
func lastAttempt(ctx context.Context, j *journal.Journal) (*event.Event, error) {
	s, err := j.Stats(ctx)
	if err != nil {
		return nil, err
	}
	const recent = 100
	events, err := j.Range(ctx, max(1, s.Last-min(s.Last, recent)), s.Last, recent+1)
	if err != nil {
		return nil, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == event.KindAttempt {
			return &events[i], nil
		}
	}
	return nil, nil
}

func (k *kiosk) openRest(ctx context.Context) error {
	began := time.Now()
	engine, err := openEngine(k.cfg)
	if err != nil {
		return err
	}
	k.engine, k.matcher = engine, newMatcher(engine, k.cfg)
	k.log.Info("engine ready", "engine", engine.Model().Engine, "model", engine.Model().Name, "took", time.Since(began).Round(time.Millisecond))
	if k.rates, err = ratesOf(k.cfg, engine.Model()); err != nil {
		return err
	}
	k.rates.log(k.log)
	k.live = newCamera(k.cfg.Camera, k.log, k.announce)
	if k.cfg.Document.Enabled {
		k.document = newCamera(documentConfig(k.cfg), k.log.With("camera", "document"), k.announce)
	}
	if k.services, err = openServices(k.cfg.Cloud, k.journal, k.log); err != nil {
		return err
	}
	k.buildLine()
	k.intake = &intake{
		line: k.line, sources: k.cfg.Sources, document: k.document, log: k.log,
		refused: func(cause string) { k.metrics.Refused("button", cause) },
	}
	k.metrics = metrics.New(version(), k.reading)
	k.uploads = api.NewUploads()
	if err := k.buildClient(); err != nil {
		return err
	}
	if err := k.openInbox(); err != nil {
		return err
	}
	return k.buildServer(ctx)
}

// buildLine wires the straight line.
func (k *kiosk) buildLine() {
	l := attempt.New()
	l.Frames, l.Camera, l.Matcher, l.Record = &k.live.latest, k.live.Fault, k.matcher, k.journal
	l.Panel = k.hw.panel
	if k.hw.door != nil {
		l.Door = guarded{k.hw.door, func(err error) { k.stop(err) }}
	}
	c := k.cfg.Lockout
	l.Lockout = &attempt.Lockout{
		Store: k.journal, After: c.After, Delay: c.Delay, Max: c.Max, Disable: c.Disable, Block: c.Block, Forget: c.Forget, Log: k.log,
	}
	if k.services != nil {
		l.Cloud = k.services
		l.Assumed, _ = attempt.ParseConsent(k.cfg.Cloud.Consent) // the configuration was validated
		l.EngineDown, l.ShowsWhole = k.cfg.Cloud.EngineDown == "cloud", k.cfg.Cloud.Send == "whole"
	}
	l.PAD = challenge(k.cfg.PAD, k.matcher.Model())
	l.Policy, l.FMR = policy(k.cfg), k.rates.of()
	l.Deadline, l.Probes, l.Spacing = k.cfg.Attempt.Deadline, k.cfg.Attempt.Frames, k.cfg.Attempt.Spacing
	l.Fresh, l.Stalled = k.cfg.Camera.Fresh, k.cfg.Camera.Stalled
	l.Authorise, l.Wait = attempt.Authorise(k.cfg.Door.Authorise), k.cfg.Door.Wait
	l.PulseLength, l.OpenWithoutJournal = k.cfg.Door.Pulse, k.cfg.Door.OpenWithoutJournal
	l.Phase, l.Hint, l.Outcome, l.Log = k.phase, k.hint, k.outcome, k.log
	k.line = l
}

// guarded ends the daemon when the door's output cannot be turned off: then
// only another process can still claim the line and make it safe.
type guarded struct {
	*hal.Door
	stuck func(error)
}

func (g guarded) Pulse(ctx context.Context, length time.Duration) (time.Duration, error) {
	measured, err := g.Door.Pulse(ctx, length)
	if errors.Is(err, hal.ErrStuck) {
		g.stuck(err)
	}
	return measured, err
}

// phase shows on the lamps what the line is doing.
func (k *kiosk) phase(p attempt.Phase) {
	switch p {
	case attempt.Busy:
		k.hw.indicator.Show(hal.Busy)
	case attempt.Granted:
		k.hw.indicator.Show(hal.Granted)
	case attempt.Denied:
		k.hw.indicator.Show(hal.Denied)
	case attempt.Attention, attempt.Failed:
		k.hw.indicator.Show(hal.Attention)
	default:
		k.hw.indicator.Show(hal.Idle)
	}
	k.server.Phase(p)
	k.announce()
}

func (k *kiosk) hint(attemptID string, h attempt.Hint) {
	k.client.Progress(attemptID, string(h))
	k.server.Hint(attemptID, h)
}

// outcome tells those who take events as they happen. The broker is not among
// them: it is sent what is in the journal.
func (k *kiosk) outcome(e event.Event) {
	k.server.Outcome(e)
	k.metrics.Event(e)
	if e.Attempt != nil && e.Reason == event.EngineFault {
		k.metrics.EngineFault()
	}
}

// fault returns what keeps the kiosk from doing its work, nil if nothing does.
func (k *kiosk) fault() error {
	return errors.Join(k.live.Fault(), k.document.Fault(), k.matcher.Hung(), k.journal.Fault())
}

// announce tells lamps and broker whether something is at fault.
func (k *kiosk) announce() {
	fault := k.fault()
	k.hw.indicator.Fault(fault != nil)
	state := mqtt.Online
	if fault != nil {
		state = mqtt.Degraded
	}
	k.client.SetStatus(state)
	k.client.SetHealth(k.health())
}

// info is what a fleet's owner wants to know of a kiosk.
func (k *kiosk) info() map[string]any {
	m := k.engine.Model()
	camera := k.cfg.Camera.Device
	if k.cfg.Camera.Driver == "replay" {
		camera = "replay"
	}
	return map[string]any{
		"v": event.Version, "version": version(), "journal_id": k.journal.ID(), "config_sha256": config.Hash(k.cfg), "camera": camera,
		"model": map[string]string{"engine": m.Engine, "name": m.Name, "sha256": m.SHA256, "licence": m.Licence},
		"door":  k.hw.door != nil, "authorise": k.cfg.Door.Authorise,
	}
}

// A component is one part in the health topic.
type component struct {
	State  string `json:"state"` // ok or fault
	Detail string `json:"detail,omitempty"`
}

func componentOf(err error) component {
	if err != nil {
		return component{State: "fault", Detail: err.Error()}
	}
	return component{State: "ok"}
}

func (k *kiosk) health() any {
	_, why := event.Synced(k.cfg.Clock.Marker)
	clock := component{State: "ok"}
	if why != "" {
		clock = component{State: "fault", Detail: why}
	}
	all := map[string]component{
		"camera": componentOf(k.live.Fault()), "matcher": componentOf(k.matcher.Hung()), "journal": componentOf(k.journal.Fault()), "clock": clock,
	}
	if k.document != nil {
		all["document_camera"] = componentOf(k.document.Fault())
	}
	for name, err := range k.services.faults() {
		all["cloud/"+name] = componentOf(err)
	}
	return map[string]any{"v": event.Version, "components": all}
}

// buildClient makes the MQTT client and, where configured, its broker.
func (k *kiosk) buildClient() error {
	c, d := k.cfg.MQTT, k.cfg.Device
	key, err := grantKey(k.cfg.Door)
	if err != nil {
		return err
	}
	k.client = &mqtt.Client{
		Broker: c.Broker, ClientID: c.ClientID, Base: d.Base, Site: d.Site, Device: d.Name,
		Credentials: credentials(c), BootID: k.clock.BootID, Version: version(),
		Outbox: k.journal, History: k.journal, Nonces: k.journal,
		Handler:     &remote{intake: k.intake, uploads: k.uploads, key: key, site: d.Site, device: d.Name},
		ClockSynced: k.clock.ClockSynced, Last: k.last, Log: k.log,
	}
	if k.client.ClientID == "" {
		k.client.ClientID = clientID(d.Name)
	}
	if c.Broker == "embedded" {
		k.broker, err = broker.Listen(broker.Config{
			Listen: c.Embedded.Listen, WebSocket: c.Embedded.WebSocket, UsersFile: c.Embedded.UsersFile,
			ClientID: k.client.ClientID, Topics: d.Base + "/" + d.Site + "/" + d.Name + "/",
		}, k.log)
		if err != nil {
			return err
		}
		k.client.Dial = k.broker.Dial
	}
	return k.client.Check()
}

func credentials(c config.MQTT) mqtt.Credentials {
	return mqtt.Credentials{Username: c.Username, PasswordFile: c.PasswordFile, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
}

// clientID is the same at each start and differs between machines, without
// giving the machine's identity away.
func clientID(device string) string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "facegate-" + device
	}
	sum := sha256.Sum256([]byte("facegate" + device + strings.TrimSpace(string(id))))
	return "facegate-" + hex.EncodeToString(sum[:6])
}

// openInbox checks the folder for scans.
func (k *kiosk) openInbox() error {
	c := k.cfg.Sources.Inbox
	if !c.Enabled {
		return nil
	}
	var err error
	k.inbox, err = inbox.Open(inbox.Parts{
		Dir: c.Dir, MayOpen: c.MayOpen, Line: k.line, Log: k.log,
		Refused: func(cause inbox.Cause) { k.metrics.Refused("inbox", string(cause)) },
	})
	return err
}
