// Package dlib is the engine on dlib's face detector and ResNet templates,
// reached through go-face. It needs cgo and the build tag dlib; without them
// [Open] returns an error and everything else still compiles.
//
// Of go-face only detection and templates are used. Its classifier is not:
// it accepts everyone unless given a threshold, and then compares squared
// distances. [Engine.Score] is the Euclidean distance, computed here.
//
// The detector works on faces of about 80 pixels and more.
package dlib

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// DefaultMaxSide is the MaxSide used for zero.
const DefaultMaxSide = 1600

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("dlib engine is closed")

// Options are what [Open] needs.
type Options struct {
	Dir     string        // folder of the model files, already verified by the caller
	Model   match.ModelID // what those files are; returned by Engine.Model
	Threads int           // of the linear-algebra library, in the whole process; 0 means 1
	MaxSide int           // pixels; a picture with a longer side is scaled down first; 0 means DefaultMaxSide
}

// A recognizer is the C++ side: it finds the faces in a picture that is not
// empty and computes their landmarks and templates, in no order. Places are
// counted from the picture's upper left corner.
type recognizer interface {
	recognize(img image.Image) ([]match.Face, error)
	close()
}

// An Engine finds and compares faces with dlib. It may be used by several
// goroutines: calls run one after the other.
type Engine struct {
	model   match.ModelID
	maxSide int

	// mu guards the following. It is held while C++ runs, so nothing is freed
	// under a running call.
	mu  sync.Mutex
	rec recognizer // nil once closed
}

var _ match.Engine = (*Engine)(nil)

// Open loads the models, which takes a good part of a second, and runs them
// once on a drawn face, so that a build or machine that computes nonsense is
// found out here and the first person does not wait for memory to be laid out.
func Open(o Options) (*Engine, error) {
	for _, name := range files() {
		if _, err := os.Stat(filepath.Join(o.Dir, name)); err != nil {
			return nil, fmt.Errorf("open dlib models: %w (get them with: facegate models pull)", err)
		}
	}
	rec, err := load(o.Dir, max(1, o.Threads))
	if err != nil {
		return nil, fmt.Errorf("open dlib models in %s: %w", o.Dir, err)
	}
	return open(o, rec)
}

// open wraps a loaded recognizer and checks it.
func open(o Options, rec recognizer) (*Engine, error) {
	e := &Engine{model: o.Model, maxSide: o.MaxSide, rec: rec}
	if e.maxSide <= 0 {
		e.maxSide = DefaultMaxSide
	}
	faces, err := e.Faces(context.Background(), drawnFace(), match.Templates)
	if err == nil && len(faces) != 1 {
		err = fmt.Errorf("found %d faces in a drawing of one (damaged model, or a build for another processor?)", len(faces))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("check dlib: %w", err), e.Close())
	}
	return e, nil
}

// files names the model files that go-face opens.
func files() []string {
	return []string{
		"shape_predictor_5_face_landmarks.dat",
		"dlib_face_recognition_resnet_model_v1.dat",
		"mmod_human_face_detector.dat",
	}
}

// Faces implements [match.Engine]. Boxes lie within the picture. There is no
// cheaper call for boxes alone: every face costs a template either way.
func (e *Engine) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	bounds := img.Bounds()
	if bounds.Empty() {
		return nil, nil
	}
	small, _ := picture.Scale(img, e.maxSide)
	faces, err := e.recognize(small)
	if err != nil {
		return nil, err
	}

	back := scaling{from: small.Bounds().Size(), to: bounds}
	for i := range faces {
		if err := checkTemplate(faces[i].Template); err != nil {
			return nil, err
		}
		back.face(&faces[i])
	}
	slices.SortStableFunc(faces, largerFirst)
	want.Forget(faces)
	return faces, nil
}

func (e *Engine) recognize(img image.Image) ([]match.Face, error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	if e.rec == nil {
		return nil, ErrClosed
	}
	faces, err := e.rec.recognize(img)
	if err != nil {
		return nil, fmt.Errorf("find faces with dlib: %w", err)
	}
	return faces, nil
}

// checkTemplate refuses a template that no face gives. Two templates of
// zeros would be at distance 0, a match.
func checkTemplate(t match.Template) error {
	var sum float64
	for _, v := range t {
		sum += float64(v) * float64(v)
	}
	if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
		return errors.New("dlib computed an unusable template (damaged model, or a build for another processor?)")
	}
	return nil
}

// largerFirst orders by area; equal areas from the top left, so that the same
// picture always gives the same order.
func largerFirst(a, b match.Face) int {
	area := func(f match.Face) int { return f.Box.Dx() * f.Box.Dy() }
	return cmp.Or(
		cmp.Compare(area(b), area(a)),
		cmp.Compare(a.Box.Min.Y, b.Box.Min.Y),
		cmp.Compare(a.Box.Min.X, b.Box.Min.X),
	)
}

// scaling maps pixels of the picture that C++ saw to those of the caller's.
type scaling struct {
	from image.Point
	to   image.Rectangle
}

func (s scaling) point(p image.Point) image.Point {
	scale := func(v, from, to int) int { return int(math.Round(float64(v) * float64(to) / float64(from))) }
	return s.to.Min.Add(image.Pt(scale(p.X, s.from.X, s.to.Dx()), scale(p.Y, s.from.Y, s.to.Dy())))
}

func (s scaling) face(f *match.Face) {
	f.Box = image.Rectangle{Min: s.point(f.Box.Min), Max: s.point(f.Box.Max)}.Intersect(s.to)
	for i := range f.Points {
		f.Points[i] = s.point(f.Points[i])
	}
}

// Score implements [match.Engine]: the Euclidean distance of two templates,
// not its square. Templates of unequal length, or of none, score +Inf.
func (e *Engine) Score(a, b match.Template) match.Score {
	if len(a) != len(b) || len(a) == 0 {
		return match.Score(math.Inf(1))
	}
	var sum float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return match.Score(math.Sqrt(sum))
}

// Model implements [match.Engine].
func (e *Engine) Model() match.ModelID { return e.model }

// Close implements [match.Engine]. It waits for a running call to end. Later
// calls of Faces return [ErrClosed]; closing twice is harmless.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()

	if e.rec != nil {
		e.rec.close()
		e.rec = nil
	}
	return nil
}
