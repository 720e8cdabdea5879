package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/sim"
)

// facegate runs one command line in this process.
func facegate(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = dispatch(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

// newFolder returns a folder with an empty models folder, one altered model file and
// a secret that every user can read.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"empty", "altered"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "altered", "shape_predictor_5_face_landmarks.dat"), "not a model", 0o600)
	write(t, filepath.Join(dir, "secret"), "x", 0o644)
	return dir
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

// A wrong configuration is refused with the same words and the same status by
// check and by run.
func TestWrongConfiguration(t *testing.T) {
	dir := newFolder(t)
	path := filepath.Join(dir, "c.yaml")
	for _, tt := range []struct {
		name, yaml string
		want       []string
	}{
		{"wrong key", "camera: {widht: 640}\n", []string{path + ":1: camera.widht: unknown key (did you mean width?)"}},
		{"duplicate key", "data: /a\ndata: /b\n", []string{path + ":2: data: duplicate key (first on line 1)"}},
		{"two problems", "data: 1\nmatch: {accept: 0}\n", []string{":1: data:", ":2: match.accept:"}},
		{"secret in the file", "mqtt: {password: x}\n", []string{"mqtt.password", "password_file"}},
		{"no models folder", "models: {dir: DIR/none}\n", []string{"models.dir: " + dir + "/none: no such folder (run facegate models pull)"}},
		{"no model file", "models: {dir: DIR/empty}\n", []string{dir + "/empty/shape_predictor_5_face_landmarks.dat", "facegate models pull"}},
		{"altered model file", "models: {dir: DIR/altered}\n", []string{dir + "/altered/shape_predictor_5_face_landmarks.dat", "facegate models pull"}},
		{"no secret", "http: {token_file: DIR/none}\n", []string{"http.token_file: " + dir + "/none: no such file (create it or correct the path)"}},
		{"open secret", "http: {token_file: DIR/secret}\n", []string{"http.token_file: " + dir + "/secret: is a secret that every user can read or change (chmod o= " + dir + "/secret)"}},
		{"no pictures", "camera: {driver: replay, replay: [DIR/none]}\n", []string{"camera.replay: " + dir + "/none: no such file"}},
	} {
		write(t, path, strings.ReplaceAll(tt.yaml, "DIR", dir), 0o600)
		for _, command := range []string{"check", "run"} {
			status, out, errs := facegate(t, command, "--config", path)
			if status != exitConfig || out != "" {
				t.Errorf("%s: %s: got status %d and output %q, want %d and none", tt.name, command, status, out, exitConfig)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("%s: %s: got %q, want it to say %q", tt.name, command, errs, want)
				}
			}
		}
	}
}

// A size that the configuration allows is one that the journal can work with.
func TestLeastJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	for size, ok := range map[int64]bool{journal.MinBytes: true, journal.MinBytes - 1: false} {
		write(t, path, fmt.Sprintf("journal: {max_bytes: %dB}\n", size), 0o600)
		if _, err := config.Load(path); (err == nil) != ok {
			t.Errorf("journal.max_bytes of %d bytes: %v, want it accepted: %v", size, err, ok)
		}
	}
}

func TestNoConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	for _, command := range []string{"check", "run", "safe"} {
		status, _, errs := facegate(t, command, "--config", path)
		if status != exitConfig || !strings.Contains(errs, path) {
			t.Errorf("%s: got status %d and %q, want %d and the path", command, status, errs, exitConfig)
		}
	}
}

func TestCommandLine(t *testing.T) {
	empty := t.TempDir()
	for _, tt := range []struct {
		args   []string
		status int
		out    string
		errs   string
	}{
		{nil, exitUsage, "", "usage: facegate COMMAND"},
		{[]string{"open"}, exitUsage, "", `unknown command "open"`},
		{[]string{"help"}, exitOK, "usage: facegate COMMAND", ""},
		{[]string{"--help"}, exitOK, "usage: facegate COMMAND", ""},
		{[]string{"version"}, exitOK, "facegate ", ""},
		{[]string{"version", "x"}, exitUsage, "", "version takes no arguments"},
		{[]string{"run"}, exitUsage, "", "run: give --config FILE"},
		{[]string{"check"}, exitUsage, "", "check: give --config FILE"},
		{[]string{"safe"}, exitUsage, "", "safe: give --config FILE"},
		{[]string{"check", "--config", "a", "b"}, exitUsage, "", "check: give --config FILE and nothing else"},
		{[]string{"check", "--conf", "a"}, exitUsage, "", "-conf"},
		{[]string{"verify", "id.jpg"}, exitUsage, "", "verify: give the ID picture and at least one live picture"},
		{[]string{"sim-board"}, exitUsage, "", "sim-board: give --socket PATH"},
		{[]string{"models"}, exitUsage, "", "models: say list, pull or verify"},
		{[]string{"models", "fetch"}, exitUsage, "", `models: unknown word "fetch"`},
		{[]string{"models", "list"}, exitOK, "licence", ""},
		{[]string{"models", "verify", "--dir", empty}, exitConfig, "", empty + "/shape_predictor_5_face_landmarks.dat"},
		{[]string{"models", "verify", "--dir", empty, "none"}, exitConfig, "", `"none"`},
	} {
		status, out, errs := facegate(t, tt.args...)
		if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(errs, tt.errs) {
			t.Errorf("facegate %q: got %d, %q, %q, want %d, %q, %q", tt.args, status, out, errs, tt.status, tt.out, tt.errs)
		}
		if (out == "") != (tt.out == "") || (errs == "") != (tt.errs == "") {
			t.Errorf("facegate %q: got output %q and errors %q", tt.args, out, errs)
		}
	}
}

// startBoard serves a simulated board until the test ends and sets its lines
// high, as a daemon that was killed leaves them.
func startBoard(t *testing.T, high ...string) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "fg") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "board.sock")
	l, err := sim.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	b := sim.Board{Log: slog.New(slog.DiscardHandler)}
	go func() { ended <- b.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, name := range high {
		leaveHigh(t, socket, name)
	}
	return socket
}

// leaveHigh leaves an output on: closing one that is active low, off means
// high.
func leaveHigh(t *testing.T, socket, name string) {
	t.Helper()
	c, err := sim.Open(socket, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Output(hal.Line{Name: name, ActiveLow: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// levels returns the level of every line of the board.
func levels(t *testing.T, socket string) map[string]int {
	t.Helper()
	o, err := sim.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	all, err := o.Levels()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, l := range all {
		got[l.Name] = l.Level
	}
	return got
}

func TestSafe(t *testing.T) {
	const lines = "door: {output: {name: door}}\nlamps: {fault: {name: lamp-fault}}\n"
	for _, tt := range []struct {
		name, yaml         string
		status             int
		errs               string
		doorHigh, lampHigh int
	}{
		{"good", lines, exitOK, "", 0, 0},
		{"a problem elsewhere", "camera: {widht: 1}\n" + lines, exitOK, "", 0, 0},
		{"no models", "models: {dir: /none}\n" + lines, exitOK, "", 0, 0},
		{"no such line", "door: {output: {name: trapdoor}}\nlamps: {fault: {name: lamp-fault}}\n", exitInternal, "door.output: ", 1, 0},
		{"the level of one in doubt", "door: {output: {name: door, active_low: yes}}\nlamps: {fault: {name: lamp-fault}}\n", exitInternal, "door.output.active_low: must be true or false", 1, 0},
		{"the file in doubt", lines + "lamps: [\n", exitConfig, "not YAML", 1, 1},
		{"a value not allowed", "door: {output: {name: door, pull: up}, pulse: 1h}\nlamps: {fault: {name: lamp-fault}}\n", exitOK, "", 0, 0},
		{"two sections of lamps", lines + "lamps: {fault: {name: lamp-busy}}\n", exitInternal, "lamps: duplicate key", 0, 1},
		{"the board in doubt", lines + "board: {}\n", exitConfig, "board: duplicate key", 1, 1},
	} {
		socket := startBoard(t, "door", "lamp-fault")
		path := filepath.Join(t.TempDir(), "c.yaml")
		write(t, path, fmt.Sprintf("board: {driver: sim, socket: %s}\n%s", socket, tt.yaml), 0o600)
		before := levels(t, socket)
		if before["door"] != 1 || before["lamp-fault"] != 1 {
			t.Fatalf("%s: levels before: %v", tt.name, before)
		}
		status, _, errs := facegate(t, "safe", "--config", path)
		if status != tt.status || !strings.Contains(errs, tt.errs) || (errs == "") != (tt.errs == "") {
			t.Errorf("%s: got status %d and %q, want %d and %q", tt.name, status, errs, tt.status, tt.errs)
		}
		after := levels(t, socket)
		if after["door"] != tt.doorHigh || after["lamp-fault"] != tt.lampHigh {
			t.Errorf("%s: got door %d and lamp %d, want %d and %d", tt.name, after["door"], after["lamp-fault"], tt.doorHigh, tt.lampHigh)
		}
	}
}

// A daemon that refuses its configuration still takes an open door back.
func TestRunMakesSafeThenRefuses(t *testing.T) {
	socket := startBoard(t, "door")
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, fmt.Sprintf("board: {driver: sim, socket: %s}\ndoor: {output: {name: door}}\ncamera: {widht: 1}\n", socket), 0o600)
	status, _, errs := facegate(t, "run", "--config", path)
	if status != exitConfig || !strings.Contains(errs, "camera.widht") {
		t.Errorf("got status %d and %q, want %d and the key", status, errs, exitConfig)
	}
	if got := levels(t, socket)["door"]; got != 0 {
		t.Errorf("the door's line is at %d, want 0", got)
	}
}

func TestSafeWithUnknownBoard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "board: {driver: relais}\ndoor: {output: {name: door}}\n", 0o600)
	status, _, errs := facegate(t, "safe", "--config", path)
	if status != exitConfig || !strings.Contains(errs, `board.driver: unknown board "relais"`) {
		t.Errorf("got status %d and %q", status, errs)
	}
}

func TestSafeWithoutBoard(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	write(t, path, fmt.Sprintf("board: {driver: sim, socket: %s/none.sock}\ndoor: {output: {name: door}}\n", dir), 0o600)
	status, _, errs := facegate(t, "safe", "--config", path)
	if status == exitOK || !strings.Contains(errs, dir+"/none.sock") || !strings.Contains(errs, "(") {
		t.Errorf("got status %d and %q, want the socket and a remedy", status, errs)
	}
}
