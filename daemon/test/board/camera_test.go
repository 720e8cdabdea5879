//go:build linux && board

package board

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// What a kiosk promises of its camera: a fault is told within the first, and a
// camera that is back delivers within the second.
const (
	told = 3 * time.Second
	back = 5 * time.Second
	// slower is what the emulated board is given besides, for its processes and
	// its way to the broker.
	slower = time.Second
)

const (
	video  = "/dev/v4l/by-path/platform-vivid.0-video-index0"
	unbind = "echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind"
	bind   = "echo vivid.0 >/sys/bus/platform/drivers/vivid/bind"
)

// set sets controls of the camera.
func set(controls string) string { return "v4l2-ctl --device " + video + " --set-ctrl " + controls }

// Everything that a camera can do to a kiosk, on one board.
func TestCamera(t *testing.T) {
	k := newKiosk(t)
	k.steps(t, []step{
		{"starts with another size than asked", otherSize},
		{"errors of the driver", driverErrors},
		{"unplugged during an attempt", unplugged},
		{"plugged in again and again", replugged},
		{"half of the frames lost, then all", frozen},
		{"disconnected with the node still there", disconnected},
		{"too dark, too bright", badLight},
	})
}

// otherSize has the camera deliver one size only, which is not the one that is
// asked for, until it is plugged in anew.
func otherSize(k *kiosk) {
	k.film("black")
	k.run(set("enable_capture_scaler=0,enable_capture_composing=0,enable_capture_cropping=0"))
	began := time.Now()
	k.run("systemctl start facegate")
	k.hears(began, "camera", "ok")
	large := k.size()
	k.fails("unplugged", unbind)
	k.recovers("plugged in", bind, time.Time{})
	small := k.size()
	k.t.Logf("asked for %dx%d: delivered %s, then %s", Width/2, Height/2, large, small)
	if large != fmt.Sprintf("%d/%d", Width, Height) || small != fmt.Sprintf("%d/%d", Width/2, Height/2) {
		k.t.Error("not the sizes that were meant")
	}
}

// size is that of the pictures that the camera delivers.
func (k *kiosk) size() string {
	k.t.Helper()
	out := k.run("v4l2-ctl --device " + video + " --get-fmt-video")
	_, size, _ := strings.Cut(out, "Width/Height      : ")
	size, _, _ = strings.Cut(size, "\n")
	return size
}

// fails does something to the camera. The kiosk must tell of it in time.
func (k *kiosk) fails(what, script string) saying {
	k.t.Helper()
	if s := k.ear.now("camera"); s.what != "ok" {
		k.t.Fatalf("%s: camera is not well before: %+v", what, s)
	}
	began := time.Now()
	k.run(script)
	done := time.Now()
	s := k.hears(began, "camera", "fault")
	k.t.Logf("%s: told %v after, begun %v before: %s", what, short(s.at.Sub(done)), short(s.at.Sub(began)), s.why)
	if s.at.Sub(done) > told+slower {
		k.t.Errorf("%s: told too late", what)
	}
	if len(k.watch.Pulses(fault, began)) == 0 {
		k.t.Errorf("%s: lamp fault did not light", what)
	}
	return s
}

// recovers undoes it. The camera must be back in time; with an empty script the
// fault was over as soon as it had been told.
func (k *kiosk) recovers(what, script string, since time.Time) {
	k.t.Helper()
	done := since
	if script != "" {
		since = time.Now()
		k.run(script)
		done = time.Now()
	}
	s := k.hears(since, "camera", "ok")
	k.t.Logf("%s: back %v after", what, short(s.at.Sub(done)))
	if s.at.Sub(done) > back+slower {
		k.t.Errorf("%s: back too late", what)
	}
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// waits begins an attempt, and returns when it looks at frames.
func (k *kiosk) waits() {
	k.t.Helper()
	k.await("idle", on(ready))
	began := time.Now()
	k.present("id.jpg")
	k.hears(began, "hint", "look_at_camera")
}

// faulted waits for the end of an attempt without a camera.
func (k *kiosk) faulted() event.Event {
	k.t.Helper()
	began := time.Now()
	k.await("the attempt's end", on(attention))
	k.t.Logf("attempt ended within %v", short(time.Since(began)))
	e := k.events(1)[0]
	if e.Attempt == nil || e.Decision != event.DecisionError || e.Reason != event.CameraFault {
		k.t.Fatalf("event %+v, want camera_fault", e)
	}
	return e
}

// driverErrors has the driver fail once, in each place where it can. To fail
// while it is being opened it must be lost first. The film's end with the camera
// is why it is not there to take the error.
func driverErrors(k *kiosk) {
	const lose = "inject_fatal_streaming_error=1"
	k.run("systemctl stop 'film@*'")
	for range count(k.t) {
		began := time.Now()
		for range 5 {
			k.run(set("inject_v4l2_buf_flag_error=1"))
		}
		if s, ok := k.ear.since(began, "camera", "fault", time.Second); ok {
			k.t.Errorf("damaged frames: %+v", s)
		}
		for _, row := range []struct{ what, controls string }{
			{"streaming ends", lose},
			{"a buffer is refused", "inject_vidioc_qbuf_error=1"},
			{"no buffers at the opening", "inject_vidioc_reqbufs_error=1," + lose},
			{"a buffer is refused at the opening", "inject_vidioc_qbuf_error=1," + lose},
			{"no start at the opening", "inject_vidioc_streamon_error=1," + lose},
		} {
			s := k.fails(row.what, set(row.controls))
			k.recovers(row.what, "", s.at)
		}
	}
	k.film("black")
}

// unplugged takes the camera away from an attempt, and brings it back under
// another number, because somebody still holds the old one.
func unplugged(k *kiosk) {
	k.waits()
	was := k.run("readlink " + video)
	k.run("systemd-run --quiet --service-type=exec --unit holder --property StandardInput=file:" + video + " sleep infinity")
	k.fails("unplugged", unbind)
	if e := k.faulted(); e.FramesSeen == 0 {
		k.t.Errorf("black frames not looked at: %+v", e)
	}
	k.recovers("plugged in", bind, time.Time{})
	is := k.run("readlink " + video)
	k.t.Logf("was %s, is %s", strings.TrimSpace(was), strings.TrimSpace(is))
	if was == is {
		k.t.Error("number has not changed")
	}
	k.run("systemctl stop holder")
}

func replugged(k *kiosk) {
	for i := range count(k.t) {
		k.fails(fmt.Sprint("unplugged ", i+1), unbind)
		k.recovers(fmt.Sprint("plugged in ", i+1), bind, time.Time{})
	}
	k.film("black")
}

// frozen has the camera lose half of its frames, which must not matter, and
// then all of them without any error.
func frozen(k *kiosk) {
	began := time.Now()
	k.run(set("percentage_of_dropped_buffers=50"))
	k.waits()
	if s, ok := k.ear.since(began, "camera", "fault", time.Second); ok {
		k.t.Errorf("half of the frames lost: %+v", s)
	}
	k.fails("frozen", set("percentage_of_dropped_buffers=100"))
	if e := k.faulted(); e.FramesSeen == 0 {
		k.t.Errorf("half of the frames lost, none looked at: %+v", e)
	}
	k.recovers("moves again", set("percentage_of_dropped_buffers=0"), time.Time{})
	for range count(k.t) - 1 {
		k.fails("frozen", set("percentage_of_dropped_buffers=100"))
		k.recovers("moves again", set("percentage_of_dropped_buffers=0"), time.Time{})
	}
}

// disconnected has the driver refuse everything, as long as anybody holds a
// node: the film does.
func disconnected(k *kiosk) {
	for range count(k.t) {
		k.fails("disconnected", set("disconnect=1"))
		k.recovers("let go by all", "systemctl stop 'film@*'", time.Time{})
		k.film("dark")
	}
}

// badLight shows a person who cannot be seen well: once too dark, once too bright.
func badLight(k *kiosk) {
	for _, row := range []struct{ film, hint string }{{"dark", "too_dark"}, {"bright", "too_bright"}} {
		k.film(row.film)
		k.await("idle", on(ready))
		began := time.Now()
		k.present("id.jpg")
		hint := k.hears(began, "hint", row.hint)
		k.await("the attempt's end", on(attention))
		e := k.events(1)[0]
		if e.Attempt == nil || e.Decision != event.DecisionError || e.Reason != event.QualityExposure {
			k.t.Errorf("%s: event %+v, want quality_exposure", row.film, e)
		}
		k.t.Logf("%s after %v, %s with %d frames seen", row.hint, short(hint.at.Sub(began)), e.Reason, e.FramesSeen)
		k.kept(began, 1<<ready|1<<busy|1<<denied|1<<attention)
	}
}
