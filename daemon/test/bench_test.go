//go:build dlib && integration

package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"maps"
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
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/matcher"
	"github.com/facegate/facegate/daemon/internal/scene"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/sim"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/onnx"
	"github.com/facegate/facegate/match/picture"
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
	b.Helper()
	at := quantiles(took)
	b.ReportMetric(at(0.50), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// quantiles returns what of took is at a share of it, in milliseconds.
func quantiles(took []time.Duration) func(share float64) float64 {
	slices.Sort(took)
	return func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
}

// measure runs f, by the clock and in processor time.
func measure(b *testing.B, f func()) {
	b.Helper()
	var took, computed []time.Duration
	for b.Loop() {
		began, before := time.Now(), matchtest.Processor()
		f()
		took, computed = append(took, time.Since(began)), append(computed, matchtest.Processor()-before)
	}
	spread(b, took)
	at := quantiles(computed)
	b.ReportMetric(at(0), "min-cpu-ms")
	b.ReportMetric(at(0.50), "p50-cpu-ms")
}

// onSets runs a benchmark on each set of models: dlib, faceplugin, and edge if
// FACEGATE_EDGE has it.
func onSets(b *testing.B, f func(b *testing.B, dir string, set models.Set)) {
	b.Helper()
	folders := map[string]string{"dlib": os.Getenv("FACEGATE_MODELS"), "faceplugin": os.Getenv("FACEGATE_MODELS")}
	if edge := os.Getenv("FACEGATE_EDGE"); edge != "" {
		folders["edge"] = b.TempDir()
		set, err := models.Find("edge")
		check(b, err)
		for _, file := range set.Files {
			check(b, os.Symlink(filepath.Join(edge, file.Name), filepath.Join(folders["edge"], file.Name)))
		}
		check(b, os.Symlink(filepath.Join(os.Getenv("FACEGATE_MODELS"), models.RuntimeFile), filepath.Join(folders["edge"], models.RuntimeFile)))
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		set, err := models.Find(name)
		check(b, err)
		b.Run(name, func(b *testing.B) { f(b, folders[name], set) })
	}
}

// openMatcher runs the real engine until the benchmark ends, and returns the
// ID scan and a frame of the same person as cameras deliver it.
func openMatcher(b *testing.B, dir string, set models.Set) (m *matcher.Matcher, card []byte, frame capture.Frame) {
	b.Helper()
	engine, err := openEngine(dir, set)
	check(b, err)
	m = matcher.New(engine, matcher.Options{
		Limits:   quality.Limits{MaxLuma: 255, MaxClipped: 1},
		Document: document.Options{MinFace: 40, Policy: usual(b, set)},
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

// usual returns the thresholds that are in force without others.
func usual(b *testing.B, set models.Set) match.Policy {
	b.Helper()
	c, ok := calibration.Shipped(set.Name, set.ModelID().SHA256)
	if !ok {
		b.Fatalf("no calibration of %s", set.Name)
	}
	rates := config.Default().Match.Rates
	accept, reject, err := c.Thresholds(rates.AcceptFMR, rates.RejectFNMR)
	check(b, err)
	return match.Policy{Accept: match.Score(accept.Distance), Reject: match.Score(reject.Distance)}
}

func openEngine(dir string, set models.Set) (match.Engine, error) {
	if set.Engine == "onnx" {
		return onnx.Open(onnx.Options{Dir: dir, Set: set, Runtime: filepath.Join(dir, models.RuntimeFile), Threads: 1})
	}
	return dlib.Open(dlib.Options{Dir: dir, Model: set.ModelID(), Threads: 1})
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
	onSets(b, func(b *testing.B, dir string, set models.Set) {
		m, card, frame := openMatcher(b, dir, set)
		reference, err := m.Reference(b.Context(), card)
		check(b, err)
		measure(b, func() {
			look, err := m.Look(b.Context(), frame)
			check(b, err)
			if look.Flaw != "" || m.Score(reference.Template, look.Template) > usual(b, set).Accept {
				b.Fatalf("the same person does not match: %+v", look.Gates)
			}
		})
	})
}

// BenchmarkTwoPictures measures two pictures of 640x480, as people hand them in, to
// their score: decoded, faces found, templates computed, compared.
func BenchmarkTwoPictures(b *testing.B) {
	onSets(b, func(b *testing.B, dir string, set models.Set) {
		m, _, frame := openMatcher(b, dir, set)
		other, err := scene.FirstOnID().Film(os.Getenv("FACEGATE_PICTURES"), 1)
		check(b, err)
		second, err := scene.JPEG(other[0])
		check(b, err)
		template := func(data []byte) match.Template {
			img, err := picture.Decode(data)
			check(b, err)
			sight, err := m.LookAt(b.Context(), img)
			check(b, err)
			return sight.Template
		}
		measure(b, func() {
			if score := m.Score(template(frame.Data), template(second)); score > usual(b, set).Accept {
				b.Fatalf("the same person does not match: %v", score)
			}
		})
	})
}

// BenchmarkCard measures ID photo to ready.
func BenchmarkCard(b *testing.B) {
	onSets(b, func(b *testing.B, dir string, set models.Set) {
		m, card, _ := openMatcher(b, dir, set)
		measure(b, func() {
			_, err := m.Reference(b.Context(), card)
			check(b, err)
		})
	})
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
	onSets(b, func(b *testing.B, dir string, set models.Set) {
		card, frame := drawings(b)
		var took []time.Duration
		var computed, idle, after float64
		for b.Loop() {
			began := time.Now()
			d := startDaemon(b, dir, set, [][]byte{frame}, "attempt: {frames: 1}\n")
			took = append(took, time.Since(began))
			computed = max(computed, d.processor(b).Seconds()*1000)
			idle = max(idle, d.memory(b, "VmRSS"))
			if answer := d.present(b, card); !strings.Contains(answer, `"decision":"match"`) {
				b.Fatal(answer)
			}
			after = max(after, d.memory(b, "VmHWM"))
			end(b, d.cmd)
		}
		spread(b, took)
		b.ReportMetric(computed, "cpu-ms")
		b.ReportMetric(idle, "MiB-ready")
		b.ReportMetric(after, "MiB-peak")
	})
}

// BenchmarkLive measures which part of a core the daemon takes at 30 frames a
// second: without an attempt, during one while nobody steps up, while somebody
// stands there who has to come closer, and while somebody does who has to look into
// the camera, so that every frame is looked at and none is the last. The last two
// differ in what a frame costs: a part of it is looked at, or all of it with a
// template.
func BenchmarkLive(b *testing.B) {
	const watched = 5 * time.Second
	pictures := os.Getenv("FACEGATE_PICTURES")
	card, _ := drawings(b)
	person, err := scene.FirstLive().Film(pictures, 30)
	check(b, err)
	room := scene.Film(nil, image.Rectangle{}, 30)
	onSets(b, func(b *testing.B, dir string, set models.Set) {
		for _, c := range []struct {
			name    string
			film    []image.Image
			attempt bool
			gates   string
		}{{"idle", person, false, ""}, {"nobody", room, true, ""}, {"somebody", person, true, "min_face: 470"}, {"turned", person, true, "max_yaw: 0.01"}} {
			b.Run(c.name, func(b *testing.B) {
				var film [][]byte
				for _, img := range c.film {
					data, err := scene.JPEG(img)
					check(b, err)
					film = append(film, data)
				}
				d := startDaemon(b, dir, set, film, "attempt: {frames: 1, deadline: 12s}\nquality: {"+c.gates+"}\n")
				var share, rate float64
				for b.Loop() {
					answer := make(chan string, 1)
					if c.attempt {
						go func() { answer <- d.present(b, card) }()
						time.Sleep(3 * time.Second) // the ID is done with
					}
					before, began := d.processor(b), time.Now()
					time.Sleep(watched)
					share = float64(d.processor(b)-before) / float64(time.Since(began))
					if c.attempt {
						rate = looked(b, <-answer)
					}
				}
				end(b, d.cmd)
				b.ReportMetric(100*share, "core-%")
				b.ReportMetric(rate, "looks/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	})
}

// looked returns at how many frames a second an attempt looked.
func looked(b *testing.B, answer string) float64 {
	b.Helper()
	var frames, ms float64
	for name, value := range map[string]*float64{"frames_seen": &frames, "probes": &ms} {
		_, rest, _ := strings.Cut(answer, `"`+name+`":`)
		if _, err := fmt.Sscanf(rest, "%f", value); err != nil {
			b.Fatalf("%s: %v", answer, err)
		}
	}
	return 1000 * frames / ms
}

// A process is a daemon that is ready.
type process struct {
	cmd    *exec.Cmd
	socket string
}

// startDaemon starts a daemon whose camera plays a film at 30 frames a second.
func startDaemon(b *testing.B, models string, set models.Set, film [][]byte, more string) process {
	b.Helper()
	dir := folder(b)
	check(b, os.WriteFile(filepath.Join(dir, "film.mjpeg"), bytes.Join(film, nil), 0o600))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	check(b, port.Close())
	check(b, os.WriteFile(filepath.Join(dir, "facegate.yaml"), fmt.Appendf(nil, `device: {site: bench, name: gate-1}
data: %[1]s
models: {dir: %[2]s, set: %[3]s}
match: {engine: %[4]s}
camera: {driver: replay, replay: [%[1]s/film.mjpeg], fps: 30}
http: {listen: "unix:%[1]s/http.sock"}
mqtt: {broker: embedded, embedded: {listen: %[5]q}}
log: {level: error}
%[6]s`, dir, models, set.Name, set.Engine, port.Addr().String(), more), 0o600))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	check(b, err)
	defer func() { _ = notify.Close() }()
	d := process{exec.Command(os.Getenv("FACEGATE_BINARY"), "run", "--config", filepath.Join(dir, "facegate.yaml")), filepath.Join(dir, "http.sock")}
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	d.cmd.Stderr = os.Stderr
	check(b, d.cmd.Start())
	b.Cleanup(func() { _ = d.cmd.Process.Kill() }) // long gone, unless the benchmark broke off
	awaitReady(b, notify)
	return d
}

// processor returns the processor time that d has taken, from fields 14 and 15
// of /proc/PID/stat, in hundredths of a second (proc(5)).
func (d process) processor(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	check(b, err)
	_, rest, _ := strings.Cut(string(text), ") ") // the second field may hold anything
	fields := strings.Fields(rest)
	var user, system int64
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	check(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
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

// present shows the card to the daemon and returns the outcome.
func (d process) present(b *testing.B, card []byte) string {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
		},
	}}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("id_photo", "card.jpg")
	if err == nil {
		_, err = part.Write(card)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		b.Error(err)
	}
	answer, err := client.Post("http://facegate/v1/attempts?wait=1", form.FormDataContentType(), &body)
	if err != nil {
		b.Error(err)
		return ""
	}
	body.Reset()
	_, err = body.ReadFrom(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		b.Error(err)
	}
	return body.String()
}

// memory returns a figure of /proc/PID/status in MiB.
func (d process) memory(b *testing.B, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	check(b, err)
	_, rest, _ := strings.Cut(string(text), name+":")
	var kib float64
	_, err = fmt.Sscanf(rest, "%f kB", &kib)
	check(b, err)
	return kib / 1024
}
