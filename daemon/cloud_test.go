package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/cloudtest"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/mxface"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/sim"
)

// Every service, in the clear on this machine and with a certificate of an
// authority of our own, says match, no match and unsure where it should.
func TestServicesAnswer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, name := range config.Services() {
			s := newStreet(t, secure, nil, nil)
			for similarity, want := range map[float64]match.Verdict{99.9: match.Match, 5: match.NoMatch} {
				s.truth.similarity = similarity
				r := s.ask(t, name)
				if !r.Answered || r.Verdict != want || r.Provider != name || r.Calls != 1 || r.Sent == 0 {
					t.Errorf("%s, TLS %v, similarity %v: got %+v\n%s", name, secure, similarity, r, s.log)
				}
			}
			if v := s.sim.Violations(); len(v) > 0 {
				t.Errorf("%s: %q", name, v)
			}
			noSecret(t, name+": the log", s.log.String(), unsureCase(t).Live)
		}
	}
}

// Without its authority a service is not trusted, and gets nothing.
func TestUnknownAuthority(t *testing.T) {
	s := newStreet(t, true, nil, nil)
	s.cfg.CAFile = ""
	for _, name := range config.Services() {
		if r := s.ask(t, name); r.Answered || r.Failure != cloud.Network {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	if got := s.sim.Requests(); len(got) > 0 {
		t.Errorf("sent %+v", got)
	}
}

// Each setting reaches its client.
func TestServiceSettings(t *testing.T) {
	turned := func(t *testing.T, s *street) {
		if !bytes.Equal(s.truth.lastSource(), unsureCase(t).ID) {
			t.Error("the ID is not the source")
		}
	}
	asked := func(ops ...sim.Op) func(*testing.T, *street) {
		return func(t *testing.T, s *street) {
			for _, op := range ops {
				if s.find(op) == nil {
					t.Errorf("no %s in %+v", op, s.sim.Requests())
				}
			}
		}
	}
	path := func(op sim.Op, want string) func(*testing.T, *street) {
		return func(t *testing.T, s *street) {
			if r := s.find(op); r == nil || !strings.HasPrefix(r.Path, want) {
				t.Errorf("%s: got %+v, want path %s", op, s.sim.Requests(), want)
			}
		}
	}
	bucket := func(prefix string) func(*config.Cloud) {
		return func(c *config.Cloud) {
			r := &c.Rekognition
			r.Bucket, r.BucketPrefix, r.BucketEndpoint = simBucket, prefix, r.Endpoint
		}
	}
	for _, tt := range []struct {
		name, provider string
		set            func(*config.Cloud)
		check          func(*testing.T, *street)
	}{
		{"deepidv roles", "deepidv", func(c *config.Cloud) { c.DeepIDV.IDAsSource = true }, turned},
		{"rekognition roles", "rekognition", func(c *config.Cloud) { c.Rekognition.IDAsSource = true }, turned},
		{"mxface roles", "mxface", func(c *config.Cloud) { c.MXFace.IDAsSource = true }, turned},
		{"argos roles", "argos", func(c *config.Cloud) { c.ARGOS.IDAsSource = true }, turned},
		{"deepidv json", "deepidv", func(c *config.Cloud) { c.DeepIDV.Send = "json" }, asked(sim.CompareDeepIDV)},
		{"deepidv presigned", "deepidv", func(c *config.Cloud) { c.DeepIDV.Send = "presigned" }, asked(sim.PresignDeepIDV, sim.UploadDeepIDV)},
		{"bucket", "rekognition", bucket(""), asked(sim.PutObject, sim.DeleteObject)},
		{"bucket prefix", "rekognition", bucket("kiosk-7/"), path(sim.PutObject, "/"+simBucket+"/kiosk-7/")},
		{"mxface v2", "mxface", func(c *config.Cloud) { c.MXFace.Version, c.MXFace.Accept, c.MXFace.Reject = "v2", 80, 40 }, path(sim.CompareMXFace, "/api/v2/")},
		{"mxface v1", "mxface", func(c *config.Cloud) { c.MXFace.Version, c.MXFace.Accept, c.MXFace.Reject = "v1", 0.8, 0.4 }, path(sim.CompareMXFace, "/api/face/")},
		{"mxface options", "mxface", func(c *config.Cloud) {
			c.MXFace.CompareAllFaces, c.MXFace.QualityThreshold, c.MXFace.MinEyeDistance = true, 60, 30
		}, path(sim.CompareMXFace, "/api/v3/")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStreet(t, false, nil, nil)
			tt.set(&s.cfg)
			if r := s.ask(t, tt.provider); r.Verdict != match.Match {
				t.Errorf("got %+v\n%s", r, s.log)
			}
			if v := s.sim.Violations(); len(v) > 0 {
				t.Errorf("violations: %q", v)
			}
			if left := s.sim.Objects(); len(left) > 0 {
				t.Errorf("left in the bucket: %q", left)
			}
			tt.check(t, s)
		})
	}
}

func (s *street) find(op sim.Op) *sim.Request {
	for _, r := range s.sim.Requests() {
		if r.Op == op {
			return &r
		}
	}
	return nil
}

// Each wrong setting is one line that begins with its key.
func TestWrongServiceSettings(t *testing.T) {
	for _, tt := range []struct {
		want string
		set  func(*config.Cloud)
	}{
		{"cloud.ca_file: open /none: no such file", func(c *config.Cloud) { c.CAFile = "/none" }},
		{"cloud.proxy: proxy kiosk:8080 holds a name or password", func(c *config.Cloud) { c.Proxy = "http://a:b@kiosk:8080" }},
		{"cloud.deepidv.base_url: ", func(c *config.Cloud) { c.DeepIDV.BaseURL = "http://192.0.2.1" }},
		{"cloud.deepidv.key_file: missing", func(c *config.Cloud) { c.DeepIDV.KeyFile = "" }},
		{"cloud.deepidv.send: ", func(c *config.Cloud) { c.DeepIDV.Send = "fax" }},
		{"cloud.rekognition.region: ", func(c *config.Cloud) { c.Rekognition.Region = "" }},
		{"cloud.rekognition.endpoint: ", func(c *config.Cloud) { c.Rekognition.Endpoint = "http://192.0.2.1" }},
		{"cloud.rekognition.secret_access_key_file: missing", func(c *config.Cloud) { c.Rekognition.SecretAccessKeyFile = "" }},
		{"cloud.rekognition.attempts: ", func(c *config.Cloud) { c.Rekognition.Attempts = 9 }},
		{"cloud.rekognition.role_arn: ", func(c *config.Cloud) { c.Rekognition.RoleARN = "arn:aws:iam::123456789012:role/kiosk" }},
		{"cloud.rekognition.bucket_prefix: ", func(c *config.Cloud) { c.Rekognition.Bucket, c.Rekognition.BucketPrefix = simBucket, "/" }},
		{"cloud.mxface.version: ", func(c *config.Cloud) { c.MXFace.Version = "v9" }},
		{"cloud.mxface.quality_threshold: ", func(c *config.Cloud) { c.MXFace.QualityThreshold = 7 }},
		{"cloud.mxface.base_url: ", func(c *config.Cloud) { c.MXFace.BaseURL = "mxface.ai" }},
		{"cloud.argos.base_url: ", func(c *config.Cloud) { c.ARGOS.BaseURL = "http://192.0.2.1" }},
		{"cloud.argos.callback.", func(c *config.Cloud) { c.ARGOS.Callback.Listen = "127.0.0.1:0" }},
		{"cloud.quorum: ", func(c *config.Cloud) { c.Quorum = 3 }},
		{"cloud.deepidv.reject: ", func(c *config.Cloud) { c.DeepIDV.Reject = c.DeepIDV.Accept }},
	} {
		s := newStreet(t, false, nil, nil)
		s.cfg.Providers = config.Services()
		tt.set(&s.cfg)
		opened, err := openServices(s.cfg, new(cloudtest.Ledger), slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%s: not refused", tt.want)
			_ = opened.Close()
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, tt.want) {
				t.Errorf("%s: got %q", tt.want, line)
			}
		}
		noSecret(t, tt.want, err.Error())
	}
}

// What the clients refuse, check refuses as run does, beside the rest.
func TestCheckAsksTheClients(t *testing.T) {
	dir := t.TempDir()
	key, path := filepath.Join(dir, "key"), filepath.Join(dir, "c.yaml")
	write(t, key, testKey, 0o600)
	write(t, path, "models: {dir: /none}\ncloud:\n  providers: [rekognition]\n  ca_file: /none\n  rekognition: {access_key_id_file: "+key+", secret_access_key_file: "+key+"}\n", 0o600)
	for _, command := range []string{"check", "run"} {
		status, _, errs := facegate(t, command, "--config", path)
		if status != exitConfig || !strings.Contains(errs, `cloud.rekognition.region: "" is not an AWS region`) || strings.Count(errs, "ca_file") != 1 || !strings.Contains(errs, "models.dir") {
			t.Errorf("%s: got %d and %q", command, status, errs)
		}
	}
}

// The defaults of the configuration are those of the clients, which name their
// source; MXFace v3 says 1 or 0.
func TestServiceDefaults(t *testing.T) {
	c := config.Default().Cloud
	for _, tt := range []struct {
		name           string
		service        config.Service
		accept, reject float64
		url, wantURL   string
	}{
		{"deepidv", c.DeepIDV.Service, deepidv.DefaultAccept, deepidv.DefaultReject, c.DeepIDV.BaseURL, deepidv.DefaultURL},
		{"rekognition", c.Rekognition.Service, rekognition.DefaultAccept, rekognition.DefaultReject, "", ""},
		{"mxface", c.MXFace.Service, 1, 0, c.MXFace.BaseURL, mxface.DefaultURL},
		{"argos", c.ARGOS.Service, argos.DefaultAccept, argos.DefaultReject, c.ARGOS.BaseURL, argos.DefaultURL},
	} {
		if tt.service.Accept != tt.accept || tt.service.Reject != tt.reject || tt.url != tt.wantURL {
			t.Errorf("%s: got %v, %v, %q, want %v, %v, %q", tt.name, tt.service.Accept, tt.service.Reject, tt.url, tt.accept, tt.reject, tt.wantURL)
		}
	}
}

// A key file that can't be used fails the call, not the start, and is not
// quoted.
func TestUnreadableKey(t *testing.T) {
	for _, name := range config.Services() {
		for text, why := range map[string]string{"": "is empty", testKey + "\n" + testSecret: "one line"} {
			s := newStreet(t, false, nil, nil)
			bad := s.file(t, "bad", text)
			s.cfg.DeepIDV.KeyFile, s.cfg.MXFace.KeyFile, s.cfg.ARGOS.KeyFile, s.cfg.Rekognition.SecretAccessKeyFile = bad, bad, bad, bad
			if r := s.ask(t, name); r.Answered || r.Failure != cloud.Unauthorised {
				t.Errorf("%s: got %+v", name, r)
			}
			if len(s.sim.Requests()) > 0 {
				t.Errorf("%s: asked without a key", name)
			}
			if !strings.Contains(s.log.String(), why) {
				t.Errorf("%s: the log does not say that it %s:\n%s", name, why, s.log)
			}
			noSecret(t, name, s.log.String())
		}
	}
}

// Whatever a service does, the log holds nothing that it must not.
func TestLogHoldsNoSecret(t *testing.T) {
	misbehaving := []sim.Step{
		{Do: sim.Throttle, RetryAfter: time.Second}, {Do: sim.Unauthorised}, {Do: sim.ServerError}, {Do: sim.Rejected}, {Do: sim.WrongJSON},
		{Do: sim.HTML}, {Do: sim.Empty}, {Do: sim.Redirect}, {Do: sim.Truncated}, {Do: sim.Reset}, {Do: sim.HalfOpen},
	}
	ops := map[string]sim.Op{"deepidv": sim.CompareDeepIDV, "rekognition": sim.CompareRekognition, "mxface": sim.CompareMXFace, "argos": sim.CompareARGOS}
	for _, name := range config.Services() {
		for _, step := range misbehaving {
			s := newStreet(t, false, map[sim.Op]sim.Script{ops[name]: {Steps: []sim.Step{step}}}, nil)
			s.cfg.Deadline = 20 * time.Second // a loaded machine is slow, and only the last step takes all of it
			if step.Do == sim.HalfOpen {
				s.cfg.Deadline = 100 * time.Millisecond
			}
			if r := s.ask(t, name); r.Verdict == match.Match {
				t.Errorf("%s, %s: got %+v", name, step.Do, r)
			}
			if step.Do != sim.HalfOpen && !strings.Contains(s.log.String(), "provider="+name) {
				t.Errorf("%s, %s: nothing in the log", name, step.Do)
			}
			noSecret(t, name+" "+string(step.Do), s.log.String(), unsureCase(t).Live, unsureCase(t).ID)
		}
	}
}

// ARGOS sends its result to a listener of the daemon's own.
func TestCallback(t *testing.T) {
	s := newStreet(t, false, nil, nil)
	s.sim.Insecure = true
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // of its certificate
	lender.Close()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	address := lender.Listener.Addr().String() // which is free again
	s.cfg.ARGOS.Callback = config.Callback{
		Listen: address, PublicURL: "https://" + address + "/results",
		CertFile: s.file(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		KeyFile:  s.file(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}
	opened := s.open(t, new(cloudtest.Ledger), "argos")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- opened.run(ctx) }()
	if r := opened.Ask(ctx, unsureCase(t)); r.Verdict != match.Match {
		t.Errorf("got %+v\n%s", r, s.log)
	}
	if s.find(sim.CallbackARGOS) == nil {
		t.Errorf("no result was posted: %+v", s.sim.Requests())
	}
	stop()
	if err := errors.Join(<-ended, opened.Close()); err != nil {
		t.Error(err)
	}
	if l, err := net.Listen("tcp", address); err != nil {
		t.Errorf("it still listens: %v", err)
	} else {
		_ = l.Close()
	}
	s.cfg.ARGOS.Callback.KeyFile = s.file(t, "other.pem", "none")
	if _, err := openServices(s.cfg, new(cloudtest.Ledger), slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "cloud.argos.callback.cert_file: ") {
		t.Errorf("with a wrong key: got %v", err)
	}
}

// A service that is left alone is a fault, by name, until it is asked again.
func TestPausedService(t *testing.T) {
	s := newStreet(t, false, map[sim.Op]sim.Script{sim.CompareDeepIDV: {Steps: []sim.Step{{Do: sim.ServerError}}}}, nil)
	s.cfg.Breaker.Failures = 1
	opened := s.open(t, new(cloudtest.Ledger), "deepidv", "mxface")
	if r := opened.Ask(t.Context(), unsureCase(t)); r.Provider != "mxface" {
		t.Errorf("got %+v", r)
	}
	faults := opened.faults()
	if err := faults["deepidv"]; err == nil || !strings.Contains(err.Error(), "failed 1 times in a row") {
		t.Errorf("deepidv: %v", err)
	}
	if err, known := faults["mxface"]; err != nil || !known {
		t.Errorf("mxface: %v, %v", err, known)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if none := (*services)(nil).faults(); len(none) > 0 {
		t.Errorf("without services: %v", none)
	}
}

// When the engine is down, what goes out are both pictures, made anew.
func TestWholePictures(t *testing.T) {
	s := newStreet(t, false, nil, nil)
	opened := s.open(t, new(cloudtest.Ledger), "deepidv")
	live := portrait(t, 1, 160)
	c := attempt.Case{AttemptID: "01KJM2Z8Q4T0V6W9X3Y5A7BCDE", Why: cloud.EngineDown, Photo: portrait(t, 2, 160), Frame: capture.Frame{Format: capture.JPEG, Width: 160, Height: 160, Data: live}}
	if r := opened.Ask(t.Context(), c); r.Verdict != match.Match {
		t.Errorf("got %+v\n%s", r, s.log)
	}
	c.Photo = c.Photo[:len(c.Photo)/2]
	if r := opened.Ask(t.Context(), c); r.Failure != event.PictureFailure || r.Calls != 0 {
		t.Errorf("half a picture: got %+v", r)
	}
	opened.asker.Deadline = 0
	if r := opened.Ask(t.Context(), c); r.Failure != cloud.Overdue || r.Calls != 0 {
		t.Errorf("no time: got %+v", r)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if got := s.sim.Requests(); len(got) != 1 || len(s.sim.Violations()) > 0 {
		t.Errorf("%+v, %q", got, s.sim.Violations())
	}
}
