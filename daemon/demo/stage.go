package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/facegate/facegate/daemon/internal/scene"
)

// A stage is a folder with everything the demo needs, and the processes.
type stage struct {
	options
	dir    string
	port   int
	show   *show
	procs  []*exec.Cmd
	follow sync.WaitGroup
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// newStage draws the pictures and writes the configuration.
func newStage(o options) (*stage, error) {
	dir, err := os.MkdirTemp("", "facegate-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{options: o, dir: dir, show: newShow()}
	if err := errors.Join(s.draw(), s.configure()); err != nil {
		s.clear()
		return nil, err
	}
	return s, nil
}

// draw makes three scenes for the camera and two ID cards.
func (s *stage) draw() error {
	const frames = 24
	same, err := scene.FirstLive().Film(s.pictures, frames)
	if err != nil {
		return err
	}
	other, err := scene.Second().Film(s.pictures, frames)
	if err != nil {
		return err
	}
	nobody := scene.Film(nil, image.Rectangle{}, frames)
	card, err := scene.FirstOnID().Card(s.pictures)
	if err != nil {
		return err
	}
	return errors.Join(
		scene.Save(s.path("same"), same), scene.Save(s.path("other"), other), scene.Save(s.path("nobody"), nobody),
		saveCard(s.path("card.jpg"), card), saveCard(s.path("blank.jpg"), scene.Card(nil, image.Rectangle{})),
		os.Symlink("nobody", s.path("camera")), os.Mkdir(s.path("inbox"), 0o755),
	)
}

func saveCard(path string, img image.Image) error {
	data, err := scene.JPEG(img)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func (s *stage) configure() error {
	models, err := filepath.Abs(s.models)
	if err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	text := fmt.Sprintf(`device: {site: demo, name: gate-1}
data: %[1]s
models: {dir: %[2]s}
camera: {driver: replay, replay: [%[1]s/camera], fps: 15}
attempt: {deadline: 4s}
board: {driver: sim, socket: %[1]s/board.sock}
door: {output: {name: door}, pulse: 800ms}
lamps:
  ready: {name: lamp-ready}
  busy: {name: lamp-busy}
  granted: {name: lamp-granted}
  denied: {name: lamp-denied}
  attention: {name: lamp-attention}
  fault: {name: lamp-fault}
  hold: 1s
sources: {inbox: {enabled: true, dir: %[1]s/inbox}}
http: {listen: "unix:%[1]s/http.sock"}
mqtt: {broker: embedded, embedded: {listen: "127.0.0.1:%[3]d"}}
log: {level: warn}
`, s.dir, models, s.port)
	return os.WriteFile(s.path("facegate.yaml"), []byte(text), 0o644)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// start brings up the board, the daemon and the subscriber, in that order.
func (s *stage) start(ctx context.Context) error {
	fmt.Println("starting the board, the daemon and a subscriber ...")
	if err := s.run(nil, s.program, "sim-board", "--socket", s.path("board.sock"), "--timeline", s.path("timeline.jsonl")); err != nil {
		return err
	}
	if err := s.await(ctx, "the board", func() bool { _, err := os.Stat(s.path("board.sock")); return err == nil }); err != nil {
		return err
	}
	if err := s.watchBoard(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := s.run(nil, s.program, "run", "--config", s.path("facegate.yaml")); err != nil {
		return err
	}
	if err := s.await(ctx, "the daemon", s.ready); err != nil {
		return err
	}
	fmt.Printf("the daemon was ready after %v\n\n", time.Since(began).Round(10*time.Millisecond))
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	err = s.run(write, "mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(s.port), "-t", "facegate/demo/gate-1/#", "-F", "%t %p")
	_ = write.Close()
	if err != nil {
		return err
	}
	s.follow.Go(func() { s.show.subscriber(read) })
	return s.await(ctx, "the subscriber", s.show.heard)
}

// run starts a process whose standard output goes to out.
func (s *stage) run(out *os.File, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if out != nil {
		cmd.Stdout = out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.procs = append(s.procs, cmd)
	return nil
}

// await polls until ok, for at most 30 s.
func (s *stage) await(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("%s is not ready after 30 s", what)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// ready reports whether the daemon's broker accepts connections.
func (s *stage) ready() bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// clear stops the processes, the newest first, and removes the folder.
func (s *stage) clear() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		_ = s.procs[i].Process.Signal(syscall.SIGTERM)
		_ = s.procs[i].Wait()
	}
	s.follow.Wait()
	_ = os.RemoveAll(s.dir)
}
