//go:build dlib

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/calibration"
)

// The whole way with the real engine: two people's portraits become a
// calibration, which a configuration may name, and which is refused as too
// small for any door.
func TestCalibrateAndEvaluatePortraits(t *testing.T) {
	models, pictures := os.Getenv("FACEGATE_MODELS"), os.Getenv("FACEGATE_PICTURES")
	if models == "" || pictures == "" {
		t.Fatal("FACEGATE_MODELS and FACEGATE_PICTURES must name the folders of make models")
	}
	dir := t.TempDir()
	for name, files := range map[string][]string{"one": {"obama.jpg", "obama2.jpg", "obama3.jpg"}, "two": {"biden.jpg"}} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Symlink(filepath.Join(pictures, file), filepath.Join(dir, name, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "site.json")
	if status, out, errs := facegate(t, "calibrate", "--models", models, "--set", "dlib", "--source", "four portraits", "--out", path, "--pictures", dir); status != exitOK || out != "" {
		t.Fatalf("calibrate: %d, %q, %s", status, out, errs)
	}
	c, err := calibration.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.SHA256 != dlibModel(t).SHA256 || c.People != 2 || c.Genuine != 3 || c.Impostor != 3 || c.Source != "four portraits" {
		t.Errorf("got %+v", c)
	}
	// The same person up to 0.45, another from 0.7 on.
	if first := c.Above(0.45); first.Distance < 0.7 || first.FMR.Value != 0 || first.FNMR.Value != 0 {
		t.Errorf("above 0.45: %+v", first)
	}
	if _, err := c.Accept(0.3); err == nil {
		t.Error("two people are taken for proof of an FMR of 0.3")
	}

	status, _, errs := facegate(t, "evaluate", "--models", models, "--set", "dlib", "--calibration", path, "--pictures", dir)
	if status != exitConfig || !strings.Contains(errs, "too few for any") {
		t.Errorf("evaluate: %d, %s", status, errs)
	}

	config := filepath.Join(t.TempDir(), "c.yaml")
	text := fmt.Sprintf("models: {dir: %s, set: dlib}\ndata: %s\nhttp: {listen: 'unix:%s/http.sock'}\nmatch:\n  accept_fmr: 1e-3\n  reject_fnmr: 0.02\n", models, dir, dir)
	write(t, config, text, 0o600)
	if status, out, errs := facegate(t, "check", "--config", config); status != exitOK || !strings.Contains(out, "FMR 0.00") || !strings.Contains(out, "1066 people") {
		t.Errorf("check with what ships: %d, %s, %s", status, out, errs)
	}
	write(t, config, text+"  calibration: "+path+"\n", 0o600)
	want := config + ":5: match.accept_fmr: FMR of 0.001 cannot be told from 2 people"
	if status, _, errs := facegate(t, "check", "--config", config); status != exitConfig || !strings.HasPrefix(errs, want) {
		t.Errorf("check with four portraits: %d, %s, want %s", status, errs, want)
	}
}

// A calibration of another model says nothing of this one: neither check nor
// run takes it, and the verdict that a program would give without it is no
// match.
func TestCalibrationOfAnotherModelKeepsTheDoorShut(t *testing.T) {
	other := calibrationFile(t, func(c *calibration.Calibration) { c.SHA256 = strings.Repeat("0a", 32) })
	dir := t.TempDir()
	config := filepath.Join(dir, "c.yaml")
	for _, thresholds := range []string{"accept_fmr: 1e-3\n  reject_fnmr: 0.02", "accept: 0.45\n  reject: 0.6\n  distances_of: dlib"} {
		write(t, config, fmt.Sprintf("models: {dir: %s, set: dlib}\ndata: %s\nhttp: {listen: 'unix:%s/http.sock'}\nmatch:\n  %s\n  calibration: %s\n",
			os.Getenv("FACEGATE_MODELS"), dir, dir, thresholds, other), 0o600)
		want := ": match.calibration: " + other + ": is of model dlib@0a0a0a0a0a0a, but dlib@55533b28a958 is in use"
		for _, command := range []string{"check", "run"} {
			if status, _, errs := facegate(t, command, "--config", config); status != exitConfig || !strings.Contains(errs, want) {
				t.Errorf("%s: %d, %s, want %s", command, status, errs, want)
			}
		}
		pictures := os.Getenv("FACEGATE_PICTURES")
		status, out, errs := facegate(t, "verify", "--config", config, filepath.Join(pictures, "obama.jpg"), filepath.Join(pictures, "obama2.jpg"))
		if status != exitConfig || out != "" {
			t.Errorf("verify: %d, %s, %s", status, out, errs)
		}
	}
}
