//go:build dlib && integration

package test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

const perAttempt = 3 // events of an attempt that opens the door

// figure reads one metric, 0 if it is not there.
func (s *site) figure(c *http.Client, name string) int {
	s.t.Helper()
	resp, err := c.Get("http://facegate/metrics")
	must(s.t, err)
	defer resp.Body.Close()
	value := 0.0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, err = strconv.ParseFloat(text, 64)
			must(s.t, err)
		}
	}
	return int(value)
}

// reach waits for a metric to have a value.
func (s *site) reach(name string, want int) {
	s.t.Helper()
	c, over := s.client(), time.After(patient)
	defer c.CloseIdleConnections()
	for tick := time.Tick(50 * time.Millisecond); ; {
		got := s.figure(c, name)
		if got == want {
			return
		}
		select {
		case <-tick:
		case <-over:
			s.t.Fatalf("%s is %d after %v, want %d", name, got, patient, want)
		}
	}
}

// enter lets the person in once, the n-th time since the journal began.
func (s *site) enter(n int) {
	s.t.Helper()
	s.drop()
	s.reach("facegate_journal_seq", perAttempt*n)
}

// delivered waits until the broker has taken every event. A daemon that has
// missed its broker for a while waits some seconds before it tries again.
func (s *site) delivered() { s.t.Helper(); s.reach("facegate_journal_pending_events", 0) }

// enterTen does so ten times, with something done before some of them.
func (s *site) enterTen(before map[int]func()) {
	s.t.Helper()
	for n := 1; n <= 10; n++ {
		if f := before[n]; f != nil {
			f()
		}
		s.enter(n)
	}
}

// brief makes pulses so short that ten attempts take little time.
func brief() []string { return append(unhurried(), "pulse: 300ms", "pulse: 50ms") }

func TestMosquittoRestartsDuringTenAttempts(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
	s := newSite(t, slices.Concat(at("tcp://"+broker.Address), brief())...)
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer"})
	d := s.start()
	s.enterTen(map[int]func(){
		3: func() { broker.End(syscall.SIGTERM) },
		5: broker.Start,
		9: func() { s.delivered(); broker.End(syscall.SIGTERM); broker.Start() }, // it was connected again
	})
	s.delivered()
	c.Until(10 * perAttempt)
	s.terminate(d)
	c.Check(10 * perAttempt)
	s.sound(10)
}

func TestNetworkFailsDuringTenAttempts(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
	p := mqtttest.NewProxy(t, broker.Address)
	s := newSite(t, slices.Concat(at(p.URL()), brief())...)
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer"})
	d := s.start()
	s.enterTen(map[int]func(){
		2: func() { s.reach("facegate_mqtt_connected", 1); p.Stall(true, true) },
		3: func() { p.Cut(true); p.Stall(false, false) }, // what was under way is lost
		5: func() { p.Cut(false) },
		7: func() { s.delivered(); p.Stall(true, true) },
		8: func() { p.Stall(false, true) }, // the broker gets an event, its acknowledgement is lost
		9: func() { c.Until(6*perAttempt + 1); p.Cut(false); p.Stall(false, false) },
	})
	s.delivered()
	c.Until(10 * perAttempt)
	if c.Again == 0 {
		t.Error("nothing was sent again: no acknowledgement was lost, which is what this test is for")
	}
	p.Stall(true, true) // must not hold up the end
	s.enter(11)
	s.terminate(d)
	p.Stall(false, false)
	d = s.start()
	s.delivered()
	c.Until(11 * perAttempt)
	s.terminate(d)
	c.Check(11 * perAttempt)
	s.sound(11)
}

// A broker that is killed forgets what it has acknowledged; the consumer asks
// for it again.
func TestReplayFillsWhatAKilledMosquittoForgot(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
	s := newSite(t, slices.Concat(at("tcp://"+broker.Address), brief(), marked())...)
	s.mark()
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer"})
	d := s.start()
	s.enterTen(map[int]func(){
		4: func() { c.Until(3 * perAttempt); c.Leave() },
		8: func() {
			s.delivered()
			broker.End(syscall.SIGKILL)
			broker.Start()
			c.Login()
		},
	})
	s.delivered()
	c.Until(10 * perAttempt)
	const from, to = 3*perAttempt + 1, 7 * perAttempt
	for _, seq := range c.Seqs() {
		if seq >= from && seq <= to {
			t.Fatalf("the broker has not forgotten event %d, so nothing is shown: %v", seq, c.Seqs())
		}
	}
	ask := mqtttest.Message{Topic: root + "cmd/replay", QoS: 1, Payload: mqtttest.Command("fill", fmt.Sprintf(`{"from":%d,"to":%d}`, from, to))}
	must(t, c.Peer.Publish(ask))
	c.Until(to)
	s.terminate(d)
	for i, e := range c.Events[len(c.Events)-(to-from+1):] {
		if e.Seq != uint64(from+i) || !e.Historical {
			t.Errorf("replayed event %d, historical %v, want %d", e.Seq, e.Historical, from+i)
		}
	}
	if len(c.Events) != 10*perAttempt {
		t.Errorf("consumer has %v, want 1 to %d", c.Seqs(), 10*perAttempt)
	}
	s.sound(10)
}

// A broker that refuses the password is reported, holds nothing up, and gets
// everything once the password's file is put right.
func TestBrokerRefusesThePassword(t *testing.T) {
	const right, wrong = "right-a81c", "wrong-77f0"
	dir := t.TempDir()
	users := dir + "/users"
	for _, args := range [][]string{{"-c", "-b", users, "kiosk", right}, {"-b", users, "consumer", "c"}} {
		out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	broker := mqtttest.StartMosquitto(t, "allow_anonymous false", "password_file "+users)
	s := newSite(t, append(unhurried(), "mqtt: {broker: embedded,", fmt.Sprintf("mqtt: {broker: %q, username: kiosk, password_file: DIR/password,", "tcp://"+broker.Address))...)
	must(t, os.WriteFile(s.path("password"), []byte(wrong+"\n"), 0o600))
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer", User: "consumer", Password: "c"})
	d := s.start()
	if line := d.says(t, "no connection to the broker"); !strings.Contains(line, "mqtt.password_file") {
		t.Errorf("the log names no remedy: %s", line)
	}
	s.enter(1)
	s.reach("facegate_mqtt_connected", 0)
	s.reach("facegate_journal_pending_events", perAttempt)
	must(t, os.WriteFile(s.path("password"), []byte(right+"\n"), 0o600))
	c.Until(perAttempt)
	s.terminate(d)
	c.Check(perAttempt)
	s.sound(1)
	for _, secret := range []string{right, wrong} {
		if strings.Contains(d.log.String(), secret) {
			t.Error("the log holds a password")
		}
	}
}
