//go:build cgo && (dlib || integration)

package pad_test

import (
	"image"
	"image/draw"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/pad"
	"github.com/facegate/facegate/match/picture"
)

// A print is a portrait on paper.
type print struct {
	img  *image.RGBA
	face match.Face // as the engine finds it in img
	eyes [2]pad.Point
}

// largest returns the largest face that an engine finds.
func largest(t *testing.T, e match.Engine, img image.Image) (match.Face, bool) {
	t.Helper()
	faces, err := e.Faces(t.Context(), img, match.Boxes)
	if err != nil {
		t.Fatal(err)
	}
	if len(faces) == 0 || len(faces[0].Points) != 5 {
		return match.Face{}, false
	}
	return faces[0], true
}

// points returns a face's landmarks.
func points(f match.Face) (p pad.Points) {
	for i, q := range f.Points {
		p[i] = pad.At(q)
	}
	return p
}

// portraits are the four pictures that make fetches.
func portraits(t *testing.T, e match.Engine, eyes func(pad.Points) (right, left pad.Point)) []print {
	t.Helper()
	var all []print
	for _, name := range []string{"obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"} {
		small, _ := picture.Scale(matchtest.Portrait(t, name), 1000)
		p := print{img: image.NewRGBA(image.Rectangle{Max: small.Bounds().Size()})}
		draw.Draw(p.img, p.img.Rect, small, small.Bounds().Min, draw.Src)
		var ok bool
		if p.face, ok = largest(t, e, p.img); !ok {
			t.Fatalf("%s: no face", name)
		}
		p.eyes[0], p.eyes[1] = eyes(points(p.face))
		all = append(all, p)
	}
	return all
}

// A view is a print before a camera.
type view struct {
	print
	pose
	at spot
}

// place returns where a pixel of the print is seen. The middle of its eyes is the
// point that it turns round; the eyes are 63 mm apart.
func (v view) place(p pad.Point) pad.Point {
	right, left := v.eyes[0], v.eyes[1]
	unit := 63 / math.Hypot(left.X-right.X, left.Y-right.Y)
	middle := pad.Point{X: (right.X + left.X) / 2, Y: (right.Y + left.Y) / 2}
	s := spot{(p.X - middle.X) * unit, (p.Y-middle.Y)*unit + 35, 0}
	return seen(turned(body{s}, v.yaw, v.pitch, v.roll), v.at)[0]
}

// sight is the middle of what the camera of 640x480 pixels sees: more is not drawn.
func sight() image.Rectangle { return image.Rect(120, 40, 520, 440) }

// picture draws what the camera sees, with noise.
func (v view) picture(r *rand.Rand) image.Image {
	out := image.NewRGBA(sight())
	// Where a pixel of the camera is on the print: by the homography of its four corners.
	w, h := float64(v.img.Rect.Dx()-1), float64(v.img.Rect.Dy()-1)
	from := pad.Points{v.place(pad.Point{}), v.place(pad.Point{X: w}), {}, v.place(pad.Point{Y: h}), v.place(pad.Point{X: w, Y: h})}
	to := pad.Points{{}, {X: w}, {}, {Y: h}, {X: w, Y: h}}
	back := pad.Plane(from, to)
	for y := out.Rect.Min.Y; y < out.Rect.Max.Y; y++ {
		for x := out.Rect.Min.X; x < out.Rect.Max.X; x++ {
			q := back(pad.Point{X: float64(x), Y: float64(y)})
			i := out.PixOffset(x, y)
			for c := range 3 {
				grey := 110.0
				if q.X >= 0 && q.Y >= 0 && q.X < w && q.Y < h {
					grey = mixed(v.img, q, c)
				}
				out.Pix[i+c] = uint8(min(255, max(0, grey+3*r.NormFloat64())))
			}
			out.Pix[i+3] = 255
		}
	}
	return out
}

// mixed returns a colour between pixels.
func mixed(m *image.RGBA, p pad.Point, c int) float64 {
	x, y := int(p.X), int(p.Y)
	fx, fy := p.X-float64(x), p.Y-float64(y)
	at := func(dx, dy int) float64 { return float64(m.Pix[m.PixOffset(x+dx, y+dy)+c]) }
	return (at(0, 0)*(1-fx)+at(1, 0)*fx)*(1-fy) + (at(0, 1)*(1-fx)+at(1, 1)*fx)*fy
}
