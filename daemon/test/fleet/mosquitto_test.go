//go:build fleet

package fleet

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A single is one Mosquitto, as in docs/fleet.md. It is restarted in an
// orderly way: killed, it would forget what waits for subscribers.
type single struct {
	*mqtttest.Mosquitto
	t       *testing.T
	site    *site
	address string // with TLS
}

func startMosquitto(t *testing.T, s *site) *single {
	t.Helper()
	acl := sample(t, "mqtt.md", "/etc/mosquitto/acl", "\n**Check", "\n    ", "\n")
	must(t, os.WriteFile(s.file("acl"), []byte(acl), 0o600))
	port := strconv.Itoa(freePort(t))
	conf := sample(t, "fleet.md", "/etc/mosquitto/conf.d/facegate.conf", "```",
		"listener 8883", "listener "+port+" 127.0.0.1", "/etc/mosquitto/certs/", s.dir+"/", "/etc/mosquitto/acl", s.file("acl"))
	return &single{mqtttest.StartMosquitto(t, "allow_anonymous false", conf), t, s, "127.0.0.1:" + port}
}

func (m *single) URL() string                 { return "ssl://" + m.address }
func (m *single) dialHost() (net.Conn, error) { return m.site.dial(m.address, "host") }
func (m *single) Fail()                       { m.End(syscall.SIGTERM) }
func (m *single) Return()                     { m.Start() }

// processes implements engine: the child whose configuration names our port.
func (m *single) processes() []int {
	_, port, _ := net.SplitHostPort(m.Address)
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(m.t, err)
	for _, path := range found {
		line, err := os.ReadFile(path)
		words := strings.Split(string(line), "\x00")
		if err != nil || len(words) < 3 || filepath.Base(words[0]) != "mosquitto" {
			continue
		}
		if conf, err := os.ReadFile(words[2]); err == nil && strings.Contains(string(conf), "listener "+port+" ") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			must(m.t, err)
			return []int{pid}
		}
	}
	return nil
}
