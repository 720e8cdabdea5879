package sim

import (
	"cmp"
	"math"
	"slices"
)

// boxAWS is a box in the words of Rekognition, which ARGOS shares.
type boxAWS struct{ Width, Height, Left, Top float64 }

type landmarkAWS struct {
	Type string
	X, Y float64
}

type poseAWS struct{ Roll, Yaw, Pitch float64 }

type qualityAWS struct{ Brightness, Sharpness float64 }

type faceAWS struct {
	BoundingBox boxAWS
	Confidence  float64
	Landmarks   []landmarkAWS `json:",omitempty"`
	Pose        *poseAWS      `json:",omitempty"`
	Quality     *qualityAWS   `json:",omitempty"`
}

type matchAWS struct {
	Similarity float64
	Face       faceAWS
}

type sourceAWS struct {
	BoundingBox boxAWS
	Confidence  float64
}

// comparedAWS is the answer of CompareFaces.
type comparedAWS struct {
	SourceImageFace sourceAWS
	FaceMatches     []matchAWS
	UnmatchedFaces  []faceAWS `json:",omitzero"`
	Source          string    `json:"SourceImageOrientationCorrection,omitempty"`
	Target          string    `json:"TargetImageOrientationCorrection,omitempty"`
}

// single rounds as Rekognition does, whose numbers have 32 bits.
func single(v float64) float64 { return float64(float32(v)) }

func newBox(b Box) boxAWS {
	return boxAWS{Width: single(b.Width), Height: single(b.Height), Left: single(b.Left), Top: single(b.Top)}
}

func newLandmarks(f Face) []landmarkAWS {
	list := []landmarkAWS{}
	for _, l := range f.Landmarks {
		list = append(list, landmarkAWS{Type: l.Type, X: single(l.X), Y: single(l.Y)})
	}
	return list
}

func newQuality(f Face) qualityAWS {
	return qualityAWS{Brightness: single(f.Quality), Sharpness: single(f.Quality)}
}

// newFace turns a face into Rekognition's words, all of them or the least.
func newFace(f Face, full bool) faceAWS {
	a := faceAWS{BoundingBox: newBox(f.Box), Confidence: single(f.Confidence)}
	if full {
		quality := newQuality(f)
		a.Landmarks, a.Pose, a.Quality = newLandmarks(f), &poseAWS{}, &quality
	}
	return a
}

// facesAWS splits the target's faces at the threshold, the best first. The
// faces below have no similarity.
func facesAWS(c Comparison, threshold float64, form int) comparedAWS {
	form %= 3
	source := c.Source[c.Chosen]
	a := comparedAWS{
		SourceImageFace: sourceAWS{BoundingBox: newBox(source.Box), Confidence: single(source.Confidence)},
		FaceMatches:     []matchAWS{},
	}
	if form != 1 {
		a.UnmatchedFaces = []faceAWS{}
	}
	if form == 2 {
		a.Source, a.Target = "ROTATE_90", "ROTATE_90"
	}
	for i, f := range c.Target {
		face := newFace(f, form != 1)
		if c.Similarity[i] >= threshold {
			a.FaceMatches = append(a.FaceMatches, matchAWS{Similarity: single(c.Similarity[i]), Face: face})
		} else if form != 1 {
			a.UnmatchedFaces = append(a.UnmatchedFaces, face)
		}
	}
	slices.SortStableFunc(a.FaceMatches, func(p, q matchAWS) int { return cmp.Compare(q.Similarity, p.Similarity) })
	return a
}

// eyes returns the distance of the eyes in pixels, if it is known.
func (f Face) eyes(p picture) (float64, bool) {
	var left, right *Landmark
	for i := range f.Landmarks {
		switch f.Landmarks[i].Type {
		case "eyeLeft":
			left = &f.Landmarks[i]
		case "eyeRight":
			right = &f.Landmarks[i]
		}
	}
	if left == nil || right == nil {
		return 0, false
	}
	return math.Hypot((left.X-right.X)*float64(p.size.X), (left.Y-right.Y)*float64(p.size.Y)), true
}
