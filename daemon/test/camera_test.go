//go:build dlib && integration

package test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// systemd listens for what a daemon says to systemd, and hands each message
// on.
func (s *site) systemd() <-chan string {
	s.t.Helper()
	path := s.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	s.env = append(s.env, "NOTIFY_SOCKET="+path)
	said := make(chan string, 100)
	go func() {
		defer close(said)
		for b := make([]byte, 4096); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			said <- string(b[:n])
		}
	}()
	return said
}

// readiness asks the daemon whether it is ready for people.
func (s *site) readiness(c *http.Client) (status int, missing string) {
	s.t.Helper()
	resp, err := c.Get("http://facegate/readyz")
	must(s.t, err)
	defer resp.Body.Close()
	var answer struct {
		Ready   bool
		Missing []struct{ Part, Why string }
	}
	must(s.t, json.NewDecoder(resp.Body).Decode(&answer))
	if answer.Ready != (resp.StatusCode == http.StatusOK) {
		s.t.Errorf("ready is %t with status %d", answer.Ready, resp.StatusCode)
	}
	for _, m := range answer.Missing {
		missing += m.Part + ": " + m.Why + "\n"
	}
	return resp.StatusCode, missing
}

// published waits for a message of the daemon's broker that has the words.
func (s *site) published(topic, words string) {
	s.t.Helper()
	config, err := os.ReadFile(s.path("facegate.yaml"))
	must(s.t, err)
	at := regexp.MustCompile(`embedded: \{listen: "(.*):(.*)"`).FindSubmatch(config)
	ctx := s.t.Context()
	var got []byte
	for over := time.Now().Add(patient); time.Now().Before(over); {
		got, err = exec.CommandContext(ctx, "mosquitto_sub", "-h", string(at[1]), "-p", string(at[2]), "-t", "facegate/test/gate-1/"+topic, "-C", "1", "-W", "5").Output()
		if err == nil && bytes.Contains(got, []byte(words)) {
			return
		}
	}
	s.t.Errorf("%s is %s (%v), want it to have %q", topic, got, err, words)
}

// A kiosk without its camera is up and says what is wrong in every way it
// has; it goes on trying.
func TestMissingCamera(t *testing.T) {
	t.Parallel()
	s := newSite(t, append(unhurried(), "{driver: replay, replay: [", "{driver: v4l2, device: DIR/video-none} #")...)
	said := s.systemd()
	d := s.start()
	for message := range said {
		if strings.Contains(message, "READY=1") {
			break
		}
	}
	fault := s.path("video-none") + ": no such device"
	d.says(t, `level=WARN msg="camera lost" err=".*`+fault)
	d.says(t, `level=INFO msg=ready camera=false`)
	if !s.rise("lamp-fault", patient) {
		t.Error("the fault lamp is dark")
	}
	c := s.client()
	if status, missing := s.readiness(c); status != http.StatusServiceUnavailable || !strings.Contains(missing, "camera: ") || !strings.Contains(missing, fault) {
		t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.published("status", `"degraded"`)
	s.published("health", fault)
	s.drop()
	d.says(t, `msg="attempt ended".* decision=error reason=camera_fault access=not_attempted`)

	must(t, os.Symlink("/dev/null", s.path("video-none"))) // there, and no camera
	d.says(t, `level=WARN msg="camera lost" err="open camera .*video-none: not a video device`)
	expect(t, s.opened(d, 0), "inbox camera_fault not_attempted")
}

// A camera that is unplugged is a fault while it is gone, and none after.
func TestCameraLeavesAndReturns(t *testing.T) {
	t.Parallel()
	s := newSite(t, unhurried()...)
	d := s.start()
	c := s.client()
	if status, missing := s.readiness(c); status != http.StatusOK {
		t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.published("status", `"online"`)
	s.forget()
	frames, err := filepath.Glob(s.path("same/*"))
	must(t, err)
	must(t, os.Mkdir(s.path("kept"), 0o700))
	for _, f := range frames {
		must(t, os.Rename(f, filepath.Join(s.path("kept"), filepath.Base(f))))
	}
	d.says(t, `level=WARN msg="camera lost" err=".*is empty`)
	if !s.rise("lamp-fault", patient) {
		t.Error("the fault lamp is dark")
	}
	if status, missing := s.readiness(c); status != http.StatusServiceUnavailable || !strings.Contains(missing, "is empty") {
		t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.published("status", `"degraded"`)
	s.drop()
	d.says(t, `msg="attempt ended".* decision=error reason=camera_fault access=not_attempted`)

	s.look("kept")
	d.says(t, `level=INFO msg="camera delivers"`)
	s.published("status", `"online"`)
	if status, missing := s.readiness(c); status != http.StatusOK {
		t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	s.drop()
	d.says(t, `msg="attempt ended".* reason=ok access=granted`)
	expect(t, s.opened(d, 1), "inbox camera_fault not_attempted", "inbox ok granted")
}

// A recording in which frames are damaged in the ways of a bad cable: what
// cannot be read gives no probe, and the good ones that follow decide.
func TestDamagedFrames(t *testing.T) {
	t.Parallel()
	s := newSite(t, unhurried()...)
	files, err := filepath.Glob(s.path("same/*"))
	must(t, err)
	var broken, mixed []byte
	for i, f := range files {
		frame, err := os.ReadFile(f)
		must(t, err)
		scan := bytes.LastIndex(frame, []byte{0xff, 0xda})
		bad := slices.Clone(frame)
		switch i % 3 {
		case 0: // cut short inside, its end marker in place
			bad = append(bad[:len(bad)/2], 0xff, 0xd9)
		case 1: // another run of codes than there are blocks for
			copy(bad[scan+20:], bytes.Repeat([]byte{0xfe, 0x7f}, 2000))
		case 2: // no end: the next one begins
			bad = bad[:len(bad)/2]
		}
		broken = append(broken, bad...)
		mixed = append(append(mixed, bad...), frame...)
	}
	must(t, os.WriteFile(s.path("broken.mjpeg"), broken, 0o600))
	must(t, os.WriteFile(s.path("mixed.mjpeg"), mixed, 0o600))
	s.look("broken.mjpeg")
	d := s.start()
	s.forget()
	s.drop()
	if !s.rise("lamp-busy", patient) {
		t.Error("no attempt began")
	}
	s.look("mixed.mjpeg")
	d.says(t, `msg="attempt ended".* decision=match reason=ok access=granted`)
	expect(t, s.opened(d, 1), "inbox ok granted")
}
