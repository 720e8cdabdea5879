package matcher

import (
	"context"
	"image"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// A track is where somebody stands who has to wait, as waits has it. The zero value
// follows nobody.
type track struct {
	seen time.Time // when the whole frame was looked at
	area image.Rectangle
	shades
}

// trackOf returns the track that follows from a look at a whole frame.
func trackOf(look attempt.Look, at time.Time, s shades) track {
	if !waits(look.Flaw) {
		return track{}
	}
	area := look.Box.Inset(-min(look.Box.Dx(), look.Box.Dy()))
	// Pairs of pixels share their chroma.
	area.Min.X, area.Min.Y, area.Max.X, area.Max.Y = area.Min.X&^1, area.Min.Y&^1, (area.Max.X+1)&^1, (area.Max.Y+1)&^1
	return track{at, area, s}
}

// waits reports whether a flaw is one that the person has to mend before anything
// is compared or judged.
func waits(f attempt.Flaw) bool {
	switch f {
	case attempt.FaceSmall, attempt.FaceBlur, attempt.FaceDark, attempt.FaceBright, attempt.FaceShade:
		return true
	}
	return false
}

// follow looks for the face of the frame before where it was, and reports whether
// it is there and still not let pass. If not, if something else has changed, and at
// least once a second, the whole frame has to be looked at: nothing is compared but
// what was seen in that. Boxes in a part and in the whole differ by some pixels, so a
// face that hardly fails has the whole looked at.
func (m *Matcher) follow(ctx context.Context, img image.Image, s shades, at time.Time) (attempt.Look, bool, error) {
	area, since := m.track.area.Intersect(img.Bounds()), at.Sub(m.track.seen)
	if area.Empty() || since < 0 || since >= again || !m.track.like(&s, cells(img, area)) {
		return attempt.Look{}, false, nil
	}
	var look attempt.Look
	_, err := m.engine.Faces(ctx, picture.Crop(img, area), func(faces []match.Face) int {
		look = m.examine(img, faces, m.limits.Loosened())
		return 0
	})
	// Somebody who is about to leave the area is looked for in the whole frame.
	box := look.Box.Inset(-min(look.Box.Dx(), look.Box.Dy()) / 4).Intersect(img.Bounds())
	return look, err == nil && waits(look.Flaw) && box.In(area), err
}
