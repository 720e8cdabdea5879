//go:build dlib

package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/daemon/internal/scene"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/sim"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/quality"
)

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// spread reports the median, the 99th percentile and the most.
func spread(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.50), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// openMatcher runs the real engine until the benchmark ends, and returns the
// ID scan and a frame of the same person as cameras deliver it.
func openMatcher(b *testing.B) (m *matcher.Matcher, card []byte, frame capture.Frame) {
	b.Helper()
	set, err := models.Find("dlib")
	check(b, err)
	engine, err := dlib.Open(dlib.Options{Dir: os.Getenv("FACEGATE_MODELS"), Model: set.ModelID(), Threads: 1})
	check(b, err)
	m = matcher.New(engine, matcher.Options{
		Limits:   quality.Limits{MaxLuma: 255, MaxClipped: 1},
		Document: document.Options{MinFace: 40, Policy: match.Policy{Accept: 0.5, Reject: 0.6}},
		Hang:     time.Minute,
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, engine.Close()); err != nil {
			b.Error(err)
		}
	})
	card, data := drawings(b)
	return m, card, capture.Frame{Seq: 1, Time: time.Now(), Format: capture.JPEG, Width: 640, Height: 480, Data: data}
}

// drawings returns an ID scan and a camera frame of one person, as JPEG.
func drawings(b *testing.B) (card, frame []byte) {
	b.Helper()
	pictures := os.Getenv("FACEGATE_PICTURES")
	img, err := scene.FirstOnID().Card(pictures)
	check(b, err)
	card, err = scene.JPEG(img)
	check(b, err)
	film, err := scene.FirstLive().Film(pictures, 1)
	check(b, err)
	frame, err = scene.JPEG(film[0])
	check(b, err)
	return card, frame
}

// BenchmarkFrame measures frame to verdict.
func BenchmarkFrame(b *testing.B) {
	m, card, frame := openMatcher(b)
	reference, err := m.Reference(b.Context(), card)
	check(b, err)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		look, err := m.Look(b.Context(), frame)
		check(b, err)
		if look.Flaw != "" || m.Score(reference.Template, look.Template) > 0.5 {
			b.Fatalf("the same person does not match: %+v", look.Gates)
		}
		took = append(took, time.Since(began))
	}
	spread(b, took)
}

// BenchmarkCard measures ID photo to ready.
func BenchmarkCard(b *testing.B) {
	m, card, _ := openMatcher(b)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		_, err := m.Reference(b.Context(), card)
		check(b, err)
		took = append(took, time.Since(began))
	}
	spread(b, took)
}

// BenchmarkPin measures the simulated board: the call that turns a line on or
// off, the message to the board's process and its answer included.
func BenchmarkPin(b *testing.B) {
	line := openPin(b)
	var took []time.Duration
	for on := true; b.Loop(); on = !on {
		began := time.Now()
		check(b, line.Set(on))
		took = append(took, time.Since(began))
	}
	spread(b, took)
}

// openPin starts a simulated board and returns the output of its door.
func openPin(b *testing.B) hal.Output {
	b.Helper()
	socket := filepath.Join(folder(b), "board.sock")
	board := exec.Command(os.Getenv("FACEGATE_BINARY"), "sim-board", "--socket", socket)
	out, err := board.StdoutPipe()
	check(b, err)
	check(b, board.Start())
	b.Cleanup(func() { end(b, board) })
	_, err = bufio.NewReader(out).ReadString('\n') // it says that it listens
	check(b, err)
	client, err := sim.Open(socket, "bench")
	check(b, err)
	b.Cleanup(func() { check(b, client.Close()) })
	pin, err := client.Output(hal.Line{Name: "door"})
	check(b, err)
	return pin
}

// BenchmarkStart measures start to READY=1, and the memory after one attempt.
func BenchmarkStart(b *testing.B) {
	dir := folder(b)
	card, frame := drawings(b)
	check(b, os.WriteFile(filepath.Join(dir, "live.jpg"), frame, 0o600))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	check(b, port.Close())
	check(b, os.WriteFile(filepath.Join(dir, "facegate.yaml"), fmt.Appendf(nil, `device: {site: bench, name: gate-1}
data: %[1]s
models: {dir: %[2]s}
camera: {driver: replay, replay: [%[1]s/live.jpg], fps: 15}
attempt: {frames: 1}
http: {listen: "unix:%[1]s/http.sock"}
mqtt: {broker: embedded, embedded: {listen: %[3]q}}
log: {level: warn}
`, dir, os.Getenv("FACEGATE_MODELS"), port.Addr().String()), 0o600))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	check(b, err)
	defer func() { _ = notify.Close() }()
	var took []time.Duration
	var idle, after float64
	for b.Loop() {
		daemon := exec.Command(os.Getenv("FACEGATE_BINARY"), "run", "--config", filepath.Join(dir, "facegate.yaml"))
		daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
		daemon.Stderr = os.Stderr
		began := time.Now()
		check(b, daemon.Start())
		b.Cleanup(func() { _ = daemon.Process.Kill() }) // long gone, unless the benchmark broke off
		awaitReady(b, notify)
		took = append(took, time.Since(began))
		idle = max(idle, memory(b, daemon.Process.Pid, "VmRSS"))
		present(b, filepath.Join(dir, "http.sock"), card)
		after = max(after, memory(b, daemon.Process.Pid, "VmHWM"))
		end(b, daemon)
	}
	spread(b, took)
	b.ReportMetric(idle, "MiB-ready")
	b.ReportMetric(after, "MiB-peak")
}

// folder returns a folder whose path is short enough for sockets.
func folder(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "fg")
	check(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func end(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	check(b, cmd.Process.Signal(syscall.SIGTERM))
	check(b, cmd.Wait())
}

// awaitReady reads what the daemon tells systemd.
func awaitReady(b *testing.B, notify *net.UnixConn) {
	b.Helper()
	check(b, notify.SetReadDeadline(time.Now().Add(30*time.Second)))
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		check(b, err)
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return
		}
	}
}

// present shows the card to the daemon and waits for the match.
func present(b *testing.B, socket string, card []byte) {
	b.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("id_photo", "card.jpg")
	check(b, err)
	_, err = part.Write(card)
	check(b, errors.Join(err, form.Close()))
	answer, err := client.Post("http://facegate/v1/attempts?wait=1", form.FormDataContentType(), &body)
	check(b, err)
	body.Reset()
	_, err = body.ReadFrom(answer.Body)
	check(b, errors.Join(err, answer.Body.Close()))
	if !strings.Contains(body.String(), `"decision":"match"`) {
		b.Fatalf("%s: %s", answer.Status, body.String())
	}
}

// memory returns a figure of /proc/PID/status in MiB.
func memory(b *testing.B, pid int, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(b, err)
	_, rest, _ := strings.Cut(string(text), name+":")
	var kib float64
	_, err = fmt.Sscanf(rest, "%f kB", &kib)
	check(b, err)
	return kib / 1024
}
