package match_test

import (
	"image"
	"testing"

	"github.com/facegate/facegate/match"
)

func TestOverlap(t *testing.T) {
	a := image.Rect(0, 0, 10, 10)
	tests := []struct {
		name string
		b    image.Rectangle
		want float64
	}{
		{"itself", a, 1},
		{"half of each", image.Rect(5, 0, 15, 10), 1.0 / 3},
		{"within", image.Rect(0, 0, 5, 5), 0.25},
		{"beside", image.Rect(10, 0, 20, 10), 0},
		{"nothing", image.Rectangle{}, 0},
	}
	for _, tt := range tests {
		if got := match.Overlap(a, tt.b); got != tt.want || match.Overlap(tt.b, a) != got {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := match.Overlap(image.Rectangle{}, image.Rectangle{}); got != 0 {
		t.Errorf("two empty boxes: %v", got)
	}
}
