package mqtttest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Mosquitto is a real broker that keeps its state on disk, and only when it
// ends in an orderly way.
type Mosquitto struct {
	Address string // host:port, loopback

	t    testing.TB
	conf string
	cmd  *exec.Cmd
}

// StartMosquitto runs a broker on a free loopback port until the end of the
// test. Lines of configuration are added to its file.
func StartMosquitto(t testing.TB, lines ...string) *Mosquitto {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &Mosquitto{t: t, Address: ln.Addr().String()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(m.Address)
	lines = append(lines, "listener "+port+" 127.0.0.1", "persistence true", "persistence_location "+dir+"/", "autosave_interval 0", "log_dest none")
	if os.Getuid() == 0 {
		lines = append(lines, "user root") // else it could not write to the folder of the test
	}
	m.conf = filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(m.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Start()
	t.Cleanup(func() { m.End(syscall.SIGKILL) })
	return m
}

// Start starts the broker again after End, with what it has kept.
func (m *Mosquitto) Start() {
	m.t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not on everyone's path
	}
	m.cmd = exec.Command(path, "-c", m.conf)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	_ = Dial(m.t, m.Address).Close()
}

// End ends the broker: in an orderly way with SIGTERM, forgetting all with
// SIGKILL. It does nothing when the broker has ended.
func (m *Mosquitto) End(s syscall.Signal) {
	if m.cmd.ProcessState == nil {
		_ = m.cmd.Process.Signal(s)
		_ = m.cmd.Wait()
	}
}

// Dial waits for a broker to accept connections, and returns one.
func Dial(t testing.TB, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("broker does not accept connections: %v", err)
		}
	}
}
