package quality_test

import (
	"image"
	"math"
	"testing"

	"github.com/facegate/facegate/match/quality"
)

// landmark returns where a camera two metres away, of 2000 pixels to the radian,
// sees a place of a head: millimetres from the middle of the eyes, to the
// right of who looks at it, down, and toward them.
func landmark(x, y, z, yaw, pitch, roll float64) image.Point {
	x, z = x*math.Cos(yaw)+z*math.Sin(yaw), z*math.Cos(yaw)-x*math.Sin(yaw)
	y, z = y*math.Cos(pitch)-z*math.Sin(pitch), z*math.Cos(pitch)+y*math.Sin(pitch)
	x, y = x*math.Cos(roll)-y*math.Sin(roll), x*math.Sin(roll)+y*math.Cos(roll)
	scale := 4000 / (2000 - z) * 2
	return image.Pt(int(math.Round(1000+x*scale)), int(math.Round(1000+y*scale)))
}

func TestPose(t *testing.T) {
	for _, tt := range []quality.Pose{
		{}, {Yaw: 20}, {Yaw: -20}, {Yaw: 35}, {Pitch: 15}, {Pitch: -15}, {Roll: 30}, {Roll: -30}, {Yaw: 20, Pitch: 10, Roll: 15},
	} {
		yaw, pitch, roll := tt.Yaw*math.Pi/180, tt.Pitch*math.Pi/180, tt.Roll*math.Pi/180
		at := func(x, y, z float64) image.Point { return landmark(x, y, z, yaw, pitch, roll) }
		five := quality.PoseOf([]image.Point{at(-31.5, 0, 0), at(31.5, 0, 0), at(0, 40, 29), at(-25, 70, 12), at(25, 70, 12)})
		corners := quality.PoseOfCorners([]image.Point{at(44, 0, -4), at(17, 0, 2), at(-44, 0, -4), at(-17, 0, 2), at(0, 47, 17)})
		for name, got := range map[string]quality.Pose{"eyes, nose, mouth": five, "corners": corners} {
			if want := 252 * math.Cos(yaw); math.Abs(got.Eyes-want) > 0.1*want {
				t.Errorf("%s, %+v: eyes %.0f pixels apart, want about %.0f", name, tt, got.Eyes, want)
			}
			wantPitch := tt.Pitch
			if name == "corners" {
				wantPitch = 0
			}
			for what, off := range map[string]float64{"yaw": got.Yaw - tt.Yaw, "pitch": got.Pitch - wantPitch, "roll": got.Roll - tt.Roll} {
				most := 7.0
				if name == "corners" && tt.Pitch != 0 && tt.Yaw != 0 {
					most = 11 // an unknown pitch counts as some yaw once the head is tilted
				}
				if math.Abs(off) > most {
					t.Errorf("%s, %+v: %s is off by %.1f degrees", name, tt, what, off)
				}
			}
		}
	}
}

func TestPoseOfNoLandmarks(t *testing.T) {
	same := make([]image.Point, 5)
	for _, points := range [][]image.Point{nil, make([]image.Point, 4), same} {
		if got := quality.PoseOf(points); got != (quality.Pose{}) {
			t.Errorf("%d points: %+v", len(points), got)
		}
		if got := quality.PoseOfCorners(points); got != (quality.Pose{}) {
			t.Errorf("%d corners: %+v", len(points), got)
		}
	}
}

// A lamp at one side makes one half brighter; in a haze all is alike.
func TestLight(t *testing.T) {
	even := face(160, 60, 180)
	was := quality.Measure(even, even.Rect)
	if math.Abs(was.Sides) > 0.02 {
		t.Errorf("lit evenly: sides %v", was.Sides)
	}
	lit, hazy := image.NewGray(even.Rect), image.NewGray(even.Rect)
	for i, v := range even.Pix {
		lit.Pix[i], hazy.Pix[i] = v, 150+v/6
		if i%160 < 80 {
			lit.Pix[i] = v / 3
		}
	}
	if got := quality.Measure(lit, lit.Rect).Sides; !near(got, 0.5, 0.05) {
		t.Errorf("a third of the light on the left: sides %v, want 0.5", got)
	}
	if got, want := quality.Measure(hazy, hazy.Rect).Contrast, was.Contrast*(was.Luma/6)/(150+was.Luma/6); !near(got, want, 0.05) {
		t.Errorf("hazy: contrast %v, want %v of the %v before", got, want, was.Contrast)
	}
}

func TestGatesThatAreSet(t *testing.T) {
	limits := quality.Limits{
		MinSize: 80, MinSharpness: 10, MinLuma: 40, MaxLuma: 220, MaxClipped: 0.5,
		MinContrast: 5, MaxSides: 0.3, MinEyes: 60, MaxYaw: 20, MaxPitch: 15, MaxRoll: 10,
	}
	good := quality.Figures{Size: 80, Sharpness: 10, Luma: 40, Contrast: 5, Sides: -0.3, Pose: quality.Pose{Eyes: 60, Yaw: -20, Pitch: 15, Roll: -10}}
	for _, tt := range []struct {
		name   string
		change func(*quality.Figures)
		want   quality.Reason
	}{
		{"good", func(*quality.Figures) {}, quality.None},
		{"eyes near each other", func(f *quality.Figures) { f.Pose.Eyes = 59 }, quality.Size},
		{"no contrast", func(f *quality.Figures) { f.Contrast = 4.9 }, quality.Light},
		{"lit from the right", func(f *quality.Figures) { f.Sides = 0.31 }, quality.Light},
		{"turned", func(f *quality.Figures) { f.Pose.Yaw = 20.1 }, quality.Turned},
		{"chin down", func(f *quality.Figures) { f.Pose.Pitch = -15.1 }, quality.Turned},
		{"tilted", func(f *quality.Figures) { f.Pose.Roll = 10.1 }, quality.Turned},
		{"no number", func(f *quality.Figures) { f.Pose.Yaw = math.NaN() }, quality.Turned},
		{"no landmarks", func(f *quality.Figures) { f.Pose = quality.Pose{} }, quality.Size},
	} {
		f := good
		tt.change(&f)
		if got, ok := limits.Check(f); got != tt.want || ok != (tt.want == quality.None) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
	angles := quality.Limits{MinSize: 80, MinSharpness: 10, MaxLuma: 220, MaxRoll: 10}
	if got, _ := angles.Check(quality.Figures{Size: 80, Sharpness: 10}); got != quality.Turned {
		t.Errorf("no landmarks, angles asked for: %v, want turned", got)
	}
}

func TestLoosenedLimits(t *testing.T) {
	limits := quality.Limits{MinSize: 80, MinSharpness: 10, MinLuma: 40, MaxLuma: 200, MaxClipped: 0.5, MinContrast: 5, MaxSides: 0.3, MinEyes: 60, MaxYaw: 20}
	good := quality.Figures{Size: 80, Sharpness: 10, Luma: 40, Contrast: 5, Sides: -0.3, Pose: quality.Pose{Eyes: 60, Yaw: -20}}
	for name, change := range map[string]func(f *quality.Figures, share float64){
		"size":      func(f *quality.Figures, share float64) { f.Size = int(80 * (1 - share)) },
		"eyes":      func(f *quality.Figures, share float64) { f.Pose.Eyes *= 1 - share },
		"sharpness": func(f *quality.Figures, share float64) { f.Sharpness *= 1 - share },
		"dark":      func(f *quality.Figures, share float64) { f.Luma *= 1 - share },
		"bright":    func(f *quality.Figures, share float64) { f.Luma = 200 * (1 + share) },
		"clipped":   func(f *quality.Figures, share float64) { f.Bright = 0.5 * (1 + share) },
		"contrast":  func(f *quality.Figures, share float64) { f.Contrast *= 1 - share },
		"sides":     func(f *quality.Figures, share float64) { f.Sides *= 1 + share },
	} {
		for share, want := range map[float64]bool{0.08: true, 0.12: false} {
			f := good
			change(&f, share)
			if _, ok := limits.Check(f); ok {
				t.Errorf("%s: passes beyond its limit", name)
			}
			if _, ok := limits.Loosened().Check(f); ok != want {
				t.Errorf("%s, %v beyond its limit: passes %v, want %v", name, share, ok, want)
			}
		}
	}
	good.Pose.Yaw = 21
	if _, ok := limits.Loosened().Check(good); ok {
		t.Error("the limits of the pose are wider")
	}
}
