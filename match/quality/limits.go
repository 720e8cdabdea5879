package quality

import (
	"fmt"
	"math"
)

// A Reason says which gate a face did not pass. The zero value is None.
type Reason int

// The reasons, in the order in which they are looked for.
const (
	None      Reason = iota // it passed
	Size                    // too small: move closer
	Dark                    // too dark
	Bright                  // too bright
	Light                   // lit from one side, or too little contrast
	Sharpness               // blurred: hold still
	Turned                  // not looking at the camera, or the head is tilted
)

// String returns "none", "size", "dark", "bright", "light", "sharpness" or
// "turned".
func (r Reason) String() string {
	switch r {
	case None:
		return "none"
	case Size:
		return "size"
	case Dark:
		return "dark"
	case Bright:
		return "bright"
	case Light:
		return "light"
	case Sharpness:
		return "sharpness"
	case Turned:
		return "turned"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// Limits are the gates. The zero value refuses every face.
type Limits struct {
	MinSize      int     // pixels
	MinSharpness float64 // see Measure
	MinLuma      float64 // 0..255
	MaxLuma      float64 // 0..255
	MaxClipped   float64 // share of the face that may be too dark or too bright to hold detail, 0..1

	// Those below are looked at only where they are above zero.
	MinContrast float64 // see Figures
	MaxSides    float64 // see Figures, 0..1
	MinEyes     float64 // pixels between the eyes
	MaxYaw      float64 // degrees to either side; MaxPitch and MaxRoll likewise
	MaxPitch    float64
	MaxRoll     float64
}

// Loosened returns limits that are wider by a tenth, but for those of the pose.
func (l Limits) Loosened() Limits {
	const less, more = 0.9, 1.1
	l.MinSize = int(less * float64(l.MinSize))
	for _, v := range []*float64{&l.MinSharpness, &l.MinLuma, &l.MinContrast, &l.MinEyes} {
		*v *= less
	}
	for _, v := range []*float64{&l.MaxLuma, &l.MaxClipped, &l.MaxSides} {
		*v *= more
	}
	return l
}

// Check says whether f passes every gate, and if not, the first reason. Light
// comes before sharpness: too little or too much of it leaves no detail. A face
// whose landmarks are not known does not pass a gate on them.
func (l Limits) Check(f Figures) (Reason, bool) {
	switch {
	case f.Size < max(l.MinSize, 1) || l.MinEyes > 0 && !(f.Pose.Eyes >= l.MinEyes):
		return Size, false
	case !(f.Luma >= l.MinLuma && f.Dark <= l.MaxClipped):
		return Dark, false
	case !(f.Luma <= l.MaxLuma && f.Bright <= l.MaxClipped):
		return Bright, false
	case l.MinContrast > 0 && !(f.Contrast >= l.MinContrast) || beyond(f.Sides, l.MaxSides):
		return Light, false
	case !(f.Sharpness >= l.MinSharpness):
		return Sharpness, false
	case l.turned(f.Pose):
		return Turned, false
	}
	return None, true
}

func (l Limits) turned(p Pose) bool {
	asked := l.MaxYaw > 0 || l.MaxPitch > 0 || l.MaxRoll > 0
	return asked && !(p.Eyes > 0) || beyond(p.Yaw, l.MaxYaw) || beyond(p.Pitch, l.MaxPitch) || beyond(p.Roll, l.MaxRoll)
}

// beyond reports whether v, to either side, is beyond a limit that is set.
func beyond(v, limit float64) bool { return limit > 0 && !(math.Abs(v) <= limit) }
