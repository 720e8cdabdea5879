package quality

import (
	"image"
	"math"
)

// A Pose is how a head is held, as far as landmarks tell. Angles are in
// degrees, 0 for a face that looks at the camera upright. Eyes is 0 where
// nothing is known.
type Pose struct {
	Eyes  float64 // distance between the middles of the eyes, pixels
	Yaw   float64 // turned toward the person's own left
	Pitch float64 // chin up; 0 where the landmarks do not tell
	Roll  float64 // tilted clockwise for who looks at the picture
}

// Where noses are, in distances between the eyes, by the survey that docs/pad.md
// cites: how far the tip and the base stand out before the eyes and mouth, and
// how far down the tip is between them, as a share, where detectors see it.
const (
	tipOut  = 0.36
	baseOut = 0.27
	tipDown = 0.56
	// tipRise is by how much of the way from eyes to mouth the tip moves up when
	// the chin goes up by 45 degrees.
	tipRise = 0.32
)

// PoseOf returns the pose of a face whose landmarks are the right eye, the left
// eye, the tip of the nose, and the right and left corner of the mouth; right
// and left are the person's own. With another number of them it is zero.
func PoseOf(points []image.Point) Pose {
	if len(points) != 5 {
		return Pose{}
	}
	f := frame(points[0], points[1])
	x, y := f.place(points[2])
	rx, ry := f.place(points[3])
	lx, ly := f.place(points[4])
	mx, my := (rx+lx)/2, (ry+ly)/2
	if f.unit == 0 || my <= 0 {
		return Pose{}
	}
	down := y / my
	return Pose{
		Eyes: f.unit, Roll: f.roll(),
		Yaw:   angle((x - mx*down) / tipOut),
		Pitch: angle((tipDown - down) / tipRise),
	}
}

// PoseOfCorners returns the pose of a face with dlib's five landmarks: outer and
// inner corner of the left eye, the same of the right eye, base of the nose. They
// do not tell the pitch, and the yaw only where the camera is not near.
func PoseOfCorners(points []image.Point) Pose {
	if len(points) != 5 {
		return Pose{}
	}
	// Twice as large, so that a middle between two pixels is not lost.
	f := frame(points[2].Add(points[3]), points[0].Add(points[1]))
	x, _ := f.place(points[4].Mul(2))
	if f.unit == 0 {
		return Pose{}
	}
	return Pose{Eyes: f.unit / 2, Roll: f.roll(), Yaw: angle(x / baseOut)}
}

// axes are those of a face: from the middle of the eyes, in units of their
// distance, toward the left eye and down.
type axes struct{ x, y, unit, dx, dy float64 }

func frame(right, left image.Point) axes {
	dx, dy := float64(left.X-right.X), float64(left.Y-right.Y)
	unit := math.Hypot(dx, dy)
	return axes{float64(left.X+right.X) / 2, float64(left.Y+right.Y) / 2, unit, dx / unit, dy / unit}
}

func (a axes) place(p image.Point) (across, down float64) {
	x, y := float64(p.X)-a.x, float64(p.Y)-a.y
	return (x*a.dx + y*a.dy) / a.unit, (y*a.dx - x*a.dy) / a.unit
}

func (a axes) roll() float64 { return math.Atan2(a.dy, a.dx) * 180 / math.Pi }

func angle(tangent float64) float64 { return math.Atan(tangent) * 180 / math.Pi }
