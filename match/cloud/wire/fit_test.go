package wire_test

import (
	"bytes"
	"image/jpeg"
	"testing"

	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestFitLeavesSmallPicturesAlone(t *testing.T) {
	data := wiretest.Noise(t, 100, 80, 95)
	got, err := wire.Fit(data, len(data))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("a picture of the limit was changed: %d bytes of %d, %v", len(got), len(data), err)
	}
}

func TestFitShrinks(t *testing.T) {
	data := wiretest.Noise(t, 800, 600, 95)
	for _, limit := range []int{len(data) - 1, len(data) / 2, len(data) / 10} {
		got, err := wire.Fit(data, limit)
		if err != nil || len(got) > limit {
			t.Fatalf("limit %d: %d bytes, %v", limit, len(got), err)
		}
		size, err := jpeg.DecodeConfig(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if shape := float64(size.Width) / float64(size.Height); shape < 1.3 || shape > 1.37 {
			t.Errorf("limit %d: %d x %d is not the shape of 800 x 600", limit, size.Width, size.Height)
		}
	}
}

func TestFitGivesUp(t *testing.T) {
	if got, err := wire.Fit(wiretest.Noise(t, 400, 300, 95), 500); err == nil {
		t.Errorf("400 x 300 of noise in %d bytes", len(got))
	}
	if got, err := wire.Fit([]byte("no picture"), 5); err == nil {
		t.Errorf("no picture became %d bytes", len(got))
	}
	if got, err := wire.Fit(nil, 0); err != nil || got != nil {
		t.Errorf("nothing became %v, %v", got, err)
	}
}
