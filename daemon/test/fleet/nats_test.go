//go:build fleet

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A cluster is three nodes of NATS with JetStream, which keeps each QoS 1
// message on three disks.
type cluster struct {
	t                               *testing.T
	site                            *site
	clients, monitor, routes, mqtts int // ports
	running                         [nodes]*exec.Cmd
	lost                            int // the node that Fail takes, which a subscriber tries first
}

func startCluster(t *testing.T, s *site) *cluster {
	t.Helper()
	c := &cluster{t: t, site: s}
	for _, port := range []*int{&c.clients, &c.monitor, &c.routes, &c.mqtts} {
		*port = freePort(t)
	}
	t.Cleanup(func() {
		for i := range c.running {
			c.kill(i)
		}
		c.keepLogs()
	})
	must(t, os.WriteFile(s.file("users.conf"), []byte(c.users()), 0o600))
	for i := range c.running {
		must(t, os.WriteFile(c.conf(i), []byte(c.node(i+1)), 0o600))
		c.start(i)
	}
	for i := range c.running {
		c.healthy(i)
	}
	c.begin()
	return c
}

// node is the documented configuration, with all nodes on this machine.
func (c *cluster) node(n int) string {
	edits := []string{
		"broker-1\n", fmt.Sprintf("broker-%d\nlog_file: %q\n", n, c.log(n)),
		"127.0.0.1:4222", fmt.Sprintf("127.0.0.%d:%d", n, c.clients),
		"127.0.0.1:8222", fmt.Sprintf("127.0.0.%d:%d", n, c.monitor),
		"0.0.0.0:6222", fmt.Sprintf("127.0.0.%d:%d", n, c.routes),
		"0.0.0.0:8883", fmt.Sprintf("127.0.0.%d:%d", n, c.mqtts),
		"/var/lib/nats", c.site.file(fmt.Sprintf("store-%d", n)),
		"/etc/nats/", c.site.dir + "/",
	}
	for i := range nodes {
		edits = append(edits, fmt.Sprintf("broker-%d.example:6222", i+1), fmt.Sprintf("127.0.0.%d:%d", i+1, c.routes))
	}
	return sample(c.t, "fleet.md", "/etc/nats-server.conf", "```", edits...)
}

// users repeats what is documented for one kiosk for each.
func (c *cluster) users() string {
	text := sample(c.t, "fleet.md", "/etc/users.conf", "```")
	kiosk, rest, ok := strings.Cut(text, "  { user: \"host\"")
	head, kiosk, found := strings.Cut(kiosk, "  { user:")
	if !ok || !found {
		c.t.Fatal("docs/fleet.md: users.conf does not have one kiosk and then the host")
	}
	var b strings.Builder
	b.WriteString(head)
	for _, device := range c.site.devices {
		b.WriteString("  { user:" + strings.ReplaceAll(kiosk, "gate-1", device))
	}
	b.WriteString("  { user: \"host\"" + rest)
	return b.String()
}

// begin makes the cluster lay out its streams, which it does for the first
// client, and learns which node is going to order the messages.
func (c *cluster) begin() {
	c.t.Helper()
	conn, err := c.dialHost()
	must(c.t, err)
	p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "first"})
	must(c.t, err)
	must(c.t, p.Close())
	c.lost = c.leader()
}

// keepLogs puts the nodes' logs where they can be read after a failure.
func (c *cluster) keepLogs() {
	to := os.Getenv("FLEET_LOGS")
	if to == "" || !c.t.Failed() {
		return
	}
	for n := 1; n <= nodes; n++ {
		data, err := os.ReadFile(c.log(n))
		must(c.t, err)
		must(c.t, os.WriteFile(filepath.Join(to, filepath.Base(c.log(n))), data, 0o600))
	}
}

// freePort returns a port that is free on the address of every node.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func (c *cluster) conf(i int) string { return c.site.file(fmt.Sprintf("node-%d.conf", i+1)) }
func (c *cluster) log(n int) string  { return c.site.file(fmt.Sprintf("node-%d.log", n)) }

func (c *cluster) start(i int) {
	c.t.Helper()
	path, err := exec.LookPath("nats-server")
	if err != nil {
		path = "/usr/sbin/nats-server" // not on everyone's path
	}
	c.running[i] = exec.Command(path, "-c", c.conf(i))
	must(c.t, c.running[i].Start())
}

func (c *cluster) kill(i int) {
	if cmd := c.running[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		c.running[i] = nil
	}
}

// get asks a node's monitor.
func (c *cluster) get(i int, path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.%d:%d/%s", i+1, c.monitor, path), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("node %d: %s: %s", i+1, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// healthy waits until a node says that its JetStream is ready.
func (c *cluster) healthy(i int) {
	c.t.Helper()
	late := time.After(time.Minute)
	for tick := time.Tick(100 * time.Millisecond); ; {
		var health struct{ Status string }
		err := c.get(i, "healthz", &health)
		if err == nil && health.Status == "ok" {
			return
		}
		select {
		case <-tick:
		case <-late:
			c.t.Fatalf("node %d is not healthy after a minute: %v", i+1, err)
		}
	}
}

// leader is the node that orders the messages of all kiosks.
func (c *cluster) leader() int {
	c.t.Helper()
	var state struct {
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster struct {
					Leader   string
					Replicas []struct{ Current bool }
				}
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	must(c.t, c.get((c.lost+1)%nodes, "jsz?streams=true", &state))
	for _, a := range state.Accounts {
		for _, s := range a.Streams {
			if s.Name != "$MQTT_msgs" {
				continue
			}
			if len(s.Cluster.Replicas) != nodes-1 {
				c.t.Fatalf("the messages have %d replicas beside the leader", len(s.Cluster.Replicas))
			}
			var n int
			_, err := fmt.Sscanf(s.Cluster.Leader, "broker-%d", &n)
			must(c.t, err)
			return n - 1
		}
	}
	c.t.Fatal("there is no stream of MQTT messages")
	return 0
}

// URL implements engine: one name for the whole cluster.
func (c *cluster) URL() string { return fmt.Sprintf("ssl://%s:%d", clusterName, c.mqtts) }

func (c *cluster) dialHost() (net.Conn, error) {
	var errs []string
	for i := range nodes {
		conn, err := c.site.dial(fmt.Sprintf("127.0.0.%d:%d", 1+(c.lost+i)%nodes, c.mqtts), "host")
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err.Error())
	}
	return nil, fmt.Errorf("no node accepts: %s", strings.Join(errs, "; "))
}

// Fail kills the node that the subscriber is connected to. It orders the
// messages too, if that has not moved since the beginning.
func (c *cluster) Fail() {
	c.t.Logf("node %d is killed, the leader is node %d", c.lost+1, c.leader()+1)
	c.kill(c.lost)
}

// Return starts it again, with what it had on its disk.
func (c *cluster) Return() { c.start(c.lost) }

func (c *cluster) processes() (pids []int) {
	for _, cmd := range c.running {
		if cmd != nil {
			pids = append(pids, cmd.Process.Pid)
		}
	}
	return pids
}
