package onnx

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/models"
)

// fakes are networks that answer what they are told.
type fakes struct {
	faces    [][6]float32 // score, box as fractions of the canvas, and shade: what the embedder answers
	template []float32
	fail     map[string]error     // of running, by file
	missing  string               // file that cannot be loaded
	classes  map[string][]float32 // what the networks that tell people answer
	shown    map[string][]float32 // what they were shown; may be nil
	ran      []string
	closed   []string
}

// load is as that of a runtime.
func (f *fakes) load(path string, s signature) (*network, error) {
	file := path[strings.LastIndexByte(path, '/')+1:]
	if file == f.missing {
		return nil, errors.New("no such file")
	}
	n := &network{in: make([]float32, size(s.input)), out: blank(s.outputs)}
	n.run = func() error {
		f.ran = append(f.ran, file)
		switch file {
		case "d":
			clear(n.out[0])
			for i, face := range f.faces {
				n.out[0][2*i+1] = face[0]
				copy(n.out[1][4*i:], face[1:5])
			}
		case "l": // the points of a face that fills its box
			for i, group := range [][]int{{37, 38, 40, 41}, {43, 44, 46, 47}, {30}, {48, 60}, {54, 64}} {
				p := template5(1)[i]
				for _, j := range group {
					n.out[0][2*j], n.out[0][2*j+1] = float32(p.x), float32(p.y)
				}
			}
		case "p", "q":
			copy(n.out[0], f.classes[file])
			if f.shown != nil {
				f.shown[file] = slices.Clone(n.in)
			}
		case "e":
			copy(n.out[0], f.template)
			if f.template == nil { // the shade in the middle of the face
				n.out[0][0], n.out[0][1] = 1, n.in[56*112+56]
			}
		}
		return f.fail[file]
	}
	n.close = func() error {
		f.closed = append(f.closed, file)
		return nil
	}
	return n, nil
}

// testSet has a detector of 320x240, landmarks and templates of two numbers.
func testSet() models.Set {
	return models.Set{Name: "test", Engine: "onnx", Networks: models.Networks{
		Detector:  models.Detector{Kind: models.RFB320, File: "d", Width: 320, Height: 240},
		Landmarks: models.Landmarks{Kind: models.FRLandmark, File: "l"},
		Embedder: models.Embedder{
			File: "e", Size: 112, Channels: models.RGB, Output: 2,
			Mean: []float64{0, 0, 0}, Deviation: []float64{255, 255, 255},
		},
	}}
}

func opened(t testing.TB, f *fakes) *Engine {
	t.Helper()
	e, err := open(Options{Set: testSet()}, f.load)
	if err != nil {
		t.Fatal(err)
	}
	f.ran = nil
	return e
}

// page returns a grey picture with squares of other shades.
func page(bounds image.Rectangle, squares map[image.Rectangle]uint8) *image.Gray {
	img := image.NewGray(bounds)
	for r, shade := range squares {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				img.SetGray(x, y, color.Gray{Y: shade})
			}
		}
	}
	return img
}

func TestFacesAreInPixelsOfTheCallersPicture(t *testing.T) {
	f := &fakes{faces: [][6]float32{{1, 0.25, 0.25, 0.5, 0.5}}}
	e := opened(t, f)
	faces, err := e.Faces(t.Context(), page(image.Rect(10, 20, 650, 500), nil), match.Boxes)
	if err != nil || len(faces) != 1 {
		t.Fatalf("%d faces, %v", len(faces), err)
	}
	if want := image.Rect(170, 140, 330, 260); faces[0].Box != want {
		t.Errorf("box %v, want %v", faces[0].Box, want)
	}
	// The landmarks' square is 120 pixels, in the middle of the box's width.
	places := template5(120)
	for i, got := range faces[0].Points {
		want := point{places[i].x + 180 + 10, places[i].y + 120 + 20}.pixel()
		if d := got.Sub(want); max(d.X, -d.X, d.Y, -d.Y) > 1 {
			t.Errorf("point %d at %v, want %v", i, got, want)
		}
	}
	if faces[0].Template != nil || slices.Contains(f.ran, "e") {
		t.Error("a template was computed that nobody asked for")
	}
}

func TestTemplateIsThatOfItsFace(t *testing.T) {
	f := &fakes{faces: [][6]float32{{0.8, 0, 0, 0.25, 0.25}, {0.9, 0.5, 0.5, 1, 1}}}
	e := opened(t, f)
	img := page(image.Rect(0, 0, 640, 480), map[image.Rectangle]uint8{
		image.Rect(0, 0, 160, 120): 51, image.Rect(320, 240, 640, 480): 204,
	})
	faces, err := e.Faces(t.Context(), img, match.Templates)
	if err != nil || len(faces) != 2 {
		t.Fatalf("%d faces, %v", len(faces), err)
	}
	for i, shade := range []float64{0.8, 0.2} { // the larger first
		got := faces[i].Template
		near(t, "length of the template", math.Hypot(float64(got[0]), float64(got[1])), 1)
		near(t, "shade of the face", float64(got[1]/got[0]), shade)
	}
}

// The people in the queue behind cost no template.
func TestOnlyTheLargestHasATemplate(t *testing.T) {
	f := &fakes{faces: [][6]float32{{0.8, 0, 0, 0.25, 0.25}, {0.9, 0.5, 0.5, 1, 1}, {0.9, 0.5, 0, 0.7, 0.2}}}
	e := opened(t, f)
	img := page(image.Rect(0, 0, 640, 480), map[image.Rectangle]uint8{image.Rect(320, 240, 640, 480): 204})
	faces, err := e.Faces(t.Context(), img, func([]match.Face) int { return 1 })
	if err != nil || len(faces) != 3 {
		t.Fatalf("%d faces, %v", len(faces), err)
	}
	all, err := e.Faces(t.Context(), img, match.Templates)
	if err != nil || !slices.Equal(faces[0].Template, all[0].Template) {
		t.Errorf("template %v, want %v (%v)", faces[0].Template, all[0].Template, err)
	}
	if faces[1].Template != nil || faces[2].Template != nil {
		t.Error("smaller faces have templates")
	}
}

func TestFacesComeLargestFirstAndNotTooMany(t *testing.T) {
	f := &fakes{}
	for i := range 5 {
		for j := range 5 {
			x, y, side := float32(i)*0.2, float32(j)*0.2, 0.1+0.003*float32(i*5+j)
			f.faces = append(f.faces, [6]float32{1, x, y, x + side, y + side})
		}
	}
	faces, err := opened(t, f).Faces(t.Context(), page(image.Rect(0, 0, 640, 480), nil), match.Boxes)
	if err != nil || len(faces) != MaxFaces {
		t.Fatalf("%d faces, %v; want %d", len(faces), err, MaxFaces)
	}
	area := func(r image.Rectangle) int { return r.Dx() * r.Dy() }
	for i := 1; i < len(faces); i++ {
		if area(faces[i].Box) > area(faces[i-1].Box) {
			t.Errorf("face %d of %v comes after one of %v", i, faces[i].Box, faces[i-1].Box)
		}
	}
	if got := faces[0].Box.Dx(); got < 105 {
		t.Errorf("the largest face is %d pixels wide, want the last of all", got)
	}
}

func TestBoxesLieWithinThePicture(t *testing.T) {
	f := &fakes{faces: [][6]float32{{1, -0.5, -0.5, 0.5, 0.5}, {1, 0.6, 0.6, 1.7, 1.7}, {1, 2, 2, 3, 3}}}
	img := page(image.Rect(0, 0, 320, 240), nil)
	faces, err := opened(t, f).Faces(t.Context(), img, match.Templates)
	if err != nil || len(faces) != 2 {
		t.Fatalf("%d faces, %v; want those two that are in the picture", len(faces), err)
	}
	for _, face := range faces {
		if face.Box.Empty() || !face.Box.In(img.Bounds()) {
			t.Errorf("box %v", face.Box)
		}
	}
}

func TestUnusableTemplateIsAnError(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, template := range map[string][]float32{"zeros": {0, 0}, "nan": {1, nan}, "inf": {inf, 0}} {
		f := &fakes{faces: [][6]float32{{1, 0.25, 0.25, 0.5, 0.5}}}
		e := opened(t, f)
		f.template = template
		if _, err := e.Faces(t.Context(), page(image.Rect(0, 0, 320, 240), nil), match.Templates); err == nil {
			t.Errorf("template of %s: no error", name)
		}
	}
}

func TestErrorsSayWhatWasDone(t *testing.T) {
	cause := errors.New("the network is out of order")
	for file, what := range map[string]string{"d": "find faces", "l": "find landmarks", "e": "compute a template"} {
		f := &fakes{faces: [][6]float32{{1, 0.25, 0.25, 0.5, 0.5}}}
		e := opened(t, f)
		f.fail = map[string]error{file: cause}
		_, err := e.Faces(t.Context(), page(image.Rect(0, 0, 320, 240), nil), match.Templates)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestCancelledCallDoesNotStart(t *testing.T) {
	f := &fakes{}
	e := opened(t, f)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := e.Faces(ctx, page(image.Rect(0, 0, 9, 9), nil), match.Boxes); !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause", err)
	}
	if len(f.ran) > 0 {
		t.Errorf("networks %v ran", f.ran)
	}
}

func TestEmptyPictureHasNoFace(t *testing.T) {
	f := &fakes{faces: [][6]float32{{1, 0, 0, 1, 1}}}
	faces, err := opened(t, f).Faces(t.Context(), image.NewGray(image.Rectangle{}), match.Templates)
	if len(faces) != 0 || err != nil {
		t.Errorf("got %v, %v", faces, err)
	}
}

func TestOpenFreesWhatItHasLoadedWhenItFails(t *testing.T) {
	no := errors.New("no")
	for name, f := range map[string]*fakes{
		"no landmarks":    {missing: "l"},
		"no embedder":     {missing: "e"},
		"dead detector":   {fail: map[string]error{"d": no}},
		"dead landmarks":  {fail: map[string]error{"l": no}},
		"dead embedder":   {fail: map[string]error{"e": no}},
		"zeros":           {template: []float32{0, 0}},
		"nan of a face":   {faces: [][6]float32{{float32(math.NaN())}}},
		"infinite places": {faces: [][6]float32{{1, float32(math.Inf(1))}}},
	} {
		_, err := open(Options{Set: testSet()}, f.load)
		if err == nil {
			t.Errorf("%s: opened", name)
		}
		want := 3
		switch f.missing {
		case "l":
			want = 1
		case "e":
			want = 2
		}
		if f.missing != "" && !strings.Contains(err.Error(), f.missing+": ") {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
		if len(f.closed) != want {
			t.Errorf("%s: %v closed, want %d networks", name, f.closed, want)
		}
	}
}

func TestCallsAfterCloseAreRefused(t *testing.T) {
	f := &fakes{}
	e := opened(t, f)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(f.closed) != 3 {
		t.Errorf("closed %v, want each network once", f.closed)
	}
	if _, err := e.Faces(t.Context(), page(image.Rect(0, 0, 9, 9), nil), match.Boxes); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestScoreIsOneLessTheCosine(t *testing.T) {
	var e Engine
	inf := match.Score(math.Inf(1))
	for _, c := range []struct {
		a, b match.Template
		want match.Score
	}{
		{match.Template{1, 0}, match.Template{1, 0}, 0},
		{match.Template{1, 0}, match.Template{3, 0}, 0},
		{match.Template{1, 0}, match.Template{0, 1}, 1},
		{match.Template{1, 0}, match.Template{-1, 0}, 2},
		{match.Template{3, 4}, match.Template{4, 3}, 0.04},
		{match.Template{1}, match.Template{1, 0}, inf},
		{nil, nil, inf},
	} {
		if got := e.Score(c.a, c.b); math.Abs(float64(got-c.want)) > 1e-6 && got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if v, _ := (match.Policy{Accept: 0.5, Reject: 0.7}).Judge([]match.Score{e.Score(match.Template{0, 0}, match.Template{1, 0})}); v != match.Unsure {
		t.Errorf("a template of zeros is %v", v)
	}
}

// One frame after another must not work the garbage collector.
func TestDetectingAllocatesNothing(t *testing.T) {
	f := &fakes{faces: [][6]float32{{1, 0.25, 0.25, 0.5, 0.5}, {1, 0.6, 0.6, 0.9, 0.9}}}
	e := opened(t, f)
	f.ran = make([]string, 0, 10000)
	for name, img := range pictures(t, 640, 480) {
		p := newPixels(img)
		n := testing.AllocsPerRun(10, func() {
			if err := e.detect(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
	if len(e.faces) != 2 {
		t.Errorf("%d faces, want 2", len(e.faces))
	}
}

// A size that could not be laid out is tried again with the next picture.
func TestFailedSizeIsTriedAgain(t *testing.T) {
	d, err := newDetector(models.Detector{Kind: models.YuNet, Width: 64, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	s := d.signature()
	var sizes []int64
	fail := errors.New("no memory")
	d.net = &network{in: make([]float32, size(s.input)), out: blank(s.outputs), run: func() error { return nil }}
	d.net.shape = func(s signature) error {
		sizes = append(sizes, s.input[3])
		d.net.out = blank(s.outputs)
		return fail
	}
	p := newPixels(image.NewGray(image.Rect(0, 0, 30, 30)))
	if _, err := d.find(p, nil); !errors.Is(err, fail) {
		t.Errorf("%v, want that it failed", err)
	}
	fail = nil
	for range 2 {
		if _, err := d.find(p, nil); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(sizes, []int64{32, 32}) {
		t.Errorf("laid out for a width of %v, want 32 twice", sizes)
	}
}
