package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// patience bounds one call of the engine. Nobody stands at a door here, and an
// emulated or very small machine may take long.
const patience = 10 * time.Minute

// A comparison is what verify reports.
type comparison struct {
	Verdict string     `json:"verdict"`          // match, no_match, unsure, unusable
	Reason  string     `json:"reason,omitempty"` // of unusable: a reason of events, or unreadable
	Detail  string     `json:"detail,omitempty"` // the same for people
	File    string     `json:"file,omitempty"`   // the unusable picture
	Score   *float64   `json:"score,omitempty"`  // the distance that decided
	Accept  float64    `json:"accept"`
	Reject  float64    `json:"reject"`
	ID      *idFace    `json:"id,omitempty"`
	Live    []liveFace `json:"live,omitempty"`
	Engine  string     `json:"engine"`
	Model   string     `json:"model"`
	IDMS    float64    `json:"id_ms"`
	LiveMS  float64    `json:"live_ms"`
}

// An idFace is the picture of the ID that was looked at.
type idFace struct {
	File  string `json:"file"`
	Faces int    `json:"faces"`          // the portrait and others that are large enough to count
	Size  int    `json:"size,omitempty"` // pixels, the shorter side of the portrait
}

// A liveFace is one live picture that was looked at.
type liveFace struct {
	File  string             `json:"file"`
	Faces int                `json:"faces"`           // of every size
	Score *float64           `json:"score,omitempty"` // if it could be used
	Gates map[string]float64 `json:"gates,omitempty"` // of the one face
}

// unreadable is the reason of a live picture that cannot be read; events have
// none, for a camera's pictures are not files.
const unreadable = "unreadable"

// An unusable is a picture that gives no template.
type unusable struct{ file, reason, detail string }

func (u *unusable) Error() string { return fmt.Sprintf("%s: %s: %s", u.file, u.reason, u.detail) }

// runVerify compares the face on an ID with one or more live pictures. All
// must agree, as the frames of an attempt must.
func runVerify(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("verify", "[--json] [--config FILE] [--models DIR] [--engine ENGINE] [--set SET] ID.jpg LIVE.jpg ...")
	asJSON := f.Bool("json", false, "print one JSON object")
	flags := newEngineFlags(f, "with thresholds, gates and the models' folder")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() < 2 {
		return usageError("verify: give the ID picture and at least one live picture")
	}
	cfg, err := flags.config()
	if err != nil {
		return err
	}
	cfg.Match.Hang = patience
	if err := derive(&cfg); err != nil {
		return fail(exitConfig, err)
	}
	engine, err := openEngine(cfg)
	if err != nil {
		return fail(exitConfig, err)
	}
	c, err := compareFiles(ctx, engine, cfg, f.Args())
	if err := errors.Join(err, engine.Close()); err != nil {
		return fail(exitInternal, err)
	}
	if err := c.print(out, *asJSON); err != nil {
		return fail(exitInternal, err)
	}
	return c.status()
}

// compareFiles runs the comparison. A picture that cannot be used is a
// verdict, not an error.
func compareFiles(ctx context.Context, engine match.Engine, cfg config.Config, files []string) (comparison, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m := newMatcher(engine, cfg)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() { stop(); <-ended }()

	model := engine.Model()
	p := policy(cfg)
	c := comparison{Accept: float64(p.Accept), Reject: float64(p.Reject), Engine: model.Engine, Model: model.String()}
	scores, err := c.compare(ctx, m, files)
	if u, ok := errors.AsType[*unusable](err); ok {
		c.Verdict, c.File, c.Reason, c.Detail = "unusable", u.file, u.reason, u.detail
		return c, nil
	}
	if err != nil {
		return c, err
	}
	verdict, score := p.Judge(scores)
	decided := float64(score)
	c.Verdict, c.Score = verdict.String(), &decided
	return c, nil
}

func (c *comparison) compare(ctx context.Context, m *matcher.Matcher, files []string) ([]match.Score, error) {
	began := time.Now()
	reference, err := c.idTemplate(ctx, m, files[0])
	if err != nil {
		return nil, err
	}
	c.IDMS = milliseconds(time.Since(began))
	began = time.Now()
	var scores []match.Score
	for _, file := range files[1:] {
		template, err := c.liveTemplate(ctx, m, file)
		if err != nil {
			return nil, err
		}
		s := m.Score(reference, template)
		scores = append(scores, s)
		distance := float64(s)
		c.Live[len(c.Live)-1].Score = &distance
	}
	c.LiveMS = milliseconds(time.Since(began))
	return scores, nil
}

func (c *comparison) idTemplate(ctx context.Context, m *matcher.Matcher, file string) (match.Template, error) {
	data, err := readPicture(file)
	if err != nil {
		return nil, &unusable{file, string(event.IDUnreadable), err.Error()}
	}
	portrait, err := m.Portrait(ctx, data)
	r, refused := errors.AsType[*attempt.Refusal](err)
	if err == nil || refused && r.Reason != event.IDUnreadable {
		c.ID = &idFace{File: file, Faces: portrait.Faces, Size: min(portrait.Face.Box.Dx(), portrait.Face.Box.Dy())}
	}
	if refused {
		return nil, &unusable{file, string(r.Reason), r.Err.Error()}
	}
	return portrait.Face.Template, err
}

func (c *comparison) liveTemplate(ctx context.Context, m *matcher.Matcher, file string) (match.Template, error) {
	data, err := readPicture(file)
	if err != nil {
		return nil, &unusable{file, unreadable, err.Error()}
	}
	img, err := picture.Decode(data)
	if err != nil {
		return nil, &unusable{file, unreadable, err.Error()}
	}
	sight, err := m.LookAt(ctx, img)
	if err != nil {
		return nil, err
	}
	c.Live = append(c.Live, liveFace{File: file, Faces: sight.Faces, Gates: sight.Gates})
	if sight.Flaw != "" {
		return nil, &unusable{file, string(sight.Flaw.Reason()), flawed(sight)}
	}
	return sight.Template, nil
}

// flawed says why a live picture cannot be used, with the figures of its face.
func flawed(s matcher.Sight) string {
	text := strings.ReplaceAll(string(s.Flaw), "_", " ")
	if s.Gates == nil {
		return text
	}
	return fmt.Sprintf("%s (size %.0f px, sharpness %.1f, luma %.0f)", text, s.Gates["size"], s.Gates["sharpness"], s.Gates["luma"])
}

// readPicture reads at most one byte more than a picture may have; the
// decoder then says that it is too large.
func readPicture(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, picture.MaxBytes+1))
}

func (c comparison) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(c)
	}
	var b strings.Builder
	if c.Verdict == "unusable" {
		fmt.Fprintf(&b, "unusable  %s: %s: %s\n", c.File, c.Reason, c.Detail)
	} else {
		fmt.Fprintf(&b, "%s  distance %.4f (match up to %.2f, no match from %.2f)  engine %s %s  ID %.0f ms, live %.0f ms\n",
			c.Verdict, *c.Score, c.Accept, c.Reject, c.Engine, c.Model, c.IDMS, c.LiveMS)
	}
	if c.ID != nil {
		fmt.Fprintf(&b, "  %s  %s\n", c.ID.File, faces(c.ID.Faces, float64(c.ID.Size)))
	}
	for _, l := range c.Live {
		fmt.Fprintf(&b, "  %s  %s", l.File, faces(l.Faces, l.Gates["size"]))
		if l.Score != nil {
			fmt.Fprintf(&b, "  distance %.4f", *l.Score)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// faces tells how many were seen, and the size of the one that counts in pixels,
// 0 if there is none.
func faces(n int, size float64) string {
	text := fmt.Sprintf("%d faces", n)
	if n == 1 {
		text = "1 face"
	}
	if size > 0 {
		text += fmt.Sprintf("  %.0f px", size)
	}
	return text
}

// status is the verdict as an exit status; its error has no text, for the
// verdict is printed already.
func (c comparison) status() error {
	switch c.Verdict {
	case "match":
		return nil
	case "no_match":
		return fail(exitNoMatch, errors.New(""))
	case "unsure":
		return fail(exitUnsure, errors.New(""))
	}
	return fail(exitUnusable, errors.New(""))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
