package picture_test

import (
	"math"
	"slices"
	"testing"

	"github.com/facegate/facegate/match/picture"
)

func TestSpansCoverEverythingOnce(t *testing.T) {
	for _, c := range []struct{ to, from int }{{1, 1}, {1, 10000}, {640, 640}, {320, 640}, {640, 1000}, {3, 7}, {640, 320}, {7, 3}, {5, 1}} {
		spans := picture.Cover(nil, c.to, c.from)
		weights := make([]float64, c.from)
		for _, s := range spans {
			var sum float64
			for i := s.First; i <= s.Last; i++ {
				sum += float64(s.Weight(i))
				weights[i] += float64(s.Weight(i))
			}
			nearOne(t, "sum of a span's weights", sum)
		}
		for _, w := range weights {
			nearOne(t, "weight of a value", w*float64(c.from)/float64(c.to))
		}
	}
}

// The memory of spans is used again, whatever they were for before.
func TestSpansFollowTheSizeOfThePicture(t *testing.T) {
	var spans []picture.Span
	for _, c := range []struct{ to, from int }{{320, 640}, {320, 641}, {320, 640}, {640, 640}, {320, 320}, {3, 9}, {3, 8}, {3, 7}} {
		spans = picture.Cover(spans, c.to, c.from)
		if want := picture.Cover(nil, c.to, c.from); !slices.Equal(spans, want) {
			t.Fatalf("%d of %d: not as in new memory", c.to, c.from)
		}
	}
}

// nearOne checks that got is one.
func nearOne(t *testing.T, what string, got float64) {
	t.Helper()
	if !(math.Abs(got-1) <= 1e-3) {
		t.Errorf("%s is %v, want 1", what, got)
	}
}
