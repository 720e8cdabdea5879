package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/facegate/facegate"

// A goPackage is what go list tells of one package.
type goPackage struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
	Deps       []string // of Imports, and theirs
}

func (p goPackage) name() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// packages lists the packages of this module and all that they depend on, as
// built with every driver.
func packages(t *testing.T) (own []goPackage, all map[string]goPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "-deps", "-test", "-tags", "dlib", module+"/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all = map[string]goPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
		plain := !strings.ContainsAny(p.ImportPath, " ") && !strings.HasSuffix(p.ImportPath, ".test")
		if plain && p.Module != nil && p.Module.Path == module {
			own = append(own, p)
		}
	}
	return own, all
}

// drivers are the packages that know one device, library or wire.
func drivers() []string {
	return append(providers(), "capture/v4l2", "capture/replay", "match/dlib", "match/onnx", "hal/gpio", "hal/sim", "match/cloud/sim")
}

// providers are the drivers that know one compare service.
func providers() []string {
	return []string{"match/cloud/argos", "match/cloud/deepidv", "match/cloud/mxface", "match/cloud/rekognition"}
}

// may lists what drivers import besides their root: what clients of services
// have in common, and the pictures that go out as JPEG.
func may(driver string) []string {
	switch {
	case driver == "match/dlib":
		return []string{"match", "match/picture"}
	case driver == "match/onnx": // a set's description says how its networks are used
		return []string{"match", "match/models", "match/picture"}
	case driver == "match/cloud/sim": // is written from the services' documents, not from the clients
		return nil
	case slices.Contains(providers(), driver):
		return []string{"match/cloud", "match/cloud/wire"}
	}
	root, _, _ := strings.Cut(driver, "/")
	return []string{root}
}

func TestArchitecture(t *testing.T) {
	own, all := packages(t)
	if len(own) < 20 {
		t.Fatalf("go list found %d packages of this module", len(own))
	}
	for _, p := range own {
		t.Run(strings.ReplaceAll(p.name(), "/", "_"), func(t *testing.T) {
			checkRoots(t, p, all)
			checkDrivers(t, p)
			checkAttempt(t, p)
		})
	}
}

// checkRoots holds the seams to the standard library.
func checkRoots(t *testing.T, p goPackage, all map[string]goPackage) {
	if !slices.Contains([]string{"capture", "match", "hal"}, p.name()) {
		return
	}
	for _, imported := range p.Deps {
		if !all[imported].Standard {
			t.Errorf("imports %s: a root imports the standard library only", imported)
		}
	}
}

// checkDrivers keeps the drivers apart from each other and from all but the
// commands.
func checkDrivers(t *testing.T, p goPackage) {
	root, _, _ := strings.Cut(p.name(), "/")
	isDriver := slices.Contains(drivers(), p.name())
	for _, imported := range p.Imports {
		name, ours := strings.CutPrefix(imported, module+"/")
		if !ours {
			continue
		}
		demo := p.name() == "daemon/demo" && name == "hal/sim" // it plays the person who looks on
		if slices.Contains(drivers(), name) && p.name() != "daemon" && !demo {
			t.Errorf("imports the driver %s: only the daemon's wiring does", name)
		}
		if above, _, _ := strings.Cut(name, "/"); root != "daemon" && above != root {
			t.Errorf("imports %s: libraries know their own tree only", name)
		}
		if isDriver && !slices.Contains(may(p.name()), name) {
			t.Errorf("imports %s: a driver imports %v only", name, may(p.name()))
		}
	}
}

// checkAttempt keeps every wire out of the decision.
func checkAttempt(t *testing.T, p goPackage) {
	if p.name() != "daemon/internal/attempt" {
		return
	}
	banned := []string{"net/http", "database/sql", "go.yaml.in/yaml/v3", module + "/daemon/internal/mqtt"}
	for _, d := range drivers() {
		banned = append(banned, module+"/"+d)
	}
	for _, imported := range p.Deps {
		if slices.Contains(banned, imported) {
			t.Errorf("depends on %s: the decision knows no wire", imported)
		}
	}
}

// One package wraps one library, so that a library can be replaced in one
// place.
func TestOneLibraryOnePackage(t *testing.T) {
	own, all := packages(t)
	users := map[string][]string{}
	for _, p := range own {
		for _, imported := range p.Imports {
			m := all[imported].Module
			if m == nil || m.Path == module || slices.Contains(users[m.Path], p.name()) {
				continue
			}
			users[m.Path] = append(users[m.Path], p.name())
		}
	}
	want := map[string][]string{
		"github.com/Kagami/go-face":                        {"match/dlib"},
		"github.com/aws/aws-sdk-go-v2":                     {"match/cloud/rekognition"},
		"github.com/aws/aws-sdk-go-v2/service/rekognition": {"match/cloud/rekognition"},
		"github.com/aws/aws-sdk-go-v2/service/s3":          {"match/cloud/rekognition"},
		"github.com/aws/aws-sdk-go-v2/service/sts":         {"match/cloud/rekognition"},
		"github.com/aws/smithy-go":                         {"match/cloud/rekognition"},
		"github.com/blackjack/webcam":                      {"capture/v4l2"},
		"github.com/coreos/go-systemd/v22":                 {"daemon"},
		"github.com/eclipse/paho.mqtt.golang":              {"daemon/internal/mqtt"},
		"github.com/gorilla/websocket":                     {"daemon/internal/broker"},
		"github.com/mochi-mqtt/server/v2":                  {"daemon/internal/broker"},
		"github.com/oklog/ulid/v2":                         {"daemon/internal/attempt"},
		"github.com/prometheus/client_golang":              {"daemon/internal/metrics"},
		"github.com/santhosh-tekuri/jsonschema/v6":         {"daemon/internal/event/eventtest"},
		"github.com/yalue/onnxruntime_go":                  {"match/onnx"},
		"go.yaml.in/yaml/v3":                               {"daemon/internal/config"},
		"google.golang.org/protobuf":                       {"match/onnx"},
		"modernc.org/sqlite":                               {"daemon/internal/journal"},
		"periph.io/x/conn/v3":                              {"hal/gpio"},
		"periph.io/x/host/v3":                              {"hal/gpio"},
		// Decoders for ID photos, and the drawing of the demo's scenes.
		"golang.org/x/image": {"daemon/internal/scene", "daemon/test/board", "match/picture"},
		// System calls, which each user makes for its own device or file.
		"golang.org/x/sys": {"capture/v4l2", "daemon/internal/event", "daemon/internal/inbox", "daemon/test/board/power", "daemon/test/board/power/guest"},
	}
	for path, got := range users {
		slices.Sort(got)
		if !slices.Equal(got, want[path]) {
			t.Errorf("%s is imported by %v, want %v", path, got, want[path])
		}
	}
	for path := range want {
		if users[path] == nil {
			t.Errorf("%s is imported by nobody", path)
		}
	}
}
