package document

import (
	"context"
	"fmt"
	"image"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// Sizes in pixels of what the engine is shown.
const (
	detectable = 80   // side of the smallest face that the weakest detector finds
	certain    = 120  // side of a face that is large enough to end the search
	tile       = 1000 // longest side of a picture for one call: engines take memory for each pixel
	shared     = 260  // what two neighbouring tiles have in common: more than the faces still looked for
	closeUp    = 160  // side of a face in a closer look
)

// closerUps are further sides of a face, to see how steady it is.
func closerUps() []int { return []int{130, 100} }

// Longest sides of the picture in a search.
const (
	coarse = 800  // a card or passport page that fills the picture
	fine   = 2200 // a card on a sheet of A4, with a face of 11 mm; finer still would cost more time than a person waits
)

// Enlarging more than this shows an engine nothing new.
const maxEnlarged = 2

// A finder searches one picture.
type finder struct {
	engine match.Engine
	img    image.Image
	o      Options
	began  time.Time

	coarse view              // the whole picture at the coarse scale
	print  []image.Rectangle // the parts of the picture that are more than paper

	// What the engine did so far, to know its pace.
	took   time.Duration
	pixels int
}

func newFinder(engine match.Engine, img image.Image, o Options) *finder {
	f := &finder{engine: engine, img: img, o: o, began: time.Now()}
	f.coarse = zoom(img, img.Bounds(), f.coarseScale())
	for _, part := range printed(f.coarse.img) {
		f.print = append(f.print, f.coarse.rect(part))
	}
	return f
}

func (f *finder) coarseScale() float64 { return min(1, f.fit(coarse)) }

// fineScale returns the factor of the second look at a picture, and false if
// it would show nothing new. A face a little smaller than MinFace is still
// found, so that the answer can say so.
func (f *finder) fineScale() (float64, bool) {
	const (
		below   = 0.8
		worthIt = 1.3
	)
	scale := min(maxEnlarged, f.fit(fine))
	if f.o.MinFace > 0 {
		scale = min(scale, detectable/(below*float64(f.o.MinFace)))
	}
	return scale, scale > worthIt*f.coarseScale()
}

// fit returns the factor that makes the longest side of the picture that long.
func (f *finder) fit(side int) float64 {
	b := f.img.Bounds()
	return float64(side) / float64(max(b.Dx(), b.Dy()))
}

// views returns what is to be searched at a scale: the whole picture at the
// coarse one, and at a finer one only what is more than paper.
func (f *finder) views(scale float64) []view {
	if scale <= f.coarseScale() {
		return []view{f.coarse}
	}
	var views []view
	for _, part := range f.print {
		views = append(views, zoom(f.img, part, scale))
	}
	return views
}

// affords says whether the engine, at its pace so far, is done with the views
// within the budget.
func (f *finder) affords(views []view) bool {
	if f.o.Budget == 0 || f.pixels == 0 {
		return true
	}
	pixels := 0
	for _, v := range views {
		pixels += v.img.Bounds().Dx() * v.img.Bounds().Dy()
	}
	needed := f.took.Seconds() * float64(pixels) / float64(f.pixels)
	return time.Since(f.began).Seconds()+needed <= f.o.Budget.Seconds()
}

// portrait returns the largest face that stands up to a closer look, at the
// coarsest scale that shows one.
func (f *finder) portrait(ctx context.Context) (sighting, error) {
	face, err := f.search(ctx)
	if err != nil {
		return sighting{}, err
	}
	return f.upright(ctx, face)
}

// upright decides which way up a face is that was found in one turn. With its
// mouth for eyes, one in ten passes for a face upside down too, and some
// detectors find most faces that lie on their side. There, fewer sizes show it,
// and its template wavers from one to the next. A detector that is not one of
// these is not asked: each look costs a small board a second.
func (f *finder) upright(ctx context.Context, face sighting) (sighting, error) {
	best, known := face, false
	var steady steadiness
	others := []int{2}
	if f.engine.Model().OnSide {
		others = []int{2, 1, 3}
	}
	for _, turns := range others {
		other := face
		other.turns = (face.turns + turns) % 4
		other, ok, err := f.look(ctx, other, closeUp)
		if err != nil {
			return sighting{}, err
		}
		if !ok {
			continue
		}
		if !known {
			known = true
			if steady, err = f.steadiness(ctx, best); err != nil {
				return sighting{}, err
			}
		}
		s, err := f.steadiness(ctx, other)
		if err != nil {
			return sighting{}, err
		}
		if s.seen > steady.seen || s.seen == steady.seen && s.spread < steady.spread {
			best, steady = other, s
		}
	}
	return best, nil
}

// A steadiness says how alike a face looks at several sizes.
type steadiness struct {
	seen   int         // at how many further sizes it was found
	spread match.Score // sum of distances to the template from the first
}

func (f *finder) steadiness(ctx context.Context, face sighting) (steadiness, error) {
	var s steadiness
	for _, side := range closerUps() {
		again, ok, err := f.look(ctx, face, side)
		if err != nil {
			return steadiness{}, err
		}
		if ok {
			s.seen++
			s.spread += f.engine.Score(face.face.Template, again.face.Template)
		}
	}
	return s, nil
}

// search finds a face for portrait, which may stand on its head.
func (f *finder) search(ctx context.Context) (sighting, error) {
	face, ok, err := f.searchAt(ctx, f.coarseScale())
	if err != nil || ok {
		return face, err
	}
	if scale, more := f.fineScale(); more {
		face, ok, err = f.searchAt(ctx, scale)
	}
	if err == nil && !ok {
		err = ErrNoFace
	}
	return face, err
}

// searchAt searches at one scale, in all turns that there is time for.
func (f *finder) searchAt(ctx context.Context, scale float64) (sighting, bool, error) {
	views := f.views(scale)
	var doubtful []sighting
	for _, turns := range []int{0, 1, 3, 2} {
		if scale > f.coarseScale() && !f.affords(views) {
			break
		}
		seen, err := f.detect(ctx, views, turns, scale, match.Boxes)
		if err != nil {
			return sighting{}, false, err
		}
		if len(seen) > 0 && float64(seen[0].side())*scale >= certain {
			if face, ok, err := f.look(ctx, seen[0], closeUp); err != nil || ok {
				return face, ok, err
			}
			seen = seen[1:]
		}
		doubtful = append(doubtful, seen...)
	}
	// Print that resembles a small face is common. So before one is
	// taken for the portrait, all turns have been tried.
	doubtful = largest(doubtful)
	for _, s := range doubtful[:min(len(doubtful), maxLooks)] {
		if face, ok, err := f.look(ctx, s, closeUp); err != nil || ok {
			return face, ok, err
		}
	}
	return sighting{}, false, nil
}

// rivals returns the other faces, turned like main, that are large enough to
// matter and stand up to a closer look.
func (f *finder) rivals(ctx context.Context, main sighting) ([]sighting, error) {
	// At this scale, the smallest that matters can be detected, unless the
	// portrait itself is small on a large sheet.
	const margin = 1.1
	least := rivalShare * float64(main.side())
	scale := max(main.scale, min(margin*detectable/least, maxEnlarged, f.fit(fine)))
	seen, err := f.detect(ctx, f.views(scale), main.turns, scale, match.Boxes)
	if err != nil {
		return nil, err
	}
	var found []sighting
	looks := 0
	for _, s := range seen {
		if float64(s.side()) < least || centred(s, main) || centred(main, s) {
			continue // too small to matter, or main seen again
		}
		if looks++; looks > maxLooks {
			return nil, ErrAmbiguous
		}
		face, ok, err := f.look(ctx, s, closeUp)
		if err != nil {
			return nil, err
		}
		if ok && float64(face.side()) >= least {
			found = append(found, face)
		}
	}
	return found, nil
}

// centred says whether the middle of a lies in b.
func centred(a, b sighting) bool {
	box := a.face.Box
	return box.Min.Add(box.Max).Div(2).In(b.face.Box)
}

// look looks closer at a face, so that it has the given side, and reports
// whether it is found again. What it returns has a template: nobody asks for that
// of a face that was found from afar.
func (f *finder) look(ctx context.Context, s sighting, wanted int) (sighting, bool, error) {
	const most = 2.5
	side := s.side()
	if side == 0 {
		return sighting{}, false, nil
	}
	area := s.face.Box.Inset(-side * 6 / 10)
	scale := min(float64(wanted)/float64(side), most)
	near, err := f.detect(ctx, []view{zoom(f.img, area, scale)}, s.turns, s.scale, match.Templates)
	if err != nil {
		return sighting{}, false, err
	}
	const again = 0.3
	best := sighting{}
	for _, n := range near {
		if match.Overlap(n.face.Box, s.face.Box) > max(again, match.Overlap(best.face.Box, s.face.Box)) {
			best = n
		}
	}
	return best, best.side() > 0, nil
}

// detect returns the faces that the views show when turned, largest first.
func (f *finder) detect(ctx context.Context, views []view, turns int, scale float64, want match.Want) ([]sighting, error) {
	var seen []sighting
	for _, flat := range views {
		v := flat.turned(turns)
		for _, area := range tiles(v.img.Bounds()) {
			faces, err := f.call(ctx, picture.Crop(v.img, area), want)
			if err != nil {
				return nil, err
			}
			for _, face := range faces {
				seen = append(seen, sighting{face: v.back(face), turns: v.turns, scale: scale})
			}
		}
	}
	return distinct(largest(seen)), nil
}

// call shows the engine a picture.
func (f *finder) call(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	began := time.Now()
	faces, err := f.engine.Faces(ctx, img, want)
	if err != nil {
		return nil, fmt.Errorf("find portrait: %w", err)
	}
	f.took += time.Since(began)
	f.pixels += img.Bounds().Dx() * img.Bounds().Dy()
	return faces, nil
}

// distinct removes faces that were seen in two tiles.
func distinct(all []sighting) []sighting {
	const twice = 0.3
	var kept []sighting
next:
	for _, s := range all {
		for _, k := range kept {
			if match.Overlap(s.face.Box, k.face.Box) > twice {
				continue next
			}
		}
		kept = append(kept, s)
	}
	return kept
}
