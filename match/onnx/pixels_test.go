package onnx

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"
)

// pictures returns the same picture, of four areas of one colour, in every
// form that the engine meets.
func pictures(t *testing.T, w, h int) map[string]image.Image {
	t.Helper()
	rgba := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, c := range []color.RGBA{{200, 30, 40, 255}, {20, 180, 60, 255}, {10, 50, 220, 255}, {120, 120, 120, 255}} {
		corner := image.Pt(i%2*w/2, i/2*h/2)
		draw.Draw(rgba, image.Rectangle{corner, corner.Add(image.Pt(w/2, h/2))}, image.NewUniform(c), image.Point{}, draw.Src)
	}
	shifted := image.NewRGBA(image.Rect(-7, 5, w+20, h+30))
	draw.Draw(shifted, rgba.Rect.Add(image.Pt(9, 11)), rgba, image.Point{}, draw.Src)
	all := map[string]image.Image{"rgba": rgba, "part of rgba": shifted.SubImage(rgba.Rect.Add(image.Pt(9, 11)))}
	for name, ratio := range map[string]image.YCbCrSubsampleRatio{
		"444": image.YCbCrSubsampleRatio444, "422": image.YCbCrSubsampleRatio422, "420": image.YCbCrSubsampleRatio420,
		"440": image.YCbCrSubsampleRatio440, "411": image.YCbCrSubsampleRatio411, "410": image.YCbCrSubsampleRatio410,
	} {
		large := image.NewYCbCr(image.Rect(0, 0, w+16, h+16), ratio)
		for y := range h {
			for x := range w {
				c := rgba.RGBAAt(x, y)
				yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
				large.Y[large.YOffset(x+8, y+8)] = yy
				large.Cb[large.COffset(x+8, y+8)], large.Cr[large.COffset(x+8, y+8)] = cb, cr
			}
		}
		all[name] = large.SubImage(rgba.Rect.Add(image.Pt(8, 8)))
	}
	return all
}

// The middles of the four areas have the right colours in the right planes,
// for a network that wants blue first and one that wants it last.
func TestCanvasHasTheColoursOfThePicture(t *testing.T) {
	for _, bgr := range []bool{false, true} {
		for name, img := range pictures(t, 160, 96) {
			c := newCanvas(80, 64, newNorm(bgr, [3]float64{10, 20, 30}, [3]float64{2, 4, 8}), 0)
			dst := make([]float32, 3*80*64)
			p := newPixels(img)
			if got := c.draw(dst, &p); got != image.Pt(80, 48) {
				t.Fatalf("%s: drawn as %v", name, got)
			}
			for i, at := range []image.Point{{20, 12}, {60, 12}, {20, 36}, {60, 36}} {
				want := [][3]float64{{200, 30, 40}, {20, 180, 60}, {10, 50, 220}, {120, 120, 120}}[i]
				if bgr {
					want[0], want[2] = want[2], want[0]
				}
				for plane, mean := range []float64{10, 20, 30} {
					got := float64(dst[plane*80*64+at.Y*80+at.X])*float64(int(2)<<plane) + mean
					if math.Abs(got-want[plane]) > 2 {
						t.Errorf("%s, bgr %v, area %d: plane %d is %.1f, want %.0f", name, bgr, i, plane, got, want[plane])
					}
				}
			}
		}
	}
}

// Most camera frames are drawn in a shorter way. It must show the network the same
// but for the rounding of what chroma adds: a picture whose chroma was repeated for
// every pixel takes the longer one.
func TestCameraFramesAreDrawnAsAnyPicture(t *testing.T) {
	for name, ratio := range map[string]image.YCbCrSubsampleRatio{"422": image.YCbCrSubsampleRatio422, "420": image.YCbCrSubsampleRatio420} {
		for _, bgr := range []bool{false, true} {
			half := image.NewYCbCr(image.Rect(0, 0, 46, 26), ratio)
			for _, values := range [][]byte{half.Y, half.Cb, half.Cr} {
				for i := range values {
					values[i] = byte(i*i*31 + 7*i + len(values))
				}
			}
			full := image.NewYCbCr(half.Rect, image.YCbCrSubsampleRatio444)
			for y := range half.Rect.Dy() {
				for x := range half.Rect.Dx() {
					at, from := full.COffset(x, y), half.COffset(x, y)
					full.Y[at], full.Cb[at], full.Cr[at] = half.Y[half.YOffset(x, y)], half.Cb[from], half.Cr[from]
				}
			}
			for name, size := range map[string]image.Point{name: {64, 32}, name + " at half the size": {23, 13}} {
				drawn := func(img image.Image) []float32 {
					c := newCanvas(size.X, size.Y, newNorm(bgr, [3]float64{10, 20, 30}, [3]float64{2, 4, 8}), 0)
					dst, p := make([]float32, 3*size.X*size.Y), newPixels(img)
					c.draw(dst, &p)
					return dst
				}
				// Of smaller ones means are rounded, too.
				most := map[image.Point]float32{{64, 32}: 0.51, {23, 13}: 1.9}[size]
				got, want := drawn(half), drawn(full)
				for i := range got {
					step := 1 / float32([]int{2, 4, 8}[i/(size.X*size.Y)])
					if d := got[i] - want[i]; d > most*step || d < -most*step {
						t.Fatalf("%s, bgr %v: %v at %d, want %v", name, bgr, got[i], i, want[i])
					}
				}
			}
		}
	}
}

func TestCanvasIsBlackBesideThePicture(t *testing.T) {
	c := newCanvas(64, 64, newNorm(false, [3]float64{}, [3]float64{1, 1, 1}), 0)
	dst := make([]float32, 3*64*64)
	for i := range dst {
		dst[i] = 99
	}
	white := image.NewGray(image.Rect(0, 0, 200, 200))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	// A smaller picture must not be seen beside a larger one's remains.
	for _, size := range []image.Point{{200, 200}, {200, 100}, {50, 200}, {10, 10}, {1, 1}, {1, 200}, {200, 1}} {
		p := newPixels(white.SubImage(image.Rectangle{Max: size}))
		drawn := c.draw(dst, &p)
		for i, v := range dst {
			x, y := i%64, i/64%64
			want := float32(0)
			if x < drawn.X && y < drawn.Y {
				want = 255
			}
			if math.Abs(float64(v-want)) > 0.01 {
				t.Fatalf("%v drawn as %v: value at %d,%d is %v, want %v", size, drawn, x, y, v, want)
			}
		}
	}
}

func TestCanvasNeverEnlargesNorOverflows(t *testing.T) {
	c := newCanvas(320, 240, norm{}, 0)
	for in, want := range map[image.Point]image.Point{
		{640, 480}: {320, 240}, {100, 50}: {100, 50}, {1, 1}: {1, 1}, {10000, 1}: {320, 1}, {1, 10000}: {1, 240},
		{1000, 1000}: {240, 240}, {641, 480}: {320, 240}, {640, 481}: {319, 240},
	} {
		if got := c.fit(in.X, in.Y); got != want {
			t.Errorf("%v: %v, want %v", in, got, want)
		}
	}
}

// A shade that grows evenly tells where a sample was taken from.
func TestSampleIsTakenWhereItShould(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 100, 100))
	for y := range 100 {
		for x := range 100 {
			img.SetGray(x, y, color.Gray{Y: uint8(x + y)})
		}
	}
	p := newPixels(img)
	for _, k := range []int{1, 2, 4} {
		for _, at := range []point{{50.5, 50.5}, {20.25, 70.75}, {33, 44}} {
			got := p.sample(at.x, at.y, 1.5, k, 1)
			near(t, "sample", float64(got[0]), at.x+at.y-1)
		}
	}
	if got := p.sample(-1, 50, 1, 1, 1); got[0] != 0 {
		t.Errorf("outside of the picture is %v, want black", got)
	}
	if got := p.sample(99.9, 99.9, 1, 1, 1); got[0] != 198 {
		t.Errorf("at the edge is %v, want that of the last pixel", got)
	}
}

func TestCanvasIsCutToThePicture(t *testing.T) {
	c := newCanvas(640, 640, norm{}, 32)
	for _, tt := range []struct {
		picture, want image.Point
		changed       bool
	}{
		{image.Pt(640, 640), image.Pt(640, 640), false},
		{image.Pt(640, 480), image.Pt(640, 480), true},
		{image.Pt(1280, 960), image.Pt(640, 480), false},
		{image.Pt(150, 130), image.Pt(160, 160), true},
		{image.Pt(1, 5000), image.Pt(32, 640), true},
		{image.Pt(5000, 5000), image.Pt(640, 640), true},
	} {
		changed := c.cut(tt.picture.X, tt.picture.Y)
		if got := image.Pt(c.width, c.height); got != tt.want || changed != tt.changed {
			t.Errorf("%v: %v, %v, want %v, %v", tt.picture, got, changed, tt.want, tt.changed)
		}
		if size := c.fit(tt.picture.X, tt.picture.Y); !size.In(image.Rect(0, 0, c.width+1, c.height+1)) {
			t.Errorf("%v: takes %v of it", tt.picture, size)
		}
	}
	fixed := newCanvas(320, 240, norm{}, 0)
	if fixed.cut(20, 20) || fixed.width != 320 {
		t.Error("one that never is was cut")
	}
}
