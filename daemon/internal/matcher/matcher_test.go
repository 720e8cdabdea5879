package matcher_test

import (
	"context"
	"errors"
	"image"
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
	"github.com/facegate/facegate/match/picture"
	"github.com/facegate/facegate/match/quality"
)

const hang = 5 * time.Second

// start runs a matcher on an engine until the test ends.
func start(t *testing.T, e match.Engine) *matcher.Matcher {
	t.Helper()
	m := matcher.New(e, matcher.Options{
		Limits:   quality.Limits{MinSize: 80, MaxLuma: 255, MaxClipped: 1},
		Document: document.Options{MinFace: 60, Policy: match.DefaultPolicy()},
		Hang:     hang,
	})
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
