package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/models"
)

// dlibModel is the model that a calibration ships for.
func dlibModel(t *testing.T) match.ModelID {
	t.Helper()
	set, err := models.Find("dlib")
	if err != nil {
		t.Fatal(err)
	}
	return set.ModelID()
}

// calibrationFile writes the calibration that ships for dlib, changed, and
// returns its path.
func calibrationFile(t *testing.T, change func(*calibration.Calibration)) string {
	t.Helper()
	c, ok := calibration.Shipped("dlib", dlibModel(t).SHA256)
	if !ok {
		t.Fatal("no calibration ships for dlib")
	}
	change(&c)
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "site.json")
	write(t, path, string(data), 0o600)
	return path
}

// parsed returns a configuration for dlib, whose figures the tests know, unless it
// names other models.
func parsed(t *testing.T, yaml string) config.Config {
	t.Helper()
	if !strings.Contains(yaml, "models:") {
		yaml = "models: {set: dlib}\n" + yaml
	}
	cfg, err := config.Parse("c.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestRatesBecomeDistances(t *testing.T) {
	cfg := parsed(t, "match: {accept_fmr: 1e-3, reject_fnmr: 0.02}")
	if err := derive(&cfg); err != nil {
		t.Fatal(err)
	}
	p := policy(cfg)
	if !(p.Accept > 0.5 && p.Accept < 0.56 && p.Reject > 0.58 && p.Reject < 0.65) {
		t.Errorf("got %+v", p)
	}
	tighter := parsed(t, "match: {accept_fmr: 1e-4, reject_fnmr: 0.02}")
	if err := derive(&tighter); err != nil {
		t.Fatal(err)
	}
	if policy(tighter).Accept >= p.Accept || policy(tighter).Reject != p.Reject {
		t.Errorf("a tenth of the rate gives %+v, the rate %+v", policy(tighter), p)
	}
	distances := parsed(t, "match: {accept: 0.41, reject: 0.7, distances_of: dlib}")
	if err := derive(&distances); err != nil || policy(distances) != (match.Policy{Accept: 0.41, Reject: 0.7}) {
		t.Errorf("distances became %+v, %v", policy(distances), err)
	}
}

// Rates that cannot be kept are refused with the key that asks for them, and
// what was refused matches nothing.
func TestRatesAreRefused(t *testing.T) {
	other := calibrationFile(t, func(c *calibration.Calibration) { c.SHA256, c.Model = strings.Repeat("0a", 32), "other" })
	damaged := calibrationFile(t, func(*calibration.Calibration) {})
	if err := os.Truncate(damaged, 500); err != nil {
		t.Fatal(err)
	}
	const rates = "accept_fmr: 1e-4, reject_fnmr: 0.02"
	for _, tt := range []struct{ name, yaml, want string }{
		{"another model", "match: {" + rates + ", calibration: " + other + "}",
			"match.calibration: " + other + ": is of model other@0a0a0a0a0a0a, but dlib@55533b28a958 is in use (run facegate calibrate with this one)"},
		{"another model, with distances", "match: {calibration: " + other + "}", "match.calibration: " + other + ": is of model other@"},
		{"damaged", "match: {" + rates + ", calibration: " + damaged + "}", "match.calibration: " + damaged + ": not a calibration: "},
		{"no file", "match: {" + rates + ", calibration: /none.json}", "match.calibration: open /none.json: no such file"},
		{"too small a rate", "match: {accept_fmr: 1e-7, reject_fnmr: 0.02}", "match.accept_fmr: FMR of 1e-07 cannot be told from 1066 people"},
		{"too few misses", "match: {accept_fmr: 1e-4, reject_fnmr: 1e-4}", "match.reject_fnmr: FNMR of 0.0001 cannot be told from 1066 people"},
		{"no such models", "models: {set: none}\nmatch: {" + rates + "}", "models.set: "},
	} {
		cfg := parsed(t, tt.yaml)
		err := derive(&cfg)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if verdict, _ := policy(cfg).Judge([]match.Score{0.01}); verdict == match.Match && cfg.Match.Rates.Given() {
			t.Errorf("%s: refused, and yet a distance of 0.01 is a match", tt.name)
		}
	}
}

// Every set of models that an engine runs has the usual thresholds, from figures
// of its own.
func TestEverySetHasTheUsualThresholds(t *testing.T) {
	for _, s := range models.List() {
		if s.Engine == "" {
			continue
		}
		c, ok := calibration.Shipped(s.Name, s.ModelID().SHA256)
		if !ok || c.Engine != s.Engine {
			t.Errorf("%s: calibration of engine %q, %v", s.Name, c.Engine, ok)
			continue
		}
		usual := config.Default().Match.Rates
		if accept, reject, err := c.Thresholds(usual.AcceptFMR, usual.RejectFNMR); err != nil || accept.Distance >= reject.Distance {
			t.Errorf("%s: accept %v, reject %v, %v", s.Name, accept, reject, err)
		}
	}
}

// Another set may take its templates from a file that was measured, but find
// faces in its own way.
func TestShippedCalibrationIsOfOneSet(t *testing.T) {
	model := dlibModel(t)
	model.Name = "mine"
	if _, known, err := calibrated(config.Match{}, model); known || err != nil {
		t.Errorf("set mine has the calibration of dlib: %v", err)
	}
}

// A model that nobody has measured has no rates.
func TestRatesNeedACalibration(t *testing.T) {
	if _, known, err := calibrated(config.Match{}, match.ModelID{Name: "new", SHA256: strings.Repeat("0a", 32)}); known || err != nil {
		t.Errorf("a calibration ships for a model that is new: %v, %v", known, err)
	}
}

// The daemon's log and check tell what the thresholds mean, with bounds.
func TestThresholdsAreTold(t *testing.T) {
	cfg := parsed(t, "match: {accept_fmr: 1e-3, reject_fnmr: 0.02}")
	if err := derive(&cfg); err != nil {
		t.Fatal(err)
	}
	r, err := ratesOf(cfg, dlibModel(t))
	if err != nil {
		t.Fatal(err)
	}
	fmr, fnmr := r.at()
	if fmr.Value > 1e-3 || fmr.High > calibration.Slack*1e-3 || fnmr.Value > 0.02 {
		t.Errorf("FMR %v, FNMR %v", fmr, fnmr)
	}
	if rate := r.of()(policy(cfg).Accept); rate != fmr.Value {
		t.Errorf("an event at the threshold tells %v, want %v", rate, fmr.Value)
	}
	var log bytes.Buffer
	r.log(slog.New(slog.NewTextHandler(&log, nil)))
	for _, want := range []string{"msg=thresholds ", " accept=0.5", " reject=0.6", " fmr=0.00", " fmr_high=0.00", " fnmr=0.01", " fnmr_high=0.0", " people=1066"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %s lacks %q", log.String(), want)
		}
	}
	if text := r.String(); !strings.Contains(text, "FMR 0.00") || !strings.Contains(text, "1066 people") {
		t.Errorf("check says %s", text)
	}

	unknown, err := ratesOf(cfg, match.ModelID{SHA256: strings.Repeat("0a", 32)})
	if err != nil || unknown.of() != nil || !strings.Contains(unknown.String(), "no calibration of the model") {
		t.Errorf("without a calibration: %v, %v", unknown, err)
	}
	log.Reset()
	unknown.log(slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), `msg="thresholds without a calibration"`) {
		t.Errorf("log %s", log.String())
	}
}
