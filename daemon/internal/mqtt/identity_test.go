//go:build integration

package mqtt_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A jealousBroker throws out the connection that is there when another client
// logs in, for all have one id.
type jealousBroker struct {
	badBroker
	got map[string]*arrivals // by device

	// mu guards the following
	mu  sync.Mutex
	now net.Conn
}

func (b *jealousBroker) dial(ctx context.Context) (net.Conn, error) {
	conn, err := b.badBroker.dial(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		_ = b.now.Close()
	}
	b.now = conn
	return conn, err
}

// Kiosks whose disks were copied from one another throw each other out for
// ever. They must not do it at full speed, everything must arrive all the
// same, and once one is left it must find peace.
func TestKiosksWithOneClientID(t *testing.T) {
	for _, kiosks := range []int{2, count(t, 4, 20)} {
		t.Run(strconv.Itoa(kiosks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fight(t, kiosks, 20*time.Minute) })
		})
	}
}

func fight(t *testing.T, kiosks int, length time.Duration) {
	b := &jealousBroker{got: map[string]*arrivals{}}
	b.on = func(_ int, p mqtttest.Packet) ([]byte, error) {
		if p.Type == mqtttest.Publish {
			m, err := mqtttest.ParseMessage(p)
			if err != nil {
				return nil, err
			}
			if device, ok := strings.CutSuffix(strings.TrimPrefix(m.Topic, "facegate/hall/"), "/event/attempt"); ok {
				b.mu.Lock()
				b.got[device].note(m)
				b.mu.Unlock()
			}
		}
		return polite(p)
	}
	var all []*kiosk
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	one, leave := context.WithCancel(ctx)
	for i := range kiosks {
		k := newKiosk(t, fmt.Sprintf("gate-%d", i))
		k.Dial = b.dial
		b.got[k.Device] = &arrivals{t: t}
		all = append(all, k)
		life := one
		if i == 0 {
			life = ctx
		}
		wg.Go(func() {
			if err := k.Run(life); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	for began := time.Now(); time.Since(began) < length; time.Sleep(20 * time.Second) {
		for _, k := range all {
			k.attempt()
		}
	}
	dials := len(b.connections())
	rate := float64(dials) / length.Seconds() / float64(kiosks)
	time.Sleep(5 * time.Minute) // for what is waiting
	t.Logf("%d kiosks with one id made %d connections in %s: one in %.0f s each", kiosks, dials, length, 1/rate)
	if rate > 0.2 {
		t.Error("too many connections")
	}
	for _, k := range all {
		if got := b.got[k.Device].last; got != uint64(k.attempts) || k.delivered() != got {
			t.Errorf("%s: broker has %d of %d events, journal says %d", k.Device, got, k.attempts, k.delivered())
		}
	}
	leave()
	time.Sleep(2 * time.Minute)
	dials = len(b.connections())
	time.Sleep(time.Hour)
	if n := len(b.connections()) - dials; n != 0 || !all[0].Client.Stats().Connected {
		t.Errorf("the one that is left made %d connections", n)
	}
	cancel()
	wg.Wait()
	b.wg.Wait()
}

// A log must not repeat what is not news, even where an error holds a port or
// a number that differs each time.
func TestResetConnectionsAreLoggedOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	resets := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			var first [1]byte
			_, _ = conn.Read(first[:])
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			resets <- struct{}{}
		}
	}()
	c, _ := newClient()
	c.Broker = "tcp://" + ln.Addr().String()
	lines := make(chan string, 100)
	c.Log = logTo(lines)
	stop := run(t, c)
	for range 3 {
		<-resets
	}
	stop()
	if len(lines) != 1 {
		t.Errorf("%d lines were logged, the first %q", len(lines), <-lines)
	}
}

// copyPair puts a certificate and its key where somebody reads them.
func copyPair(t *testing.T, from, to [2]string) {
	t.Helper()
	for i := range from {
		b, err := os.ReadFile(from[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Each certificate that expires is named, in one line however often the
// connection fails, and nothing but the new file is needed to go on.
func TestExpiredCertificates(t *testing.T) {
	for _, tt := range []struct {
		name           string
		broker, client time.Duration // how long the certificates are valid
		want           []string
	}{
		{"of the broker", -time.Minute, time.Hour, []string{"the broker's certificate is valid from", "renew it", "clock"}},
		{"of the kiosk", time.Hour, -time.Minute, []string{"the broker refuses our certificate", "which expired on", "mqtt.cert_file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ca, dir := newAuthority(t), t.TempDir()
			pair := func(name string, ends time.Duration) [2]string {
				ca.ends = ends
				_, _, cert, key := ca.issue(t, "end", name)
				return [2]string{cert, key}
			}
			broker := [2]string{filepath.Join(dir, "broker.pem"), filepath.Join(dir, "broker.key")}
			client := [2]string{filepath.Join(dir, "kiosk.pem"), filepath.Join(dir, "kiosk.key")}
			copyPair(t, pair("127.0.0.1", tt.broker), broker)
			copyPair(t, pair("gate-1", tt.client), client)
			port := freePort(t)
			m := mqtttest.StartMosquitto(t, "allow_anonymous true", "listener "+port+" 127.0.0.1",
				"cafile "+ca.file, "certfile "+broker[0], "keyfile "+broker[1], "require_certificate true")
			consumer := mqtttest.Consume(t, m.Address, root, mqtttest.Login{ID: "consumer"})

			k := newKiosk(t, "gate-1")
			k.Broker = "ssl://127.0.0.1:" + port
			k.Credentials = mqtt.Credentials{CAFile: ca.file, CertFile: client[0], KeyFile: client[1]}
			lines := make(chan string, 100)
			k.Log = slog.New(slog.NewTextHandler(writer(func(p []byte) { lines <- string(p) }), &slog.HandlerOptions{Level: slog.LevelDebug}))
			run(t, k.Client)
			k.attempt()
			line := <-lines
			for _, want := range tt.want {
				if !strings.Contains(line, want) || !strings.Contains(line, "level=WARN") {
					t.Errorf("log says %q, want %q", line, want)
				}
			}
			if line := <-lines; !strings.Contains(line, "level=DEBUG") {
				t.Errorf("repeated: %q", line)
			}
			copyPair(t, pair("127.0.0.1", time.Hour), broker)
			copyPair(t, pair("gate-1", time.Hour), client)
			if tt.broker < 0 {
				m.End(syscall.SIGTERM)
				m.Start()
			}
			consumer.Until(1)
			consumer.Check(1)
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
