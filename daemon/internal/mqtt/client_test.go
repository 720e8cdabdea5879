package mqtt_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

func TestAnnouncesItselfBeforeEvents(t *testing.T) {
	c, j := newClient()
	c.SetInfo(map[string]any{"v": 1, "engine": "dlib"})
	c.SetHealth(map[string]any{"v": 1, "camera": "ok"})
	c.Last = &event.Event{Stamp: event.Stamp{Time: event.Time{Time: time.Now()}}, Attempt: &event.Attempt{Decision: event.DecisionNoMatch, Reason: event.BelowThreshold}}
	j.Append()
	b := startBroker(t, broker.Config{})
	c.Dial = b.Dial
	p := watch(t, b.Addr().String(), mqtttest.Login{ID: "watcher"})
	run(t, c)
	for _, want := range []string{"status", "info", "health", "state/last", "event/attempt"} {
		m, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m.Topic != root+want {
			t.Fatalf("got %s, want %s", m.Topic, want)
		}
		switch want {
		case "status":
			eventtest.ValidateAs(t, "status", m.Payload)
		case "state/last":
			eventtest.ValidateAs(t, "last", m.Payload)
		case "event/attempt":
			eventtest.Validate(t, m.Payload)
		}
	}
	late := watch(t, b.Addr().String(), mqtttest.Login{ID: "late"})
	for range 4 {
		m, err := late.Next()
		if err != nil || !m.Retained {
			t.Fatalf("a late subscriber got %s, retained %v, %v; want the retained documents only", m.Topic, m.Retained, err)
		}
	}
}

func TestEventsArriveInOrder(t *testing.T) {
	c, j := newClient()
	p := connected(t, c)
	const n = 300
	for range n {
		j.Append()
	}
	for want := uint64(1); want <= n; want++ {
		m := next(t, p, "event/")
		if got := field[uint64](t, m, "seq"); got != want {
			t.Fatalf("got event %d, want %d", got, want)
		}
		if field[bool](t, m, "historical") {
			t.Errorf("event %d is marked historical", want)
		}
	}
	if s := c.Stats(); s.Sent < n-64 || s.Historical != 0 || !s.Connected {
		t.Errorf("stats = %+v", s)
	}
}

func TestLastStateNamesNobody(t *testing.T) {
	c, j := newClient()
	p := connected(t, c)
	j.Append()
	m := next(t, p, "state/last")
	if field[event.Decision](t, m, "decision") != event.DecisionMatch || strings.Contains(string(m.Payload), "attempt") {
		t.Errorf("last state is %s", m.Payload)
	}
}

func TestEventsOfAnotherTimeAreHistorical(t *testing.T) {
	c, j := newClient()
	j.Age = 5 * time.Second // before the connection
	j.Append()
	j.Age = 0
	p := connected(t, c)
	if m := next(t, p, "event/"); !field[bool](t, m, "historical") {
		t.Errorf("event from before the connection: %s", m.Payload)
	}
	j.BootID = "00000000-0000-0000-0000-000000000000"
	j.Append()
	if m := next(t, p, "event/"); !field[bool](t, m, "historical") {
		t.Errorf("event of another boot: %s", m.Payload)
	}
}

// A wall clock that was set back after the connection began made every event
// historical until the next connection; one that was set ahead, the event of
// that moment.
func TestSettingTheClockMakesNoEventHistorical(t *testing.T) {
	c, j := newClient()
	p := connected(t, c)
	for _, j.Clock = range []time.Duration{-time.Hour, 0, time.Hour} {
		j.Append()
		if m := next(t, p, "event/"); field[bool](t, m, "historical") {
			t.Errorf("event of a clock that is %v ahead: %s", j.Clock, m.Payload)
		}
	}
}

func TestStatus(t *testing.T) {
	c, _ := newClient()
	b := startBroker(t, broker.Config{})
	proxy := mqtttest.NewProxy(t, b.Addr().String())
	c.Broker = proxy.URL()
	p := watch(t, b.Addr().String(), mqtttest.Login{ID: "watcher"})
	expect := func(want mqtt.State) {
		t.Helper()
		m := next(t, p, "status")
		eventtest.ValidateAs(t, "status", m.Payload)
		if got := field[mqtt.State](t, m, "state"); got != want {
			t.Fatalf("status %s, want %s", got, want)
		}
	}
	stop := run(t, c)
	expect(mqtt.Online)
	c.SetStatus(mqtt.Degraded)
	expect(mqtt.Degraded)
	proxy.Cut(false)
	expect(mqtt.Offline)  // the will
	expect(mqtt.Degraded) // announced again
	stop()
	expect(mqtt.Stopped)
}

func TestProgressAndFaults(t *testing.T) {
	c, _ := newClient()
	p := connected(t, c)
	c.Progress("not/an/attempt", "move_closer")
	c.Progress(mqtttest.AttemptID, "move_closer")
	m := next(t, p, "attempt/")
	if m.Topic != root+"attempt/"+mqtttest.AttemptID+"/progress" || m.Retained {
		t.Errorf("progress on %s, retained %v", m.Topic, m.Retained)
	}
	eventtest.ValidateAs(t, "progress", m.Payload)
	c.Report(mqtt.Fault{Code: "camera_lost", Component: "camera", RetryIn: time.Second})
	m = next(t, p, "error")
	eventtest.ValidateAs(t, "error", m.Payload)
	if field[string](t, m, "code") != "camera_lost" || field[int](t, m, "retry_in_ms") != 1000 {
		t.Errorf("fault is %s", m.Payload)
	}
}

func TestDocumentThatCannotBeEncodedErasesNothing(t *testing.T) {
	c, _ := newClient()
	p := connected(t, c)
	c.SetHealth(map[string]any{"v": 1, "age": math.NaN()})
	c.SetHealth(map[string]any{"v": 1, "age": 2})
	if m := next(t, p, "health"); field[int](t, m, "age") != 2 {
		t.Errorf("health is %q", m.Payload)
	}
}

func TestJournalFaultIsWaitedOut(t *testing.T) {
	c, j := newClient()
	p := connected(t, c)
	j.Fail(os.ErrPermission)
	j.Append()
	j.Fail(nil)
	if m := next(t, p, "event/"); field[uint64](t, m, "seq") != 1 {
		t.Errorf("got %s", m.Payload)
	}
}

func TestWrongPasswordIsReportedAndCured(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b := startBroker(t, broker.Config{UsersFile: write("users", "kiosk:right\nwatcher:w\n")})
	c, _ := newClient()
	c.Broker = "tcp://" + b.Addr().String()
	c.Credentials = mqtt.Credentials{Username: "kiosk", PasswordFile: write("password", "wrong\n")}
	lines := make(chan string, 100)
	c.Log = logTo(lines)
	p := watch(t, b.Addr().String(), mqtttest.Login{ID: "watcher", User: "watcher", Password: "w"})
	run(t, c)
	line := <-lines
	for _, want := range []string{"no connection to the broker", "refuses to let us in", "mqtt.password_file"} {
		if !strings.Contains(line, want) {
			t.Errorf("log says %q, want it to name %q", line, want)
		}
	}
	if strings.Contains(line, "wrong") {
		t.Errorf("log repeats the password: %s", line)
	}
	write("password", "right\n")
	next(t, p, "status")
	if line := <-lines; !strings.Contains(line, "connected") {
		t.Errorf("log says %q, want connected: the refusal is logged once", line)
	}
}

func TestCheckNamesKeyAndRemedy(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit func(*mqtt.Client)
		want string
	}{
		{"plus in site", func(c *mqtt.Client) { c.Site = "a+b" }, `device.site: "a+b" holds one of + # /`},
		{"slash in name", func(c *mqtt.Client) { c.Device = "a/b" }, "device.name:"},
		{"NUL in base", func(c *mqtt.Client) { c.Base = "a\x00" }, "device.base:"},
		{"dollar in base", func(c *mqtt.Client) { c.Base = "$SYS" }, "belongs to the broker"},
		{"no name", func(c *mqtt.Client) { c.Device = "" }, "device.name: empty"},
		{"no client id", func(c *mqtt.Client) { c.ClientID = "" }, "mqtt.client_id: empty"},
		{"scheme", func(c *mqtt.Client) { c.Broker = "http://x" }, `unknown scheme "http"`},
		{"no host", func(c *mqtt.Client) { c.Broker = "tcp://" }, "no host name"},
		{"password in URL", func(c *mqtt.Client) { c.Broker = "tcp://u:p@x" }, "use mqtt.username and mqtt.password_file"},
		{"path", func(c *mqtt.Client) { c.Broker = "tcp://x/mqtt" }, "a path is for ws://"},
		{"password missing", func(c *mqtt.Client) {
			c.Credentials = mqtt.Credentials{Username: "u", PasswordFile: filepath.Join(dir, "none")}
		}, "mqtt.password_file: open " + dir + "/none: no such file"},
		{"password empty", func(c *mqtt.Client) { c.Credentials = mqtt.Credentials{Username: "u", PasswordFile: junk} }, "junk is empty"},
		{"password without user", func(c *mqtt.Client) { c.Credentials = mqtt.Credentials{PasswordFile: junk} }, "mqtt.username: empty"},
		{"CA without TLS", func(c *mqtt.Client) { c.Credentials = mqtt.Credentials{CAFile: junk} }, "use ssl:// or wss://"},
		{"CA malformed", func(c *mqtt.Client) { c.Broker = "ssl://x"; c.Credentials = mqtt.Credentials{CAFile: junk} }, "mqtt.ca_file: " + junk + " holds no PEM"},
		{"key alone", func(c *mqtt.Client) { c.Broker = "ssl://x"; c.Credentials = mqtt.Credentials{KeyFile: junk} }, "one is useless"},
		{"pair malformed", func(c *mqtt.Client) {
			c.Broker = "ssl://x"
			c.Credentials = mqtt.Credentials{CertFile: junk, KeyFile: junk}
		}, "mqtt.cert_file, mqtt.key_file: " + junk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newClient()
			c.Broker = "tcp://127.0.0.1:1883"
			if err := c.Check(); err != nil {
				t.Fatalf("before the edit: %v", err)
			}
			tt.edit(c)
			if err := c.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want it to hold %q", err, tt.want)
			}
		})
	}
}
