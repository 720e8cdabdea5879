//go:build dlib && integration

package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// unhurried are the edits that give an attempt the time that it needs on a busy
// machine.
func unhurried() []string {
	return []string{"deadline: 3s", "deadline: 20s", "models:", "match: {hang: 30s}\nmodels:"}
}

// wiring adds the document camera, which looks at the ID, and its button. The
// button's time is long, so that a bounce stays below it on a busy machine.
func wiring() []string {
	return append(unhurried(),
		"board:", "document_camera: {enabled: true, driver: replay, replay: [DIR/document], fps: 10, button: {name: button, debounce: 150ms}}\nboard:",
		"sources: {", "sources: {button: {enabled: true}, ",
	)
}

// layID puts the card under the document camera.
func (s *site) layID() {
	s.t.Helper()
	data, err := os.ReadFile(s.path("card.jpg"))
	must(s.t, err)
	must(s.t, errors.Join(os.Mkdir(s.path("document"), 0o700), os.WriteFile(s.path("document/0.jpg"), data, 0o600)))
}

// press holds an input of the board.
func (s *site) press(line string, d time.Duration) {
	s.t.Helper()
	must(s.t, s.operator.Press(s.t.Context(), line, d))
}

// look turns the live camera to another scene.
func (s *site) look(scene string) {
	s.t.Helper()
	must(s.t, os.Symlink(scene, s.path("camera.new")))
	must(s.t, os.Rename(s.path("camera.new"), s.path("camera")))
}

// attempts returns the outcomes in the journal of a daemon that has ended, and
// checks the journal against the board.
func (s *site) attempts(d *daemon) []event.Event {
	s.t.Helper()
	s.terminate(d)
	// These tests run side by side, so that a pulse may end late; TestKill and
	// TestStop look closely at its length.
	r := record{events: s.history(), board: s.timeline(), said: d.said, pulse: pulse + time.Second}
	for _, f := range r.faults() {
		s.t.Error(f)
	}
	var all []event.Event
	for _, e := range r.events {
		if e.Kind == event.KindAttempt {
			all = append(all, e)
		}
	}
	if s.t.Failed() {
		s.t.Logf("the daemon wrote\n%s", d.log.String())
	}
	return all
}

// expect checks outcomes, each written as its source, reason and access.
func expect(t *testing.T, got []event.Event, want ...string) {
	t.Helper()
	var words []string
	for _, e := range got {
		words = append(words, strings.Join([]string{e.Source, string(e.Reason), string(e.Access)}, " "))
	}
	if strings.Join(words, ", ") != strings.Join(want, ", ") {
		t.Errorf("outcomes: %s\nwant: %s", strings.Join(words, ", "), strings.Join(want, ", "))
	}
}

// TestButton presses the document camera's button in every way that it can be
// pressed.
func TestButton(t *testing.T) {
	t.Parallel()
	s := newSite(t, wiring()...)
	s.layID()
	held, letGo := context.WithCancel(t.Context())
	var hold sync.WaitGroup
	hold.Go(func() { _ = s.operator.Press(held, "button", time.Hour) })
	s.high("button")
	d := s.start()
	f := s.follow()
	if s.rise("lamp-busy", 600*time.Millisecond) {
		t.Error("a button that has been held since before the start was taken for pressed")
	}
	letGo()
	hold.Wait()

	s.press("button", 300*time.Millisecond)
	d.says(t, `msg="attempt ended".* decision=match reason=ok access=granted source=button`)
	if !s.rise("door", patient) {
		t.Fatal("the door did not open")
	}
	f.until("fact", "pulse_ended")

	for range 5 { // a worn contact, on the way in and out
		s.press("button", 5*time.Millisecond)
	}
	s.press("button", 300*time.Millisecond)
	for range 5 {
		s.press("button", 5*time.Millisecond)
	}
	d.says(t, `msg="attempt ended".* decision=match reason=ok access=granted source=button`)
	f.until("fact", "pulse_ended")

	s.look("nobody") // so that the attempt lasts
	s.forget()
	s.press("button", 300*time.Millisecond)
	if !s.rise("lamp-busy", patient) {
		t.Fatal("no attempt began")
	}
	s.press("button", 300*time.Millisecond)
	d.says(t, `level=WARN msg="button press without attempt" err="an attempt is under way"`)
	s.look("same")
	d.says(t, `msg="attempt ended".* decision=match reason=ok access=granted source=button`)
	expect(t, s.opened(d, 3), "button ok granted", "button ok granted", "button ok granted")
}

// high waits until a line of the board is high.
func (s *site) high(line string) {
	s.t.Helper()
	for over := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		levels, err := s.operator.Levels()
		must(s.t, err)
		for _, l := range levels {
			if l.Name == line && l.Level == 1 {
				return
			}
		}
		if time.Now().After(over) {
			s.t.Fatalf("%s: not high within %v", line, patient)
		}
	}
}

// TestDocumentCameraWithoutFrame takes the document camera away and brings it
// back.
func TestDocumentCameraWithoutFrame(t *testing.T) {
	t.Parallel()
	s := newSite(t, wiring()...)
	s.layID()
	d := s.start()
	must(t, os.Rename(s.path("document"), s.path("away")))
	d.says(t, `level=WARN msg="camera lost" camera=document err=".*document.*"`)
	s.press("button", 300*time.Millisecond)
	d.says(t, `level=WARN msg="button press without attempt" err="document camera: .*no such file`)
	s.counted(`facegate_attempts_refused_total{cause="no_picture",source="button"} 1`)
	s.counted(`facegate_camera_up{camera="document"} 0`)
	if status, missing := s.readiness(s.client()); status != http.StatusServiceUnavailable || !strings.Contains(missing, "document_camera: ") {
		t.Errorf("/readyz: status %d, missing %s", status, missing)
	}
	must(t, os.Rename(s.path("away"), s.path("document")))
	d.says(t, `level=INFO msg="camera delivers" camera=document`)
	s.press("button", 300*time.Millisecond)
	d.says(t, `msg="attempt ended".* reason=ok access=granted source=button`)
	expect(t, s.opened(d, 1), "button ok granted")
}

// counted checks that the metrics have a line.
func (s *site) counted(want string) {
	s.t.Helper()
	resp, err := s.client().Get("http://facegate/metrics")
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	if !bytes.Contains(text, []byte(want+"\n")) {
		s.t.Errorf("the metrics have no line %s", want)
	}
}

// A follower reads the stream of events.
type follower struct {
	t       *testing.T
	resp    *http.Response
	scanner *bufio.Scanner
}

func (s *site) client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path("http.sock"))
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: patient}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// follow begins to read the stream of events.
func (s *site) follow() *follower {
	s.t.Helper()
	c := s.client()
	c.Timeout = 0 // the stream is as long as the test
	resp, err := c.Get("http://facegate/v1/events")
	must(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return &follower{s.t, resp, bufio.NewScanner(resp.Body)}
}

// until waits for a message whose field has the value.
func (f *follower) until(field, value string) {
	f.t.Helper()
	over := time.AfterFunc(patient, func() { _ = f.resp.Body.Close() }) // ends the reading
	defer over.Stop()
	for f.scanner.Scan() {
		var got map[string]any
		if data, ok := strings.CutPrefix(f.scanner.Text(), "data: "); ok && json.Unmarshal([]byte(data), &got) == nil && got[field] == value {
			return
		}
	}
	f.t.Fatalf("the stream ended without %s %s: %v", field, value, f.scanner.Err())
}

// TestPanel lets a match through with a panel's input, and tries what must not
// count as its word: an input that is stuck, or that was pressed before.
func TestPanel(t *testing.T) {
	t.Parallel()
	s := newSite(t, append(unhurried(), "pulse: 300ms}", "pulse: 300ms, authorise: panel, wait: 1500ms, panel: {name: panel}}")...)
	d := s.start()
	f := s.follow()
	const denied, granted = `msg="attempt ended".* decision=match reason=not_authorised access=denied`, `msg="attempt ended".* decision=match reason=ok access=granted`

	s.drop() // nobody presses
	f.until("hint", "awaiting_grant")
	d.says(t, denied)

	s.drop()
	f.until("hint", "awaiting_grant")
	s.forget()
	for began := time.Now(); !s.rise("door", 100*time.Millisecond); {
		if time.Since(began) > 1500*time.Millisecond {
			t.Fatal("the door did not open")
		}
		s.press("panel", 100*time.Millisecond)
	}
	d.says(t, granted)
	f.until("fact", "pulse_ended")

	s.press("panel", 100*time.Millisecond) // before there is anything to agree to
	s.drop()
	f.until("hint", "look_at_camera")
	s.press("panel", 60*time.Millisecond) // and before there is a match
	f.until("hint", "awaiting_grant")
	d.says(t, denied)

	stuck, mend := context.WithCancel(t.Context())
	var hold sync.WaitGroup
	hold.Go(func() { _ = s.operator.Press(stuck, "panel", time.Hour) })
	s.high("panel")
	s.drop()
	f.until("hint", "awaiting_grant")
	d.says(t, denied)

	s.drop() // let go of during the wait: no press either
	f.until("hint", "awaiting_grant")
	mend()
	hold.Wait()
	d.says(t, denied)
	expect(t, s.opened(d, 1), "inbox not_authorised denied", "inbox ok granted", "inbox not_authorised denied", "inbox not_authorised denied", "inbox not_authorised denied")
}
