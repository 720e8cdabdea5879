package quality_test

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"

	"github.com/facegate/facegate/match/quality"
)

// face draws a picture with a texture of rings, of the given side, whose luma
// lies in low..high.
func face(side int, low, high float64) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			r := math.Hypot(float64(x)/float64(side)-0.5, float64(y)/float64(side)-0.5)
			m.SetGray(x, y, color.Gray{Y: uint8(low + (high-low)*(0.5+0.5*math.Sin(40*r)))})
		}
	}
	return m
}

// blur averages each pixel with its neighbours up to r away.
func blur(m *image.Gray, r int) *image.Gray {
	out := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			area := image.Rect(x-r, y-r, x+r+1, y+r+1).Intersect(m.Rect)
			sum := 0
			for v := area.Min.Y; v < area.Max.Y; v++ {
				for u := area.Min.X; u < area.Max.X; u++ {
					sum += int(m.GrayAt(u, v).Y)
				}
			}
			out.SetGray(x, y, color.Gray{Y: uint8(sum / (area.Dx() * area.Dy()))})
		}
	}
	return out
}

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*want }

func TestFlatFace(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 300, 200))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{Y: 90}), image.Point{}, draw.Src)
	got := quality.Measure(m, image.Rect(50, 50, 210, 150))
	if want := (quality.Figures{Size: 100, Luma: 90}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// checks draws squares of one pixel, of luma 50 and 150.
func checks(side int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, side, side))
	for i := range m.Pix {
		m.Pix[i] = 50
		if (i/side+i%side)%2 == 1 {
			m.Pix[i] = 150
		}
	}
	return m
}

func TestSharpnessOfChecks(t *testing.T) {
	// Each second difference is +200 or -200 percent of the mean of 100.
	m := checks(80)
	if got := quality.Measure(m, m.Rect).Sharpness; !near(got, 40000, 0.001) {
		t.Errorf("sharpness %v, want 40000", got)
	}
}

// What went wrong: the variance of the whole Laplacian let four in five faces
// pass that a head's movement had smeared over a tenth of their width.
func TestBlurInOneDirectionCounts(t *testing.T) {
	m := face(160, 60, 180)
	sharp := quality.Measure(m, m.Rect).Sharpness
	for name, step := range map[string]image.Point{"across": {X: 1}, "down": {Y: 1}} {
		smeared := image.NewGray(m.Rect)
		for i := range m.Pix {
			sum := 0
			for k := -8; k < 8; k++ {
				x, y := i%160+k*step.X, i/160+k*step.Y
				sum += int(m.GrayAt(min(max(x, 0), 159), min(max(y, 0), 159)).Y)
			}
			smeared.Pix[i] = uint8(sum / 16)
		}
		if got := quality.Measure(smeared, m.Rect).Sharpness; got > sharp/3 {
			t.Errorf("%s: sharpness %v, of %v unblurred", name, got, sharp)
		}
	}
}

func TestClippedShares(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 160, 160))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{Y: 100}), image.Point{}, draw.Src)
	draw.Draw(m, image.Rect(20, 20, 50, 140), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(m, image.Rect(80, 20, 140, 140), image.NewUniform(color.Black), image.Point{}, draw.Src)
	got := quality.Measure(m, m.Rect)
	if got.Bright != 0.25 || got.Dark != 0.5 {
		t.Errorf("bright %v, dark %v, want 0.25 and 0.5", got.Bright, got.Dark)
	}
}

func TestWhatStandsBehindTheHeadDoesNotCount(t *testing.T) {
	m := face(160, 60, 140)
	want := quality.Measure(m, m.Rect)
	for i := range m.Pix {
		if x, y := i%160, i/160; x < 19 || x > 140 || y < 19 || y > 140 {
			m.Pix[i] = 255
		}
	}
	if got := quality.Measure(m, m.Rect); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSharpnessIgnoresSizeAndLight(t *testing.T) {
	want := quality.Measure(face(160, 60, 180), image.Rect(0, 0, 160, 160)).Sharpness
	for _, side := range []int{120, 240, 401, 640} {
		m := face(side, 60, 180)
		if got := quality.Measure(m, m.Rect).Sharpness; !near(got, want, 0.25) {
			t.Errorf("at %d pixels %v, want about %v", side, got, want)
		}
	}
	half := face(160, 30, 90)
	if got := quality.Measure(half, half.Rect).Sharpness; !near(got, want, 0.1) {
		t.Errorf("at half the light %v, want about %v", got, want)
	}
}

func TestBlurLowersSharpness(t *testing.T) {
	m := face(160, 60, 180)
	last := quality.Measure(m, m.Rect).Sharpness
	for r := 1; r <= 6; r++ {
		got := quality.Measure(blur(m, r), m.Rect).Sharpness
		if got >= last {
			t.Errorf("blur over %d pixels: %v, not below %v", r, got, last)
		}
		last = got
	}
}

func TestKindsOfPictureAgree(t *testing.T) {
	grey := face(160, 60, 180)
	want := quality.Measure(grey, grey.Rect)
	rgba := image.NewRGBA(grey.Rect)
	draw.Draw(rgba, grey.Rect, grey, image.Point{}, draw.Src)
	ycbcr := image.NewYCbCr(grey.Rect, image.YCbCrSubsampleRatio420)
	copy(ycbcr.Y, grey.Pix)
	for _, m := range []image.Image{rgba, ycbcr} {
		if got := quality.Measure(m, m.Bounds()); !near(got.Sharpness, want.Sharpness, 0.01) || !near(got.Luma, want.Luma, 0.01) {
			t.Errorf("%T: got %+v, want %+v", m, got, want)
		}
	}
}

func TestOddBoxes(t *testing.T) {
	m := face(100, 60, 180)
	for _, tt := range []struct {
		box  image.Rectangle
		size int
	}{
		{image.Rect(-50, -50, 50, 60), 50},
		{image.Rect(200, 200, 300, 300), 0},
		{image.Rectangle{}, 0},
		{image.Rect(10, 10, 11, 11), 1},
		{image.Rect(10, 10, 12, 90), 2},
	} {
		got := quality.Measure(m, tt.box)
		if got.Size != tt.size || math.IsNaN(got.Sharpness) || math.IsNaN(got.Luma) {
			t.Errorf("%v: got %+v, want size %d", tt.box, got, tt.size)
		}
	}
	black := image.NewGray(image.Rect(0, 0, 100, 100))
	if got := quality.Measure(black, black.Rect); got.Sharpness != 0 || got.Dark != 1 {
		t.Errorf("black: got %+v", got)
	}
}

func TestCheck(t *testing.T) {
	limits := quality.Limits{MinSize: 80, MinSharpness: 10, MinLuma: 40, MaxLuma: 220, MaxClipped: 0.5}
	good := quality.Figures{Size: 80, Sharpness: 10, Luma: 40, Dark: 0.5, Bright: 0.5}
	change := func(f func(*quality.Figures)) quality.Figures {
		bad := good
		f(&bad)
		return bad
	}
	for _, tt := range []struct {
		figures quality.Figures
		want    quality.Reason
	}{
		{good, quality.None},
		{change(func(f *quality.Figures) { f.Luma = 220 }), quality.None},
		{change(func(f *quality.Figures) { f.Size = 79 }), quality.Size},
		{change(func(f *quality.Figures) { f.Luma = 39.9 }), quality.Dark},
		{change(func(f *quality.Figures) { f.Dark = 0.51 }), quality.Dark},
		{change(func(f *quality.Figures) { f.Luma = 220.1 }), quality.Bright},
		{change(func(f *quality.Figures) { f.Bright = 0.51 }), quality.Bright},
		{change(func(f *quality.Figures) { f.Sharpness = 9.9 }), quality.Sharpness},
		{change(func(f *quality.Figures) { f.Sharpness, f.Luma = 0, 5 }), quality.Dark},
		{change(func(f *quality.Figures) { f.Sharpness = math.NaN() }), quality.Sharpness},
		{change(func(f *quality.Figures) { f.Luma = math.NaN() }), quality.Dark},
		{quality.Figures{}, quality.Size},
	} {
		reason, ok := limits.Check(tt.figures)
		if reason != tt.want || ok != (tt.want == quality.None) {
			t.Errorf("%+v: got %v, %v, want %v", tt.figures, reason, ok, tt.want)
		}
	}
	if _, ok := (quality.Limits{}).Check(good); ok {
		t.Error("the zero limits passed a face")
	}
}
