package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/models"
)

// ownSet puts the description of a set named mine into a new folder.
func ownSet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sum := strings.Repeat("0", 64)
	write(t, filepath.Join(dir, models.DescriptionFile), `{
"name": "mine", "what": "ours", "licence": "CC-BY-NC-4.0", "commercial": false, "training": "faces",
"detector": {"kind": "yunet", "file": "d.onnx", "width": 640, "height": 640}, "landmarks": {"kind": "detector"},
"embedder": {"file": "e.onnx", "size": 112, "channels": "rgb", "mean": [0, 0, 0], "deviation": [255, 255, 255], "output": 512, "metric": "cosine"},
"files": [{"name": "d.onnx", "size": 1, "sha256": "`+sum+`"}, {"name": "e.onnx", "size": 1, "sha256": "`+sum+`"}]}`, 0o600)
	return dir
}

func TestModelsThatCannotBeUsed(t *testing.T) {
	mine := ownSet(t)
	for _, tt := range []struct{ name, yaml, want string }{
		{"engine of another set", "models: {dir: MINE, set: edge}\nmatch: {engine: dlib}", "match.engine: dlib does not run the model set edge (say match.engine: auto"},
		{"set of another engine", "models: {dir: MINE, set: dlib}\nmatch: {engine: onnx}", "match.engine: onnx does not run the model set dlib (say match.engine: auto"},
		{"engine of our own set", "models: {dir: MINE, set: mine}\nmatch: {engine: dlib}", "match.engine: dlib does not run the model set mine"},
		{"no models", "models: {dir: MINE, set: demo-pictures}", "models.set: demo-pictures: no engine runs it"},
		{"the runtime as models", "models: {dir: MINE, set: onnxruntime}\nmatch: {engine: onnx}", "models.set: "},
		{"licence", "models: {dir: MINE, set: mine}\nmatch: {engine: onnx}", "models.set: mine: its licence (CC-BY-NC-4.0) forbids commercial use"},
		{"no files", "models: {dir: MINE, set: mine, accept_non_commercial: true}\nmatch: {engine: onnx}", "models.dir: model file " + mine + "/e.onnx: missing"},
		{"unknown engine", "match: {engine: openvino}", "match.engine: must be dlib or onnx"},
		{"distances of any set", "models: {dir: MINE, set: mine, accept_non_commercial: true}\nmatch: {engine: onnx, accept: 0.45, reject: 0.6}",
			"match.distances_of: must name the model set that match.accept and match.reject are distances of (models.set is mine)"},
		{"half of its distances", "models: {dir: MINE, set: mine}\nmatch: {engine: onnx, reject: 0.9, distances_of: mine}",
			"match.accept: must be given beside match.reject"},
		{"no thresholds for it", "models: {dir: MINE, set: mine, accept_non_commercial: true}\nmatch: {engine: onnx}",
			"match.accept_fmr: there is no calibration of model mine@000000000000 (run facegate calibrate and name its file in match.calibration, " +
				"or give distances in match.accept and match.reject, with match.distances_of: mine)"},
		{"distances left behind", "models: {dir: MINE, set: dlib}\nmatch: {accept: 0.54, reject: 0.7, distances_of: edge}",
			"match.distances_of: match.accept and match.reject are distances of model set edge, but models.set is dlib"},
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		write(t, path, strings.ReplaceAll(tt.yaml, "MINE", mine)+"\n", 0o600)
		for _, command := range []string{"check", "run"} {
			status, _, errs := facegate(t, command, "--config", path)
			if status != exitConfig || !strings.Contains(errs, tt.want) {
				t.Errorf("%s: %s: status %d, %q; want %d and %q", tt.name, command, status, errs, exitConfig, tt.want)
			}
		}
	}
}

// Without a runtime the engine cannot run, and the message says so before the
// first person comes.
func TestMissingRuntimeIsReported(t *testing.T) {
	cfg := config.Default()
	cfg.Models = config.Models{Dir: t.TempDir(), Set: "edge"}
	cfg.Match.Engine = "onnx"
	err := checkModels(cfg)
	if err == nil {
		t.Fatal("no error")
	}
	want := models.RuntimeFile + ": missing (get it with: facegate models pull --dir " + cfg.Models.Dir + " onnxruntime)"
	if _, unknown := models.Find(models.Runtime); unknown != nil {
		want = "match.engine: there is no ONNX Runtime for this processor"
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
}

// What nobody can judge is refused, with a remedy that works on this processor.
func TestPADModelIsChecked(t *testing.T) {
	cfg := config.Default()
	cfg.Models.Dir = t.TempDir()
	for name, want := range map[string]string{
		"dlib":       "pad.model: the model set dlib has nothing that tells people from pictures (say models.set: faceplugin, or pad.model: off)",
		"faceplugin": "pad.model: model file " + filepath.Join(cfg.Models.Dir, "fr_liveness.onnx") + ": missing (get it with: facegate models pull --dir ",
	} {
		set, err := models.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, unknown := models.Find(models.Runtime); unknown != nil && name == "dlib" {
			want = "no set has one that runs on this processor, " + runtime.GOARCH + ": say pad.model: off"
		}
		cfg.PAD.Model = "on"
		if err := checkPAD(cfg, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
		cfg.PAD.Model = "off"
		if err := checkPAD(cfg, set); err != nil {
			t.Errorf("%s, switched off: %v", name, err)
		}
	}
}

// The distances of one model set are never applied to another: it would open
// the door to strangers, and be seen by nobody. A set that nobody has measured
// has no thresholds at all until somebody gives some.
func TestThresholdsBelongToTheirModelSet(t *testing.T) {
	mine := ownSet(t)
	usual := func(name string) match.Policy {
		c, ok := calibration.Shipped(name, map[string]string{
			"dlib":       "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
			"edge":       "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
			"faceplugin": "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581",
		}[name])
		if !ok {
			t.Fatalf("no calibration of %s ships", name)
		}
		accept, reject, err := c.Thresholds(1e-4, 0.02)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return match.Policy{Accept: match.Score(accept.Distance), Reject: match.Score(reject.Distance)}
	}
	nothing := match.Policy{}
	for _, tt := range []struct {
		name, yaml string
		set        string // chosen on the command line, over the file
		want       match.Policy
	}{
		{"default", "", "", usual(config.Default().Models.Set)},
		{"distances", "models: {set: dlib}\nmatch: {accept: 0.4, reject: 0.5, distances_of: dlib}", "", match.Policy{Accept: 0.4, Reject: 0.5}},
		{"other set", "models: {set: edge}", "", usual("edge")},
		{"its distances", "models: {set: edge}\nmatch: {engine: onnx, accept: 0.3, reject: 0.9, distances_of: edge}", "", match.Policy{Accept: 0.3, Reject: 0.9}},
		{"described set", "models: {set: mine, accept_non_commercial: true}\nmatch: {engine: onnx}", "", nothing},
		{"its own distances", "models: {set: mine, accept_non_commercial: true}\nmatch: {engine: onnx, accept: 0.3, reject: 0.5, distances_of: mine}", "",
			match.Policy{Accept: 0.3, Reject: 0.5}},
		{"described set of the command line", "models: {set: dlib, accept_non_commercial: true}\nmatch: {accept: 0.4, reject: 0.5, distances_of: dlib}", "mine", nothing},
		{"set of the command line", "models: {set: dlib}\nmatch: {accept: 0.4, reject: 0.5, distances_of: dlib}", "faceplugin", usual("faceplugin")},
		{"back again", "models: {set: edge}\nmatch: {engine: onnx, accept: 0.7, reject: 0.9, distances_of: edge}", "dlib", usual("dlib")},
		{"unknown set", "models: {set: edgy}", "", nothing},
	} {
		cfg, err := config.Parse("c.yaml", []byte(tt.yaml))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Models.Dir = mine
		if tt.set != "" {
			use(&cfg, tt.set)
		}
		if err := derive(&cfg); (err != nil) != (tt.want == nothing) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := policy(cfg); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestModelsListTellsSourceAndLicence(t *testing.T) {
	status, out, errs := facegate(t, "models", "list")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	for _, want := range []string{
		"edge: YuNet", "engine    onnx, calibrated with 10", "npm package faceplugin-face-recognition-js 0.0.1", "pip package face_recognition_models 0.3.0",
		"its publishers\n            https://", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("list lacks %q:\n%s", want, out)
		}
	}
}

func TestModelsVerifyKnowsADescribedSet(t *testing.T) {
	mine := ownSet(t)
	status, _, errs := facegate(t, "models", "verify", "--dir", mine, "mine")
	if status != exitConfig || !strings.Contains(errs, "d.onnx: missing") {
		t.Errorf("status %d, %q", status, errs)
	}
	if err := os.Remove(filepath.Join(mine, models.DescriptionFile)); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := facegate(t, "models", "verify", "--dir", mine, "mine"); status != exitConfig || !strings.Contains(errs, "no such set") {
		t.Errorf("status %d, %q", status, errs)
	}
}
