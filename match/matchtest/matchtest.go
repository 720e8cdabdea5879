// Package matchtest holds a match.Engine for tests that finds painted faces,
// so that what is built on an engine can be tested without models.
//
//	img := matchtest.Page(1000, 600)
//	matchtest.Paint(img, image.Rect(50, 100, 250, 300), 100)
//	faces, err := new(matchtest.Engine).Faces(ctx, img, match.Templates)
//
// A painted face is red above and green below. It is found only upright, as
// real detectors do, also after the picture was scaled or turned. Its blue is
// the person, and so the template.
//
// It also holds what the tests of true engines have in common: portraits, and what
// every engine must do with them.
package matchtest

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"
	"sync/atomic"

	"github.com/facegate/facegate/match"
)

// A Person is who a painted face shows, 0 to 200. The distance of two persons
// is the difference of their numbers in hundredths.
type Person uint8

// Mirage is painted where a detector mistakes a pattern for a face: it is found
// in pictures of at least MirageSide pixels, and no more once looked at closely.
const (
	Mirage     Person = 255
	MirageSide int    = 500
)

// Page returns a white picture.
func Page(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	return img
}

// Paint draws the face of a person, upright, in the box.
func Paint(img draw.Image, box image.Rectangle, p Person) {
	upper, lower := box, box
	upper.Max.Y = (box.Min.Y + box.Max.Y) / 2
	lower.Min.Y = upper.Max.Y
	draw.Draw(img, upper, image.NewUniform(color.RGBA{R: 255, B: uint8(p), A: 255}), image.Point{}, draw.Src)
	draw.Draw(img, lower, image.NewUniform(color.RGBA{G: 255, B: uint8(p), A: 255}), image.Point{}, draw.Src)
}

// An Engine finds the faces that [Paint] drew. The zero value finds those of
// every size.
type Engine struct {
	MinSide    int   // pixels; faces with a shorter side are not found
	UpsideDown bool  // faces are found on their heads too, with templates that waver with the size
	OnSide     bool  // and so are faces that lie on their side
	Fail       error // returned by Faces, if not nil

	calls atomic.Int64
}

var _ match.Engine = (*Engine)(nil)

// Calls counts the calls of Faces.
func (e *Engine) Calls() int { return int(e.calls.Load()) }

// Faces implements [match.Engine].
func (e *Engine) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	e.calls.Add(1)
	if e.Fail != nil {
		return nil, e.Fail
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var faces []match.Face
	patches := patches(img)
	for _, above := range patches {
		for _, below := range patches {
			if face, ok := e.face(img, above, below); ok {
				faces = append(faces, face)
			}
		}
	}
	slices.SortStableFunc(faces, func(a, b match.Face) int { return b.Box.Dx()*b.Box.Dy() - a.Box.Dx()*a.Box.Dy() })
	want.Forget(faces)
	return faces, nil
}

// Score implements [match.Engine].
func (e *Engine) Score(a, b match.Template) match.Score {
	if len(a) != 1 || len(b) != 1 {
		return match.Score(math.Inf(1))
	}
	return match.Score(math.Abs(float64(a[0] - b[0])))
}

// Model implements [match.Engine].
func (e *Engine) Model() match.ModelID {
	return match.ModelID{Engine: "painted", Name: "painted", OnSide: e.OnSide}
}

// Close implements [match.Engine].
func (e *Engine) Close() error { return nil }

// A patch is an area of one colour.
type patch struct {
	box    image.Rectangle
	upper  bool
	person float32 // mean blue, in hundredths
}

// face returns the face of which two patches are the halves, if e finds it.
func (e *Engine) face(img image.Image, above, below patch) (match.Face, bool) {
	slack := 3 + above.box.Dx()/20
	near := func(a, b int) bool { return a-b <= slack && b-a <= slack }
	a, b := above.box, below.box
	stands := near(a.Min.X, b.Min.X) && near(a.Max.X, b.Max.X) && near(a.Max.Y, b.Min.Y)
	lies := near(a.Min.Y, b.Min.Y) && near(a.Max.Y, b.Max.Y) && near(a.Max.X, b.Min.X)
	if above.upper == below.upper || !stands && !(lies && e.OnSide) {
		return match.Face{}, false
	}
	box := a.Union(b)
	person := (above.person + below.person) / 2
	mirage := person > 2.4 && max(img.Bounds().Dx(), img.Bounds().Dy()) < MirageSide
	if mirage || min(box.Dx(), box.Dy()) < e.MinSide || stands && !above.upper && !e.UpsideDown {
		return match.Face{}, false
	}
	if lies || !above.upper {
		person += float32(box.Dx()) / 500
	}
	return match.Face{Box: box, Points: []image.Point{box.Min, box.Max}, Template: match.Template{person}}, true
}

// half says which half of a face a colour belongs to, if any.
func half(c color.RGBA) (upper, ok bool) {
	switch {
	case c.R > 180 && c.G < 75:
		return true, true
	case c.G > 180 && c.R < 75:
		return false, true
	}
	return false, false
}

// patches finds the connected areas of the colours that faces are made of.
func patches(img image.Image) []patch {
	b := img.Bounds()
	rgba := image.NewRGBA(b)
	draw.Draw(rgba, b, img, b.Min, draw.Src)
	seen := make([]bool, b.Dx()*b.Dy())
	var found []patch
	for i := range seen {
		p := rgba.Pix[4*i : 4*i+4]
		if p[0] > 75 == (p[1] > 75) {
			continue // most of a page; half would say so too
		}
		if _, ok := half(color.RGBA{R: p[0], G: p[1], B: p[2]}); ok && !seen[i] {
			found = append(found, flood(rgba, seen, b.Min.Add(image.Pt(i%b.Dx(), i/b.Dx()))))
		}
	}
	return found
}

// flood takes the area of one colour around a point.
func flood(img *image.RGBA, seen []bool, start image.Point) patch {
	b := img.Rect
	upper, _ := half(img.RGBAAt(start.X, start.Y))
	p := patch{upper: upper}
	var blue, n int
	for todo := []image.Point{start}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !at.In(b) || seen[(at.Y-b.Min.Y)*b.Dx()+at.X-b.Min.X] {
			continue
		}
		c := img.RGBAAt(at.X, at.Y)
		if same, ok := half(c); !ok || same != upper {
			continue
		}
		seen[(at.Y-b.Min.Y)*b.Dx()+at.X-b.Min.X] = true
		p.box = p.box.Union(image.Rectangle{Min: at, Max: at.Add(image.Pt(1, 1))})
		blue += int(c.B)
		n++
		todo = append(todo, at.Add(image.Pt(1, 0)), at.Add(image.Pt(-1, 0)), at.Add(image.Pt(0, 1)), at.Add(image.Pt(0, -1)))
	}
	p.person = float32(blue) / float32(n) / 100
	return p
}
