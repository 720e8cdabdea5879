package document

import (
	"image"
	"image/color"
	"testing"
)

// Every face that may span a border lies wholly in one tile, and no tile is
// larger than an engine takes.
func TestTiles(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1600, 1600}, {1601, 800}, {2400, 1697}, {2941, 2400}, {9000, 300}} {
		b := image.Rectangle{Max: size}.Add(image.Pt(7, 11))
		parts := tiles(b)
		for _, p := range parts {
			if !p.In(b) || p.Dx() > tile || p.Dy() > tile {
				t.Errorf("%v: tile %v", b, p)
			}
		}
		for x := b.Min.X; x < b.Max.X; x += 37 {
			for y := b.Min.Y; y < b.Max.Y; y += 37 {
				face := image.Rect(x, y, x+shared-1, y+shared-1).Intersect(b)
				whole := false
				for _, p := range parts {
					whole = whole || face.In(p)
				}
				if !whole {
					t.Fatalf("%v: no tile has all of %v", b, face)
				}
			}
		}
	}
}

func TestEnlarge(t *testing.T) {
	small := image.NewGray(image.Rect(5, 5, 7, 6))
	small.SetGray(5, 5, color.Gray{Y: 100})
	small.SetGray(6, 5, color.Gray{Y: 200})
	large := enlarge(small, 4)
	if large.Bounds() != image.Rect(0, 0, 8, 4) {
		t.Fatalf("bounds %v", large.Bounds())
	}
	for x, want := range []uint8{100, 100, 112, 137, 162, 187, 200, 200} {
		got := color.GrayModel.Convert(large.At(x, 2)).(color.Gray).Y
		if max(got, want)-min(got, want) > 1 {
			t.Errorf("at %d: %d, want %d", x, got, want)
		}
	}
}
