package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/onnx"
	"github.com/facegate/facegate/match/pad"
	"github.com/facegate/facegate/match/quality"
)

// openEngine loads the model files, which the caller has checked against the
// manifest: their sums take a while, and loadConfig has computed them.
func openEngine(cfg config.Config) (match.Engine, error) {
	set, err := modelSet(cfg)
	if err != nil {
		return nil, err
	}
	if set.Engine == "onnx" {
		return opened(onnx.Open(onnx.Options{
			Dir: cfg.Models.Dir, Set: set, Runtime: filepath.Join(cfg.Models.Dir, models.RuntimeFile), Threads: cfg.Match.Threads,
			PAD: cfg.PAD.Model == "on",
		}))
	}
	return opened(dlib.Open(dlib.Options{Dir: cfg.Models.Dir, Model: set.ModelID(), Threads: cfg.Match.Threads}))
}

// opened keeps a nil pointer from becoming an engine that is not nil.
func opened[E match.Engine](e E, err error) (match.Engine, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// modelSet returns the set of models that cfg asks for, if it may be used with
// the engine that cfg asks for.
func modelSet(cfg config.Config) (models.Set, error) {
	set, err := models.Open(cfg.Models.Dir, cfg.Models.Set)
	switch {
	case err != nil:
		return models.Set{}, fmt.Errorf("models.set: %w", err)
	case set.Engine == "":
		return models.Set{}, fmt.Errorf("models.set: %s: no engine runs it (choose another of facegate models list)", set.Name)
	case set.Engine != cfg.Match.Engine:
		return models.Set{}, fmt.Errorf("match.engine: %s does not run the model set %s (say match.engine: auto, or change models.set)",
			cfg.Match.Engine, set.Name)
	case set.NonCommercial && !cfg.Models.AcceptNonCommercial:
		return models.Set{}, fmt.Errorf("models.set: %s: its licence (%s) forbids commercial use "+
			"(choose another set, or say models.accept_non_commercial: true)", set.Name, set.Licence)
	}
	return set, nil
}

// checkModels says why the models of cfg cannot be used, each line with its key.
func checkModels(cfg config.Config) error {
	set, err := modelSet(cfg)
	if err != nil {
		return err
	}
	err = set.Verify(cfg.Models.Dir)
	if set.Engine == "onnx" {
		lib, unknown := models.Find(models.Runtime)
		if unknown != nil {
			return fmt.Errorf("match.engine: there is no ONNX Runtime for this processor, %s (say models.set: dlib)", runtime.GOARCH)
		}
		err = errors.Join(err, lib.Verify(cfg.Models.Dir))
	}
	if err != nil {
		return prefixed("models.dir: ", err)
	}
	return checkPAD(cfg, set)
}

// checkPAD says why no model can tell people from pictures as cfg wants it.
func checkPAD(cfg config.Config, set models.Set) error {
	if cfg.PAD.Model != "on" {
		return nil
	}
	if len(set.Networks.PAD) > 0 {
		if err := set.VerifyPAD(cfg.Models.Dir); err != nil {
			return prefixed("pad.model: ", err)
		}
		return nil
	}
	remedy := "say models.set: faceplugin, or pad.model: off"
	if _, unknown := models.Find(models.Runtime); unknown != nil {
		remedy = fmt.Sprintf("no set has one that runs on this processor, %s: say pad.model: off", runtime.GOARCH)
	}
	return fmt.Errorf("pad.model: the model set %s has nothing that tells people from pictures (%s)", set.Name, remedy)
}

// use makes cfg use a model set, with the engine that runs it. Distances of
// another set give way to the usual rates.
func use(cfg *config.Config, name string) {
	cfg.Models.Set = name
	if set, err := models.Open(cfg.Models.Dir, name); err == nil { // else modelSet says what is wrong
		cfg.Match.Engine = set.Engine
	}
	if !cfg.Match.Rates.Given() && cfg.Match.DistancesOf != name {
		cfg.Match.Accept, cfg.Match.Reject, cfg.Match.Rates = 0, 0, config.Default().Match.Rates
	}
}

// policy returns the thresholds in force. Nothing matches where they are rates
// that derive has not turned into distances.
func policy(cfg config.Config) match.Policy {
	return match.Policy{Accept: match.Score(cfg.Match.Accept), Reject: match.Score(cfg.Match.Reject)}
}

func newMatcher(e match.Engine, cfg config.Config) *matcher.Matcher {
	var live matcher.Live // stays nil with an engine that has none: then every probe counts as a picture
	if cfg.PAD.Model == "on" {
		live, _ = e.(matcher.Live)
	}
	return matcher.New(e, matcher.Options{
		Live: live,
		Limits: quality.Limits{
			MinSize: cfg.Quality.MinFace, MinSharpness: cfg.Quality.MinSharpness,
			MinLuma: cfg.Quality.MinLuma, MaxLuma: cfg.Quality.MaxLuma,
			MaxClipped:  cfg.Quality.MaxClipped,
			MinContrast: cfg.Quality.MinContrast, MaxSides: cfg.Quality.MaxSides, MinEyes: cfg.Quality.MinEyes,
			MaxYaw: cfg.Quality.MaxYaw, MaxPitch: cfg.Quality.MaxPitch, MaxRoll: cfg.Quality.MaxRoll,
		},
		ID:     matcher.IDLimits{MinSharpness: cfg.Quality.MinIDSharpness, MaxGlare: cfg.Quality.MaxIDGlare},
		Layout: layout(e.Model().Engine),
		Document: document.Options{
			MinFace: cfg.Quality.MinIDFace, Policy: policy(cfg),
			Budget: cfg.Attempt.Deadline / 2, // the rest is for the live face
		},
		Hang: cfg.Match.Hang,
		Show: show(cfg.Cloud),
	})
}

// layout says what the landmarks of an engine are.
func layout(engine string) pad.Layout {
	switch engine {
	case "onnx":
		return pad.EyesNoseMouth
	case "dlib":
		return pad.EyeCorners
	}
	return pad.Unknown
}

// challenge returns how people are tested, nil for not at all.
func challenge(c config.PAD, m match.ModelID) *attempt.PAD {
	p := &attempt.PAD{Layout: layout(m.Engine), Within: c.Within, OpenWithout: c.OpenWithout}
	if c.Model == "on" {
		p.Accept = c.MinScore
	}
	if c.Challenge == "turn" {
		p.Side = pad.RandomSide
	}
	if p.Accept == 0 && p.Side == nil {
		return nil
	}
	return p
}

// show says what a compare service may be shown of a picture.
func show(c config.Cloud) matcher.Show {
	switch {
	case len(c.Providers) == 0:
		return matcher.Show{}
	case c.Send == "whole":
		return matcher.Show{What: matcher.Whole}
	}
	return matcher.Show{What: matcher.Face, Margin: c.Margin}
}
