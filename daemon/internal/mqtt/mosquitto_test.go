//go:build integration

package mqtt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

func TestGracefulRestartDuringTenEvents(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.Address
	consumer := mqtttest.Consume(t, m.Address, root, mqtttest.Login{ID: "consumer"})
	run(t, c)
	for i := range 10 {
		if i == 5 {
			m.End(syscall.SIGTERM)
		}
		if i == 8 {
			m.Start()
		}
		j.Append()
	}
	consumer.Until(10)
	consumer.Check(10)
}

// The consumer is away while events come and the broker restarts.
func TestGracefulRestartWhileTheConsumerIsAway(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.Address
	consumer := mqtttest.Consume(t, m.Address, root, mqtttest.Login{ID: "consumer"})
	consumer.Leave()
	run(t, c)
	for range 10 {
		j.Append()
	}
	deliveredThrough(t, j, 10)
	m.End(syscall.SIGTERM)
	m.Start()
	consumer.Login()
	consumer.Until(10)
	consumer.Check(10)
}

func TestNetworkCutsDuringTenEvents(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	p := mqtttest.NewProxy(t, m.Address)
	c, j := newClient()
	c.Broker = p.URL()
	consumer := mqtttest.Consume(t, m.Address, root, mqtttest.Login{ID: "consumer"})
	run(t, c)
	for i := range 10 {
		j.Append()
		if i%3 == 1 {
			consumer.Until(uint64(i)) // the one before, so that a connection is there to be cut
			j.Append()
			p.Cut(i == 4) // once it stays down for a while
		}
		if i == 6 {
			p.Cut(false)
		}
	}
	consumer.Until(13)
	consumer.Check(13)
}

// A broker that is killed forgets what it had acknowledged. Its consumer
// notices the gap and asks for it.
func TestReplayFillsWhatAKilledBrokerForgot(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.Address
	consumer := mqtttest.Consume(t, m.Address, root, mqtttest.Login{ID: "consumer"})
	consumer.Leave()
	run(t, c)
	for range 10 {
		j.Append()
	}
	deliveredThrough(t, j, 10)
	m.End(syscall.SIGKILL)
	m.Start()
	consumer.Login()
	j.Append()
	consumer.Until(11)
	if consumer.Seqs()[0] != 11 {
		t.Fatalf("the broker forgot nothing: %v", consumer.Seqs())
	}
	send(t, consumer.Peer, "replay", mqtttest.Command("1", `{"from":1,"to":10}`))
	consumer.Until(10)
	if len(consumer.Seqs()) != 11 {
		t.Errorf("got %v", consumer.Seqs())
	}
}

func deliveredThrough(t *testing.T, j *mqtttest.Journal, seq uint64) {
	t.Helper()
	late := time.After(10 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); j.Through() < seq; {
		select {
		case <-tick:
		case <-late:
			t.Fatalf("delivered through %d, want %d", j.Through(), seq)
		}
	}
}

func TestMosquittoRefusesThePassword(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	if out, err := exec.Command("mosquitto_passwd", "-c", "-b", users, "kiosk", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	m := mqtttest.StartMosquitto(t, "allow_anonymous false", "password_file "+users)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient()
	c.Broker = "tcp://" + m.Address
	c.Credentials = mqtt.Credentials{Username: "kiosk", PasswordFile: password}
	lines := make(chan string, 100)
	c.Log = logTo(lines)
	run(t, c)
	if line := <-lines; !strings.Contains(line, "mqtt.password_file") {
		t.Errorf("log says %q", line)
	}
	if err := os.WriteFile(password, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := <-lines; !strings.Contains(line, "connected to the broker") {
		t.Errorf("log says %q, want connected next", line)
	}
}

func TestMosquittoCommands(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	p := watch(t, m.Address, mqtttest.Login{ID: "watcher"})
	retained := mqtttest.Message{Topic: root + "cmd/cancel", QoS: 1, Retained: true, Payload: mqtttest.Command("1", `{}`)}
	if err := p.Publish(retained); err != nil {
		t.Fatal(err)
	}
	c, j := newClient()
	c.Broker = "tcp://" + m.Address
	h := &handler{}
	c.Handler = h
	stop := run(t, c)
	if got := next(t, p, "error"); field[string](t, got, "code") != "retained_command" {
		t.Errorf("before subscribing: %s", got.Payload)
	}
	expect := func(payload []byte, want mqtt.Code) {
		t.Helper()
		if err := p.Publish(mqtttest.Message{Topic: root + "cmd/cancel", QoS: 1, Retained: true, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if got := next(t, p, "rsp/cancel"); field[mqtt.Code](t, got, "code") != want {
			t.Errorf("response is %s, want %s", got.Payload, want)
		}
	}
	expect(retained.Payload, mqtt.OK) // after subscribing it can't be told from another
	expect(retained.Payload, mqtt.NonceUsed)
	expect(mqtttest.Command("2", `{}`, mqtttest.Expires(-time.Second)), mqtt.Expired)
	expect(mqtttest.Command("3", `{}`, mqtttest.Without("expires_at")), mqtt.ExpiryMissing)
	stop()
	next(t, p, "status")

	again, _ := newClient() // the program restarted, with the journal it had
	again.Outbox, again.History, again.Nonces = j, j, j
	again.Broker, again.Handler = c.Broker, h
	run(t, again)
	next(t, p, "error") // the retained one, dropped
	expect(retained.Payload, mqtt.NonceUsed)
	if n := len(h.commands()); n != 1 {
		t.Errorf("%d commands were carried out, want 1", n)
	}
}

// The access list in docs/mqtt.md must allow all that a device and its host
// do. A publication that it forbids would vanish without a sign.
func TestDocumentedAccessListIsEnough(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/mqtt.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "    # /etc/mosquitto/acl")
	list, _, ok := strings.Cut(list, "\n**Check")
	if !ok {
		t.Fatal("docs/mqtt.md holds no access list")
	}
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("#"+strings.ReplaceAll(list, "\n    ", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mqtttest.StartMosquitto(t, "allow_anonymous true", "acl_file "+acl)
	p := watch(t, m.Address, mqtttest.Login{ID: "host", User: "host", Password: "-"})
	c, j := newClient()
	c.Broker = "tcp://" + m.Address
	c.Credentials.Username = "gate-1"
	c.SetInfo(map[string]any{"v": 1})
	c.SetHealth(map[string]any{"v": 1})
	c.Report(mqtt.Fault{Code: "x", Component: "y"})
	j.Append()
	run(t, c)
	missing := map[string]bool{"status": true, "info": true, "health": true, "error": true, "event/attempt": true, "state/last": true}
	for len(missing) > 0 {
		delete(missing, strings.TrimPrefix(next(t, p, "").Topic, root))
	}
	c.Progress(mqtttest.AttemptID, "move_closer")
	next(t, p, "attempt/")
	send(t, p, "cancel", mqtttest.Command("1", `{}`))
	next(t, p, "rsp/cancel")
}

// Two kiosks with one client id throw each other out for ever; the log must
// say so.
func TestSharedClientIDIsNamed(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true")
	lines := make(chan string, 1000)
	for range 2 {
		c, _ := newClient()
		c.Broker = "tcp://" + m.Address
		c.Log = logTo(lines)
		run(t, c)
	}
	late := time.After(10 * time.Second)
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, "mqtt.client_id") {
				return
			}
		case <-late:
			t.Fatal("nobody named mqtt.client_id")
		}
	}
}
