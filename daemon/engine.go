package main

import (
	"fmt"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/quality"
)

// openEngine loads the model files, which the caller has checked against the
// manifest: their sums take a while, and loadConfig has computed them.
func openEngine(cfg config.Config) (match.Engine, error) {
	set, err := models.Find(cfg.Models.Set)
	if err != nil {
		return nil, fmt.Errorf("models.set: %w", err)
	}
	e, err := dlib.Open(dlib.Options{Dir: cfg.Models.Dir, Model: set.ModelID(cfg.Match.Engine), Threads: cfg.Match.Threads})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func policy(cfg config.Config) match.Policy {
	return match.Policy{Accept: match.Score(cfg.Match.Accept), Reject: match.Score(cfg.Match.Reject)}
}

func newMatcher(e match.Engine, cfg config.Config) *matcher.Matcher {
	return matcher.New(e, matcher.Options{
		Limits: quality.Limits{
			MinSize: cfg.Quality.MinFace, MinSharpness: cfg.Quality.MinSharpness,
			MinLuma: cfg.Quality.MinLuma, MaxLuma: cfg.Quality.MaxLuma,
			MaxClipped: cfg.Quality.MaxClipped,
		},
		Document: document.Options{
			MinFace: cfg.Quality.MinIDFace, Policy: policy(cfg),
			Budget: cfg.Attempt.Deadline / 2, // the rest is for the live face
		},
		Hang: cfg.Match.Hang,
		Show: show(cfg.Cloud),
	})
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
