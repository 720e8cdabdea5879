package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
)

// derive turns thresholds that are rates into distances, in cfg, and refuses a
// calibration of another model: its rates would be those of other distances.
func derive(cfg *config.Config) error {
	set, err := modelSet(*cfg)
	if err != nil {
		return err
	}
	model := set.ModelID()
	c, known, err := calibrated(cfg.Match, model)
	if err != nil || !cfg.Match.Rates.Given() {
		return err
	}
	if !known {
		return fmt.Errorf("match.accept_fmr: there is no calibration of model %v (run facegate calibrate and name its file in match.calibration, "+
			"or give distances in match.accept and match.reject, with match.distances_of: %s)", model, set.Name)
	}
	accept, reject, err := c.Thresholds(cfg.Match.AcceptFMR, cfg.Match.RejectFNMR)
	if refused, ok := errors.AsType[*calibration.TargetError](err); ok && refused.Rate == "FNMR" {
		return fmt.Errorf("match.reject_fnmr: %w", err)
	}
	if err != nil {
		return fmt.Errorf("match.accept_fmr: %w", err)
	}
	cfg.Match.Accept, cfg.Match.Reject = accept.Distance, reject.Distance
	return nil
}

// calibrated returns the calibration in force for a model, false if there is
// none.
func calibrated(m config.Match, model match.ModelID) (calibration.Calibration, bool, error) {
	if m.Calibration == "" {
		c, ok := calibration.Shipped(model.Name, model.SHA256)
		return c, ok, nil
	}
	c, err := calibration.Load(m.Calibration)
	if err != nil {
		return c, false, fmt.Errorf("match.calibration: %w (write it again with facegate calibrate, or correct the path)", err)
	}
	if c.SHA256 != model.SHA256 {
		return c, false, fmt.Errorf("match.calibration: %s: is of model %s@%.12s, but %v is in use (run facegate calibrate with this one)",
			m.Calibration, c.Model, c.SHA256, model)
	}
	return c, true, nil
}

// rates are what a calibration says of the thresholds in force.
type rates struct {
	policy      match.Policy
	calibration *calibration.Calibration // nil without one
}

func ratesOf(cfg config.Config, model match.ModelID) (rates, error) {
	c, known, err := calibrated(cfg.Match, model)
	r := rates{policy: policy(cfg)}
	if known {
		r.calibration = &c
	}
	return r, err
}

// of is the false-match rate of a comparison with that score, for events. It is
// nil without a calibration.
func (r rates) of() func(match.Score) float64 {
	if r.calibration == nil {
		return nil
	}
	return func(s match.Score) float64 {
		rate, _ := r.calibration.FMR(float64(s))
		return rate
	}
}

// log tells what the thresholds mean.
func (r rates) log(log *slog.Logger) {
	attrs := []any{"accept", float64(r.policy.Accept), "reject", float64(r.policy.Reject)}
	if r.calibration == nil {
		log.Info("thresholds without a calibration", attrs...)
		return
	}
	fmr, fnmr := r.at()
	log.Info("thresholds", append(attrs, "fmr", calibration.Share(fmr.Value), "fmr_high", calibration.Share(fmr.High),
		"fnmr", calibration.Share(fnmr.Value), "fnmr_high", calibration.Share(fnmr.High), "people", r.calibration.People, "source", r.calibration.Source)...)
}

// at returns the rates at the thresholds, never better than measured.
func (r rates) at() (fmr, fnmr calibration.Rate) {
	return r.calibration.Above(float64(r.policy.Accept)).FMR, r.calibration.Below(float64(r.policy.Reject)).FNMR
}

// String is what check prints of the thresholds.
func (r rates) String() string {
	text := fmt.Sprintf("a distance up to %.4g is a match, from %.4g on no match", r.policy.Accept, r.policy.Reject)
	if r.calibration == nil {
		return text + "; there is no calibration of the model, so what that means in error rates is not known"
	}
	fmr, fnmr := r.at()
	return fmt.Sprintf("%s: FMR %s, FNMR %s, with 95 %% bounds, on %d people (%s)", text, rate(fmr), rate(fnmr), r.calibration.People, r.calibration.Source)
}
