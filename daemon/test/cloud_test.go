//go:build dlib && integration

package test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/scene"
)

// cloudKey is the key that facegate cloudsim takes.
const cloudKey = "facegate-cloudsim"

// unsure are the edits for a kiosk that can decide nothing by itself, and has
// time to ask on a busy machine.
func unsure() []string {
	return slices.Concat(marked(), []string{
		"deadline: 3s", "deadline: 40s", "models:", "match: {accept: 0.05, reject: 1.9, distances_of: faceplugin, hang: 30s}\nmodels:",
		"sources: {", "sources: {http: {may_open: true}, mqtt: {enabled: true}, ",
	})
}

// A street is a kiosk and the simulated services that it asks.
type street struct {
	*site
	kiosk   string // the configuration without the services
	section string // of the services, as facegate cloudsim prints it
	first   []byte // the first person's card
}

// newStreet starts the services with scripts, which may be empty.
func newStreet(t *testing.T, scripts string) *street {
	t.Helper()
	s := &street{site: newSite(t, unsure()...)}
	s.mark()
	other, err := scene.Second().Film(env(t, "FACEGATE_PICTURES"), 24)
	must(t, err)
	must(t, scene.Save(s.path("other"), other))
	s.first, err = os.ReadFile(s.path("card.jpg"))
	must(t, err)
	text, err := os.ReadFile(s.path("facegate.yaml"))
	must(t, err)
	s.kiosk = string(text)
	args := []string{"cloudsim", "--models", env(t, "FACEGATE_MODELS"), "--dir", s.dir, "--listen", "127.0.0.1:0"}
	if scripts != "" {
		must(t, os.WriteFile(s.path("scripts.json"), []byte(scripts), 0o600))
		args = append(args, "--scripts", s.path("scripts.json"))
	}
	services := exec.Command(env(t, "FACEGATE_BINARY"), args...)
	services.Stderr = os.Stderr
	out, err := services.StdoutPipe()
	must(t, err)
	must(t, services.Start())
	t.Cleanup(func() {
		_ = services.Process.Signal(syscall.SIGTERM)
		if err := services.Wait(); err != nil {
			t.Errorf("facegate cloudsim: %v", err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.section += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "  argos:") {
			return s
		}
	}
	t.Fatalf("facegate cloudsim printed\n%s", s.section)
	return nil
}

// ask configures who is asked, and what else the daemons to come are to know.
func (s *street) ask(providers, consent, deadline string, edits ...string) {
	s.t.Helper()
	section := strings.NewReplacer(
		"[deepidv, rekognition, mxface, argos]", providers, "consent: faces", "consent: "+consent+"\n  deadline: "+deadline,
		"deepidv: {", "deepidv: {timeout: 30s, ", "rekognition: {", "rekognition: {timeout: 30s, ",
		"mxface: {", "mxface: {timeout: 30s, ", "argos: {", "argos: {timeout: 30s, ",
	).Replace(s.section)
	must(s.t, os.WriteFile(s.path("facegate.yaml"), []byte(s.kiosk+section), 0o600))
	s.edit(edits...)
}

// present shows the first person's ID over HTTP, with consent, and waits for
// the outcome.
func (s *street) present(consent string) event.Event {
	s.t.Helper()
	pairs := []string{"id_photo", base64.StdEncoding.EncodeToString(s.first)}
	if consent != "" {
		pairs = append(pairs, "consent_cloud", consent)
	}
	a := s.post(&http.Client{Transport: s.client().Transport, Timeout: time.Minute}, object(pairs...))
	if a.status != http.StatusOK || a.event.Attempt == nil {
		s.t.Fatalf("status %d, %+v", a.status, a.problem)
	}
	text, err := json.Marshal(a.event)
	must(s.t, err)
	eventtest.Validate(s.t, text)
	return a.event
}

// decided checks an outcome, written as decision, reason, route, access, the
// service that decided and why none did.
func decided(t *testing.T, what string, e event.Event, want string) {
	t.Helper()
	if e.Attempt == nil || e.Cloud == nil {
		t.Errorf("%s: nobody was to be asked: %+v", what, e.Attempt)
		return
	}
	got := fmt.Sprintf("%s %s %s %s by %q because of %q", e.Decision, e.Reason, e.Route, e.Access, e.Cloud.Provider, e.Cloud.Failure)
	if got != want {
		t.Errorf("%s: got %s\nwant %s (%+v)", what, got, want, e.Cloud)
	}
}

// ledger asks facegate ledger, while the daemon runs or after.
func (s *street) ledger() (l journal.Ledger, text string) {
	s.t.Helper()
	run := func(args ...string) []byte {
		out, err := exec.Command(env(s.t, "FACEGATE_BINARY"), append([]string{"ledger", "--config", s.path("facegate.yaml")}, args...)...).Output()
		must(s.t, err)
		return out
	}
	must(s.t, json.Unmarshal(run("--json"), &l))
	return l, string(run())
}

// line returns what the ledger has of one provider.
func line(l journal.Ledger, provider string) journal.LedgerLine {
	var sum journal.LedgerLine
	for _, line := range l.Lines { // more than one if midnight passes
		if line.Provider == provider {
			sum.Calls, sum.Failed, sum.CutOff, sum.Sent = sum.Calls+line.Calls, sum.Failed+line.Failed, sum.CutOff+line.CutOff, sum.Sent+line.Sent
		}
	}
	return sum
}

// secretive checks that what the daemon left behind and told holds neither the
// key nor a picture.
func (s *street) secretive(d *daemon, h *host) {
	s.t.Helper()
	texts := map[string][]byte{"log": []byte(d.log.String())}
	for _, name := range []string{"journal.db", "journal.db-wal"} {
		if text, err := os.ReadFile(s.path(name)); err == nil {
			texts[name] = text
		}
	}
	if h != nil {
		for _, m := range h.early {
			texts["topic "+m.Topic] = m.Payload
		}
	}
	if len(texts["journal.db"]) == 0 || h != nil && len(h.early) == 0 {
		s.t.Error("nothing to look at")
	}
	for name, text := range texts {
		for _, secret := range []string{cloudKey, "\xff\xd8\xff", "/9j/", "Signature="} {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("%s holds %q", name, secret)
			}
		}
	}
}

// TestCloud asks each service about the right person and about another one.
func TestCloud(t *testing.T) {
	s := newStreet(t, "")
	for i, provider := range []string{"deepidv", "rekognition", "mxface", "argos"} {
		s.ask("["+provider+"]", "none", "30s")
		s.look("same")
		d := s.start()
		h := s.host(s.embedded())
		s.forget()
		decided(t, provider+", right person", s.present("faces"), fmt.Sprintf("match ok cloud granted by %q because of %q", provider, ""))
		if !s.rise("door", patient) {
			t.Errorf("%s: the door did not open", provider)
		}
		s.look("other")
		decided(t, provider+", another person", s.present("faces"), fmt.Sprintf("no_match below_threshold cloud not_attempted by %q because of %q", provider, ""))
		for range 2 {
			h.early = append(h.early, h.next("event/attempt")) // holds it to the schema
		}
		if l, text := s.ledger(); line(l, provider).Calls != 2 || line(l, provider).Failed != 0 || l.Changed != 2*(i+1) ||
			!strings.HasSuffix(text, fmt.Sprintf("\n%[1]d calls, cost %[1]d; cloud changed %[1]d of %[1]d decisions\n", 2*(i+1))) {
			t.Errorf("%s: the ledger has %+v and prints\n%s", provider, l, text)
		}
		s.terminate(d)
		s.secretive(d, h)
		if t.Failed() {
			t.Fatalf("the daemon wrote\n%s", d.log.String())
		}
	}
}

// TestCloudConsent shows nothing to anybody without consent, however it is
// asked for.
func TestCloudConsent(t *testing.T) {
	s := newStreet(t, "")
	s.ask("[deepidv]", "none", "30s")
	d := s.start()
	h := s.host(s.embedded())
	const refused = `unsure unsure_no_cloud local not_attempted by "" because of "consent"`
	s.drop()
	decided(t, "inbox", decode[event.Event](t, h.next("event/attempt")), refused)
	decided(t, "without a word", s.present(""), refused)
	h.next("event/attempt")
	decided(t, "none", s.present("none"), refused)
	h.next("event/attempt")
	h.ask(mqtt.OK, "verify", h.upload())
	decided(t, "command without a word", decode[event.Event](t, h.next("event/attempt")), refused)
	if l, _ := s.ledger(); len(l.Lines) > 0 {
		t.Errorf("called without consent: %+v", l)
	}
	h.ask(mqtt.OK, "verify", strings.Replace(h.upload(), "}", `,"consent_cloud":"faces"}`, 1))
	decided(t, "command with consent", decode[event.Event](t, h.next("event/attempt")), `match ok cloud not_attempted by "deepidv" because of ""`)
	s.terminate(d)
	s.ask("[deepidv]", "faces", "30s")
	d = s.start()
	h = s.host(s.embedded())
	s.drop()
	decided(t, "consent assumed", decode[event.Event](t, h.next("event/attempt")), `match ok cloud granted by "deepidv" because of ""`)
	s.terminate(d)
	if l, _ := s.ledger(); line(l, "deepidv").Calls != 2 {
		t.Errorf("the ledger has %+v", l)
	}
}

// calls waits until deepidv is asked for the n-th time.
func (s *street) calls(n int) {
	s.t.Helper()
	for over := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) {
		l, _ := s.ledger()
		if line(l, "deepidv").Calls == n {
			return
		}
		if time.Now().After(over) {
			s.t.Fatalf("not asked within %v: %+v", patient, l)
		}
	}
}

// TestCloudTrouble asks services that stall or refuse, and stops and kills the
// daemon during a call.
func TestCloudTrouble(t *testing.T) {
	s := newStreet(t, `{"deepidv": {"steps": [{"do": "half_open"}, {"do": "throttle", "retry_after": "1s"}, {"do": "half_open", "times": 2}], "once": true}}`)
	const deadline, grace = 1000, 500 // ms
	s.ask("[deepidv, mxface]", "none", fmt.Sprintf("%dms", deadline))
	d := s.start()
	e := s.present("faces")
	decided(t, "stalled", e, `unsure unsure_no_cloud local not_attempted by "" because of "deadline"`)
	if took := e.StageMS["cloud"]; took < deadline-1 || took > deadline+grace {
		t.Errorf("stalled: asked for %v ms, want %d", took, deadline)
	}
	s.terminate(d)
	s.secretive(d, nil)

	s.ask("[deepidv, mxface]", "none", "30s")
	d = s.start()
	decided(t, "throttled", s.present("faces"), `match ok cloud granted by "mxface" because of ""`)
	s.terminate(d)

	s.ask("[deepidv, mxface]", "faces", "30s")
	d = s.start()
	s.drop()
	s.calls(3)
	s.terminate(d) // soon, whoever is asked

	d = s.start()
	s.drop()
	s.calls(4)
	must(t, d.cmd.Process.Kill())
	await(t, "the daemon's death", d.gone)
	_ = d.cmd.Wait() // says that it was killed

	s.ask("[deepidv, mxface]", "none", "30s", "deepidv: {", "deepidv: {daily: 4, ")
	d = s.start()
	decided(t, "after the kill", s.present("faces"), `match ok cloud granted by "mxface" because of ""`)
	l, text := s.ledger()
	if got := line(l, "deepidv"); got.Calls != 4 || got.Failed != 3 || got.CutOff != 1 || line(l, "mxface").Calls != 2 || line(l, "mxface").Failed != 0 || l.Changed != 2 {
		t.Errorf("the ledger has %+v and prints\n%s", l, text)
	}
	s.terminate(d)
	var reasons []string
	for _, e := range s.history() {
		if e.Attempt != nil {
			reasons = append(reasons, string(e.Reason))
		}
	}
	if got := strings.Join(reasons, " "); got != "unsure_no_cloud ok interrupted interrupted ok" {
		t.Errorf("the journal has %s", got)
	}
	s.secretive(d, nil)
}
