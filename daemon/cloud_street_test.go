package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"image"
	"image/color"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/cloudtest"
	"github.com/facegate/facegate/match/cloud/sim"
	"github.com/facegate/facegate/match/picture"
)

// The keys of the tests. None of them may appear in a log or an error.
const (
	testKey    = "sk_5f1d9c7e-of-the-test"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY-of-the-test"
)

// A verdict is a sim.Comparer that always says the same and keeps the last
// source picture.
type verdict struct {
	similarity float64

	mu sync.Mutex
	// mu guards the following
	source []byte
}

var _ sim.Comparer = (*verdict)(nil)

// Compare implements sim.Comparer.
func (v *verdict) Compare(_ context.Context, source, _ []byte) (sim.Comparison, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.source = bytes.Clone(source)
	face := []sim.Face{{Box: sim.Box{Left: 0.25, Top: 0.25, Width: 0.5, Height: 0.5}, Confidence: 99.5, Quality: 70}}
	return sim.Comparison{Source: face, Target: face, Similarity: []float64{v.similarity}}, nil
}

func (v *verdict) lastSource() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.source
}

// A street is all services on this machine, and a configuration that knows
// them.
type street struct {
	cfg   config.Cloud
	sim   *sim.Server
	truth *verdict
	log   *bytes.Buffer
	dir   string
}

// newStreet opens the services, which answer as scripted. Wrapped handlers
// serve in their stead.
func newStreet(t testing.TB, secure bool, scripts map[sim.Op]sim.Script, wrap func(http.Handler) http.Handler) *street {
	t.Helper()
	s := &street{cfg: config.Default().Cloud, truth: &verdict{similarity: 99.9}, log: new(bytes.Buffer), dir: t.TempDir()}
	s.sim = &sim.Server{
		Comparer: s.truth, Scripts: scripts, Keys: sim.Keys{DeepIDV: testKey, MXFace: testKey, ARGOS: testKey},
		AWS: sim.AWS{AccessKey: testKey, SecretKey: testSecret, Region: simRegion, Bucket: simBucket},
	}
	if err := s.sim.Check(); err != nil {
		t.Fatal(err)
	}
	address := map[sim.Service]string{}
	for _, service := range simServices() {
		handler := s.sim.Handler(service)
		if wrap != nil {
			handler = wrap(handler)
		}
		web := httptest.NewUnstartedServer(handler)
		if web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0); secure {
			web.StartTLS()
			s.cfg.CAFile = s.file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
		} else {
			web.Start()
		}
		t.Cleanup(web.Close)
		address[service] = web.URL
	}
	t.Cleanup(s.sim.Close) // before the others: it lets go of requests that are never answered
	key, secret := s.file(t, "key", testKey+"\n"), s.file(t, "secret", testSecret+"\n")
	s.cfg.DeepIDV.BaseURL, s.cfg.DeepIDV.KeyFile = address[sim.DeepIDV], key
	s.cfg.MXFace.BaseURL, s.cfg.MXFace.KeyFile = address[sim.MXFace], key
	s.cfg.ARGOS.BaseURL, s.cfg.ARGOS.KeyFile = address[sim.ARGOS], key
	r := &s.cfg.Rekognition
	r.Endpoint, r.Region = address[sim.Rekognition], simRegion
	r.AccessKeyIDFile, r.SecretAccessKeyFile = key, secret
	return s
}

func (s *street) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	write(t, path, text, 0o600)
	return path
}

// open makes the daemon's part from the configuration.
func (s *street) open(t testing.TB, ledger cloud.Ledger, providers ...string) *services {
	t.Helper()
	s.cfg.Providers = providers
	opened, err := openServices(s.cfg, ledger, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// ask asks once, the way an attempt does, and closes the services.
func (s *street) ask(t testing.TB, providers ...string) cloud.Result {
	t.Helper()
	opened := s.open(t, new(cloudtest.Ledger), providers...)
	r := opened.Ask(t.Context(), unsureCase(t))
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	return r
}

// portrait draws a square picture, of so many pixels on each side.
func portrait(t testing.TB, seed uint64, side int) []byte {
	t.Helper()
	img, dice := image.NewRGBA(image.Rect(0, 0, side, side)), rand.New(rand.NewPCG(seed, 0))
	for i := range img.Pix {
		img.Pix[i] = 100 + uint8(dice.IntN(16)) + uint8(i/side/16)
	}
	for i := range side {
		img.Set(i, i, color.White)
	}
	data, err := picture.JPEG(img, 92)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func unsureCase(t testing.TB) attempt.Case {
	return attempt.Case{AttemptID: "01KJM2Z8Q4T0V6W9X3Y5A7BCDE", Why: cloud.Unsure, Live: portrait(t, 1, 160), ID: portrait(t, 2, 160)}
}

// noSecret checks that a text holds no key, no signature and no picture.
func noSecret(t *testing.T, what, text string, pictures ...[]byte) {
	t.Helper()
	for _, secret := range []string{testKey, testSecret, base64.StdEncoding.EncodeToString([]byte(testKey)), "Signature=", "AWS4-HMAC", "\xff\xd8\xff", "/9j/"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %q:\n%.2000s", what, secret, text)
		}
	}
	for _, p := range pictures {
		if strings.Contains(text, string(p[len(p)/2:len(p)/2+16])) {
			t.Errorf("%s holds a piece of a picture", what)
		}
	}
}
