package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/picture"
)

// patience bounds one call of the engine. Nobody stands at a door here, and an
// emulated or very small machine may take long.
const patience = 10 * time.Minute

// A comparison is what verify reports.
type comparison struct {
	Verdict string     `json:"verdict"`          // match, no_match, unsure, unusable
	Reason  string     `json:"reason,omitempty"` // of unusable
	File    string     `json:"file,omitempty"`   // the unusable picture
	Score   *float64   `json:"score,omitempty"`  // the distance that decided
	Accept  float64    `json:"accept"`
	Reject  float64    `json:"reject"`
	Live    []liveFace `json:"live,omitempty"`
	Engine  string     `json:"engine"`
	Model   string     `json:"model"`
	IDMS    float64    `json:"id_ms"`
	LiveMS  float64    `json:"live_ms"`
}

// A liveFace is one live picture that could be used.
type liveFace struct {
	File  string             `json:"file"`
	Score float64            `json:"score"`
	Gates map[string]float64 `json:"gates"`
}

// An unusable is a picture that gives no template.
type unusable struct{ file, reason, text string }

func (u *unusable) Error() string { return fmt.Sprintf("%s: %s: %s", u.file, u.reason, u.text) }

// runVerify compares the face on an ID with one or more live pictures. All
// must agree, as the frames of an attempt must.
func runVerify(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("verify")
	asJSON := f.Bool("json", false, "")
	path := f.String("config", "", "")
	dir := f.String("models", "", "")
	if err := f.Parse(args); err != nil {
		return usageError("verify: %v", err)
	}
	if f.NArg() < 2 {
		return usageError("verify: give the ID picture and at least one live picture")
	}
	cfg := config.Default()
	if *path != "" {
		var err error
		if cfg, err = config.Load(*path); err != nil {
			return fail(exitConfig, err)
		}
	}
	if *dir != "" {
		cfg.Models.Dir = *dir
	}
	cfg.Match.Hang = patience
	if err := models.Verify(cfg.Models.Dir, cfg.Models.Set); err != nil {
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
	c := comparison{Accept: cfg.Match.Accept, Reject: cfg.Match.Reject, Engine: model.Engine, Model: model.String()}
	scores, err := c.compare(ctx, m, files)
	if u, ok := errors.AsType[*unusable](err); ok {
		c.Verdict, c.File, c.Reason = "unusable", u.file, u.reason+": "+u.text
		return c, nil
	}
	if err != nil {
		return c, err
	}
	verdict, score := policy(cfg).Judge(scores)
	decided := float64(score)
	c.Verdict, c.Score = verdict.String(), &decided
	return c, nil
}

func (c *comparison) compare(ctx context.Context, m *matcher.Matcher, files []string) ([]match.Score, error) {
	began := time.Now()
	reference, err := idTemplate(ctx, m, files[0])
	if err != nil {
		return nil, err
	}
	c.IDMS = milliseconds(time.Since(began))
	began = time.Now()
	var scores []match.Score
	for _, file := range files[1:] {
		look, err := liveLook(ctx, m, file)
		if err != nil {
			return nil, err
		}
		s := m.Score(reference, look.Template)
		scores = append(scores, s)
		c.Live = append(c.Live, liveFace{File: file, Score: float64(s), Gates: look.Gates})
	}
	c.LiveMS = milliseconds(time.Since(began))
	return scores, nil
}

func idTemplate(ctx context.Context, m *matcher.Matcher, file string) (match.Template, error) {
	data, err := readPicture(file)
	if err != nil {
		return nil, err
	}
	reference, err := m.Reference(ctx, data)
	if r, ok := errors.AsType[*attempt.Refusal](err); ok {
		return nil, &unusable{file, string(r.Reason), r.Err.Error()}
	}
	return reference.Template, err
}

func liveLook(ctx context.Context, m *matcher.Matcher, file string) (attempt.Look, error) {
	data, err := readPicture(file)
	if err != nil {
		return attempt.Look{}, err
	}
	img, err := picture.Decode(data)
	if err != nil {
		return attempt.Look{}, &unusable{file, "unreadable", err.Error()}
	}
	look, err := m.LookAt(ctx, img)
	if err == nil && look.Flaw != "" {
		return look, &unusable{file, string(look.Flaw), fmt.Sprintf("no usable face %v", look.Gates)}
	}
	return look, err
}

// readPicture reads at most one byte more than a picture may have; the
// decoder then says that it is too large.
func readPicture(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &unusable{file, "unreadable", err.Error()}
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, picture.MaxBytes+1))
	if err != nil {
		return nil, &unusable{file, "unreadable", err.Error()}
	}
	return data, nil
}

func (c comparison) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(c)
	}
	if c.Verdict == "unusable" {
		_, err := fmt.Fprintf(out, "unusable  %s: %s\n", c.File, c.Reason)
		return err
	}
	_, err := fmt.Fprintf(out, "%s  distance %.4f (match up to %.2f, no match from %.2f)  engine %s %s  ID %.0f ms, live %.0f ms\n",
		c.Verdict, *c.Score, c.Accept, c.Reject, c.Engine, c.Model, c.IDMS, c.LiveMS)
	for _, l := range c.Live {
		_, lineErr := fmt.Fprintf(out, "  %s  distance %.4f  face %.0f px\n", l.File, l.Score, l.Gates["size"])
		err = errors.Join(err, lineErr)
	}
	return err
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
