package document_test

import (
	"context"
	"image"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/matchtest"
)

// asked notes what an engine was asked for.
type asked struct {
	matchtest.Engine
	wants []int // templates of two faces
}

func (a *asked) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	a.wants = append(a.wants, want(make([]match.Face, 2)))
	return a.Engine.Faces(ctx, img, want)
}

// A picture that is searched from afar costs no templates, and the portrait has
// that of the closer look.
func TestTemplatesAreOfTheCloserLook(t *testing.T) {
	page := matchtest.Page(1000, 600)
	matchtest.Paint(page, image.Rect(50, 100, 250, 300), 100)
	e := &asked{}
	p, err := document.Find(t.Context(), e, page, document.Options{MinFace: 60, Policy: options().Policy})
	if err != nil || len(p.Face.Template) == 0 {
		t.Fatalf("template %v, %v", p.Face.Template, err)
	}
	if len(e.wants) < 3 || e.wants[0] != 0 || e.wants[1] == 0 || e.wants[len(e.wants)-1] != 0 {
		t.Errorf("asked for %v templates, want none in the whole picture, first for the portrait and last for others beside it", e.wants)
	}
}
