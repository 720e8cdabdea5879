package onnx

import (
	"context"
	"errors"
	"image"
	"math"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/models"
)

func TestAroundAFace(t *testing.T) {
	for _, c := range []struct {
		name   string
		face   image.Rectangle
		factor float64
		want   image.Rectangle
	}{
		{"room on all sides", image.Rect(300, 200, 340, 240), 3, image.Rect(260, 160, 381, 281)},
		{"at the left and the top", image.Rect(10, 0, 50, 40), 3, image.Rect(0, 0, 121, 121)},
		{"at the right and the bottom", image.Rect(590, 440, 630, 480), 3, image.Rect(519, 359, 640, 480)},
		{"no room for so much", image.Rect(200, 100, 300, 300), 4, image.Rect(130, 0, 370, 480)},
		{"all of the picture", image.Rect(0, 0, 640, 480), 2.7, image.Rect(0, 0, 640, 480)},
		{"as it is", image.Rect(10, 20, 50, 80), 1, image.Rect(10, 20, 51, 81)},
	} {
		if got := around(c.face, c.factor, 640, 480); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// judged has two networks of three classes; the second looks at more.
func judged() models.Set {
	s := testSet()
	one := models.PAD{File: "p", Crop: 1, Size: 32, Channels: models.BGR, Mean: []float64{0, 0, 0}, Deviation: []float64{1, 1, 1}, Classes: 3, Person: 1}
	two := one
	two.File, two.Crop, two.Person = "q", 3, 2
	s.Networks.PAD = []models.PAD{one, two}
	return s
}

func TestLiveIsTheMeanOfTheNetworks(t *testing.T) {
	f := &fakes{shown: map[string][]float32{}, classes: map[string][]float32{"p": {1, 3, 1}, "q": {1000, 0, 1000}}}
	e, err := open(Options{Set: judged(), PAD: true}, f.load)
	if err != nil {
		t.Fatal(err)
	}
	// A face on a page, and beside it a band that only the larger part shows.
	face := image.Rect(100, 100, 140, 140).Add(image.Pt(10, 20))
	img := page(image.Rect(10, 20, 330, 260), map[image.Rectangle]uint8{face: 200, image.Rect(150, 120, 190, 160): 90})
	got, err := e.Live(t.Context(), img, face)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean", got, (math.Exp(2)/(math.Exp(2)+2)+0.5)/2)
	middle := 16*32 + 16
	if p, q := f.shown["p"], f.shown["q"]; p[middle] != 200 || q[middle] != 200 || p[16*32+1] != 200 || q[16*32+1] != 0 || q[16*32+28] != 90 {
		t.Errorf("shown %v %v %v %v %v", p[middle], q[middle], p[16*32+1], q[16*32+1], q[16*32+28])
	}
	if err := e.Close(); err != nil || !strings.Contains(strings.Join(f.closed, ""), "pq") {
		t.Errorf("closed %v, %v", f.closed, err)
	}
	if _, err := e.Live(t.Context(), img, face); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Whatever goes wrong is an error: no number is ever made up.
func TestLiveFails(t *testing.T) {
	img, face := page(image.Rect(0, 0, 64, 64), nil), image.Rect(10, 10, 30, 30)
	f := &fakes{classes: map[string][]float32{"p": {0, 0, 0}, "q": {0, 0, 0}}, fail: map[string]error{}}
	e, err := open(Options{Set: judged(), PAD: true}, f.load)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Live(t.Context(), img, image.Rect(100, 100, 120, 120)); err == nil {
		t.Errorf("face outside of the picture: %v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := e.Live(ctx, img, face); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", v, err)
	}
	f.classes["q"] = []float32{0, float32(math.NaN()), 0}
	if v, err := e.Live(t.Context(), img, face); err == nil {
		t.Errorf("not a number: %v", v)
	}
	f.classes["q"], f.fail["q"] = nil, errors.New("broken")
	if v, err := e.Live(t.Context(), img, face); !errors.Is(err, f.fail["q"]) {
		t.Errorf("a network that fails: %v, %v", v, err)
	}
	if v, err := opened(t, &fakes{}).Live(t.Context(), img, face); err == nil {
		t.Errorf("a set without networks for it: %v", v)
	}
	if _, err := open(Options{Set: judged(), PAD: true}, (&fakes{missing: "q"}).load); err == nil || !strings.Contains(err.Error(), "q: no such file") {
		t.Errorf("a network that is not there: %v", err)
	}
	f = &fakes{classes: map[string][]float32{"p": {0, float32(math.NaN()), 0}}}
	if _, err := open(Options{Set: judged(), PAD: true}, f.load); err == nil || len(f.closed) != 5 {
		t.Errorf("a network that computes nonsense: %v, closed %v", err, f.closed)
	}
	if _, err := open(Options{Set: judged()}, (&fakes{missing: "q"}).load); err != nil {
		t.Errorf("networks that nobody wants: %v", err)
	}
}
