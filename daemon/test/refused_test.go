//go:build dlib && integration

package test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/sim"
)

// leaveOn turns an output on and lets go of it, as a daemon that was killed
// does.
func (s *site) leaveOn(names ...string) {
	s.t.Helper()
	for _, name := range names {
		c, err := sim.Open(s.path("board.sock"), "killed")
		must(s.t, err)
		_, err = c.Output(hal.Line{Name: name, ActiveLow: true})
		must(s.t, errors.Join(err, c.Close())) // off, for one that is active low
		s.high(name)
	}
}

// models makes a folder of links to the model files, of which one is replaced
// by change.
func (s *site) models(name string, change func(model []byte) []byte) {
	s.t.Helper()
	from := env(s.t, "FACEGATE_MODELS")
	files, err := os.ReadDir(from)
	must(s.t, err)
	must(s.t, os.Mkdir(s.path(name), 0o700))
	for _, f := range files {
		to := filepath.Join(s.path(name), f.Name())
		if f.Name() != "shape_predictor_5_face_landmarks.dat" {
			must(s.t, os.Symlink(filepath.Join(from, f.Name()), to))
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		must(s.t, err)
		if data = change(data); data != nil {
			must(s.t, os.WriteFile(to, data, 0o600))
		}
	}
}

// TestRefused starts the daemon with what it must not start with. It says in
// one line what is wrong and what helps, ends with status 78, or with 69 if it is a
// line that cannot be had now, and makes the outputs safe that the one before has
// left on.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.models("missing", func([]byte) []byte { return nil })
	s.models("altered", func(m []byte) []byte { m[len(m)/2] ^= 1; return m })
	must(t, os.WriteFile(s.path("token"), []byte("short\n"), 0o600))
	config, err := os.ReadFile(s.path("facegate.yaml"))
	must(t, err)
	holder, err := sim.Open(s.path("board.sock"), "other")
	must(t, err)
	t.Cleanup(func() { _ = holder.Close() })
	_, err = holder.Input(hal.Line{Name: "button"})
	must(t, err)
	const unreadable = "/proc/sys/vm/compact_memory" // not even root may read it
	for _, tt := range []struct {
		name  string
		edits []string
		want  string // the whole line
		on    string // an output that stays on, because nobody knows it any more
	}{
		{"wrong key", []string{"fps: 15", "fsp: 15"}, "FILE:4: camera.fsp: unknown key (did you mean fps?)", ""},
		{"duplicate key", []string{"fps: 15", "fps: 15, fps: 5"}, "FILE:4: camera.fps: duplicate key (first on line 4)", ""},
		{"missing model", []string{"models: {dir: ", "models: {set: dlib, dir: DIR/missing} #"}, "FILE:3: models.dir: model file DIR/missing/shape_predictor_5_face_landmarks.dat: missing (get it with: facegate models pull --dir DIR/missing dlib)", ""},
		{"altered model", []string{"models: {dir: ", "models: {set: dlib, dir: DIR/altered} #"}, "FILE:3: models.dir: model file DIR/altered/shape_predictor_5_face_landmarks.dat: 9150489 bytes with sha256 ", ""},
		{"no such door", []string{"{name: door}", "{name: trapdoor}"}, `facegate: door.output: open output line "trapdoor": line "trapdoor": no such line (the board has `, "door"},
		{"no such lamp", []string{"lamp-fault", "beacon"}, `facegate: lamps.fault: open output line "beacon": line "beacon": no such line (the board has `, "lamp-fault"},
		{"line in use", []string{"lamp-busy", "button"}, `facegate: lamps.busy: open output line "button": line is in use by "other@`, ""},
		{"no secret", []string{"http: {", "http: {token_file: DIR/none, "}, "FILE:16: http.token_file: DIR/none: no such file (create it or correct the path)", ""},
		{"unreadable secret", []string{"http: {", "http: {token_file: " + unreadable + ", "}, "FILE:16: http.token_file: " + unreadable + ": not readable by this user (check its owner and mode, or hand it over with LoadCredential=)", ""},
		{"weak secret", []string{"http: {", "http: {token_file: DIR/token, "}, "FILE:16: http.token_file: DIR/token: a token has 16 to 4096 characters (openssl rand -hex 32 makes one)", ""},
		{"no inbox", []string{"dir: DIR/inbox", "dir: DIR/none"}, "FILE:15: sources.inbox.dir: DIR/none: ", ""},
	} {
		must(t, os.WriteFile(s.path("facegate.yaml"), config, 0o600))
		for i, e := range tt.edits {
			tt.edits[i] = strings.ReplaceAll(e, "DIR", s.dir)
		}
		s.edit(tt.edits...)
		s.leaveOn("door", "lamp-fault")
		var errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), env(t, "FACEGATE_BINARY"), "run", "--config", s.path("facegate.yaml"))
		cmd.Stderr = &errs
		_ = cmd.Run()
		status := 78
		if strings.HasPrefix(tt.want, "facegate: ") { // not about the file
			status = 69
		}
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%s: status %d, want %d", tt.name, got, status)
		}
		var said []string
		for line := range strings.Lines(errs.String()) {
			if !strings.HasPrefix(line, "time=") {
				said = append(said, line)
			}
		}
		want := strings.NewReplacer("DIR", s.dir, "FILE", s.path("facegate.yaml")).Replace(tt.want)
		if len(said) != 1 || !strings.HasPrefix(said[0], want) || !strings.Contains(said[0], "(") {
			t.Errorf("%s: it said %q, want one line that begins with %q", tt.name, said, want)
		}
		levels, err := s.operator.Levels()
		must(t, err)
		for _, l := range levels {
			if l.Level != 0 && l.Name != tt.on {
				t.Errorf("%s: %s is still on", tt.name, l.Name)
			}
		}
		if tt.on != "" {
			c, err := sim.Open(s.path("board.sock"), "tidy")
			must(t, err)
			_, err = c.Output(hal.Line{Name: tt.on})
			must(t, errors.Join(err, c.Close()))
		}
	}
}
