package picture_test

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

// kinds returns the four fields as each kind of picture that Decode makes.
func kinds(t *testing.T) map[string]image.Image {
	t.Helper()
	out := map[string]image.Image{}
	for _, name := range []string{"baseline.jpg", "ratio411.jpg", "rgb.png"} {
		img, err := picture.Decode(read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = img
	}
	return out
}

func TestRotate(t *testing.T) {
	for name, img := range kinds(t) {
		for turns, want := range map[int][4]int{
			0: {0, 1, 2, 3}, 1: {2, 0, 3, 1}, 2: {3, 2, 1, 0}, 3: {1, 3, 0, 2}, -1: {1, 3, 0, 2}, 5: {2, 0, 3, 1},
		} {
			got := picture.Rotate(img, turns)
			size := image.Pt(48, 32)
			if turns%2 != 0 {
				size = image.Pt(32, 48)
			}
			if got.Bounds() != (image.Rectangle{Max: size}) {
				t.Errorf("%s by %d: bounds %v", name, turns, got.Bounds())
			}
			checkCorners(t, got, want)
		}
	}
}

func TestRotateKeepsEveryPixel(t *testing.T) {
	src := image.NewGray(image.Rect(2, 3, 7, 6))
	for i := range src.Pix {
		src.Pix[i] = uint8(i)
	}
	got := picture.Rotate(src, 1).(*image.Gray)
	for y := range 3 {
		for x := range 5 {
			if a, b := src.GrayAt(2+x, 3+y), got.GrayAt(2-y, x); a != b {
				t.Errorf("(%d,%d) is %v, want %v", x, y, b, a)
			}
		}
	}
}

func TestScale(t *testing.T) {
	for name, img := range kinds(t) {
		got, factor := picture.Scale(img, 20)
		if got.Bounds() != image.Rect(0, 0, 20, 13) || math.Abs(factor-20.0/48) > 1e-9 {
			t.Errorf("%s: %v by %v", name, got.Bounds(), factor)
		}
		checkCorners(t, got, [4]int{0, 1, 2, 3})
		if same, factor := picture.Scale(img, 48); same != img || factor != 1 {
			t.Errorf("%s was changed by %v", name, factor)
		}
		part, _ := picture.Scale(picture.Crop(img, image.Rect(25, 1, 48, 14)), 8)
		if c := color.RGBAModel.Convert(part.At(4, 2)).(color.RGBA); !near(c.G, 180, 6) || !near(c.R, 32, 6) {
			t.Errorf("%s: part is %v", name, c)
		}
	}
}

func TestScaleAveragesAreas(t *testing.T) {
	src := &image.Gray{Pix: []byte{0, 90, 240}, Stride: 3, Rect: image.Rect(0, 0, 3, 1)}
	got, _ := picture.Scale(src, 2)
	// Each half covers one and a half pixels: (0 + 90/2)/1.5 and (90/2 + 240)/1.5.
	if p := got.(*image.Gray).Pix; p[0] != 30 || p[1] != 190 {
		t.Errorf("averages are %v, want [30 190]", p)
	}
	white := image.NewGray(image.Rect(0, 0, 997, 613))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	for _, side := range []int{1, 2, 331, 996} {
		got, _ := picture.Scale(white, side)
		for _, v := range got.(*image.Gray).Pix {
			if v != 255 {
				t.Fatalf("side %d: white became %d", side, v)
			}
		}
	}
}

func TestCropSharesPixels(t *testing.T) {
	for name, img := range kinds(t) {
		got := picture.Crop(img, image.Rect(25, 17, 100, 100))
		if got.Bounds() != image.Rect(25, 17, 48, 32) {
			t.Errorf("%s: bounds %v", name, got.Bounds())
		}
		if c := color.RGBAModel.Convert(got.At(40, 24)).(color.RGBA); !near(c.R, 220, 6) {
			t.Errorf("%s: %v", name, c)
		}
		if !picture.Crop(img, image.Rect(60, 60, 70, 70)).Bounds().Empty() {
			t.Errorf("%s: a crop outside is not empty", name)
		}
	}
	got := picture.Crop(onlyImage{image.NewUniform(color.White)}, image.Rect(1, 2, 4, 4))
	if got.Bounds() != image.Rect(1, 2, 4, 4) || got.At(3, 3) != (color.RGBA{255, 255, 255, 255}) {
		t.Errorf("crop of another kind: %v %v", got.Bounds(), got.At(3, 3))
	}
}

// onlyImage hides all methods but those of an image.
type onlyImage struct{ image.Image }

func TestLuma(t *testing.T) {
	r := image.Rect(1, 1, 47, 31)
	for name, img := range kinds(t) {
		got := picture.Luma(img, r)
		if got.Rect != r {
			t.Errorf("%s: bounds %v", name, got.Rect)
		}
		for i, want := range luma() {
			if v := got.GrayAt(12+i%2*24, 8+i/2*16).Y; !near(v, want, 3) {
				t.Errorf("%s: field %d is %d, want %d", name, i, v, want)
			}
		}
		if !picture.Luma(img, image.Rect(99, 99, 100, 100)).Rect.Empty() {
			t.Errorf("%s: luma outside is not empty", name)
		}
	}
	colour := image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420)
	if got := picture.Luma(colour, image.Rect(2, 2, 4, 4)); &got.Pix[0] != &colour.Y[18] {
		t.Error("the luma of a YCbCr was copied")
	}
	grey := image.NewGray(image.Rect(0, 0, 8, 8))
	if got := picture.Luma(grey, image.Rect(2, 2, 4, 4)); &got.Pix[0] != &grey.Pix[18] {
		t.Error("the luma of a Gray was copied")
	}
	if got := picture.Luma(onlyImage{colour}, image.Rect(2, 2, 4, 4)).Rect; got != image.Rect(2, 2, 4, 4) {
		t.Errorf("luma of another kind: %v", got)
	}
}
