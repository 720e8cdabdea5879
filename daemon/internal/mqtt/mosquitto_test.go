//go:build integration

package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// A mosquitto is a real broker that keeps its state on disk.
type mosquitto struct {
	t       *testing.T
	address string
	conf    string
	cmd     *exec.Cmd
}

// startMosquitto runs a broker on a free loopback port. Lines of
// configuration are added to its file.
func startMosquitto(t *testing.T, lines ...string) *mosquitto {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, address: ln.Addr().String()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(m.address)
	lines = append(lines, "listener "+port+" 127.0.0.1", "persistence true", "persistence_location "+dir+"/", "log_dest none")
	if os.Getuid() == 0 {
		lines = append(lines, "user root") // else it could not write to the folder of the test
	}
	m.conf = filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(m.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(func() { m.end(syscall.SIGKILL) })
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not on everyone's path
	}
	m.cmd = exec.Command(path, "-c", m.conf)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	redial(m.t, m.address)
}

func (m *mosquitto) end(s syscall.Signal) {
	if m.cmd.ProcessState == nil {
		_ = m.cmd.Process.Signal(s)
		_ = m.cmd.Wait()
	}
}

// redial waits for a broker to accept connections and drops the first.
func redial(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("broker does not accept connections: %v", err)
		}
	}
}

// A consumer is a subscriber with a lasting session that comes back whenever
// it is thrown out, drops what it has seen, and notices gaps.
type consumer struct {
	t       *testing.T
	address string
	peer    *mqtttest.Peer
	got     []uint64 // in order of first arrival
	seen    map[uint64]bool
	again   int
}

func consume(t *testing.T, address string) *consumer {
	c := &consumer{t: t, address: address, seen: map[uint64]bool{}}
	c.login()
	return c
}

func (c *consumer) login() {
	c.t.Helper()
	redial(c.t, c.address)
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.peer, err = mqtttest.NewPeer(conn, mqtttest.Login{ID: "consumer", Lasting: true}); err != nil {
		c.t.Fatal(err)
	}
	if err := c.peer.Subscribe(root+"event/#", 1); err != nil {
		c.t.Fatal(err)
	}
}

// until takes events until the one with that seq has come.
func (c *consumer) until(last uint64) {
	c.t.Helper()
	for !c.seen[last] {
		m, err := c.peer.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("event %d did not arrive, got %v", last, c.got)
		}
		if err != nil {
			c.login()
			continue
		}
		c.take(m)
	}
}

func (c *consumer) take(m mqtttest.Message) {
	seq := field[uint64](c.t, m, "seq")
	if c.seen[seq] {
		c.again++
		return
	}
	c.seen[seq] = true
	c.got = append(c.got, seq)
}

// check demands the events 1 to n, in order.
func (c *consumer) check(n int) {
	c.t.Helper()
	want := make([]uint64, n)
	for i := range want {
		want[i] = uint64(i + 1)
	}
	if fmt.Sprint(c.got) != fmt.Sprint(want) {
		c.t.Errorf("consumer got %v, want %v", c.got, want)
	}
	c.t.Logf("%d events, %d of them again", len(c.got), c.again)
}

func TestGracefulRestartDuringTenEvents(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.address
	consumer := consume(t, m.address)
	run(t, c)
	for i := range 10 {
		if i == 5 {
			m.end(syscall.SIGTERM)
		}
		if i == 8 {
			m.start()
		}
		j.Append()
	}
	consumer.until(10)
	consumer.check(10)
}

// The consumer is away while events come and the broker restarts.
func TestGracefulRestartWhileTheConsumerIsAway(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.address
	consumer := consume(t, m.address)
	_ = consumer.peer.Close()
	run(t, c)
	for range 10 {
		j.Append()
	}
	deliveredThrough(t, j, 10)
	m.end(syscall.SIGTERM)
	m.start()
	consumer.login()
	consumer.until(10)
	consumer.check(10)
}

func TestNetworkCutsDuringTenEvents(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous true")
	p := newProxy(t, m.address)
	c, j := newClient()
	c.Broker = p.url()
	consumer := consume(t, m.address)
	run(t, c)
	for i := range 10 {
		j.Append()
		if i%3 == 1 {
			consumer.until(uint64(i)) // the one before, so that a connection is there to be cut
			j.Append()
			p.cut(i == 4) // once it stays down for a while
		}
		if i == 6 {
			p.cut(false)
		}
	}
	consumer.until(13)
	consumer.check(13)
}

// A broker that is killed forgets what it had acknowledged. Its consumer
// notices the gap and asks for it.
func TestReplayFillsWhatAKilledBrokerForgot(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous true")
	c, j := newClient()
	c.Broker = "tcp://" + m.address
	consumer := consume(t, m.address)
	_ = consumer.peer.Close()
	run(t, c)
	for range 10 {
		j.Append()
	}
	deliveredThrough(t, j, 10)
	m.end(syscall.SIGKILL)
	m.start()
	consumer.login()
	j.Append()
	consumer.until(11)
	if consumer.got[0] != 11 {
		t.Fatalf("the broker forgot nothing: %v", consumer.got)
	}
	send(t, consumer.peer, "replay", command("1", `{"from":1,"to":10}`))
	consumer.until(10)
	if len(consumer.got) != 11 {
		t.Errorf("got %v", consumer.got)
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
	m := startMosquitto(t, "allow_anonymous false", "password_file "+users)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient()
	c.Broker = "tcp://" + m.address
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
	m := startMosquitto(t, "allow_anonymous true")
	p := watch(t, m.address, mqtttest.Login{ID: "watcher"})
	retained := mqtttest.Message{Topic: root + "cmd/cancel", QoS: 1, Retained: true, Payload: command("1", `{}`)}
	if err := p.Publish(retained); err != nil {
		t.Fatal(err)
	}
	c, j := newClient()
	c.Broker = "tcp://" + m.address
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
	expect(command("2", `{}`, expires(-time.Second)), mqtt.Expired)
	expect(command("3", `{}`, without("expires_at")), mqtt.ExpiryMissing)
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
	m := startMosquitto(t, "allow_anonymous true", "acl_file "+acl)
	p := watch(t, m.address, mqtttest.Login{ID: "host", User: "host", Password: "-"})
	c, j := newClient()
	c.Broker = "tcp://" + m.address
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
	send(t, p, "cancel", command("1", `{}`))
	next(t, p, "rsp/cancel")
}

// Two kiosks with one client id throw each other out for ever; the log must
// say so.
func TestSharedClientIDIsNamed(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous true")
	lines := make(chan string, 1000)
	for range 2 {
		c, _ := newClient()
		c.Broker = "tcp://" + m.address
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
