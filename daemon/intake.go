package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/grant"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/match/picture"
)

// documentWait bounds the wait for a frame of the document camera.
const documentWait = 2 * time.Second

var (
	errNoDocument = errors.New("this kiosk has no document camera")
	errSource     = errors.New("this way for an ID photo is switched off")
)

// An intake turns the ways an ID photo can arrive into attempts.
type intake struct {
	line     *attempt.Line
	sources  config.Sources
	document *camera            // nil without one
	refused  func(cause string) // a press of the button did not become an attempt
	log      *slog.Logger
}

// fromDocument photographs the ID and starts an attempt with what r says
// besides the picture.
func (i *intake) fromDocument(ctx context.Context, r attempt.Request) (attempt.Ticket, error) {
	if i.document == nil {
		return attempt.Ticket{}, errNoDocument
	}
	f, err := i.document.take(ctx, documentWait)
	if err != nil {
		return attempt.Ticket{}, err
	}
	img, err := matcher.Picture(f)
	if err != nil {
		return attempt.Ticket{}, err
	}
	if r.Picture, err = picture.JPEG(img, 95); err != nil {
		return attempt.Ticket{}, err
	}
	return i.line.Start(ctx, r)
}

// watchButton photographs the ID whenever the button is pressed.
func (i *intake) watchButton(ctx context.Context, button hal.Input) error {
	for {
		err := button.Wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := i.fromDocument(ctx, attempt.Request{Source: "button", MayOpen: i.sources.Button.MayOpen}); err != nil {
			i.refused(causeOf(err))
			i.log.Warn("button press without attempt", "err", err)
		}
	}
}

// causeOf names why a press of the button did not become an attempt, for a
// count.
func causeOf(err error) string {
	switch {
	case errors.Is(err, attempt.ErrBusy):
		return "busy"
	case errors.Is(err, attempt.ErrStopped), errors.Is(err, context.Canceled):
		return "stopping"
	}
	return "no_picture"
}

// A taker gives up an uploaded picture, once.
type taker interface {
	Take(id string) ([]byte, bool)
}

// remote carries out what arrives by MQTT.
type remote struct {
	*intake
	uploads      taker
	key          *grant.Key // nil unless a host authorises
	site, device string
}

var _ mqtt.Handler = (*remote)(nil)

// Handle implements mqtt.Handler.
func (c *remote) Handle(ctx context.Context, cmd mqtt.Command) mqtt.Response {
	switch {
	case cmd.Verify != nil:
		return c.verify(ctx, *cmd.Verify)
	case cmd.Cancel != nil:
		return respond(c.line.Cancel(ctx, cmd.Cancel.AttemptID), "")
	case cmd.Grant != nil:
		return c.grant(ctx, *cmd.Grant)
	}
	return mqtt.Response{Code: mqtt.BadRequest, Detail: "unknown verb"}
}

func (c *remote) verify(ctx context.Context, v mqtt.Verify) mqtt.Response {
	in := c.sources.MQTT
	if !in.Enabled {
		return respond(errSource, "")
	}
	consent, err := attempt.ParseConsent(v.ConsentCloud)
	if err != nil {
		return mqtt.Response{Code: mqtt.BadRequest, Detail: "consent_cloud: " + err.Error()}
	}
	r := attempt.Request{Source: "mqtt", SubjectRef: v.SubjectRef, MayOpen: in.MayOpen, Consent: consent}
	if v.Source != "" {
		if v.Source != "document" {
			return mqtt.Response{Code: mqtt.NotFound, Detail: "the only source is document"}
		}
		t, err := c.fromDocument(ctx, r)
		return respond(err, t.ID)
	}
	r.Picture = v.Photo
	if v.Upload != "" {
		var ok bool
		if r.Picture, ok = c.uploads.Take(v.Upload); !ok {
			return mqtt.Response{Code: mqtt.NotFound, Detail: "no such upload, or it was used or has expired"}
		}
	} else if !in.Pictures {
		return mqtt.Response{Code: mqtt.NotAllowed, Detail: "photos in commands are switched off (sources.mqtt.pictures)"}
	}
	t, err := c.line.Start(ctx, r)
	return respond(err, t.ID)
}

func (c *remote) grant(ctx context.Context, g grant.Grant) mqtt.Response {
	if c.key == nil {
		return mqtt.Response{Code: mqtt.NotAllowed, Detail: "no host authorises here (door.authorise)"}
	}
	if err := g.Verify(*c.key, c.site, c.device, time.Now()); err != nil {
		return mqtt.Response{Code: mqtt.Unauthorised, Detail: err.Error()}
	}
	return respond(c.line.Grant(ctx, g.AttemptID), "")
}

// respond turns an error, or none, into a response.
func respond(err error, detail string) mqtt.Response {
	switch {
	case err == nil:
		return mqtt.Response{Code: mqtt.OK, Detail: detail}
	case errors.Is(err, attempt.ErrBusy):
		return mqtt.Response{Code: mqtt.Busy, Detail: err.Error()}
	case errors.Is(err, attempt.ErrNoAttempt), errors.Is(err, errNoDocument):
		return mqtt.Response{Code: mqtt.NotFound, Detail: err.Error()}
	case errors.Is(err, attempt.ErrNotWaiting), errors.Is(err, errSource):
		return mqtt.Response{Code: mqtt.NotAllowed, Detail: err.Error()}
	}
	return mqtt.Response{Code: mqtt.Internal, Detail: err.Error()}
}
