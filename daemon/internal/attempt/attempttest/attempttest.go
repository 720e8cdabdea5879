// Package attempttest has fakes for what an attempt is wired to.
package attempttest

import (
	"context"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/match"
)

// Instant is a camera and a matcher that find the right face at once.
type Instant struct{}

var (
	_ attempt.Frames  = Instant{}
	_ attempt.Matcher = Instant{}
)

// After implements attempt.Frames: the frame is of now.
func (Instant) After(context.Context, time.Time) (capture.Frame, error) {
	return capture.Frame{Time: time.Now()}, nil
}

// Reference implements attempt.Matcher.
func (Instant) Reference(context.Context, []byte) (attempt.Reference, error) {
	return attempt.Reference{Template: match.Template{1}}, nil
}

// Look implements attempt.Matcher.
func (Instant) Look(context.Context, capture.Frame) (attempt.Look, error) {
	return attempt.Look{Template: match.Template{1}}, nil
}

// Probe implements attempt.Matcher.
func (i Instant) Probe(ctx context.Context, f capture.Frame) (attempt.Look, error) {
	return i.Look(ctx, f)
}

// Score implements attempt.Matcher: 0.2, a match by the usual thresholds.
func (Instant) Score(a, b match.Template) match.Score { return 0.2 }

// Model implements attempt.Matcher.
func (Instant) Model() match.ModelID { return match.ModelID{Engine: "none", Name: "none"} }
