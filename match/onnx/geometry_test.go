package onnx

import (
	"image"
	"math"
	"testing"
)

// near fails unless got is want within a thousandth.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-3) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func nearPoint(t *testing.T, what string, got, want point) {
	t.Helper()
	near(t, what+" x", got.x, want.x)
	near(t, what+" y", got.y, want.y)
}

func TestFitFindsTheTransformBack(t *testing.T) {
	for name, c := range map[string]struct {
		degrees, scale, tx, ty float64
	}{
		"nothing":     {0, 1, 0, 0},
		"shift":       {0, 1, 300, -20},
		"half size":   {0, 0.5, 0, 0},
		"five times":  {0, 5, -90, 12},
		"quarter":     {90, 1, 0, 0},
		"on its head": {180, 1, 640, 480},
		"all of it":   {-33, 2.7, 81, 207},
	} {
		sin, cos := math.Sincos(c.degrees * math.Pi / 180)
		want := similarity{a: c.scale * cos, b: c.scale * sin, tx: c.tx, ty: c.ty}
		from := template5(112)
		var to [5]point
		for i, p := range from {
			to[i] = want.apply(p)
		}
		got, ok := fit(from, to)
		if !ok {
			t.Errorf("%s: no transform", name)
			continue
		}
		near(t, name+": a", got.a, want.a)
		near(t, name+": b", got.b, want.b)
		near(t, name+": tx", got.tx, want.tx)
		near(t, name+": ty", got.ty, want.ty)
		near(t, name+": scale", got.scale(), c.scale)
	}
}

// With errors in the points the fit is the best there is: every small change
// of it makes the squares of the distances larger.
func TestFitIsTheLeastSquares(t *testing.T) {
	from := template5(112)
	to := [5]point{{210, 190}, {301, 204}, {240, 260}, {205, 310}, {280, 322}}
	best, ok := fit(from, to)
	if !ok {
		t.Fatal("no transform")
	}
	squares := func(s similarity) (sum float64) {
		for i := range from {
			p := s.apply(from[i])
			sum += (p.x-to[i].x)*(p.x-to[i].x) + (p.y-to[i].y)*(p.y-to[i].y)
		}
		return sum
	}
	least := squares(best)
	for _, d := range []float64{-0.01, 0.01} {
		for name, other := range map[string]similarity{
			"a": {best.a + d, best.b, best.tx, best.ty}, "b": {best.a, best.b + d, best.tx, best.ty},
			"tx": {best.a, best.b, best.tx + d, best.ty}, "ty": {best.a, best.b, best.tx, best.ty + d},
		} {
			if squares(other) <= least {
				t.Errorf("%s changed by %v: squares %v, not above %v", name, d, squares(other), least)
			}
		}
	}
}

// A face in a mirror is turned, never reflected: determinant a*a + b*b cannot
// be negative, so the eyes stay on their sides.
func TestFitDoesNotReflect(t *testing.T) {
	from := template5(112)
	to := from
	for i := range to {
		to[i].x = 112 - to[i].x
	}
	s, ok := fit(from, to)
	if !ok {
		t.Fatal("no transform")
	}
	if cross := s.a*s.a + s.b*s.b; cross <= 0 {
		t.Errorf("determinant %v", cross)
	}
	if s.scale() > 0.5 {
		t.Errorf("a mirrored face fits at scale %v; it must fit badly", s.scale())
	}
}

func TestFitRefusesPointsThatNoFaceHas(t *testing.T) {
	places := template5(112)
	nan, inf := math.NaN(), math.Inf(1)
	for name, bad := range map[string][5]point{
		"all one":  {{5, 5}, {5, 5}, {5, 5}, {5, 5}, {5, 5}},
		"nan":      {{nan, 5}, {6, 5}, {7, 5}, {8, 5}, {9, 5}},
		"infinite": {{inf, 5}, {6, 5}, {7, 5}, {8, 5}, {9, 5}},
		"far away": {{1e300, 0}, {-1e300, 0}, {0, 1e300}, {0, -1e300}, {0, 0}},
	} {
		if _, ok := fit(places, bad); ok {
			t.Errorf("%s: fitted", name)
		}
		if _, ok := fit(bad, places); ok && name != "far away" {
			t.Errorf("%s: fitted the other way round", name)
		}
	}
}

func TestRectangleOfABox(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		b    box
		want image.Rectangle
	}{
		{box{1.4, 1.6, 9.5, 9.4}, image.Rect(1, 2, 10, 9)},
		{box{5, 5, 5, 9}, image.Rectangle{}},
		{box{9, 5, 5, 9}, image.Rectangle{}},
		{box{nan, 5, 5, 9}, image.Rectangle{}},
		{box{-1e18, 0, 1e18, 3}, image.Rect(-1e6, 0, 1e6, 3)},
	} {
		if got := c.b.rectangle(); got != c.want {
			t.Errorf("%v: %v, want %v", c.b, got, c.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	a := box{0, 0, 10, 10}
	near(t, "with itself", a.overlap(a), 1)
	near(t, "half", a.overlap(box{5, 0, 15, 10}), 1.0/3)
	near(t, "beside", a.overlap(box{10, 0, 20, 10}), 0)
	near(t, "within", a.overlap(box{0, 0, 5, 5}), 0.25)
}
