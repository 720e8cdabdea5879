package matcher_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/pad"
	"github.com/facegate/facegate/match/picture"
	"github.com/facegate/facegate/match/quality"
)

const hang = 5 * time.Second

// start runs a matcher on an engine until the test ends.
func start(t *testing.T, e match.Engine) *matcher.Matcher {
	t.Helper()
	return run(t, e, matcher.Options{
		Limits:   quality.Limits{MinSize: 80, MaxLuma: 255, MaxClipped: 1},
		Document: document.Options{MinFace: 60, Policy: match.Policy{Accept: 0.45, Reject: 0.60}},
		Hang:     hang,
	})
}

// run is start with options.
func run(t *testing.T, e match.Engine, o matcher.Options) *matcher.Matcher {
	t.Helper()
	m := matcher.New(e, o)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return m
}

func people(boxes ...image.Rectangle) image.Image {
	page := matchtest.Page(640, 480)
	for i, box := range boxes {
		matchtest.Paint(page, box, matchtest.Person(10+100*i))
	}
	return page
}

func encode(t *testing.T, img image.Image) []byte {
	t.Helper()
	data, err := picture.JPEG(img, 95)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLook(t *testing.T) {
	near := image.Rect(100, 100, 300, 300)
	tests := []struct {
		name string
		img  image.Image
		want attempt.Flaw
	}{
		{"nobody", people(), attempt.NoFace},
		{"one person", people(near), ""},
		{"too far away", people(image.Rect(100, 100, 160, 160)), attempt.FaceSmall},
		{"two people", people(near, image.Rect(400, 100, 560, 260)), attempt.ManyFaces},
		{"somebody in the queue behind", people(near, image.Rect(400, 100, 480, 180)), ""},
	}
	m := start(t, &matchtest.Engine{})
	for _, tt := range tests {
		look, err := m.LookAt(t.Context(), tt.img)
		if err != nil || look.Flaw != tt.want {
			t.Errorf("%s: flaw %q, %v, want %q", tt.name, look.Flaw, err, tt.want)
		}
		if computed := look.Template != nil; computed != (tt.want == "") {
			t.Errorf("%s: a template was computed: %v", tt.name, computed)
		}
	}
}

func TestLookAtADamagedFrame(t *testing.T) {
	m := start(t, &matchtest.Engine{})
	look, err := m.Look(t.Context(), capture.Frame{Format: capture.YUYV, Width: 640, Height: 480, Stride: 1280, Data: make([]byte, 10)})
	if err != nil || look.Flaw != attempt.BadFrame {
		t.Errorf("flaw %q, %v, want bad_frame", look.Flaw, err)
	}
}

func TestReferenceRefusals(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want event.Reason
	}{
		{"not a picture", []byte("hello"), event.IDUnreadable},
		{"empty", nil, event.IDUnreadable},
		{"no face", encode(t, people()), event.NoFaceID},
		{"two people", encode(t, people(image.Rect(50, 100, 250, 300), image.Rect(350, 100, 550, 300))), event.IDAmbiguous},
	}
	m := start(t, &matchtest.Engine{})
	for _, tt := range tests {
		_, err := m.Reference(t.Context(), tt.data)
		refusal, ok := errors.AsType[*attempt.Refusal](err)
		if !ok || refusal.Reason != tt.want {
			t.Errorf("%s: %v, want reason %s", tt.name, err, tt.want)
		}
	}
}

func TestAnEngineThatFailsIsNoRefusal(t *testing.T) {
	broken := errors.New("broken")
	m := start(t, &matchtest.Engine{Fail: broken})
	_, err := m.Reference(t.Context(), encode(t, people(image.Rect(100, 100, 300, 300))))
	if _, refused := errors.AsType[*attempt.Refusal](err); refused || !errors.Is(err, broken) {
		t.Errorf("got %v, want the engine's error", err)
	}
}

// stuck is an engine whose call does not come back until it is let go.
type stuck struct {
	matchtest.Engine
	let chan struct{}
}

func (s *stuck) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	<-s.let
	return nil, nil
}

func TestAHangingEngineIsGivenUpAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &stuck{let: make(chan struct{})}
		m := start(t, e)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.LookAt(ctx, people()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient caller: %v, want its deadline", err)
		}
		if err := m.Hung(); err != nil {
			t.Errorf("after one second: %v, want patience", err)
		}
		if _, err := m.LookAt(t.Context(), people()); !errors.Is(err, matcher.ErrHung) {
			t.Errorf("patient caller: %v, want ErrHung", err)
		}
		if err := m.Hung(); !errors.Is(err, matcher.ErrHung) {
			t.Errorf("Hung: %v, want ErrHung", err)
		}
		close(e.let)
		synctest.Wait()
		if look, err := m.LookAt(t.Context(), people()); err != nil || look.Flaw != attempt.NoFace {
			t.Errorf("after it came back: %v, %v, want no_face", look.Flaw, err)
		}
	})
}

// A hanging call starves the watchdog, which ends the process WatchdogSec later:
// before that, the attempt must have ended, even if an earlier call of the same
// search took its time.
func TestAHangIsNoticedSoonAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &later{hung: make(chan time.Time, 1)}
		m := run(t, e, matcher.Options{Document: document.Options{MinFace: 60}, Hang: time.Minute})
		if _, err := m.Portrait(t.Context(), encode(t, people())); !errors.Is(err, matcher.ErrHung) {
			t.Errorf("%v, want ErrHung", err)
		}
		if noticed := time.Since(<-e.hung) - time.Minute; noticed > 2*time.Second {
			t.Errorf("noticed after %v, want at most 2s", noticed)
		}
	})
}

// later is an engine whose second call takes ten minutes.
type later struct {
	matchtest.Engine
	calls int
	hung  chan time.Time // when it is called
}

func (l *later) Faces(context.Context, image.Image, match.Want) ([]match.Face, error) {
	if l.calls++; l.calls == 1 {
		time.Sleep(time.Second)
		return nil, nil
	}
	l.hung <- time.Now()
	time.Sleep(10 * time.Minute)
	return nil, nil
}

// posed is an engine whose faces have landmarks.
type posed struct {
	matchtest.Engine
	points []image.Point
}

func (p *posed) Faces(ctx context.Context, img image.Image, want match.Want) ([]match.Face, error) {
	return p.Engine.Faces(ctx, img, func(faces []match.Face) int {
		for i := range faces {
			faces[i].Points = p.points
		}
		return want(faces)
	})
}

func TestLandmarksAreReadAsTheEngineHasThem(t *testing.T) {
	five := []image.Point{{170, 160}, {230, 160}, {200, 190}, {175, 220}, {225, 220}} // eyes, nose, mouth
	aside := []image.Point{{170, 160}, {230, 160}, {225, 190}, {175, 220}, {225, 220}}
	corners := []image.Point{{240, 160}, {215, 160}, {160, 160}, {185, 160}, {200, 205}}
	img := people(image.Rect(100, 100, 300, 300))
	for _, tt := range []struct {
		name   string
		layout pad.Layout
		points []image.Point
		eyes   float64
		want   attempt.Flaw
	}{
		{"at the camera", pad.EyesNoseMouth, five, 60, ""},
		{"turned", pad.EyesNoseMouth, aside, 60, attempt.FaceTurned},
		{"dlib's", pad.EyeCorners, corners, 55, ""},
		{"unknown", pad.Unknown, five, 0, attempt.FaceTurned},
		{"none", pad.EyesNoseMouth, nil, 0, attempt.FaceTurned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := run(t, &posed{points: tt.points}, matcher.Options{Limits: quality.Limits{MinSize: 80, MaxLuma: 255, MaxClipped: 1, MaxYaw: 20}, Layout: tt.layout, Hang: hang})
			look, err := m.LookAt(t.Context(), img)
			if err != nil || look.Flaw != tt.want || look.Gates["eyes"] != tt.eyes {
				t.Errorf("flaw %q, %v, eyes %v, want %q, %v", look.Flaw, err, look.Gates["eyes"], tt.want, tt.eyes)
			}
			if len(look.Points) != len(tt.points) || look.Box.Empty() {
				t.Errorf("a challenge is given %v, %v", look.Box, look.Points)
			}
			if look.Template == nil { // by which a challenge tells who turns
				t.Error("no template")
			}
		})
	}
}

// An ID under a lamp, or out of focus, is told from one without a face.
func TestIDGates(t *testing.T) {
	clear, glare := image.NewGray(image.Rect(0, 0, 640, 480)), image.NewGray(image.Rect(0, 0, 640, 480))
	draw.Draw(clear, clear.Rect, image.NewUniform(color.Gray{Y: 120}), image.Point{}, draw.Src)
	draw.Draw(glare, glare.Rect, clear, image.Point{}, draw.Src)
	draw.Draw(glare, image.Rect(160, 120, 480, 360), image.White, image.Point{}, draw.Src)
	for _, tt := range []struct {
		name   string
		img    image.Image
		limits matcher.IDLimits
		want   event.Reason
	}{
		{"neither looked at", glare, matcher.IDLimits{}, ""},
		{"glare", glare, matcher.IDLimits{MaxGlare: 0.4}, event.IDGlare},
		{"no glare", clear, matcher.IDLimits{MaxGlare: 0.4}, ""},
		{"blurred", clear, matcher.IDLimits{MinSharpness: 1000}, event.IDBlurred},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := run(t, &whole{}, matcher.Options{Document: document.Options{MinFace: 60, Policy: match.Policy{Accept: 0.45, Reject: 0.60}}, ID: tt.limits, Hang: hang})
			_, err := m.Reference(t.Context(), encode(t, tt.img))
			refusal, refused := errors.AsType[*attempt.Refusal](err)
			if refused != (tt.want != "") || refused && refusal.Reason != tt.want || !refused && err != nil {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// whole is an engine that takes the middle of any upright picture for a face.
type whole struct{ matchtest.Engine }

func (*whole) Faces(_ context.Context, img image.Image, _ match.Want) ([]match.Face, error) {
	b := img.Bounds()
	return []match.Face{{Box: b.Inset(min(b.Dx(), b.Dy()) / 5), Template: match.Template{1}}}, nil
}

// judge says what it is told of every face, and keeps where the last one was.
type judge struct {
	says float64
	err  error
	face image.Rectangle
	n    int
}

func (j *judge) Live(_ context.Context, _ image.Image, face image.Rectangle) (float64, error) {
	j.face, j.n = face, j.n+1
	return j.says, j.err
}

// Only what is to be compared is judged, and only if it may be.
func TestProbesAreJudged(t *testing.T) {
	broken := errors.New("broken")
	j := &judge{says: 0.7}
	m := run(t, new(matchtest.Engine), matcher.Options{Limits: quality.Limits{MinSize: 80, MaxLuma: 255, MaxClipped: 1}, Hang: hang, Live: j})
	img := people(image.Rect(200, 100, 400, 300))
	frame := capture.Frame{Format: capture.JPEG, Width: 640, Height: 480, Data: encode(t, img)}
	if look, err := m.Probe(t.Context(), frame); err != nil || look.Live != 0.7 || look.Flaw != "" || j.face != look.Box || j.n != 1 {
		t.Errorf("a probe: %+v, %v; judged %v, %d times", look, err, j.face, j.n)
	}
	if look, err := m.Look(t.Context(), frame); err != nil || look.Live != 0 || look.Flaw != "" || j.n != 1 {
		t.Errorf("a look: %+v, %v; judged %d times", look, err, j.n)
	}
	empty := capture.Frame{Format: capture.JPEG, Width: 640, Height: 480, Data: encode(t, people())}
	if look, err := m.Probe(t.Context(), empty); err != nil || look.Flaw != attempt.NoFace || j.n != 1 {
		t.Errorf("nobody: %+v, %v; judged %d times", look, err, j.n)
	}
	for _, bad := range []judge{{says: math.NaN()}, {says: 1.5}, {says: -1}, {err: broken}} {
		*j = bad
		if look, err := m.Probe(t.Context(), frame); err == nil {
			t.Errorf("%v, %v: %+v, want an error", bad.says, bad.err, look)
		}
	}
}
