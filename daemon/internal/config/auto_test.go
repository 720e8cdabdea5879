package config

import "testing"

// What is left to us depends on the processor alone, and a set brings its engine.
func TestSettle(t *testing.T) {
	for _, tt := range []struct{ arch, set, engine, wantSet, wantEngine string }{
		{"amd64", auto, auto, "faceplugin", "onnx"},
		{"arm64", auto, auto, "faceplugin", "onnx"},
		{"arm", auto, auto, "dlib", "dlib"},
		{"arm64", "dlib", auto, "dlib", "dlib"},
		{"arm64", "mine", auto, "mine", "onnx"},
		{"amd64", auto, "dlib", "faceplugin", "dlib"}, // which is refused later
	} {
		cfg := Config{Models: Models{Set: tt.set}, Match: Match{Engine: tt.engine}}
		cfg.settle(tt.arch)
		if cfg.Models.Set != tt.wantSet || cfg.Match.Engine != tt.wantEngine {
			t.Errorf("%+v: got %s, %s", tt, cfg.Models.Set, cfg.Match.Engine)
		}
	}
}
