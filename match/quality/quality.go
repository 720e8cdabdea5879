// Package quality measures whether a live face is fit to be compared: large
// enough, sharp enough, neither too dark nor too bright. Each gate has a
// number and a reason, so that a person can be told what to do.
//
//	figures := quality.Measure(img, face.Box)
//	figures.Pose = quality.PoseOf(face.Points)
//	if reason, ok := limits.Check(figures); !ok {
//		// reason is Size, Dark, Bright, Light, Sharpness or Turned
//	}
//
// It does not foretell how good a comparison will be, and it does not tell
// whether a living person stands there. How the usual limits were chosen, and
// what they cost, is in docs/quality.md.
package quality

import (
	"image"
	"math"

	"github.com/facegate/facegate/match/picture"
)

// Side is the length in pixels that the longer side of a face is shrunk to
// before its sharpness is measured, so that the figure depends neither on the
// camera's resolution nor on the distance of the person. A face smaller than
// that is measured as it is.
const Side = 80

// Luma at or beyond these counts as clipped: detail there is lost.
const (
	darkest   = 10
	brightest = 250
)

// Figures is what was measured of one face. All but Size and Pose concern the
// middle three quarters of the box's width and height, because what stands behind
// a head does not count.
type Figures struct {
	Size      int     // pixels, the shorter side of the box
	Sharpness float64 // see Measure
	Luma      float64 // mean, 0..255
	Dark      float64 // share of pixels too dark to hold detail, 0..1
	Bright    float64 // share of pixels too bright to hold detail, 0..1
	Contrast  float64 // standard deviation of luma, in percent of its mean
	Sides     float64 // by how much the right half is brighter than the left, as a share of both, -1..1
	Pose      Pose    // zero until the caller fills it in
}

// Measure returns the figures of the face in the box of img. A box that lies
// partly outside is cut; one that lies wholly outside has the zero Figures.
//
// Sharpness is taken over the middle of the face, shrunk to [Side], and is the
// smaller of the variances of
//
//	Y(x-1,y) - 2*Y(x,y) + Y(x+1,y)   and   Y(x,y-1) - 2*Y(x,y) + Y(x,y+1)
//
// where Y is luma in percent of its mean there. These are the two halves of
// the Laplacian. Their sum would miss a moving head, whose picture is blurred
// in one direction only; without the mean, a face in a quarter of the light
// would count as four times as blurred. The noise of a camera in the dark
// raises the figure, so a blurred face there may pass as sharp.
func Measure(img image.Image, box image.Rectangle) Figures {
	box = box.Intersect(img.Bounds())
	if box.Empty() {
		return Figures{}
	}
	f := Figures{Size: min(box.Dx(), box.Dy())}
	face := picture.Luma(img, middle(box))
	f.light(face)
	// The middle is three quarters of the face, so it is shrunk to as much.
	small, _ := picture.Scale(face, Side*3/4)
	if f.Luma > 0 {
		across, down := curvature(picture.Luma(small, small.Bounds()))
		f.Sharpness = min(across, down) * (100 / f.Luma) * (100 / f.Luma)
	}
	return f
}

// middle returns the middle three quarters of r's width and height.
func middle(r image.Rectangle) image.Rectangle {
	x, y := r.Dx()/8, r.Dy()/8
	return image.Rect(r.Min.X+x, r.Min.Y+y, r.Max.X-x, r.Max.Y-y)
}

// light fills in what depends on how m is lit.
func (f *Figures) light(m *image.Gray) {
	var counts [256]int
	var halves [2]int // sums of luma; of an odd width, the middle column belongs to neither
	width, height := m.Rect.Dx(), m.Rect.Dy()
	for y := range height {
		row := m.Pix[y*m.Stride:][:width]
		for _, v := range row {
			counts[v]++
		}
		for x := range width / 2 {
			halves[0] += int(row[x])
			halves[1] += int(row[width-1-x])
		}
	}
	var sum, squares, low, high int
	for v, n := range counts {
		sum += v * n
		squares += v * v * n
		if v <= darkest {
			low += n
		}
		if v >= brightest {
			high += n
		}
	}
	all := float64(width * height)
	f.Luma, f.Dark, f.Bright = float64(sum)/all, float64(low)/all, float64(high)/all
	if f.Luma > 0 {
		f.Contrast = 100 * math.Sqrt(max(0, float64(squares)/all-f.Luma*f.Luma)) / f.Luma
	}
	if both := halves[0] + halves[1]; both > 0 {
		f.Sides = float64(halves[1]-halves[0]) / float64(both)
	}
}

// curvature returns the variance of the second difference of m's luma in each
// direction, 0 if m is too small to have one.
func curvature(m *image.Gray) (across, down float64) {
	width, height := m.Rect.Dx(), m.Rect.Dy()
	if width < 3 || height < 3 {
		return 0, 0
	}
	var h, v variance
	for y := 1; y < height-1; y++ {
		above, row, below := m.Pix[(y-1)*m.Stride:], m.Pix[y*m.Stride:], m.Pix[(y+1)*m.Stride:]
		for x := 1; x < width-1; x++ {
			twice := 2 * int(row[x])
			h.add(int(row[x-1]) + int(row[x+1]) - twice)
			v.add(int(above[x]) + int(below[x]) - twice)
		}
	}
	return h.value(), v.value()
}

// A variance is taken of whole numbers.
type variance struct{ n, sum, squares int64 }

func (v *variance) add(x int) {
	v.n++
	v.sum += int64(x)
	v.squares += int64(x) * int64(x)
}

func (v variance) value() float64 {
	mean := float64(v.sum) / float64(v.n)
	return float64(v.squares)/float64(v.n) - mean*mean
}
