package main

import (
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/pad"
)

// A challenge that is switched on must not be lost on the way to the line, nor be
// judged by landmarks that are others.
func TestChallengeAsConfigured(t *testing.T) {
	onnx := match.ModelID{Engine: "onnx"}
	if got := challenge(config.Default().PAD, onnx); got != nil {
		t.Errorf("by default: %+v, want none", got)
	}
	got := challenge(config.PAD{Challenge: "turn", Within: 4 * time.Second, OpenWithout: true}, onnx)
	if got == nil || got.Layout != pad.EyesNoseMouth || got.Within != 4*time.Second || !got.OpenWithout || got.Side() == 0 {
		t.Errorf("turn: %+v", got)
	}
	if got.Accept != 0 {
		t.Errorf("a turn alone: a model must say %v", got.Accept)
	}
	got = challenge(config.PAD{Model: "on", MinScore: 0.6, Challenge: "off", OpenWithout: true}, onnx)
	if got == nil || got.Accept != 0.6 || got.Side != nil || !got.OpenWithout {
		t.Errorf("a model: %+v", got)
	}
	if got = challenge(config.PAD{Model: "on", MinScore: 0.6, Challenge: "turn"}, onnx); got == nil || got.Accept != 0.6 || got.Side == nil {
		t.Errorf("both: %+v", got)
	}
	for _, engine := range []string{"dlib", "another"} {
		if got := challenge(config.PAD{Challenge: "turn"}, match.ModelID{Engine: engine}); got == nil || got.Layout.Check() == nil {
			t.Errorf("turn with %s: %+v, want one that says that it cannot be judged", engine, got)
		}
	}
}
