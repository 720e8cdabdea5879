package matcher_test

import (
	"context"
	"image"
	"slices"
	"testing"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
)

// watched notes what an engine is shown.
type watched struct {
	matchtest.Engine
	shown []image.Rectangle
}

func (w *watched) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	w.shown = append(w.shown, img.Bounds())
	return w.Engine.Faces(ctx, img, want)
}

// Somebody who has to come closer is followed, and whatever else happens in the
// frame is seen at once. What is compared was seen in a whole frame.
func TestSomebodyWhoMustComeCloserIsFollowed(t *testing.T) {
	small, aside := image.Rect(100, 100, 160, 160), image.Rect(110, 105, 170, 165)
	edge, gone, near := image.Rect(150, 100, 210, 160), image.Rect(300, 100, 360, 160), image.Rect(90, 90, 190, 190)
	hardly, other := image.Rect(96, 96, 172, 172), image.Rect(400, 200, 560, 360)
	e := &watched{}
	m := start(t, e)
	began := time.Now()
	for i, step := range []struct {
		name  string
		at    time.Duration
		boxes []image.Rectangle
		want  attempt.Flaw
		whole []bool // of what the engine is shown
	}{
		{"far away", 0, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"still", 100, []image.Rectangle{small}, attempt.FaceSmall, []bool{false}},
		{"moved a little", 200, []image.Rectangle{aside}, attempt.FaceSmall, []bool{false}},
		{"almost out of the part", 250, []image.Rectangle{edge}, attempt.FaceSmall, []bool{false, true}},
		{"out of the part", 300, []image.Rectangle{gone}, attempt.FaceSmall, []bool{true}},
		{"back", 400, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"still there", 500, []image.Rectangle{small}, attempt.FaceSmall, []bool{false}},
		{"somebody else comes", 600, []image.Rectangle{small, other}, "", []bool{true}},
		{"alone again", 700, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"almost a second", 1699, []image.Rectangle{small}, attempt.FaceSmall, []bool{false}},
		{"a second after the whole frame", 1700, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"a frame of before", 1450, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"close enough", 1800, []image.Rectangle{near}, "", []bool{false, true}},
		{"still close enough", 1900, []image.Rectangle{near}, "", []bool{true}},
		{"far away again", 2000, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"close enough, and somebody else too", 2100, []image.Rectangle{near, other}, attempt.ManyFaces, []bool{true}},
		{"far away once more", 2200, []image.Rectangle{small}, attempt.FaceSmall, []bool{true}},
		{"hardly too far away", 2300, []image.Rectangle{hardly}, attempt.FaceSmall, []bool{false, true}},
		{"nobody", 2400, nil, attempt.NoFace, []bool{false, true}},
	} {
		e.shown = nil
		f := capture.Frame{Time: began.Add(step.at * time.Millisecond), Format: capture.JPEG, Data: encode(t, people(step.boxes...))}
		look, err := m.Look(t.Context(), f)
		if err != nil || look.Flaw != step.want {
			t.Errorf("%d, %s: flaw %q, %v, want %q", i, step.name, look.Flaw, err, step.want)
		}
		if computed := look.Template != nil; computed != (step.want == "") {
			t.Errorf("%d, %s: a template was computed: %v", i, step.name, computed)
		}
		var whole []bool
		for _, b := range e.shown {
			whole = append(whole, b == image.Rect(0, 0, 640, 480))
		}
		if !slices.Equal(whole, step.whole) {
			t.Errorf("%d, %s: the engine was shown %v", i, step.name, e.shown)
		}
	}
}
