package sim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/sim"
)

// childEnv makes the test program a client that opens the door of the board
// with this socket and then waits to be killed.
const childEnv = "FACEGATE_TEST_BOARD"

func TestMain(m *testing.M) {
	if socket := os.Getenv(childEnv); socket != "" {
		os.Exit(child(socket))
	}
	os.Exit(m.Run())
}

func child(socket string) int {
	c, err := sim.Open(socket, "child")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	door, err := c.Output(hal.Line{Name: "door"})
	if err == nil {
		err = door.Set(true)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return 0
}

// serve runs a board for the test and returns its socket and timeline file.
func serve(t *testing.T) (socket, timeline string) {
	t.Helper()
	dir := t.TempDir()
	socket, timeline = filepath.Join(dir, "board.sock"), filepath.Join(dir, "timeline")
	file, err := os.OpenFile(timeline, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sim.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	board := &sim.Board{Timeline: file, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := board.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = file.Close()
	})
	return socket, timeline
}

// A daemon that is killed while the door is open leaves it open, the board can
// tell who it was, and the next process gets the line.
func TestKilledHolderLeavesTheDoorOpen(t *testing.T) {
	socket, timeline := serve(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+socket)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || said != "open\n" {
		t.Fatalf("child said %q, %v", said, err)
	}
	c, err := sim.Open(socket, "safe")
	if err != nil {
		t.Fatal(err)
	}
	holder := fmt.Sprintf("child@%d", cmd.Process.Pid)
	if _, err := c.Output(hal.Line{Name: "door"}); !errors.Is(err, hal.ErrInUse) || !strings.Contains(err.Error(), holder) {
		t.Errorf("Output = %v, want ErrInUse by %s", err, holder)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	operator, err := sim.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	levels, err := operator.Levels()
	if err != nil || levels[0].Level != 1 {
		t.Errorf("Levels = %v, %v, want the door still open", levels, err)
	}
	if _, err := c.Output(hal.Line{Name: "door"}); err != nil {
		t.Errorf("Output after the kill: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(timeline)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text) {
		var c sim.Change
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %d", c.Name, c.Level, c.HolderPID))
	}
	want := []string{fmt.Sprintf("door 1 %d", cmd.Process.Pid), fmt.Sprintf("door 0 %d", os.Getpid())}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("timeline: %q, want %q", got, want)
	}
}

func TestOpenWithoutABoard(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "board.sock")
	_, openErr := sim.Open(socket, "facegate")
	_, dialErr := sim.Dial(socket)
	for _, err := range []error{openErr, dialErr} {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), socket) {
			t.Errorf("got %v, want ErrNotExist and the socket's name", err)
		}
	}
}

func TestListenReplacesADeadSocketOnly(t *testing.T) {
	socket, _ := serve(t)
	if _, err := sim.Listen(socket); err == nil || !strings.Contains(err.Error(), "another board") {
		t.Errorf("Listen beside a board = %v, want an error", err)
	}
	dead := filepath.Join(t.TempDir(), "board.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	again, err := sim.Listen(dead)
	if err != nil {
		t.Fatalf("Listen on a dead socket: %v", err)
	}
	_ = again.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Listen(file); err == nil {
		t.Error("Listen on a file = nil, want an error")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("file is %q, %v after Listen", text, err)
	}
}
