// Package document finds the portrait in a scanned ID: a card or passport page,
// alone or on a larger sheet, turned by any of four right angles.
//
//	picture ─► search: four turns, coarse, then fine where there is more than paper
//	        ─► a closer look ─► on its head? ─► rivals? ─► portrait
//
// The portrait is the largest face. A detector is easily mistaken on print, so
// a face counts only if it is found again in a closer look at it, which also
// gives the template from good pixels.
//
// Further faces turned the same way are judged by their size against the
// portrait's. Below two fifths they are ignored, whoever they show: they are
// part of the print, not the holder. Up to three quarters they may be a ghost,
// a paler copy of the portrait, and need only not look like another person.
// Above that they must match. Anything else is [ErrAmbiguous]: with two people
// in the picture nobody can say who presents the ID.
//
// Faces turned another way than the portrait are not looked for; on a sheet much
// larger than the card, small ones may be missed, and so may those as pale as the
// paper.
package document

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"time"

	"github.com/facegate/facegate/match"
)

// Shares of the portrait's side that decide what another face means.
const (
	rivalShare = 0.4
	ghostShare = 0.75
)

// maxLooks bounds the closer looks at doubtful faces of one search.
const maxLooks = 8

// ErrNoFace says that there is no portrait in the picture.
var ErrNoFace = errors.New("no face on the ID")

// ErrAmbiguous says that the picture shows two different people, or faces
// that cannot be told to be the same.
var ErrAmbiguous = errors.New("two different faces on the ID")

// A TooSmallError says that the portrait has too few pixels to be compared.
type TooSmallError struct {
	Side int // pixels, the shorter side of the face
	Min  int // what is needed
}

// Error names both sizes.
func (e *TooSmallError) Error() string {
	return fmt.Sprintf("face on the ID is %d pixels, needs %d", e.Side, e.Min)
}

// Options say what a portrait must be like.
type Options struct {
	MinFace int           // pixels of the given picture, the shorter side of the face
	Policy  match.Policy  // to tell a ghost from another person
	Budget  time.Duration // for the search; 0 means that it may take any time
}

// A Portrait is the holder's face on an ID.
type Portrait struct {
	Face  match.Face // in the pixels of the given picture, with its template
	Turns int        // quarter turns clockwise that make the picture upright, 0 to 3
	Faces int        // it and further ones that are large enough to count
}

// Find finds the portrait in img. The error is [ErrNoFace], [ErrAmbiguous] or
// a [*TooSmallError] for a picture that cannot be used, and the portrait is then
// as much of one as was found; any other is the engine's, or the cause of ctx.
//
// It calls the engine several times: about four times for an upright card
// that fills the picture, up to some dozens for a large sheet without any face.
// Once the whole picture has been searched coarsely in all turns, a finer search
// ends, with [ErrNoFace], where the engine's next part would take it beyond the
// Budget. The checks of a portrait that was found are never cut short.
func Find(ctx context.Context, engine match.Engine, img image.Image, o Options) (Portrait, error) {
	if img.Bounds().Empty() {
		return Portrait{}, ErrNoFace
	}
	f := newFinder(engine, img, o)
	main, err := f.portrait(ctx)
	if err != nil {
		return Portrait{}, err
	}
	portrait := Portrait{Face: main.face, Turns: main.turns, Faces: 1}
	if main.side() < o.MinFace {
		return portrait, &TooSmallError{Side: main.side(), Min: o.MinFace}
	}
	rivals, err := f.rivals(ctx, main)
	if err != nil {
		return Portrait{}, err
	}
	portrait.Faces += len(rivals)
	for _, rival := range rivals {
		if !same(engine, o.Policy, main, rival) {
			return portrait, ErrAmbiguous
		}
	}
	return portrait, nil
}

// same says whether rival shows the person of main.
func same(engine match.Engine, policy match.Policy, main, rival sighting) bool {
	score := engine.Score(main.face.Template, rival.face.Template)
	if math.IsNaN(float64(score)) {
		return false
	}
	if float64(rival.side()) < ghostShare*float64(main.side()) {
		return score < policy.Reject
	}
	return score <= policy.Accept
}

// A sighting is a face that the engine found, in the pixels of the given
// picture, when that was turned and scaled.
type sighting struct {
	face  match.Face
	turns int
	scale float64
}

func (s sighting) side() int { return min(s.face.Box.Dx(), s.face.Box.Dy()) }

// largest orders sightings by size, then by place so that the same picture
// always gives the same order.
func largest(all []sighting) []sighting {
	slices.SortStableFunc(all, func(a, b sighting) int {
		return cmp.Or(
			cmp.Compare(b.side(), a.side()),
			cmp.Compare(a.face.Box.Min.Y, b.face.Box.Min.Y),
			cmp.Compare(a.face.Box.Min.X, b.face.Box.Min.X),
		)
	})
	return all
}
