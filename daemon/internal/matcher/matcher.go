// Package matcher works on pictures for an attempt: it turns an ID photo into
// a reference and a camera frame into a probe, with one engine in one worker.
//
// A call into C cannot be cancelled. So the engine runs in a goroutine of its
// own, callers wait for its answer only as long as their context and
// [Matcher.Hang] allow, and an answer that comes late is dropped.
package matcher

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/pad"
	"github.com/facegate/facegate/match/picture"
	"github.com/facegate/facegate/match/quality"
)

// ErrHung is returned when the engine does not answer within Hang.
var ErrHung = errors.New("engine does not answer")

// bystander is the smallest side of a second face, as a share of the largest
// face's, that makes a frame show more than one person. Smaller ones are
// people in the queue behind.
const bystander = 0.5

// A Matcher implements [attempt.Matcher]. Use New.
type Matcher struct {
	engine   *timed
	limits   quality.Limits
	id       IDLimits
	layout   pad.Layout
	document document.Options
	hang     time.Duration
	show     Show

	jobs   chan func()
	frames picture.Frames // belongs to the worker
	vacant vacancy        // the same
	track  track          // the same
}

var _ attempt.Matcher = (*Matcher)(nil)

// Options are the settings of a Matcher.
type Options struct {
	Limits   quality.Limits
	ID       IDLimits
	Layout   pad.Layout // of the engine's landmarks
	Document document.Options
	Hang     time.Duration // a call that takes longer is a fault of the engine
	Show     Show          // what to keep for a compare service
	Live     Live          // judges probes; nil: nothing does
}

// Live tells a person from a picture of one. It is part of an engine: the two are
// never used at once.
type Live interface {
	// Live returns how likely the face in a box of img is a person's, 0 to 1.
	Live(ctx context.Context, img image.Image, face image.Rectangle) (float64, error)
}

// IDLimits are the gates of the portrait on an ID, besides its size. The zero
// value lets any pass.
type IDLimits struct {
	MinSharpness float64 // see quality.Measure; 0: not looked at
	MaxGlare     float64 // share of the portrait that may be too bright to hold detail, 0..1; 0: not looked at
}

// check returns why a portrait cannot be used.
func (l IDLimits) check(f quality.Figures) error {
	switch {
	case l.MaxGlare > 0 && !(f.Bright <= l.MaxGlare):
		return &attempt.Refusal{Reason: event.IDGlare, Err: fmt.Errorf("%.0f %% of the face on the ID shows nothing but light, at most %.0f %% may", 100*f.Bright, 100*l.MaxGlare)}
	case l.MinSharpness > 0 && !(f.Sharpness >= l.MinSharpness):
		return &attempt.Refusal{Reason: event.IDBlurred, Err: fmt.Errorf("face on the ID has a sharpness of %.1f, needs %.1f", f.Sharpness, l.MinSharpness)}
	}
	return nil
}

// Show says what of a picture a compare service may be shown.
type Show struct {
	What   What
	Margin float64 // around a face, as a share of its size on each side
}

// What may be shown.
type What int

// What a compare service may be shown. The zero value is nothing.
const (
	Nothing What = iota
	Face
	Whole
)

const (
	maxShown     = 1600 // pixels, the longer side of what is shown
	shownQuality = 92   // of its JPEG
)

// picture returns what may be shown of a picture with that face, after it has
// been turned upright by quarter turns clockwise: a JPEG without metadata. It
// returns nil if there is none: that must not spoil what the device decides.
func (s Show) picture(img image.Image, face image.Rectangle, turns int) []byte {
	if s.What == Nothing {
		return nil
	}
	if s.What == Face {
		dx, dy := int(float64(face.Dx())*s.Margin), int(float64(face.Dy())*s.Margin)
		img = picture.Crop(img, image.Rect(face.Min.X-dx, face.Min.Y-dy, face.Max.X+dx, face.Max.Y+dy).Intersect(img.Bounds()))
	}
	jpeg, err := Shown(img, turns)
	if err != nil {
		return nil
	}
	return jpeg
}

// Shown returns a picture as it is shown to a compare service: turned by quarter
// turns clockwise, not too large, a JPEG without metadata.
func Shown(img image.Image, turns int) ([]byte, error) {
	small, _ := picture.Scale(img, maxShown)
	return picture.JPEG(picture.Rotate(small, turns), shownQuality)
}

// New returns a Matcher that answers once Run is called.
func New(engine match.Engine, o Options) *Matcher {
	return &Matcher{engine: &timed{Engine: engine, live: o.Live}, limits: o.Limits, id: o.ID, layout: o.Layout, document: o.Document, hang: o.Hang, show: o.Show, jobs: make(chan func())}
}

// Run is the worker. It returns when ctx ends and no call is running.
func (m *Matcher) Run(ctx context.Context) error {
	for {
		select {
		case job := <-m.jobs:
			job()
		case <-ctx.Done():
			return nil
		}
	}
}

// Hung returns an error while a call of the engine has been running for longer
// than Hang.
func (m *Matcher) Hung() error {
	if ran := m.engine.running(); ran > m.hang {
		return fmt.Errorf("%w since %v", ErrHung, ran.Round(time.Second))
	}
	return nil
}

// timed notes how long the present call of an engine has been running.
type timed struct {
	match.Engine
	live  Live
	began atomic.Pointer[time.Time] // nil while none runs
}

// Faces implements match.Engine.
func (t *timed) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	t.began.Store(&now)
	defer t.began.Store(nil)
	return t.Engine.Faces(ctx, img, want)
}

// Live implements Live.
func (t *timed) Live(ctx context.Context, img image.Image, face image.Rectangle) (float64, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	now := time.Now()
	t.began.Store(&now)
	defer t.began.Store(nil)
	v, err := t.live.Live(ctx, img, face)
	if err == nil && !(v >= 0 && v <= 1) {
		err = fmt.Errorf("a face is a person's with a likelihood of %v", v)
	}
	return v, err
}

func (t *timed) running() time.Duration {
	if began := t.began.Load(); began != nil {
		return time.Since(*began)
	}
	return 0
}

// maxNotice is the longest that a hanging call goes unnoticed: the attempt must end
// and be told before the watchdog, which a hanging call starves, ends the process.
const maxNotice = time.Second

// do runs f in the worker and waits for its answer. Whoever has stopped
// waiting also stops f before its next call of the engine.
func do[T any](ctx context.Context, m *Matcher, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	answered := make(chan answer, 1)
	job := func() {
		value, err := f(ctx)
		answered <- answer{value, err}
	}
	tick := time.NewTicker(min(m.hang/4, maxNotice))
	defer tick.Stop()
	jobs := m.jobs
	for {
		select {
		case jobs <- job:
			jobs = nil
		case a := <-answered:
			return a.value, a.err
		case <-tick.C:
			if err := m.Hung(); err != nil {
				return none, err
			}
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
}

// Reference finds the portrait in an ID photo.
func (m *Matcher) Reference(ctx context.Context, data []byte) (attempt.Reference, error) {
	return do(ctx, m, func(ctx context.Context) (attempt.Reference, error) {
		img, portrait, err := m.portrait(ctx, data)
		if err != nil {
			return attempt.Reference{}, err
		}
		return attempt.Reference{Template: portrait.Face.Template, Picture: m.show.picture(img, portrait.Face.Box, portrait.Turns)}, nil
	})
}

// Portrait finds the portrait in an ID photo, with all that is known of it. With
// an [attempt.Refusal] it is as much of one as was found.
func (m *Matcher) Portrait(ctx context.Context, data []byte) (document.Portrait, error) {
	return do(ctx, m, func(ctx context.Context) (document.Portrait, error) {
		_, portrait, err := m.portrait(ctx, data)
		return portrait, err
	})
}

func (m *Matcher) portrait(ctx context.Context, data []byte) (image.Image, document.Portrait, error) {
	img, err := picture.Decode(data)
	if err != nil {
		return nil, document.Portrait{}, &attempt.Refusal{Reason: event.IDUnreadable, Err: err}
	}
	portrait, err := document.Find(ctx, m.engine, img, m.document)
	if reason, refused := refusal(err); refused {
		err = &attempt.Refusal{Reason: reason, Err: err}
	}
	if err == nil {
		err = m.id.check(quality.Measure(img, portrait.Face.Box))
	}
	return img, portrait, err
}

func refusal(err error) (event.Reason, bool) {
	switch {
	case errors.Is(err, document.ErrNoFace):
		return event.NoFaceID, true
	case errors.Is(err, document.ErrAmbiguous):
		return event.IDAmbiguous, true
	}
	if _, small := errors.AsType[*document.TooSmallError](err); small {
		return event.IDFaceTooSmall, true
	}
	return "", false
}

// Picture turns a camera frame into a picture of the full range. It may share
// the frame's memory.
func Picture(f capture.Frame) (image.Image, error) { return next(new(picture.Frames), f) }

func next(frames *picture.Frames, f capture.Frame) (image.Image, error) {
	img, err := frames.Next(string(f.Format), f.Width, f.Height, f.Stride, f.Data)
	if err != nil || !f.Narrow {
		return img, err
	}
	return picture.Widen(img), nil
}

// Look examines a camera frame.
func (m *Matcher) Look(ctx context.Context, f capture.Frame) (attempt.Look, error) {
	return m.frame(ctx, f, false)
}

// Probe examines a camera frame that is to be compared.
func (m *Matcher) Probe(ctx context.Context, f capture.Frame) (attempt.Look, error) {
	return m.frame(ctx, f, m.engine.live != nil)
}

// frame examines a camera frame. One that looks like the frame of less than a
// second before, in which the engine found nobody, is not shown to the engine, and
// of one with somebody who has to come closer, or into better light, the engine is
// shown the part where that was, if nothing else has changed.
func (m *Matcher) frame(ctx context.Context, f capture.Frame, judged bool) (attempt.Look, error) {
	return do(ctx, m, func(ctx context.Context) (attempt.Look, error) {
		img, err := next(&m.frames, f)
		if err != nil {
			return attempt.Look{Flaw: attempt.BadFrame}, nil
		}
		seen := shadesOf(img)
		if m.vacant.like(seen, f.Time) {
			return attempt.Look{Flaw: attempt.NoFace}, nil
		}
		m.vacant = vacancy{}
		if look, ok, err := m.follow(ctx, img, seen, f.Time); err != nil || ok {
			return look, err
		}
		sight, err := m.look(ctx, img)
		m.track = trackOf(sight.Look, f.Time, seen)
		if err == nil && sight.Faces == 0 {
			m.vacant = vacancy{at: f.Time, shades: seen}
		}
		if err == nil && judged && sight.Flaw == "" {
			sight.Live, err = m.engine.Live(ctx, img, sight.Box)
		}
		return sight.Look, err
	})
}

// A Sight is a look, and what an attempt has no use for.
type Sight struct {
	attempt.Look
	Faces int // of every size
}

// LookAt examines a picture as if it were a camera frame.
func (m *Matcher) LookAt(ctx context.Context, img image.Image) (Sight, error) {
	return do(ctx, m, func(ctx context.Context) (Sight, error) { return m.look(ctx, img) })
}

func (m *Matcher) look(ctx context.Context, img image.Image) (Sight, error) {
	look := attempt.Look{Flaw: attempt.NoFace}
	faces, err := m.engine.Faces(ctx, img, func(faces []match.Face) int {
		look = m.examine(img, faces, m.limits)
		if look.Flaw == "" || look.Flaw == attempt.FaceTurned {
			return 1
		}
		return 0 // no use of a template, which takes its time
	})
	if err != nil {
		return Sight{}, err
	}
	if len(faces) > 0 {
		look.Template = faces[0].Template
	}
	if look.Flaw == "" {
		look.Picture = m.show.picture(img, faces[0].Box, 0)
	}
	return Sight{Look: look, Faces: len(faces)}, nil
}

// examine returns the look at faces that have been found, largest first, by these
// limits and without a template.
func (m *Matcher) examine(img image.Image, faces []match.Face, limits quality.Limits) attempt.Look {
	if len(faces) > 1 && side(faces[1]) >= bystander*side(faces[0]) {
		return attempt.Look{Flaw: attempt.ManyFaces}
	}
	figures := quality.Measure(img, faces[0].Box)
	figures.Pose = m.pose(faces[0])
	return attempt.Look{
		Flaw:  flaw(limits.Check(figures)),
		Gates: gates(figures),
		Box:   faces[0].Box, Points: faces[0].Points,
	}
}

// pose returns how a face is held, zero if its landmarks do not tell.
func (m *Matcher) pose(f match.Face) quality.Pose {
	switch m.layout {
	case pad.EyesNoseMouth:
		return quality.PoseOf(f.Points)
	case pad.EyeCorners:
		return quality.PoseOfCorners(f.Points)
	}
	return quality.Pose{}
}

// gates are the figures as events have them.
func gates(f quality.Figures) map[string]float64 {
	all := map[string]float64{
		"size": float64(f.Size), "sharpness": f.Sharpness, "luma": f.Luma, "contrast": f.Contrast, "sides": f.Sides,
	}
	if f.Pose.Eyes > 0 {
		all["eyes"], all["yaw"], all["pitch"], all["roll"] = f.Pose.Eyes, f.Pose.Yaw, f.Pose.Pitch, f.Pose.Roll
	}
	return all
}

func side(f match.Face) float64 { return float64(min(f.Box.Dx(), f.Box.Dy())) }

// Score compares two templates. It does no work in C and needs no worker.
func (m *Matcher) Score(a, b match.Template) match.Score { return m.engine.Score(a, b) }

// Model names the engine's model.
func (m *Matcher) Model() match.ModelID { return m.engine.Model() }

// flaw names the gate that a face did not pass.
func flaw(r quality.Reason, ok bool) attempt.Flaw {
	switch {
	case ok:
		return ""
	case r == quality.Size:
		return attempt.FaceSmall
	case r == quality.Dark:
		return attempt.FaceDark
	case r == quality.Bright:
		return attempt.FaceBright
	case r == quality.Light:
		return attempt.FaceShade
	case r == quality.Turned:
		return attempt.FaceTurned
	}
	return attempt.FaceBlur
}
