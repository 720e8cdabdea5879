//go:build integration && cgo && linux && (amd64 || arm64)

package pad_test

import (
	"image"
	"math"
	"math/rand/v2"

	"github.com/facegate/facegate/match/pad"
)

// relief returns how far a head stands out at a place, in millimetres from the
// middle of the eyes: an ellipsoid with a nose whose tip is at a given place.
func relief(x, y, tipX, tipY float64) float64 {
	round := func(x, y float64) float64 {
		return 90 * math.Sqrt(max(0.04, 1-(x/78)*(x/78)-((y-32)/115)*((y-32)/115)))
	}
	ridge := min(1, max(0, (y-tipY+42)/42)) // from the bridge to the tip
	if y > tipY {
		ridge = math.Exp(-(y - tipY) * (y - tipY) / 49)
	}
	return round(x, y) - round(31.5, 0) + 14*math.Exp(-(x-tipX)*(x-tipX)/121)*ridge
}

// headPicture draws what a camera sees of a head that has the print for a skin.
// What one part of it hides of another is drawn all the same, which does not
// matter up to some 40 degrees.
func (v view) headPicture(r *rand.Rand, tip pad.Point) image.Image {
	unit := 63 / math.Hypot(v.eyes[1].X-v.eyes[0].X, v.eyes[1].Y-v.eyes[0].Y)
	middle := pad.Point{X: (v.eyes[0].X + v.eyes[1].X) / 2, Y: (v.eyes[0].Y + v.eyes[1].Y) / 2}
	tipX, tipY := (tip.X-middle.X)*unit, (tip.Y-middle.Y)*unit
	var m [3]spot // columns of the rotation
	for i, s := range []spot{{1, 35, 0}, {0, 36, 0}, {0, 35, 1}} {
		m[i] = turned(body{s}, v.yaw, v.pitch, v.roll)[0]
		m[i][1] -= 35
	}
	w, h := float64(v.img.Rect.Dx()-2), float64(v.img.Rect.Dy()-2)
	out := image.NewRGBA(sight())
	for py := out.Rect.Min.Y; py < out.Rect.Max.Y; py++ {
		for px := out.Rect.Min.X; px < out.Rect.Max.X; px++ {
			rx, ry := (float64(px)-320)/focal, (float64(py)-240)/focal
			// Of the skin's place only the depth is not linear: it is found step by step.
			a, b := m[0][0]+rx*m[0][2], m[1][0]+rx*m[1][2]
			c, d := m[0][1]+ry*m[0][2], m[1][1]+ry*m[1][2]
			var x, y float64
			for range 10 {
				z := relief(x, y, tipX, tipY)
				e, f := rx*v.at[2]-v.at[0]-(m[2][0]+rx*m[2][2])*z, ry*v.at[2]-v.at[1]-(m[2][1]+ry*m[2][2])*z
				x, y = (x+(e*d-b*f)/(a*d-b*c))/2, (y+(a*f-e*c)/(a*d-b*c))/2
			}
			q := pad.Point{X: min(w, max(0, x/unit+middle.X)), Y: min(h, max(0, y/unit+middle.Y))}
			i := out.PixOffset(px, py)
			for k := range 3 {
				out.Pix[i+k] = uint8(min(255, max(0, mixed(v.img, q, k)+3*r.NormFloat64())))
			}
			out.Pix[i+3] = 255
		}
	}
	return out
}
