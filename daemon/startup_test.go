package main

import (
	"bytes"
	"context"
	"errors"
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

// newFolder returns a folder with an empty models folder, one altered model file, a
// secret that every user can read and one that is good for nothing.
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
	write(t, filepath.Join(dir, "short"), "short\n", 0o600)
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
		{"two problems", "data: 1\nmatch: {accept: 3, reject: 4}\n", []string{":1: data:", ":2: match.accept:"}},
		{"secret in the file", "mqtt: {password: x}\n", []string{"mqtt.password", "password_file"}},
		{"no models folder", "models: {dir: DIR/none}\n", []string{"models.dir: " + dir + "/none: no such folder (run facegate models pull)"}},
		{"no model file", "models: {set: dlib, dir: DIR/empty}\n", []string{dir + "/empty/shape_predictor_5_face_landmarks.dat", "facegate models pull"}},
		{"altered model file", "models: {set: dlib, dir: DIR/altered}\n", []string{dir + "/altered/shape_predictor_5_face_landmarks.dat", "facegate models pull"}},
		{"no secret", "http: {token_file: DIR/none}\n", []string{"http.token_file: " + dir + "/none: no such file (create it or correct the path)"}},
		{"open secret", "http: {token_file: DIR/secret}\n", []string{"http.token_file: " + dir + "/secret: is a secret that every user can read or change (chmod o= " + dir + "/secret)"}},
		{"short token", "http: {token_file: DIR/short}\n", []string{path + ":1: http.token_file: " + dir + "/short: a token has 16 to 4096 characters"}},
		{"no certificate", "http: {listen: '127.0.0.1:8443', cert_file: DIR/short, key_file: DIR/short}\n", []string{path + ":1: http.cert_file, http.key_file: tls: "}},
		{"no folder for the socket", "http: {listen: 'unix:DIR/none/http.sock'}\n", []string{path + ":1: http.listen: no folder " + dir + "/none (create it"}},
		{"no folder for data", "data: DIR/short/data\n", []string{path + ":1: data: " + dir + "/short/data: "}},
		{"no inbox", "sources: {inbox: {enabled: true, dir: DIR/none}}\n", []string{path + ":1: sources.inbox.dir: " + dir + "/none: no such folder (create it, owned by this user)"}},
		{"short grant key", "door:\n  authorise: host\n  grant_key_file: DIR/short\n", []string{path + ":3: door.grant_key_file: read key " + dir + "/short: key has 5 bytes"}},
		{"malformed users", "mqtt: {embedded: {users_file: DIR/short}}\n", []string{path + ":1: mqtt.embedded.users_file: " + dir + "/short: line 1: want user:password"}},
		{"no authority", "mqtt: {broker: 'ssl://example.org:8883', ca_file: DIR/short}\n", []string{path + ":1: mqtt.ca_file: " + dir + "/short holds no PEM certificate"}},
		{"no such models", "models: {dir: DIR, set: none}\n", []string{path + ":1: models.set: "}},
		{"several files", "http: {token_file: DIR/short}\ndoor: {authorise: host, grant_key_file: DIR/none}\n", []string{
			path + ":1: http.token_file: " + dir + "/short: a token has 16", path + ":2: door.grant_key_file: " + dir + "/none: no such file (create it or correct the path)\n",
		}},
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
			for line := range strings.Lines(errs) {
				if !strings.HasPrefix(line, path+":") || strings.Count(errs, line) > 1 {
					t.Errorf("%s: %s: line %q does not begin with the file, or is there twice", tt.name, command, line)
				}
			}
		}
	}
}

// What is good is not complained of. The folder of the socket is systemd's to make.
func TestGoodConfiguration(t *testing.T) {
	dir := newFolder(t)
	path := filepath.Join(dir, "c.yaml")
	write(t, filepath.Join(dir, "token"), "0123456789abcdef\n", 0o600)
	write(t, filepath.Join(dir, "users"), "ann:x\n", 0o600)
	write(t, path, strings.ReplaceAll(`models: {dir: DIR/empty}
data: DIR/new/data
http: {token_file: DIR/token, listen: "unix:/run/facegate-test-none/http.sock"}
door: {authorise: host, grant_key_file: DIR/token}
sources: {inbox: {enabled: true, dir: DIR/altered}}
mqtt: {embedded: {users_file: DIR/users}}
`, "DIR", dir), 0o600)
	_, _, errs := facegate(t, "check", "--config", path)
	for line := range strings.Lines(errs) {
		if !strings.Contains(line, ": models.dir: ") { // these are the real ones, and not here
			t.Errorf("complaint: %s", line)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("check has made the folder of data")
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
		{[]string{"verify", "id.jpg", "live.jpg", "--json"}, exitUsage, "", "verify: --json: flags stand before other words"},
		{[]string{"verify", "--engine", "magic", "id.jpg", "live.jpg"}, exitUsage, "", `--engine: must be dlib or onnx, not "magic"`},
		{[]string{"verify", "--engine", "dlib", "--set", "edge", "id.jpg", "live.jpg"}, exitUsage, "", "--engine: dlib does not run the model set edge, onnx does"},
		{[]string{"calibrate", "--engine", "dlib", "--models", empty, "--pictures", empty}, exitConfig, "", empty + "/shape_predictor_5_face_landmarks.dat"},
		{[]string{"evaluate", "--engine", "onnx", "--models", empty, "--pictures", empty}, exitConfig, "", empty + "/fr_detect.onnx"},
		{[]string{"verify", "--help"}, exitOK, "usage: facegate verify [--json] [--config FILE] [--models DIR] [--engine ENGINE] [--set SET] ID.jpg LIVE.jpg ...\n  --config FILE ", ""},
		{[]string{"safe", "--help"}, exitOK, "usage: facegate safe --config FILE\n  --config FILE        FILE with the configuration\n", ""},
		{[]string{"run", "-h"}, exitOK, "usage: facegate run --config FILE\n", ""},
		{[]string{"help", "check"}, exitOK, "usage: facegate check --config FILE\n", ""},
		{[]string{"version", "--help"}, exitOK, "usage: facegate version\n", ""},
		{[]string{"models", "--help"}, exitOK, "usage: facegate models list | pull | verify", ""},
		{[]string{"models", "list", "--help"}, exitOK, "usage: facegate models list\n", ""},
		{[]string{"models", "pull", "--help"}, exitOK, "usage: facegate models pull [--dir DIR] [--from DIR | --upstream] [--arch ARCH] [SET]\n  --arch ARCH ", ""},
		{[]string{"models", "verify", "--help"}, exitOK, "(default /var/lib/facegate/models)", ""},
		{[]string{"ledger", "--help"}, exitOK, "usage: facegate ledger [--json] --config FILE\n", ""},
		{[]string{"sim-board", "--help"}, exitOK, "--timeline FILE", ""},
		{[]string{"cloudsim", "--help"}, exitOK, "--callback-insecure", ""},
		{[]string{"models", "pull", "--from", empty, "--upstream"}, exitUsage, "", "models pull: --from and --upstream exclude each other"},
		{[]string{"models", "list", "--dir", empty}, exitUsage, "", "-dir"},
		{[]string{"sim-board"}, exitUsage, "", "sim-board: give --socket PATH"},
		{[]string{"models"}, exitUsage, "", "models: say list, pull or verify"},
		{[]string{"models", "fetch"}, exitUsage, "", `models: unknown word "fetch"`},
		{[]string{"models", "list"}, exitOK, "licence", ""},
		{[]string{"models", "verify", "--dir", empty}, exitConfig, "", "get it with: facegate models pull --dir " + empty + " " + config.Default().Models.Set},
		{[]string{"models", "verify", "--dir", empty, "dlib"}, exitConfig, "", empty + "/shape_predictor_5_face_landmarks.dat"},
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

// The help names every command with the flags it cannot do without.
func TestHelpNamesFlags(t *testing.T) {
	_, out, _ := facegate(t, "help")
	for _, want := range []string{
		"run --config FILE", "verify [--json] [--config FILE] [--models DIR] [--engine ENGINE] [--set SET] ID.jpg LIVE.jpg", "models pull [--dir DIR] [--from DIR | --upstream] [--arch ARCH] [SET]",
		"facegate COMMAND --help", "69 unavailable", "78 configuration",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("help does not say %q:\n%s", want, out)
		}
	}
}

// What may be over at the next try has another status than what needs a mended
// configuration, for systemd does not try again after the latter.
func TestBoardThatIsNotThere(t *testing.T) {
	cfg := config.Default()
	cfg.Board = config.Board{Driver: "sim", Socket: filepath.Join(t.TempDir(), "none.sock")}
	_, err := openHardware(cfg, slog.New(slog.DiscardHandler))
	f, ok := errors.AsType[*failure](fail(exitConfig, err))
	if !ok || f.status != exitUnavailable {
		t.Errorf("got %v, want status %d", err, exitUnavailable)
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
