//go:build linux && board

package board

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/image/draw"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/scene"
	"github.com/facegate/facegate/daemon/test/board/usbip"
)

// kernelWaits is how long uvcvideo waits for the answer to a request:
// UVC_CTRL_STREAMING_TIMEOUT in drivers/media/usb/uvc/uvcvideo.h. Nobody can
// take it back.
const kernelWaits = 5 * time.Second

const (
	webcam     = "usb:1209:facc:A1" // a number that is free for tests
	webcamPort = 0
)

// A USB camera through the kernel's uvcvideo: what the driver makes of it, and
// what the daemon does when it fails. COUNT is how often it is pulled out.
func TestWebcam(t *testing.T) {
	probe := buildProbe(t)
	k := &webcamKiosk{}
	k.film = newWebcamFilm(t)
	camera, err := usbip.Start(usbip.Config{Vendor: 0x1209, Product: 0xfacc, Serial: "A1", Take: k.film.take})
	must(t, err)
	t.Cleanup(func() { must(t, camera.Close()) })
	k.camera, k.kiosk = camera, newKiosk(t)
	must(t, copyFile(probe, filepath.Join(k.share, "v4l2.test")))
	must(t, os.Chmod(filepath.Join(k.share, "v4l2.test"), 0o755))
	k.run("systemctl stop 'film@*'; modprobe -a vhci_hcd uvcvideo")
	for _, s := range []struct {
		name string
		run  func(*webcamKiosk)
	}{
		{"the driver reads MJPEG", (*webcamKiosk).readsMJPEG},
		{"the driver reads YUYV", (*webcamKiosk).readsYUYV},
		{"damaged frames", (*webcamKiosk).damaged},
		{"damaged frames that the kernel passes on", (*webcamKiosk).damagedPassedOn},
		{"the daemon and a match", (*webcamKiosk).delivers},
		{"pulled out", (*webcamKiosk).pulledOut},
		{"frozen", (*webcamKiosk).frozen},
		{"stalled", (*webcamKiosk).stalled},
		{"hung", (*webcamKiosk).hung},
		{"never restarted", (*webcamKiosk).neverRestarted},
	} {
		t.Run(s.name, func(t *testing.T) {
			began := time.Now()
			k.t = t
			s.run(k)
			t.Logf("took %v", time.Since(began).Round(time.Second))
		})
	}
}

// A webcamKiosk is a kiosk with a USB camera.
type webcamKiosk struct {
	*kiosk
	camera *usbip.Camera
	film   *webcamFilm
}

// A webcamFilm is what the camera sees.
type webcamFilm struct {
	jpeg, yuyv map[int][][]byte // pictures by their width
	flagged    map[int][]byte   // what goes with the error bit, by its width

	// mu guards the following
	mu      sync.Mutex
	damaged bool
}

// newWebcamFilm shows the first person.
func newWebcamFilm(t *testing.T) *webcamFilm {
	t.Helper()
	const frames = 4
	film := &webcamFilm{jpeg: map[int][][]byte{}, yuyv: map[int][][]byte{}, flagged: map[int][]byte{}}
	same, err := scene.FirstLive().Film(env(t, "FACEGATE_PICTURES"), frames+1)
	must(t, err)
	for _, size := range []image.Point{{640, 480}, {320, 240}} {
		for i, img := range same {
			picture := image.NewRGBA(image.Rectangle{Max: size})
			draw.ApproxBiLinear.Scale(picture, picture.Rect, img, img.Bounds(), draw.Src, nil)
			data, err := scene.JPEG(picture)
			must(t, err)
			if i == frames {
				film.flagged[size.X] = data
				continue
			}
			film.jpeg[size.X] = append(film.jpeg[size.X], data)
			film.yuyv[size.X] = append(film.yuyv[size.X], appendYUYV(nil, picture))
		}
	}
	return film
}

func (f *webcamFilm) damage(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged = on
}

// take is picture n. When they are damaged, one of four is cut, and one is whole
// but said to be bad.
func (f *webcamFilm) take(m usbip.Mode, n int) usbip.Shot {
	f.mu.Lock()
	defer f.mu.Unlock()
	frames := f.yuyv[m.Width]
	if m.Encoding == usbip.MJPEG {
		frames = f.jpeg[m.Width]
	}
	data := frames[n%len(frames)]
	switch {
	case f.damaged && n%4 == 1:
		return usbip.Shot{Data: data[:len(data)*2/3]}
	case f.damaged && n%4 == 3 && m.Encoding == usbip.MJPEG:
		return usbip.Shot{Data: f.flagged[m.Width], Bad: true}
	}
	return usbip.Shot{Data: data}
}

// buildProbe makes a program for the board of the tests of capture/v4l2.
func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v4l2.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "board", "-o", path, "github.com/facegate/facegate/capture/v4l2")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return path
}

// plugIn plugs the camera in and waits until the kernel has made a device of it.
func (k *webcamKiosk) plugIn() {
	k.t.Helper()
	k.run(k.camera.PlugIn(HostAddress, webcamPort))
	k.run("udevadm settle")
}

// A webcamMode is v4l2.Mode.
type webcamMode struct {
	Format                capture.Format
	Width, Height, Stride int
}

// A webcamReport is what TestCamera of capture/v4l2 says.
type webcamReport struct {
	Mode                webcamMode
	Skipped             uint64
	Opening, First, CPU time.Duration
	Rate                float64
	Sums                map[uint32]int
}

// read reads frames with the driver.
func (k *webcamKiosk) read(format string, fps, count int) webcamReport {
	k.t.Helper()
	config := fmt.Sprintf(`{"Device": %q, "Format": %q, "Width": 640, "Height": 480, "FPS": %d}`, webcam, format, fps)
	out := k.run(fmt.Sprintf("CAMERA='%s' COUNT=%d /mnt/v4l2.test -test.run '^TestCamera$' -test.timeout 30s", config, count))
	_, text, _ := strings.Cut(out, "report: ")
	text, _, _ = strings.Cut(text, "\n")
	var r webcamReport
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		k.t.Fatalf("%v:\n%s", err, out)
	}
	k.t.Logf("%s %dx%d: open in %v, first frame %v later, then %.1f frames a second of %d; CPU %v for %d frames, %d skipped; camera %+v", r.Mode.Format,
		r.Mode.Width, r.Mode.Height, r.Opening.Round(time.Millisecond), r.First.Round(time.Millisecond), r.Rate, fps, r.CPU, count, r.Skipped, k.camera.Stats())
	return r
}

// whole checks that no frames but whole ones came.
func (k *webcamKiosk) whole(r webcamReport, frames [][]byte) {
	k.t.Helper()
	var sums []uint32
	for _, f := range frames {
		sums = append(sums, crc32.ChecksumIEEE(f))
	}
	for sum, n := range r.Sums {
		if !slices.Contains(sums, sum) {
			k.t.Errorf("%d frames with the sum %08x, of which there are only %08x", n, sum, sums)
		}
	}
	if got := slices.Collect(maps.Keys(r.Sums)); len(got) < 2 {
		k.t.Errorf("sums %08x: the same picture all the time", got)
	}
}

func (k *webcamKiosk) readsMJPEG() {
	k.plugIn()
	r := k.read("jpeg", 30, 30)
	if want := (webcamMode{Format: capture.JPEG, Width: 640, Height: 480}); r.Mode != want || r.Skipped != 0 {
		k.t.Errorf("%+v and %d skipped, want %+v and none", r.Mode, r.Skipped, want)
	}
	k.whole(r, k.film.jpeg[640])
}

func (k *webcamKiosk) readsYUYV() {
	r := k.read("yuyv", 5, 10)
	if want := (webcamMode{Format: capture.YUYV, Width: 640, Height: 480, Stride: 1280}); r.Mode != want || r.Skipped != 0 {
		k.t.Errorf("%+v and %d skipped, want %+v and none", r.Mode, r.Skipped, want)
	}
	k.whole(r, k.film.yuyv[640])
}

// damaged is what the kernel makes of damaged frames unless told otherwise: it
// keeps those with the error bit, and raw ones that are short.
func (k *webcamKiosk) damaged() {
	k.film.damage(true)
	defer k.film.damage(false)
	r := k.read("jpeg", 30, 20)
	k.whole(r, k.film.jpeg[640])
	if r.Skipped < 5 {
		k.t.Errorf("%d skipped, want about 10", r.Skipped)
	}
	r = k.read("yuyv", 5, 6)
	k.whole(r, k.film.yuyv[640])
	if r.Skipped != 0 {
		k.t.Errorf("%d skipped: the kernel passes short frames on", r.Skipped)
	}
}

// damagedPassedOn is how it is where uvcvideo passes all on, as newer kernels do.
func (k *webcamKiosk) damagedPassedOn() {
	k.film.damage(true)
	defer k.film.damage(false)
	k.camera.Unplug()
	k.run("echo 1 >/sys/module/uvcvideo/parameters/nodrop")
	k.plugIn()
	r := k.read("yuyv", 5, 6)
	k.whole(r, k.film.yuyv[640])
	if r.Skipped == 0 {
		k.t.Errorf("no frame skipped, want some")
	}
	r = k.read("jpeg", 30, 20)
	k.whole(r, k.film.jpeg[640])
	k.camera.Unplug()
	k.run("echo 0 >/sys/module/uvcvideo/parameters/nodrop")
	k.plugIn()
}

// delivers brings the daemon up with the camera, as far as an open door.
func (k *webcamKiosk) delivers() {
	k.run("sed -i 's/^camera: .*/camera: {device: \"" + webcam + "\", format: jpeg, width: 320, height: 240, fps: 15}/' /etc/facegate/facegate.yaml")
	began := time.Now()
	starts(k.kiosk)
	k.hear(began, "ok")
	if m := k.camera.Stats().Mode; m.Encoding != usbip.MJPEG || m.Width != 320 || m.Height != 240 {
		k.t.Errorf("the kernel has ordered %+v", m)
	}
	k.decided("id.jpg", granted, event.DecisionMatch, event.OK)
	k.events(2)
	k.await("the door's end", off(door))
}

// hear waits until the daemon says so of its camera, from a moment on.
func (k *webcamKiosk) hear(moment time.Time, what string) saying {
	k.t.Helper()
	const limit = 20 * time.Second
	s, ok := k.ear.since(moment, "camera", what, limit)
	if !ok {
		log, _ := k.board.Run(k.t.Context(), "journalctl --no-pager --unit facegate --lines 30; dmesg | tail -n 20")
		k.t.Fatalf("camera not %s within %v; heard\n%v%s", what, limit, k.ear, log)
	}
	return s
}

// tells waits until the daemon has said that the camera is at fault, which it is
// since began.
func (k *webcamKiosk) tells(began time.Time) time.Time {
	k.t.Helper()
	s := k.hear(began, "fault")
	k.t.Logf("fault told after %v: %s", s.at.Sub(began).Round(time.Millisecond), s.why)
	if s.at.Sub(began) > told {
		k.t.Errorf("that is not within %v", told)
	}
	return s.at
}

// returns waits until the daemon has said, after it has told the fault, that the
// camera is well again, as it is since ended.
func (k *webcamKiosk) returns(told, ended time.Time, limit time.Duration) {
	k.t.Helper()
	took := k.hear(told, "ok").at.Sub(ended)
	k.t.Logf("back after %v", took.Round(time.Millisecond))
	if took > limit {
		k.t.Errorf("that is not within %v", limit)
	}
}

func (k *webcamKiosk) pulledOut() {
	const handles = "pid=$(systemctl show facegate --property MainPID --value); ls /proc/$pid/fd | wc -l; grep -c /dev/video /proc/$pid/maps"
	before := k.run(handles)
	for range number(k.t, "COUNT", 10) {
		out := time.Now()
		k.camera.Unplug()
		at := k.tells(out)
		k.run(k.camera.PlugIn(HostAddress, webcamPort))
		k.returns(at, time.Now(), back+slower)
	}
	if after := k.run(handles); after != before {
		k.t.Errorf("open files and mapped frames were %q and are %q", before, after)
	}
}

func (k *webcamKiosk) frozen() { k.fails(k.camera.Freeze, back) }

// hung is a camera whose firmware has stopped. The request that the kernel has
// sent it last must run out before another is answered.
func (k *webcamKiosk) hung() { k.fails(k.camera.Hang, kernelWaits+back) }

// fails has a fault for longer than the daemon waits between two tries.
func (k *webcamKiosk) fails(fault func(on bool), limit time.Duration) {
	const long = 8 * time.Second
	began := time.Now()
	fault(true)
	at := k.tells(began)
	time.Sleep(time.Until(began.Add(long)))
	fault(false)
	k.returns(at, time.Now(), limit)
}

// stalled is an endpoint that refuses until it is reset, which the kernel does
// when the camera is closed.
func (k *webcamKiosk) stalled() {
	began := time.Now()
	k.camera.Stall()
	at := k.tells(began)
	k.returns(at, at, back)
}

func (k *webcamKiosk) neverRestarted() {
	if out := k.run("systemctl show facegate --property NRestarts"); out != "NRestarts=0\n" {
		k.t.Error(out)
	}
	if out := k.run("journalctl --no-pager --unit facegate | grep starving || true"); out != "" {
		k.t.Error(out)
	}
}
