//go:build dlib && integration

package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/hal/sim"
)

const (
	pulse   = 300 * time.Millisecond
	patient = 30 * time.Second // for what takes a moment; much less than go test waits
)

// A site is a kiosk in a folder: its board runs, its daemon comes and goes.
type site struct {
	t        *testing.T
	dir      string
	operator *sim.Operator
	board    *exec.Cmd
	changes  chan sim.Change // of the door and of the lamps busy and fault, as they happen
	env      []string        // what the daemons find in their environment besides the usual
}

// env returns what make sets.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s: not set (make test sets it)", name)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newSite lays out the pictures, writes the configuration and starts the board,
// which outlives every daemon. Edits are pairs: a piece of the usual
// configuration and what stands there instead; DIR is the site's folder.
func newSite(t *testing.T, edits ...string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "fg") // a socket's path must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, changes: make(chan sim.Change, 10_000)}
	s.draw()
	s.configure(env(t, "FACEGATE_MODELS"))
	s.edit(edits...)
	s.startBoard()
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// draw lays out the scenes that TestMain has drawn.
func (s *site) draw() {
	s.t.Helper()
	must(s.t, errors.Join(
		os.CopyFS(s.dir, os.DirFS(env(s.t, scenes))), os.Mkdir(s.path("inbox"), 0o700), os.Symlink("same", s.path("camera")),
	))
}

func (s *site) configure(models string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	address := l.Addr().String()
	must(s.t, l.Close())
	text := fmt.Sprintf(`device: {site: test, name: gate-1}
data: %[1]s
models: {dir: %[2]s}
camera: {driver: replay, replay: [%[1]s/camera], fps: 15}
attempt: {deadline: 3s, frames: 1}
board: {driver: sim, socket: %[1]s/board.sock}
door: {output: {name: door}, pulse: %[4]s}
lamps:
  ready: {name: lamp-ready}
  busy: {name: lamp-busy}
  granted: {name: lamp-granted}
  denied: {name: lamp-denied}
  attention: {name: lamp-attention}
  fault: {name: lamp-fault}
sources: {inbox: {enabled: true, dir: %[1]s/inbox}}
http: {listen: "unix:%[1]s/http.sock"}
mqtt: {broker: embedded, embedded: {listen: "%[3]s"}}
`, s.dir, models, address, pulse)
	must(s.t, os.WriteFile(s.path("facegate.yaml"), []byte(text), 0o600))
}

// edit changes the configuration for the daemons to come.
func (s *site) edit(edits ...string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path("facegate.yaml"))
	must(s.t, err)
	for i := 0; i < len(edits); i += 2 {
		if !bytes.Contains(text, []byte(edits[i])) {
			s.t.Fatalf("the configuration has no %q to replace:\n%s", edits[i], text)
		}
		text = bytes.Replace(text, []byte(edits[i]), []byte(strings.ReplaceAll(edits[i+1], "DIR", s.dir)), 1)
	}
	must(s.t, os.WriteFile(s.path("facegate.yaml"), text, 0o600))
}

func (s *site) startBoard() {
	t := s.t
	t.Helper()
	s.board = exec.Command(env(t, "FACEGATE_BINARY"), "sim-board", "--socket", s.path("board.sock"), "--timeline", s.path("timeline.jsonl"))
	s.board.Stderr = os.Stderr
	out, err := s.board.StdoutPipe()
	must(t, err)
	must(t, s.board.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it says that it listens
		t.Fatalf("start the board: %v", err)
	}
	s.operator, err = sim.Dial(s.path("board.sock"))
	must(t, err)
	var watching sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	began := make(chan struct{})
	watching.Go(func() {
		_ = s.operator.Watch(ctx, func([]sim.Level) { close(began) }, func(c sim.Change) {
			if c.Name == "door" || c.Name == "lamp-busy" || c.Name == "lamp-fault" {
				s.changes <- c
			}
		})
	})
	t.Cleanup(func() {
		stop()
		watching.Wait()
		_ = s.board.Process.Signal(syscall.SIGTERM)
		_ = s.board.Wait()
	})
	await(t, "the board's watcher", began)
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patient):
		t.Fatalf("%s: nothing within %v", what, patient)
	}
}

// forget drops the changes that nobody waited for.
func (s *site) forget() {
	for len(s.changes) > 0 {
		<-s.changes
	}
}

// rise waits for a line to go high, at most for the given time.
func (s *site) rise(line string, limit time.Duration) bool {
	over := time.After(limit)
	for {
		select {
		case c := <-s.changes:
			if c.Name == line && c.Level == 1 {
				return true
			}
		case <-over:
			return false
		}
	}
}

// drop puts the ID scan into the inbox as scanner software does.
func (s *site) drop() {
	s.t.Helper()
	data, err := os.ReadFile(s.path("card.jpg"))
	must(s.t, err)
	must(s.t, os.WriteFile(s.path("inbox/scan.tmp"), data, 0o600))
	must(s.t, os.Rename(s.path("inbox/scan.tmp"), s.path("inbox/scan.jpg")))
}

// dark checks that every output is off.
func (s *site) dark(when string) {
	s.t.Helper()
	levels, err := s.operator.Levels()
	must(s.t, err)
	for _, l := range levels {
		if l.Level != 0 && (l.Name == "door" || strings.HasPrefix(l.Name, "lamp-")) {
			s.t.Errorf("%s: %s is on", when, l.Name)
		}
	}
}

// timeline reads what the board has written.
func (s *site) timeline() []sim.Change {
	s.t.Helper()
	text, err := os.ReadFile(s.path("timeline.jsonl"))
	must(s.t, err)
	var all []sim.Change
	for line := range bytes.Lines(text) {
		var c sim.Change
		must(s.t, json.Unmarshal(line, &c))
		all = append(all, c)
	}
	return all
}

// open opens a journal as a daemon does.
func (s *site) open(path string) *journal.Journal {
	s.t.Helper()
	clock := event.Clock{BootID: "6f1c2a34-9b0d-4c55-8a1e-0d9f3b7c2e11", ClockSynced: func() bool { return true }}
	j, err := journal.Open(s.t.Context(), journal.Options{Path: path, MaxBytes: 64 << 20, Site: "test", Device: "gate-1", Stamp: clock.Stamp})
	must(s.t, err)
	return j
}

// history reads the whole journal of a daemon that has ended.
func (s *site) history() []event.Event {
	s.t.Helper()
	j := s.open(s.path("journal.db"))
	events, err := j.Range(s.t.Context(), 1, 1<<40, 1<<20)
	must(s.t, errors.Join(err, j.Close()))
	return events
}

// left returns the attempts without an outcome in the journal of a daemon
// that was killed. It looks at a copy, so that the next daemon has to see to
// them itself.
func (s *site) left(round int) []string {
	s.t.Helper()
	copied := s.path(fmt.Sprintf("copy-%d.db", round))
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(s.path("journal.db" + end))
		must(s.t, err)
		must(s.t, os.WriteFile(copied+end, data, 0o600))
	}
	j := s.open(copied)
	events, err := j.Recover(s.t.Context())
	must(s.t, errors.Join(err, j.Close()))
	var ids []string
	for _, e := range events {
		if e.Kind == event.KindAttempt {
			ids = append(ids, e.AttemptID)
		}
	}
	return ids
}

// A daemon is one run of the program.
type daemon struct {
	cmd          *exec.Cmd
	ready, ended chan struct{} // closed when the inbox is watched; when an outcome was told
	gone         chan struct{} // closed when all it wrote was read; then the following are final
	said         []announcement
	log          transcript
}

// A transcript is what a program writes, line by line.
type transcript struct {
	// mu guards the following
	mu    sync.Mutex
	lines []string
	read  int           // lines that says has passed over
	more  chan struct{} // closed with the next line; nil while nobody waits
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (l *transcript) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// find returns the next line after the last one found that matches, or a
// channel that is closed when there is more to look at.
func (l *transcript) find(pattern *regexp.Regexp) (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, line := range l.lines[l.read:] {
		if pattern.MatchString(line) {
			l.read += i + 1
			return line, nil
		}
	}
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return "", l.more
}

// says waits for a line that matches among those that the daemon has written
// since the last line that says has found, and returns it.
func (d *daemon) says(t *testing.T, pattern string) string {
	t.Helper()
	over, wanted := time.After(patient), regexp.MustCompile(pattern)
	for ended := false; ; {
		line, more := d.log.find(wanted)
		if more == nil {
			return line
		}
		if ended {
			t.Fatalf("the daemon ended without a line like %q:\n%s", pattern, d.log.String())
		}
		select {
		case <-more:
		case <-d.gone:
			ended = true
		case <-over:
			t.Fatalf("no line like %q within %v:\n%s", pattern, patient, d.log.String())
		}
	}
}

// start starts the daemon and waits until it takes ID scans.
func (s *site) start() *daemon {
	t := s.t
	t.Helper()
	d := &daemon{ready: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{})}
	d.cmd = exec.Command(env(t, "FACEGATE_BINARY"), "run", "--config", s.path("facegate.yaml"))
	d.cmd.Env = append(os.Environ(), s.env...)
	errs, err := d.cmd.StderrPipe()
	must(t, err)
	must(t, d.cmd.Start())
	t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // long gone, unless the test broke off
	go d.read(bufio.NewScanner(errs))
	select {
	case <-d.ready:
	case <-d.gone:
		t.Fatalf("the daemon ended: %v\n%s", d.cmd.Wait(), d.log.String())
	case <-time.After(patient):
		t.Fatalf("the daemon is not ready after %v", patient)
	}
	return d
}

// read follows the daemon's log.
func (d *daemon) read(lines *bufio.Scanner) {
	defer close(d.gone)
	outcome := regexp.MustCompile(`msg="attempt ended" attempt=(\S+) decision=(\S+) reason=(\S+) access=(\S+)`)
	ready := false
	for lines.Scan() {
		d.log.add(lines.Text())
		if strings.Contains(lines.Text(), `msg="inbox ready"`) && !ready {
			ready = true
			close(d.ready)
		}
		if m := outcome.FindStringSubmatch(lines.Text()); m != nil {
			if d.said = append(d.said, announcement{m[1], event.Decision(m[2]), event.Reason(m[3]), event.Access(m[4])}); len(d.said) == 1 {
				close(d.ended)
			}
		}
	}
}

// terminate asks the daemon to stop and checks that it does, well and soon.
func (s *site) terminate(d *daemon) {
	s.t.Helper()
	began := time.Now()
	must(s.t, d.cmd.Process.Signal(syscall.SIGTERM))
	await(s.t, "the daemon's end", d.gone)
	err := d.cmd.Wait()
	took := time.Since(began)
	if err != nil || took > 3*time.Second {
		s.t.Errorf("stopped after %v: %v\n%s", took, err, d.log.String())
	}
	s.t.Logf("stopped after %v", took.Round(time.Millisecond))
	s.dark("after the stop")
}
