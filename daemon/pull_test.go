//go:build integration

package main

import (
	"os"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/models"
)

// One command brings the usual models and the library that runs them, also from
// a folder.
func TestPullBringsWhatTheEngineNeeds(t *testing.T) {
	dir, from := t.TempDir(), os.Getenv("FACEGATE_MODELS")
	if from == "" {
		t.Fatal("FACEGATE_MODELS must name the folder of make models")
	}
	if status, _, errs := facegate(t, "models", "pull", "--dir", dir, "--from", from); status != exitOK {
		t.Fatalf("pull: %d, %s", status, errs)
	}
	cfg := config.Default()
	cfg.Models.Dir = dir
	if err := checkModels(cfg); err != nil {
		t.Error(err)
	}
	if status, _, errs := facegate(t, "models", "verify", "--dir", dir); status != exitOK {
		t.Errorf("verify: %d, %s", status, errs)
	}
	arm := t.TempDir()
	status, _, errs := facegate(t, "models", "pull", "--dir", arm, "--from", from, "--arch", "armv7")
	if files, err := os.ReadDir(arm); status != exitOK || err != nil || len(files) != 3 {
		t.Errorf("pull for armv7: %d, %s, %v, %v, want the three files of dlib", status, errs, files, err)
	}
	status, _, errs = facegate(t, "models", "pull", "--dir", t.TempDir(), "--from", from, "--arch", "riscv64")
	if status != exitUsage {
		t.Errorf("pull for riscv64: %d, %s", status, errs)
	}
	if err := os.Remove(dir + "/" + models.RuntimeFile); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := facegate(t, "models", "verify", "--dir", dir); status != exitConfig {
		t.Errorf("verify without the runtime: %d", status)
	}
}
