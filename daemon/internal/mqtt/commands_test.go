package mqtt_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/grant"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

func TestCommands(t *testing.T) {
	photo := func(n int) string {
		return fmt.Sprintf(`{"photo":%q}`, base64.StdEncoding.EncodeToString(make([]byte, n)))
	}
	tests := []struct {
		name, verb, args string
		edit             []mqtttest.Edit
		want             mqtt.Code
	}{
		{"verify by upload", "verify", `{"upload":"u1"}`, nil, mqtt.OK},
		{"verify by source", "verify", `{"source":"document","subject_ref":"card 17"}`, nil, mqtt.OK},
		{"verify by photo", "verify", photo(mqtt.MaxPhotoBytes), nil, mqtt.OK},
		{"photo too large", "verify", photo(mqtt.MaxPhotoBytes + 1), nil, mqtt.TooLarge},
		{"photo not base64", "verify", `{"photo":"***"}`, nil, mqtt.BadRequest},
		{"two photos", "verify", `{"upload":"u1","source":"document"}`, nil, mqtt.BadRequest},
		{"no photo", "verify", `{}`, nil, mqtt.BadRequest},
		{"unknown argument", "verify", `{"upload":"u1","open":true}`, nil, mqtt.BadRequest},
		{"capitals", "verify", `{"Upload":"u1"}`, nil, mqtt.BadRequest},
		{"repeated argument", "verify", `{"upload":"u1","upload":"u2"}`, nil, mqtt.BadRequest},
		{"subject_ref too long", "verify", `{"upload":"u1","subject_ref":"` + strings.Repeat("x", 129) + `"}`, nil, mqtt.BadRequest},
		{"cancel whatever runs", "cancel", `{}`, nil, mqtt.OK},
		{"cancel without args", "cancel", `{}`, edits(mqtttest.Without("args")), mqtt.OK},
		{"cancel one", "cancel", `{"attempt_id":"` + mqtttest.AttemptID + `"}`, nil, mqtt.OK},
		{"cancel nonsense", "cancel", `{"attempt_id":"7"}`, nil, mqtt.BadRequest},
		{"grant", "grant", `{"attempt_id":"` + mqtttest.AttemptID + `","expires_at":"2026-01-01T00:00:00Z","mac":"` + strings.Repeat("0", 64) + `"}`, nil, mqtt.OK},
		{"grant without mac", "grant", `{"attempt_id":"` + mqtttest.AttemptID + `","expires_at":"2026-01-01T00:00:00Z"}`, nil, mqtt.BadRequest},
		{"rebirth", "rebirth", `{}`, nil, mqtt.OK},
		{"replay of nothing", "replay", `{"from":0,"to":5}`, nil, mqtt.BadRequest},
		{"replay backwards", "replay", `{"from":5,"to":4}`, nil, mqtt.BadRequest},
		{"replay of too much", "replay", `{"from":1,"to":100001}`, nil, mqtt.BadRequest},
		{"replay of all numbers", "replay", `{"from":1,"to":18446744073709551615}`, nil, mqtt.BadRequest},
		{"no expiry", "cancel", `{}`, edits(mqtttest.Without("expires_at")), mqtt.ExpiryMissing},
		{"empty expiry", "cancel", `{}`, edits(mqtttest.With("expires_at", "")), mqtt.ExpiryMissing},
		{"expired", "cancel", `{}`, edits(mqtttest.Expires(-time.Second)), mqtt.Expired},
		{"expiry too far", "cancel", `{}`, edits(mqtttest.Expires(2 * time.Minute)), mqtt.ExpiryTooFar},
		{"expiry not a time", "cancel", `{}`, edits(mqtttest.With("expires_at", "soon")), mqtt.BadRequest},
		{"expiry a number", "cancel", `{}`, edits(mqtttest.With("expires_at", 1e9)), mqtt.BadRequest},
		{"no nonce", "cancel", `{}`, edits(mqtttest.Without("nonce")), mqtt.NonceMissing},
		{"nonce too long", "cancel", `{}`, edits(mqtttest.With("nonce", strings.Repeat("x", 129))), mqtt.BadRequest},
		{"unknown key", "cancel", `{}`, edits(mqtttest.With("force", true)), mqtt.BadRequest},
		{"args a list", "cancel", `[]`, nil, mqtt.BadRequest},
	}
	c, _ := newClient()
	h := &handler{}
	c.Handler = h
	p := connected(t, c)
	var ids []string
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprintf("id-%d", i)
			send(t, p, tt.verb, mqtttest.Command(id, tt.args, tt.edit...))
			m := next(t, p, "rsp/"+tt.verb)
			eventtest.ValidateAs(t, "response", m.Payload)
			got, ok := field[mqtt.Code](t, m, "code"), field[bool](t, m, "ok")
			if field[string](t, m, "id") != id || got != tt.want || ok != (tt.want == mqtt.OK) {
				t.Errorf("response is %s, want code %s", m.Payload, tt.want)
			}
			if tt.want == mqtt.OK && tt.verb != "rebirth" {
				ids = append(ids, id)
			}
		})
	}
	var handled []string
	for _, cmd := range h.commands() {
		handled = append(handled, cmd.ID)
	}
	if !slices.Equal(handled, ids) {
		t.Errorf("handled %v, want %v", handled, ids)
	}
}

func edits(f ...mqtttest.Edit) []mqtttest.Edit { return f }

func TestSameNonceTwice(t *testing.T) {
	c, _ := newClient()
	h := &handler{}
	c.Handler = h
	p := connected(t, c)
	for i, want := range []mqtt.Code{mqtt.OK, mqtt.NonceUsed} {
		send(t, p, "cancel", mqtttest.Command(fmt.Sprint(i), `{}`, mqtttest.With("nonce", "the-same")))
		if m := next(t, p, "rsp/"); field[mqtt.Code](t, m, "code") != want {
			t.Errorf("response %d is %s, want %s", i, m.Payload, want)
		}
	}
	if n := len(h.commands()); n != 1 {
		t.Errorf("%d commands were carried out", n)
	}
}

func TestNonceThatCannotBeRemembered(t *testing.T) {
	c, j := newClient()
	h := &handler{}
	c.Handler = h
	p := connected(t, c)
	j.Fail(os.ErrPermission)
	send(t, p, "cancel", mqtttest.Command("1", `{}`))
	if m := next(t, p, "rsp/"); field[mqtt.Code](t, m, "code") != mqtt.JournalFault || len(h.commands()) != 0 {
		t.Errorf("response is %s", m.Payload)
	}
}

func TestClockNotSet(t *testing.T) {
	c, _ := newClient()
	c.ClockSynced = func() bool { return false }
	p := connected(t, c)
	send(t, p, "cancel", mqtttest.Command("1", `{}`, mqtttest.Expires(-time.Hour)))
	if m := next(t, p, "rsp/"); field[mqtt.Code](t, m, "code") != mqtt.ClockUnsynced {
		t.Errorf("response is %s", m.Payload)
	}
}

// A command kept by the broker would be carried out at each connection.
func TestRetainedCommandFromBeforeIsDropped(t *testing.T) {
	b := startBroker(t, broker.Config{})
	p := watch(t, b.Addr().String(), mqtttest.Login{ID: "watcher"})
	m := mqtttest.Message{Topic: root + "cmd/cancel", QoS: 1, Retained: true, Payload: mqtttest.Command("1", `{}`)}
	if err := p.Publish(m); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient()
	h := &handler{}
	c.Handler = h
	c.Dial = b.Dial
	run(t, c)
	if m := next(t, p, "error"); field[string](t, m, "code") != "retained_command" {
		t.Errorf("fault is %s", m.Payload)
	}
	// The same one, published while the client listens, comes without the mark
	// of retention: it counts once, and its nonce guards against the next time.
	if err := p.Publish(m); err != nil {
		t.Fatal(err)
	}
	next(t, p, "rsp/")
	if n := len(h.commands()); n != 1 {
		t.Errorf("%d commands were carried out, want 1", n)
	}
}

func TestUnreadableCommands(t *testing.T) {
	tests := []struct {
		name, verb string
		payload    []byte
	}{
		{"not JSON", "verify", []byte("open sesame")},
		{"empty", "verify", nil},
		{"no id", "verify", mqtttest.Command("", `{}`)},
		{"unknown verb", "open", mqtttest.Command("1", `{}`)},
		{"deep", "verify", bytes.Repeat([]byte("["), 100_000)},
		{"too large to be read", "verify", mqtttest.Command("1", fmt.Sprintf("%q", strings.Repeat("x", 800<<10)))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := newClient()
			p := connected(t, c)
			send(t, p, tt.verb, tt.payload)
			m := next(t, p, "error", "rsp/")
			eventtest.ValidateAs(t, "error", m.Payload)
			if m.Topic != root+"error" || field[string](t, m, "code") != "unreadable_command" {
				t.Errorf("got %s %s", m.Topic, m.Payload)
			}
			send(t, p, tt.verb, tt.payload) // reported once in a while only
			send(t, p, "cancel", mqtttest.Command("2", `{}`))
			if m := next(t, p, "error", "rsp/"); m.Topic != root+"rsp/cancel" {
				t.Errorf("got %s, want the next command to be answered: %s", m.Topic, m.Payload)
			}
		})
	}
}

func TestTooManyCommandsAreRefusedAtOnce(t *testing.T) {
	c, _ := newClient()
	hold := make(chan struct{})
	c.Handler = &handler{hold: hold}
	p := connected(t, c)
	const n = 12
	for i := range n {
		send(t, p, "cancel", mqtttest.Command(fmt.Sprint(i), `{}`))
	}
	// One is held by the handler and at most eight wait.
	if m := next(t, p, "rsp/"); field[mqtt.Code](t, m, "code") != mqtt.Busy {
		t.Errorf("response is %s, want busy", m.Payload)
	}
	close(hold)
	answered := 1
	for ; answered < n; answered++ {
		next(t, p, "rsp/")
	}
}

func TestGrantArrivesAsSigned(t *testing.T) {
	key, err := grant.NewKey([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	g := grant.Sign(key, "hall", "gate-1", mqtttest.AttemptID, time.Now().Add(time.Minute))
	c, _ := newClient()
	h := &handler{}
	c.Handler = h
	p := connected(t, c)
	send(t, p, "grant", mqtttest.Command("1", fmt.Sprintf(`{"attempt_id":%q,"expires_at":%q,"mac":%q}`, g.AttemptID, g.ExpiresAt, g.MAC)))
	next(t, p, "rsp/grant")
	if err := h.commands()[0].Grant.Verify(key, "hall", "gate-1", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestReplay(t *testing.T) {
	c, j := newClient()
	p := connected(t, c)
	for range 50 {
		j.Append()
	}
	for range 50 {
		next(t, p, "event/")
	}
	send(t, p, "replay", mqtttest.Command("1", `{"from":11,"to":1000}`))
	send(t, p, "replay", mqtttest.Command("2", `{"from":1,"to":2}`))
	j.Append() // 51, new
	var replayed, fresh []uint64
	codes := map[string]mqtt.Code{}
	for len(replayed) < 40 || len(fresh) < 1 || len(codes) < 2 {
		m := next(t, p, "event/", "rsp/replay") // in no particular order
		switch seq := field[uint64](t, m, "seq"); {
		case seq == 0:
			codes[field[string](t, m, "id")] = field[mqtt.Code](t, m, "code")
		case field[bool](t, m, "historical"):
			replayed = append(replayed, seq)
		default:
			fresh = append(fresh, seq)
		}
	}
	for i, seq := range replayed {
		if seq != uint64(11+i) {
			t.Fatalf("replayed %v", replayed)
		}
	}
	if fresh[0] != 51 || codes["1"] != mqtt.OK || codes["2"] != mqtt.Busy {
		t.Errorf("new events %v, responses %v", fresh, codes)
	}
}

// Each message in a goroutine of its own, which paho offers, would let a
// verify overtake the cancel before it.
func TestCommandsStayInOrder(t *testing.T) {
	c, _ := newClient()
	h := &handler{}
	c.Handler = h
	p := connected(t, c)
	const rounds, burst = 40, 5 // fewer than the inbox holds
	for i := range rounds * burst {
		if err := p.Publish(mqtttest.Message{Topic: root + "cmd/cancel", Payload: mqtttest.Command(fmt.Sprint(i), `{}`)}); err != nil {
			t.Fatal(err)
		}
		if i%burst == burst-1 {
			for range burst {
				next(t, p, "rsp/")
			}
		}
	}
	for i, cmd := range h.commands() {
		if cmd.ID != fmt.Sprint(i) {
			t.Fatalf("command %d has id %s", i, cmd.ID)
		}
	}
}

func TestRebirth(t *testing.T) {
	c, _ := newClient()
	c.SetInfo(map[string]any{"v": 1})
	p := connected(t, c)
	next(t, p, "info")
	send(t, p, "rebirth", mqtttest.Command("1", `{}`))
	next(t, p, "status")
	next(t, p, "info")
}
