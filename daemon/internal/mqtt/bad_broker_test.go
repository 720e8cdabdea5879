package mqtt_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A badBroker accepts whoever comes and then does as each test wants. It
// lives in virtual time: its connections are pipes.
type badBroker struct {
	// on answers a packet of the nth connection; nil: nothing is sent. An
	// error closes the connection, after the answer.
	on     func(n int, p mqtttest.Packet) ([]byte, error)
	refuse func() error  // nil: nobody is refused
	stall  chan struct{} // made in the bubble, for tests that want to wait

	// mu guards the following
	mu    sync.Mutex
	dials []time.Time
	wg    sync.WaitGroup
}

var errHangUp = errors.New("hang up")

// polite answers as a sound broker would.
func polite(p mqtttest.Packet) ([]byte, error) {
	switch p.Type {
	case mqtttest.Connect:
		return mqtttest.Packet{Type: mqtttest.Connack, Body: []byte{0, 0}}.Bytes(), nil
	case mqtttest.Subscribe:
		return mqtttest.Packet{Type: mqtttest.Suback, Body: []byte{p.Body[0], p.Body[1], 0}}.Bytes(), nil
	case mqtttest.Publish:
		if m, err := mqtttest.ParseMessage(p); err != nil || m.QoS == 1 {
			return mqtttest.Ack(m.ID).Bytes(), err
		}
	case mqtttest.Pingreq:
		return mqtttest.Packet{Type: mqtttest.Pingresp}.Bytes(), nil
	case mqtttest.Disconnect:
		return nil, errHangUp
	}
	return nil, nil
}

// dial is for mqtt.Client.Dial.
func (b *badBroker) dial(context.Context) (net.Conn, error) {
	if b.refuse != nil {
		if err := b.refuse(); err != nil {
			return nil, err
		}
	}
	near, far := net.Pipe()
	b.mu.Lock()
	b.dials = append(b.dials, time.Now())
	n := len(b.dials)
	b.mu.Unlock()
	b.wg.Go(func() {
		defer far.Close()
		r := bufio.NewReader(far)
		for {
			p, err := mqtttest.ReadPacket(r)
			if err != nil {
				return
			}
			answer, err := b.on(n, p)
			if len(answer) > 0 {
				_, werr := far.Write(answer)
				err = errors.Join(err, werr)
			}
			if err != nil {
				return
			}
		}
	})
	return near, nil
}

func (b *badBroker) connections() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.dials...)
}

// event says whether p publishes an event, and which.
func eventSeq(t *testing.T, p mqtttest.Packet) uint64 {
	if p.Type != mqtttest.Publish {
		return 0
	}
	m, err := mqtttest.ParseMessage(p)
	if err != nil {
		t.Error(err)
		return 0
	}
	if m.Topic != root+"event/attempt" {
		return 0
	}
	return field[uint64](t, m, "seq")
}

// in runs a client against b in a bubble; body ends the client by stop.
func (b *badBroker) in(t *testing.T, body func(c *mqtt.Client, j *mqtttest.Journal, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b.stall = make(chan struct{})
		c, j := newClient()
		c.Dial = b.dial
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			began := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the end took %s", took)
			}
		})
		body(c, j, stop)
		stop()
		b.wg.Wait()
	})
}

// paho reports such a message as delivered when it reconnects by itself.
func TestHangUpAtPublishLosesNothing(t *testing.T) {
	b := &badBroker{}
	var got []uint64
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if seq := eventSeq(t, p); seq > 0 {
			if n <= 3 {
				return nil, errHangUp
			}
			got = append(got, seq)
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		for range 5 {
			j.Append()
		}
		time.Sleep(3 * time.Second) // virtual
		if j.Through() != 0 {
			t.Errorf("%d events count as delivered that no broker has acknowledged", j.Through())
		}
		time.Sleep(time.Minute)
		stop()
		if len(got) != 5 || got[0] != 1 || got[4] != 5 || j.Through() != 5 {
			t.Errorf("broker got %v, delivered through %d", got, j.Through())
		}
	})
}

func TestBrokerThatNeverAcknowledges(t *testing.T) {
	b := &badBroker{}
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if eventSeq(t, p) > 0 && n == 1 {
			return nil, nil
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		j.Append()
		time.Sleep(14 * time.Second)
		if n := len(b.connections()); n != 1 || j.Through() != 0 {
			t.Errorf("after 14 s: %d connections, delivered through %d", n, j.Through())
		}
		time.Sleep(5 * time.Second)
		if n := len(b.connections()); n != 2 || j.Through() != 1 {
			t.Errorf("after 19 s: %d connections, delivered through %d", n, j.Through())
		}
	})
}

// A broker that stops reading stalls every write. Nobody in the kiosk may
// notice, and the end must not wait for it either.
func TestBrokerThatStopsReading(t *testing.T) {
	b := &badBroker{}
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if eventSeq(t, p) > 0 {
			<-b.stall
			return nil, errHangUp
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		j.Append()
		synctest.Wait()
		began := time.Now()
		for range 1000 {
			c.Progress(mqtttest.AttemptID, "move_closer")
			c.Report(mqtt.Fault{Code: "x", Component: "y"})
			c.SetHealth(map[string]any{"v": 1})
			c.SetStatus(mqtt.Degraded)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("callers waited %s", took)
		}
		if c.Stats().Dropped < 1900 {
			t.Errorf("dropped %d, want the mailboxes to be bounded", c.Stats().Dropped)
		}
		time.Sleep(time.Second)
		stop()
		close(b.stall)
	})
}

// The same, but the client is left to find out by itself.
func TestStalledConnectionIsGivenUp(t *testing.T) {
	b := &badBroker{}
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if eventSeq(t, p) > 0 && n == 1 {
			<-b.stall
			return nil, errHangUp
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		for range 20 {
			j.Append()
		}
		time.Sleep(25 * time.Second) // a write that hangs is given up after 5 s, an acknowledgement after 15
		if n := len(b.connections()); n != 2 || j.Through() != 20 {
			t.Errorf("after 25 s: %d connections, delivered through %d", n, j.Through())
		}
		close(b.stall)
	})
}

func TestMissingPingResponseEndsTheConnection(t *testing.T) {
	b := &badBroker{}
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if p.Type == mqtttest.Pingreq && n == 1 {
			return nil, nil
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		time.Sleep(50 * time.Second)
		if n := len(b.connections()); n != 2 {
			t.Errorf("%d connections after 50 s", n)
		}
	})
}

func TestWaitsBetweenConnectionsGrow(t *testing.T) {
	b := &badBroker{}
	b.on = func(int, mqtttest.Packet) ([]byte, error) { return nil, errHangUp }
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		time.Sleep(20 * time.Minute)
		dials := b.connections()
		if len(dials) < 20 || len(dials) > 50 {
			t.Fatalf("%d connections in 20 minutes", len(dials))
		}
		for i := 1; i < len(dials); i++ {
			most := min(time.Minute, time.Second<<(i-1))
			if wait := dials[i].Sub(dials[i-1]); wait > most || wait < most/2 {
				t.Errorf("wait %d is %s, want %s to %s", i, wait, most/2, most)
			}
		}
		if c.Stats().LastError == "" || c.Stats().Connected {
			t.Errorf("stats = %+v", c.Stats())
		}
	})
}

func TestHealthIsRepeated(t *testing.T) {
	b := &badBroker{}
	var at []time.Time
	b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
		if m, err := mqtttest.ParseMessage(p); p.Type == mqtttest.Publish && err == nil && m.Topic == root+"health" {
			if at = append(at, time.Now()); m.QoS != 0 || !m.Retained {
				t.Errorf("health at QoS %d, retained %v", m.QoS, m.Retained)
			}
		}
		return polite(p)
	}
	b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
		c.SetHealth(map[string]any{"v": 1, "camera": "ok"})
		time.Sleep(65 * time.Second) // at 0, 30 and 60 s
		c.SetHealth(map[string]any{"v": 1, "camera": "lost"})
		c.SetHealth(map[string]any{"v": 1, "camera": "lost"})
		synctest.Wait()
		if len(at) != 4 {
			t.Errorf("health was published at %v", at)
		}
	})
}

// Each of these packets makes paho allocate far too much, or panic.
func TestPacketsThatNoBrokerSends(t *testing.T) {
	tests := []struct {
		name   string
		at     byte // the packet it answers
		packet []byte
	}{
		{"SUBACK with two codes", mqtttest.Subscribe, []byte{0x90, 4, 0, 1, 0, 0}},
		{"SUBACK without codes", mqtttest.Subscribe, []byte{0x90, 2, 0, 1}},
		{"huge PUBACK", mqtttest.Subscribe, []byte{0x40, 0xff, 0xff, 0xff, 0x7f}},
		{"endless length", mqtttest.Subscribe, []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{"PUBLISH shorter than its topic", mqtttest.Subscribe, []byte{0x30, 3, 0xff, 0xff, 'a'}},
		{"unknown type", mqtttest.Subscribe, []byte{0xf0, 0}},
		{"refusal with an unknown code", mqtttest.Connect, []byte{0x20, 2, 0, 6}},
		{"half a CONNACK", mqtttest.Connect, []byte{0x20, 1, 0}},
		{"CONNACK again", mqtttest.Subscribe, []byte{0x20, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &badBroker{}
			b.on = func(n int, p mqtttest.Packet) ([]byte, error) {
				if n == 1 && p.Type == tt.at {
					return tt.packet, nil
				}
				return polite(p)
			}
			b.in(t, func(c *mqtt.Client, j *mqtttest.Journal, stop func()) {
				j.Append()
				time.Sleep(time.Minute)
				if j.Through() != 1 {
					t.Error("no recovery within a minute")
				}
			})
		})
	}
}

// A dial that hangs must not hold up the end.
func TestEndWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient()
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := c.Run(ctx); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("Run = %v after %s", err, time.Since(began))
		}
	})
}
