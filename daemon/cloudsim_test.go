package main

import (
	"context"
	"errors"
	"image"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud/sim"
)

func TestCloudSimCommandLine(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args   string
		status int
		errs   string
	}{
		{"", exitUsage, "cloudsim: give --dir DIR"},
		{"--dir DIR extra", exitUsage, "cloudsim: give --dir DIR"},
		{"--dir DIR --port 1", exitUsage, "-port"},
		{"--dir DIR --listen 9001", exitUsage, "--listen: address 9001: missing port"},
		{"--dir DIR --listen 0.0.0.0:9001", exitUsage, `"0.0.0.0" is not this machine`},
		{"--dir DIR --listen :9001", exitUsage, `"" is not this machine`},
		{"--dir DIR --listen 127.0.0.1:http", exitUsage, `port "http" is not a number`},
		{"--dir DIR --listen 127.0.0.1:65533", exitUsage, `port "65533" is not a number from 0 to 65532`},
		{"--dir DIR --models DIR --listen " + taken.Addr().String(), exitConfig, "address already in use (choose another port"},
		{"--dir DIR --models DIR --listen 127.0.0.1:0", exitConfig, "facegate models pull"},
	} {
		args := append([]string{"cloudsim"}, strings.Fields(strings.ReplaceAll(tt.args, "DIR", dir))...)
		status, out, errs := facegate(t, args...)
		if status != tt.status || out != "" || !strings.Contains(errs, tt.errs) {
			t.Errorf("%q: got %d, %q, %q, want %d and %q", args, status, out, errs, tt.status, tt.errs)
		}
	}
}

func TestCloudSimFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeSimKey(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no such folder (make it first)") {
		t.Errorf("no folder: %v", err)
	}
	t.Chdir(dir)
	key, err := writeSimKey(".")
	if err != nil || !filepath.IsAbs(key) {
		t.Fatalf("got %q, %v", key, err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	for text, want := range map[string]string{
		"[]": "scripts.json: ", `{"deepidv": {"steps": [{"do": "sulk"}]}}`: `no such thing to do: "sulk"`,
		`{"fax": {}}`: "no such operation", `{"mxface": {"steps": [{"do": "true", "latency": "150ms"}]}}`: "",
	} {
		path := filepath.Join(dir, "scripts.json")
		write(t, path, text, 0o600)
		err := readScripts(new(sim.Server), path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := readScripts(new(sim.Server), filepath.Join(dir, "none")); err == nil {
		t.Error("no scripts: not refused")
	}
}

// What is printed is a section that the configuration takes.
func TestAnnouncedServices(t *testing.T) {
	listeners, err := listenAll("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		defer l.Close()
	}
	dir := t.TempDir()
	key, err := writeSimKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := announceServices(&out, listeners, key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c.yaml")
	write(t, path, out.String(), 0o600)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if err := checkServices(cfg.Cloud); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for name, url := range map[string]string{"deepidv": cfg.Cloud.DeepIDV.BaseURL, "rekognition": cfg.Cloud.Rekognition.Endpoint, "mxface": cfg.Cloud.MXFace.BaseURL, "argos": cfg.Cloud.ARGOS.BaseURL} {
		if want := "http://" + listeners[sim.Service(name)].Addr().String(); url != want || !cfg.Cloud.Asked(name) {
			t.Errorf("%s: got %s, want %s", name, url, want)
		}
	}
}

func TestPortsInARow(t *testing.T) {
	for range 10 { // a port that is free may be followed by one that is not
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		all, err := listenAll("127.0.0.1:" + strconv.Itoa(first))
		if err != nil {
			continue
		}
		for i, service := range simServices() {
			if port := all[service].Addr().(*net.TCPAddr).Port; port != first+i {
				t.Errorf("%s is on port %d, want %d", service, port, first+i)
			}
			_ = all[service].Close()
		}
		return
	}
	t.Error("no four free ports in a row")
}

// A finder is an engine that finds the faces it was told.
type finder struct{ found [][]match.Face }

func (f *finder) Faces(context.Context, image.Image, match.Want) ([]match.Face, error) {
	faces := f.found[0]
	f.found = f.found[1:]
	return faces, nil
}

func (*finder) Score(a, b match.Template) match.Score { return match.Score(b[0] - a[0]) }
func (*finder) Model() match.ModelID                  { return match.ModelID{} }
func (*finder) Close() error                          { return nil }

func TestTruth(t *testing.T) {
	face := func(at float32) match.Face {
		return match.Face{Box: image.Rect(40, 40, 120, 80), Template: match.Template{at}}
	}
	data := portrait(t, 1, 160)
	e := &finder{found: [][]match.Face{{face(0), face(9)}, {face(0.45), face(0.6)}, {}, {face(1)}}}
	c, err := (&truth{engine: e}).Compare(t.Context(), data, data)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Similarity) != 2 || c.Similarity[0] < 99 || c.Similarity[1] > 10 || len(c.Source) != 2 || c.Chosen != 0 {
		t.Errorf("got %+v", c)
	}
	if want := (sim.Box{Left: 0.25, Top: 0.25, Width: 0.5, Height: 0.25}); c.Target[0].Box != want {
		t.Errorf("got box %+v, want %+v", c.Target[0].Box, want)
	}
	c, err = (&truth{engine: e}).Compare(t.Context(), data, data)
	if err != nil || len(c.Source) != 0 || len(c.Target) != 1 || len(c.Similarity) != 0 {
		t.Errorf("without a source face: got %+v, %v", c, err)
	}
	if _, err := (&truth{engine: e}).Compare(t.Context(), data[:50], data); err == nil {
		t.Error("half a picture was compared")
	}
	if _, err := (&truth{engine: broken{}}).Compare(t.Context(), data, data); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken")

// A broken is an engine that does not work.
type broken struct{ *finder }

func (broken) Faces(context.Context, image.Image, match.Want) ([]match.Face, error) {
	return nil, errBroken
}
