//go:build dlib && integration

package test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/grant"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

const root = "facegate/test/gate-1/"

// embedded is the address of the broker in the daemon.
func (s *site) embedded() string {
	s.t.Helper()
	text, err := os.ReadFile(s.path("facegate.yaml"))
	must(s.t, err)
	return string(regexp.MustCompile(`embedded: \{listen: "(.*?)"`).FindSubmatch(text)[1])
}

// at makes the configuration use the broker at the address.
func at(url string) []string {
	return []string{"mqtt: {broker: embedded,", fmt.Sprintf("mqtt: {broker: %q,", url)}
}

// marked makes the configuration wait for the file that mark writes.
func marked() []string { return []string{"device:", "clock: {marker: DIR/clock}\ndevice:"} }

func (s *site) mark() {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path("clock"), nil, 0o600))
}

// commanded lets attempts begin by command.
func commanded(keys string) []string {
	return []string{"sources: {", "sources: {mqtt: {" + keys + "}, "}
}

// A host commands a kiosk and holds all that the kiosk says to the schemas.
type host struct {
	s     *site
	peer  *mqtttest.Peer
	early []mqtttest.Message // came while something else was waited for
	sent  int
}

func (s *site) host(address string) *host {
	s.t.Helper()
	p, err := mqtttest.NewPeer(mqtttest.Dial(s.t, address), mqtttest.Login{ID: "host"})
	must(s.t, err)
	s.t.Cleanup(func() { _ = p.Close() })
	must(s.t, p.Subscribe(root+"#", 1))
	return &host{s: s, peer: p}
}

// next returns the oldest message below the topic that was not yet returned,
// and waits for it if need be.
func (h *host) next(topic string) mqtttest.Message {
	t := h.s.t
	t.Helper()
	wanted := func(m mqtttest.Message) bool { return strings.HasPrefix(m.Topic, root+topic) }
	if i := slices.IndexFunc(h.early, wanted); i >= 0 {
		m := h.early[i]
		h.early = slices.Delete(h.early, i, i+1)
		return m
	}
	for {
		m, err := h.peer.Next()
		if err != nil {
			t.Fatalf("waiting for %s: %v", topic, err)
		}
		validate(t, m)
		if wanted(m) {
			return m
		}
		h.early = append(h.early, m)
	}
}

// validate holds a message to the schema of its topic.
func validate(t *testing.T, m mqtttest.Message) {
	t.Helper()
	name, rest, _ := strings.Cut(strings.TrimPrefix(m.Topic, root), "/")
	switch name {
	case "cmd": // our own, wrong on purpose
		return
	case "state":
		name = rest
	case "rsp":
		name = "response"
	case "attempt":
		name = "progress"
	}
	eventtest.ValidateAs(t, name, m.Payload)
}

// decode decodes a message.
func decode[T any](t *testing.T, m mqtttest.Message) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(m.Payload, &v); err != nil {
		t.Fatalf("%s: %v: %s", m.Topic, err, m.Payload)
	}
	return v
}

// A reply is the answer to a command.
type reply struct {
	ID     string
	Code   mqtt.Code
	Detail string
}

// publish sends a command as it stands.
func (h *host) publish(m mqtttest.Message) {
	h.s.t.Helper()
	m.Topic, m.QoS = root+"cmd/"+m.Topic, 1
	must(h.s.t, h.peer.Publish(m))
}

// ask sends a command and waits for its answer, which must have the code.
func (h *host) ask(want mqtt.Code, verb, args string, edits ...mqtttest.Edit) reply {
	t := h.s.t
	t.Helper()
	h.sent++
	id := fmt.Sprintf("%s-%d", verb, h.sent)
	h.publish(mqtttest.Message{Topic: verb, Payload: mqtttest.Command(id, args, edits...)})
	for {
		r := decode[reply](t, h.next("rsp/"+verb))
		if r.ID != id {
			continue
		}
		if r.Code != want {
			t.Errorf("%s %.200s: %s (%s), want %s", verb, args, r.Code, r.Detail, want)
		}
		return r
	}
}

// outcome waits for the next outcome and checks it.
func (h *host) outcome(id string, decision event.Decision, reason event.Reason, access event.Access) {
	h.s.t.Helper()
	e := decode[event.Event](h.s.t, h.next("event/attempt"))
	if e.AttemptID != id || e.Decision != decision || e.Reason != reason || e.Access != access {
		h.s.t.Errorf("attempt %s ended %s %s %s, want %s %s %s %s", e.AttemptID, e.Decision, e.Reason, e.Access, id, decision, reason, access)
	}
}

// upload uploads the ID photo and returns args that name it.
func (h *host) upload() string {
	t := h.s.t
	t.Helper()
	card, err := os.ReadFile(h.s.path("card.jpg"))
	must(t, err)
	b := form(t, "card.jpg", card)
	resp, err := h.s.client().Post("http://facegate/v1/uploads", b.kind, strings.NewReader(b.text))
	must(t, err)
	defer resp.Body.Close()
	var a struct {
		UploadID string `json:"upload_id"`
	}
	must(t, json.NewDecoder(resp.Body).Decode(&a))
	if resp.StatusCode != http.StatusCreated || a.UploadID == "" {
		t.Fatalf("upload: %s", resp.Status)
	}
	return fmt.Sprintf(`{"upload":%q}`, a.UploadID)
}

// photo returns args that carry the ID photo.
func (h *host) photo() string {
	h.s.t.Helper()
	card, err := os.ReadFile(h.s.path("card.jpg"))
	must(h.s.t, err)
	return fmt.Sprintf(`{"photo":%q}`, base64.StdEncoding.EncodeToString(card))
}

// sound checks the journal of a site whose daemon has ended, and how often the
// door moved. How long and how soon it moved is for TestKill.
func (s *site) sound(movements int) {
	s.t.Helper()
	r := record{events: s.history()}
	var f findings
	f.sequence(r.events)
	f.outcomes(r)
	f.facts(r.events)
	for _, fault := range f {
		s.t.Error(fault)
	}
	if n := len(phases(s.timeline())); n != movements {
		s.t.Errorf("the door moved %d times, want %d", n, movements)
	}
}

// TestCommands sends a whole daemon everything that a host may get wrong, and
// what it may get right, while no command may open the door.
func TestCommands(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
	s := newSite(t, slices.Concat(at("tcp://"+broker.Address), marked(), unhurried(), commanded("enabled: true"))...)
	s.mark()
	h := s.host(broker.Address)
	early := mqtttest.Message{Topic: "cancel", Retained: true, Payload: mqtttest.Command("early", `{}`)}
	h.publish(early)
	d := s.start()
	h.fault("retained_command")
	h.wrong(early)
	h.right()
	s.terminate(d)

	s.edit("mqtt: {enabled: true}", "mqtt: {enabled: true, pictures: true}")
	d = s.start()
	h.fault("retained_command")
	h.ask(mqtt.NonceUsed, "cancel", `{}`, mqtttest.With("nonce", "the-same"))
	h.publish(mqtttest.Message{Topic: "open", Payload: mqtttest.Command("1", `{}`)})
	h.fault("unreadable_command")
	h.ask(mqtt.TooLarge, "verify", fmt.Sprintf(`{"photo":%q}`, base64.StdEncoding.EncodeToString(make([]byte, mqtt.MaxPhotoBytes+1))))
	id := h.ask(mqtt.OK, "verify", h.photo()).Detail
	h.outcome(id, event.DecisionMatch, event.OK, event.NotAttempted)
	s.terminate(d)
	s.sound(0)
}

// fault waits for a fault with the code.
func (h *host) fault(want string) {
	h.s.t.Helper()
	f := decode[struct{ Code string }](h.s.t, h.next("error"))
	if f.Code != want {
		h.s.t.Errorf("fault %s, want %s", f.Code, want)
	}
}

// wrong sends what is refused.
func (h *host) wrong(early mqtttest.Message) {
	h.s.t.Helper()
	h.publish(mqtttest.Message{Topic: "verify", Payload: []byte(`{"id":"1","nonce":`)})
	h.fault("unreadable_command")
	for _, c := range []struct {
		want       mqtt.Code
		verb, args string
		edits      []mqtttest.Edit
	}{
		{mqtt.ExpiryMissing, "verify", `{"source":"document"}`, []mqtttest.Edit{mqtttest.Without("expires_at")}},
		{mqtt.Expired, "verify", `{"source":"document"}`, []mqtttest.Edit{mqtttest.Expires(-time.Second)}},
		{mqtt.ExpiryTooFar, "verify", `{"source":"document"}`, []mqtttest.Edit{mqtttest.Expires(time.Hour)}},
		{mqtt.NonceMissing, "cancel", `{}`, []mqtttest.Edit{mqtttest.Without("nonce")}},
		{mqtt.BadRequest, "verify", `{"open":true}`, nil},
		{mqtt.NotFound, "verify", `{"source":"document"}`, nil},
		{mqtt.NotFound, "verify", `{"source":"attic"}`, nil},
		{mqtt.NotFound, "verify", `{"upload":"nonsense"}`, nil},
		{mqtt.NotAllowed, "verify", h.photo(), nil},
		{mqtt.NotFound, "cancel", `{}`, []mqtttest.Edit{mqtttest.With("nonce", "the-same")}},
		{mqtt.NonceUsed, "cancel", `{}`, []mqtttest.Edit{mqtttest.With("nonce", "the-same")}},
		{mqtt.NotAllowed, "grant", grantArgs(grant.Grant{AttemptID: mqtttest.AttemptID, ExpiresAt: "2030-01-01T00:00:00Z", MAC: strings.Repeat("0", 64)}), nil},
	} {
		h.ask(c.want, c.verb, c.args, c.edits...)
	}
	// Published while the kiosk listens, a retained command looks like any
	// other; it is carried out once.
	h.publish(early)
	if r := decode[reply](h.s.t, h.next("rsp/cancel")); r.ID != "early" || r.Code != mqtt.NotFound {
		h.s.t.Errorf("retained command: %+v", r)
	}
	h.publish(early)
	if r := decode[reply](h.s.t, h.next("rsp/cancel")); r.ID != "early" || r.Code != mqtt.NonceUsed {
		h.s.t.Errorf("retained command again: %+v", r)
	}
}

// right sends what is carried out.
func (h *host) right() {
	t, s := h.s.t, h.s
	t.Helper()
	named := h.upload()
	id := h.ask(mqtt.OK, "verify", named).Detail
	h.outcome(id, event.DecisionMatch, event.OK, event.NotAttempted)
	h.ask(mqtt.NotFound, "verify", named)

	s.look("nobody")
	id = h.ask(mqtt.OK, "verify", h.upload()).Detail
	h.ask(mqtt.Busy, "verify", h.upload())
	h.ask(mqtt.NotFound, "cancel", `{"attempt_id":"`+mqtttest.AttemptID+`"}`)
	h.ask(mqtt.OK, "cancel", `{"attempt_id":"`+id+`"}`)
	h.outcome(id, event.DecisionError, event.Cancelled, event.NotAttempted)
	s.look("same")

	h.ask(mqtt.OK, "replay", `{"from":1,"to":2}`)
	for seq := uint64(1); seq <= 2; seq++ {
		if e := decode[event.Event](t, h.next("event/")); e.Seq != seq || !e.Historical {
			t.Errorf("replayed event %d, historical %v, want %d", e.Seq, e.Historical, seq)
		}
	}
	h.early = nil
	h.ask(mqtt.OK, "rebirth", `{}`)
	for _, topic := range []string{"status", "info", "health", "state/last"} {
		h.next(topic)
	}
}

// TestCommandsWaitForTheClock sends a command that opens the door, before and
// after somebody has set the clock.
func TestCommandsWaitForTheClock(t *testing.T) {
	s := newSite(t, slices.Concat(marked(), unhurried(), commanded("enabled: true, pictures: true, may_open: true"))...)
	d := s.start()
	h := s.host(s.embedded())
	movements := 1
	if synced, _ := event.Synced(s.path("clock")); synced { // by the kernel of this machine
		id := h.ask(mqtt.OK, "verify", h.photo()).Detail
		h.outcome(id, event.DecisionMatch, event.OK, event.Granted)
		h.next("event/access")
		h.next("event/access")
		movements++
	} else {
		h.ask(mqtt.ClockUnsynced, "verify", h.photo())
		h.ask(mqtt.ClockUnsynced, "verify", h.photo(), mqtttest.Expires(-time.Hour))
	}
	s.mark()
	id := h.ask(mqtt.OK, "verify", h.photo()).Detail
	h.outcome(id, event.DecisionMatch, event.OK, event.Granted)
	h.next("event/access")
	h.next("event/access")
	s.terminate(d)
	s.sound(movements)
}

func grantArgs(g grant.Grant) string {
	return fmt.Sprintf(`{"attempt_id":%q,"expires_at":%q,"mac":%q}`, g.AttemptID, g.ExpiresAt, g.MAC)
}

// waiting begins an attempt from the inbox and waits until it gives the hint.
func (h *host) waiting(hint string) (id string) {
	h.s.t.Helper()
	h.s.drop()
	for {
		p := decode[struct {
			ID   string `json:"attempt_id"`
			Hint string
		}](h.s.t, h.next("attempt/"))
		if p.Hint == hint {
			return p.ID
		}
	}
}

// TestGrants lets a host decide: only a signed grant, in time and for the very
// attempt, opens the door.
func TestGrants(t *testing.T) {
	const secret, forger = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	key, err := grant.NewKey([]byte(secret))
	forged, err2 := grant.NewKey([]byte(forger))
	must(t, errors.Join(err, err2))
	s := newSite(t, slices.Concat(marked(), unhurried(), []string{"door: {", "door: {authorise: host, grant_key_file: DIR/grant.key, wait: 3s, "})...)
	s.mark()
	must(t, os.WriteFile(s.path("grant.key"), []byte(secret+"\n"), 0o600))
	d := s.start()
	h := s.host(s.embedded())
	sign := func(k grant.Key, device, id string, in time.Duration) string {
		return grantArgs(grant.Sign(k, "test", device, id, time.Now().Add(in)))
	}

	id := h.waiting("awaiting_grant")
	h.ask(mqtt.Unauthorised, "grant", sign(forged, "gate-1", id, 10*time.Second))
	h.ask(mqtt.Unauthorised, "grant", sign(key, "gate-2", id, 10*time.Second))
	h.ask(mqtt.Unauthorised, "grant", sign(key, "gate-1", id, -2*time.Second))
	h.ask(mqtt.NotFound, "grant", sign(key, "gate-1", mqtttest.AttemptID, 10*time.Second))
	h.outcome(id, event.DecisionMatch, event.NotAuthorised, event.Denied)
	h.ask(mqtt.NotFound, "grant", sign(key, "gate-1", id, 10*time.Second)) // late

	id = h.waiting("awaiting_grant")
	s.forget()
	good := sign(key, "gate-1", id, 30*time.Second)
	h.ask(mqtt.OK, "grant", good)
	if !s.rise("door", patient) {
		t.Error("a good grant does not open the door")
	}
	h.ask(mqtt.NotFound, "grant", good)
	h.outcome(id, event.DecisionMatch, event.OK, event.Granted)
	for range 2 {
		h.next("event/access")
	}

	id = h.waiting("awaiting_grant")
	h.ask(mqtt.NotFound, "grant", good) // that of the attempt before
	h.ask(mqtt.OK, "cancel", `{}`)
	h.outcome(id, event.DecisionMatch, event.Cancelled, event.Denied)

	s.look("nobody")
	id = h.waiting("look_at_camera")
	h.ask(mqtt.NotAllowed, "grant", sign(key, "gate-1", id, 10*time.Second)) // before there is a match
	h.ask(mqtt.OK, "cancel", `{}`)
	h.outcome(id, event.DecisionError, event.Cancelled, event.NotAttempted)
	s.terminate(d)
	s.sound(1)
	if strings.Contains(d.log.String(), secret) {
		t.Error("the log holds the key")
	}
}
