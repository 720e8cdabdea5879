// Package onnx is the engine on networks in the ONNX format, run by ONNX
// Runtime: a detector, if need be a finder of landmarks, and an embedder that
// computes templates; and, for whoever asks, what tells a person from a picture.
// Which files these are, and what they want to see, stands in the model set
// ([models.Networks]).
//
//	picture ─► scaled to the detector ─► boxes (and five points)
//	   │                                      │
//	   │            crop ─► 68 points ─► five points
//	   └──► turned upright by five points, 112x112 ─► template
//
// The library is opened while running, so nothing of it is linked. It needs
// cgo, and there is none for 32 bits; elsewhere [Open] returns an error and
// everything else still compiles.
//
// [Engine.Score] is 1 minus the cosine of the angle between two templates: 0
// for the same, 1 for unrelated ones, at most 2.
package onnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/models"
)

// MaxFaces bounds how many faces of one picture are returned: a poster of a
// crowd must not keep the engine busy.
const MaxFaces = 16

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("onnx engine is closed")

// Options are what [Open] needs.
type Options struct {
	Dir     string     // folder of the model files, already verified by the caller
	Set     models.Set // what they are
	Runtime string     // path of ONNX Runtime's shared library, already verified too
	Threads int        // of one network; 0 means 1
	PAD     bool       // whether [Engine.Live] will be called: its networks are loaded
}

// An Engine finds and compares faces. It may be used by several goroutines:
// calls run one after the other.
type Engine struct {
	model match.ModelID

	// mu guards the following. It is held while a network runs, so nothing is
	// freed under a running call.
	mu       sync.Mutex
	detector *detector // nil once closed
	marker   *marker   // nil if the detector gives the points
	embedder *embedder
	judges   []*judge   // empty if nobody wants them
	faces    []sighting // of the picture at hand, largest first
}

var _ match.Engine = (*Engine)(nil)

// Open loads the networks and runs each once, so that a build or machine that
// computes nonsense is found out here, and the first person does not wait for
// memory to be laid out.
//
// A process has one ONNX Runtime: the first path that could be opened stays in
// force until it ends.
func Open(o Options) (*Engine, error) {
	load, err := loader(o.Runtime, max(1, o.Threads))
	if err != nil {
		return nil, fmt.Errorf("open ONNX Runtime: %w", err)
	}
	e, err := open(o, load)
	if err != nil {
		return nil, fmt.Errorf("open model set %s in %s: %w", o.Set.Name, o.Dir, err)
	}
	return e, nil
}

// open builds the engine on networks that load reads, and checks it.
func open(o Options, load func(path string, s signature) (*network, error)) (_ *Engine, err error) {
	e := &Engine{model: o.Set.ModelID()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.free())
		}
	}()
	get := func(file string, s signature) (*network, error) {
		n, err := load(filepath.Join(o.Dir, file), s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return n, nil
	}

	n := o.Set.Networks
	d, err := newDetector(n.Detector)
	if err != nil {
		return nil, err
	}
	if d.net, err = get(n.Detector.File, d.signature()); err != nil {
		return nil, err
	}
	e.detector = d
	if n.Landmarks.Kind == models.FRLandmark {
		e.marker = &marker{}
		if e.marker.net, err = get(n.Landmarks.File, e.marker.signature()); err != nil {
			return nil, err
		}
	}
	e.embedder = newEmbedder(n.Embedder)
	if e.embedder.net, err = get(n.Embedder.File, e.embedder.signature()); err != nil {
		return nil, err
	}
	if o.PAD {
		for _, p := range n.PAD {
			j := newJudge(p)
			if j.net, err = get(p.File, j.signature(p.Classes)); err != nil {
				return nil, err
			}
			e.judges = append(e.judges, j)
		}
	}
	return e, e.check()
}

// check runs every network on a picture of nothing.
func (e *Engine) check() error {
	img := image.NewGray(image.Rect(0, 0, 128, 128))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	p := newPixels(img)
	var err error
	if c := e.detector.canvas; c.multiple > 0 { // once as large as it ever is, for the memory
		_, err = e.detector.find(newPixels(image.NewGray(image.Rectangle{Max: c.most})), nil)
	}
	if err == nil {
		_, err = e.detector.find(p, nil)
	}
	if err == nil {
		err = finite(e.detector.net.out)
	}
	if err != nil {
		return fmt.Errorf("check the detector: %w", err)
	}
	if e.marker != nil {
		if _, err := e.marker.points(p, box{16, 16, 112, 112}); err != nil {
			return fmt.Errorf("check the landmarks: %w", err)
		}
	}
	if _, err := e.embedder.template(p, template5(128)); err != nil {
		return fmt.Errorf("check the embedder: %w", err)
	}
	if len(e.judges) > 0 {
		if _, err := e.live(context.Background(), p, image.Rect(32, 32, 96, 96)); err != nil {
			return fmt.Errorf("check what tells pictures from people: %w", err)
		}
	}
	return nil
}

// A sighting is a face, in pixels of the picture counted from its upper left
// corner. The points are: eye, eye, tip of the nose, corner of the mouth,
// corner of the mouth, the left ones of the picture first.
type sighting struct {
	box    box
	score  float32
	points [5]point
}

// Faces implements [match.Engine]. Boxes lie within the picture, and Points
// are those of a sighting. At most [MaxFaces] are returned, and none that cannot
// be turned upright by its points.
func (e *Engine) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	if img.Bounds().Empty() {
		return nil, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()

	if e.detector == nil {
		return nil, ErrClosed
	}
	p := newPixels(img)
	if err := e.detect(ctx, p); err != nil {
		return nil, err
	}
	if len(e.faces) == 0 {
		return nil, nil
	}
	found := make([]match.Face, len(e.faces))
	for i, s := range e.faces {
		found[i] = s.face(img.Bounds())
	}
	for i := range found[:min(want(found), len(found))] {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t, err := e.embedder.template(p, e.faces[i].points)
		if err != nil {
			return nil, fmt.Errorf("compute a template: %w", err)
		}
		found[i].Template = t
	}
	return found, nil
}

// detect fills e.faces. In the steady state it allocates nothing.
func (e *Engine) detect(ctx context.Context, p pixels) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var err error
	if e.faces, err = e.detector.find(p, e.faces[:0]); err != nil {
		return fmt.Errorf("find faces: %w", err)
	}
	frame := box{0, 0, float64(p.width), float64(p.height)}
	e.faces = slices.DeleteFunc(e.faces, func(s sighting) bool { return s.box.intersect(frame).rectangle().Empty() })
	slices.SortFunc(e.faces, largerFirst)
	e.faces = e.faces[:min(len(e.faces), MaxFaces)]
	if e.marker != nil {
		for i := range e.faces {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if e.faces[i].points, err = e.marker.points(p, e.faces[i].box); err != nil {
				return fmt.Errorf("find landmarks: %w", err)
			}
		}
	}
	e.faces = slices.DeleteFunc(e.faces, func(s sighting) bool { return !e.embedder.turns(s.points) })
	return nil
}

// largerFirst orders by area; equal areas from the top left, so that the same
// picture always gives the same order.
func largerFirst(a, b sighting) int {
	return cmp.Or(cmp.Compare(b.box.area(), a.box.area()), cmp.Compare(a.box.y0, b.box.y0), cmp.Compare(a.box.x0, b.box.x0))
}

// face returns s as a face without a template in a picture with those bounds.
func (s sighting) face(bounds image.Rectangle) match.Face {
	f := match.Face{
		Box:    s.box.rectangle().Add(bounds.Min).Intersect(bounds),
		Points: make([]image.Point, len(s.points)),
	}
	for i, p := range s.points {
		f.Points[i] = p.pixel().Add(bounds.Min)
	}
	return f
}

// Score implements [match.Engine]: 1 minus the cosine of two templates, never
// below 0. Templates of unequal length, or of none, score +Inf.
func (e *Engine) Score(a, b match.Template) match.Score {
	if len(a) != len(b) || len(a) == 0 {
		return match.Score(math.Inf(1))
	}
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot += x * y
		aa += x * x
		bb += y * y
	}
	// Not a number, for a template of zeros, is unsure in every policy.
	return match.Score(max(0, 1-dot/math.Sqrt(aa*bb)))
}

// Model implements [match.Engine].
func (e *Engine) Model() match.ModelID { return e.model }

// Close implements [match.Engine]. It waits for a running call to end. Later
// calls of Faces return [ErrClosed]; closing twice is harmless.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.free()
}

func (e *Engine) free() error {
	var errs []error
	if e.detector != nil {
		errs = append(errs, e.detector.net.close())
	}
	if e.marker != nil && e.marker.net != nil {
		errs = append(errs, e.marker.net.close())
	}
	if e.embedder != nil && e.embedder.net != nil {
		errs = append(errs, e.embedder.net.close())
	}
	for _, j := range e.judges {
		errs = append(errs, j.net.close())
	}
	e.detector, e.marker, e.embedder, e.judges = nil, nil, nil, nil
	return errors.Join(errs...)
}
