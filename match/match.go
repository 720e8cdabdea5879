// Package match says what a comparison of two faces is: an [Engine] finds
// faces in a picture and computes a template of each, a [Score] compares two
// templates, a [Policy] turns the scores of several probes into a [Verdict].
//
// The words are those of ISO/IEC 2382-37: the reference is the face on the
// ID, a probe is a live face, the comparison score here is a distance (small
// means alike). Engines live in packages below this one and are chosen by
// the daemon alone. Nothing here keeps a picture or a template.
package match

import (
	"context"
	"image"
)

// A Template is what an engine computes of a face to compare it. Its length
// and scale belong to one engine and model. It is biometric data: it is never
// logged, stored or sent.
type Template []float32

// A Score is the comparison score of two templates: a distance, 0 for the
// same template, larger for less alike. Scores of different engines or models
// cannot be compared.
type Score float64

// A Face is one face in a picture.
type Face struct {
	Box      image.Rectangle // in the pixels of the picture given to the engine
	Points   []image.Point   // landmarks, in the order of the engine's model; may be empty
	Template Template        // nil unless wanted
}

// Overlap returns the share that two boxes have in common of what they cover, 0
// to 1.
func Overlap(a, b image.Rectangle) float64 {
	area := func(r image.Rectangle) float64 { return float64(r.Dx()) * float64(r.Dy()) }
	both := area(a.Intersect(b))
	if both == 0 {
		return 0
	}
	return both / (area(a) + area(b) - both)
}

// Want says of how many of the faces in a picture an Engine shall compute a
// template, from the first on, which is the largest. It is asked when the faces are
// known but for that, and only if there are some. It must neither call the engine nor
// change their order.
type Want func(faces []Face) int

// Forget takes from faces, which have templates, those that nobody wants. It is for
// engines that compute them with the faces.
func (w Want) Forget(faces []Face) {
	if len(faces) == 0 {
		return
	}
	for i := w(faces); i < len(faces); i++ {
		faces[i].Template = nil
	}
}

// Boxes wants to know where the faces are and nothing else.
func Boxes([]Face) int { return 0 }

// Templates wants a template of each face.
func Templates(faces []Face) int { return len(faces) }

// A ModelID names the model that an engine runs.
type ModelID struct {
	Engine   string // "dlib"
	Name     string // the model set's name
	SHA256   string // of the file that computes templates, lower-case hex
	Licence  string
	Training string // what the model was trained on
	OnSide   bool   // the detector finds faces that lie on their side, too
}

// String returns the set's name and the start of its sum: dlib@55533b28a958.
func (m ModelID) String() string { return m.Name + "@" + m.SHA256[:min(12, len(m.SHA256))] }

// An Engine finds and compares faces with one family of models. One goroutine
// uses it at a time. Calls may run C code, which ctx cannot interrupt: the
// caller runs them in a goroutine of its own and drops a late result.
type Engine interface {
	// Faces finds the faces in img, largest first. No face is not an error.
	Faces(ctx context.Context, img image.Image, want Want) ([]Face, error)
	// Score compares two templates of this engine. Templates of unequal
	// length score +Inf, which never matches.
	Score(a, b Template) Score
	// Model names the model in use.
	Model() ModelID
	// Close frees the models. No call may be running or follow.
	Close() error
}
