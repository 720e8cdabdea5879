//go:build integration && spoof && cgo && linux && (amd64 || arm64)

package onnx

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/picture"
)

// The three labelled pictures that come with Silent-Face-Anti-Spoofing: a person
// (T1), and two pictures of people. The numbers are those of docs/pad.md: with the
// face where the set's detector finds it, and, of edge, where YuNet of open
// dimensions does, for which others have measured.
func TestThreePictures(t *testing.T) {
	o, e := judging(t)
	type row struct {
		picture string
		face    image.Rectangle // empty: where the engine finds it
		want    float64
	}
	rows := map[string][]row{
		"edge": {
			{"image_T1.jpg", image.Rect(119, 109, 297, 357), 1.000},
			{"image_F1.jpg", image.Rect(188, 110, 379, 357), 0.344},
			{"image_F2.jpg", image.Rect(147, 211, 361, 522), 0.005},
			{"image_T1.jpg", image.Rectangle{}, 1.000},
			{"image_F1.jpg", image.Rectangle{}, 0.221},
			{"image_F2.jpg", image.Rectangle{}, 0.002},
		},
		"faceplugin": {
			{"image_T1.jpg", image.Rectangle{}, 0.987},
			{"image_F1.jpg", image.Rectangle{}, 0.000},
			{"image_F2.jpg", image.Rectangle{}, 0.003},
		},
	}[o.Set.Name]
	for _, r := range rows {
		data, err := os.ReadFile(filepath.Join(matchtest.Folder(t, "FACEGATE_SPOOF"), r.picture))
		if err != nil {
			t.Fatal(err)
		}
		img, err := picture.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if r.face.Empty() {
			r.face = matchtest.Only(t, e, img).Box
		}
		got, err := e.Live(t.Context(), img, r.face)
		t.Logf("%s, %s, face %v: %.4f", o.Set.Name, r.picture, r.face, got)
		if err != nil || math.Abs(got-r.want) > 0.012 { // a pixel more or less of the face moves F1 by that and more
			t.Errorf("%s, face %v: %.4f, %v, want %.3f", r.picture, r.face, got, err, r.want)
		}
	}
}
