package quality

import "fmt"

// A Reason says which gate a face did not pass. The zero value is None.
type Reason int

// The reasons, in the order in which they are looked for.
const (
	None      Reason = iota // it passed
	Size                    // too small: move closer
	Dark                    // too dark
	Bright                  // too bright
	Sharpness               // blurred: hold still
)

// String returns "none", "size", "dark", "bright" or "sharpness".
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
	case Sharpness:
		return "sharpness"
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
}

// Check says whether f passes every gate, and if not, the first reason. Light
// comes before sharpness: too little or too much of it leaves no detail.
func (l Limits) Check(f Figures) (Reason, bool) {
	switch {
	case f.Size < max(l.MinSize, 1):
		return Size, false
	case !(f.Luma >= l.MinLuma && f.Dark <= l.MaxClipped):
		return Dark, false
	case !(f.Luma <= l.MaxLuma && f.Bright <= l.MaxClipped):
		return Bright, false
	case !(f.Sharpness >= l.MinSharpness):
		return Sharpness, false
	}
	return None, true
}
