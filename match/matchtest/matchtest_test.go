package matchtest_test

import (
	"errors"
	"image"
	"math"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/picture"
)

func find(t *testing.T, e *matchtest.Engine, img image.Image) []match.Face {
	t.Helper()
	faces, err := e.Faces(t.Context(), img, match.Templates)
	if err != nil {
		t.Fatal(err)
	}
	return faces
}

func TestFindsPaintedFacesLargestFirst(t *testing.T) {
	page := matchtest.Page(600, 400)
	small, large := image.Rect(10, 20, 110, 120), image.Rect(200, 100, 400, 300)
	matchtest.Paint(page, small, 50)
	matchtest.Paint(page, large, 120)
	e := new(matchtest.Engine)
	faces := find(t, e, page)
	if len(faces) != 2 || faces[0].Box != large || faces[1].Box != small {
		t.Fatalf("got %v", faces)
	}
	if got := e.Score(faces[0].Template, faces[1].Template); math.Abs(float64(got)-0.7) > 1e-6 {
		t.Errorf("distance %v, want 0.7", got)
	}
	boxes, err := e.Faces(t.Context(), page, match.Boxes)
	if err != nil || len(boxes) != 2 || boxes[0].Template != nil {
		t.Errorf("boxes: %v, %v", boxes, err)
	}
	if e.Calls() != 2 {
		t.Errorf("%d calls counted, want 2", e.Calls())
	}
	if got := find(t, &matchtest.Engine{MinSide: 150}, page); len(got) != 1 {
		t.Errorf("%d faces of at least 150 pixels, want 1", len(got))
	}
}

func TestFindsOnlyUprightFaces(t *testing.T) {
	page := matchtest.Page(600, 400)
	matchtest.Paint(page, image.Rect(200, 100, 400, 300), 120)
	for turns, want := range []int{1, 0, 0, 0} {
		if got := find(t, new(matchtest.Engine), picture.Rotate(page, turns)); len(got) != want {
			t.Errorf("turned by %d: %d faces, want %d", turns, len(got), want)
		}
	}
}

func TestUpsideDownFacesWaver(t *testing.T) {
	page := matchtest.Page(600, 400)
	matchtest.Paint(page, image.Rect(200, 100, 400, 300), 120)
	e := &matchtest.Engine{UpsideDown: true}
	small, _ := picture.Scale(page, 400)
	score := func(turns int) match.Score {
		a, b := find(t, e, picture.Rotate(page, turns)), find(t, e, picture.Rotate(small, turns))
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("turned by %d: %d and %d faces, want 1", turns, len(a), len(b))
		}
		return e.Score(a[0].Template, b[0].Template)
	}
	if upright, over := score(0), score(2); upright > 0.03 || over < 0.1 {
		t.Errorf("templates at two sizes differ by %v upright, %v upside down", upright, over)
	}
}

func TestScaledFaceKeepsItsPerson(t *testing.T) {
	page := matchtest.Page(800, 600)
	matchtest.Paint(page, image.Rect(200, 100, 500, 400), 120)
	small, _ := picture.Scale(page, 330)
	e := new(matchtest.Engine)
	a, b := find(t, e, page), find(t, e, small)
	if len(b) != 1 || e.Score(a[0].Template, b[0].Template) > 0.03 {
		t.Errorf("scaled: %v, unscaled: %v", b, a)
	}
}

func TestMirageVanishesOnACloserLook(t *testing.T) {
	page := matchtest.Page(800, 600)
	box := image.Rect(200, 100, 300, 200)
	matchtest.Paint(page, box, matchtest.Mirage)
	if got := find(t, new(matchtest.Engine), page); len(got) != 1 {
		t.Errorf("on the page: %d faces, want 1", len(got))
	}
	if got := find(t, new(matchtest.Engine), picture.Crop(page, box.Inset(-50))); len(got) != 0 {
		t.Errorf("close: %d faces, want none", len(got))
	}
}

func TestFail(t *testing.T) {
	broken := errors.New("broken")
	e := &matchtest.Engine{Fail: broken}
	if _, err := e.Faces(t.Context(), matchtest.Page(10, 10), match.Boxes); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := e.Score(match.Template{1}, match.Template{1, 2}); !math.IsInf(float64(got), 1) {
		t.Errorf("unequal templates score %v, want +Inf", got)
	}
}
