//go:build fleet

// Package fleet runs a site of many kiosks, each with the product's journal
// and MQTT client, against real brokers, and counts what arrives. One broker,
// or one node of a cluster, goes away during each run and comes back.
//
// KIOSKS is a list of sizes, COUNT how many events each kiosk has. Both are
// small unless set; make fleet sets what docs/fleet.md was measured with.
package fleet

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engine is a broker or a cluster of them.
type engine interface {
	// URL is what a kiosk is configured with.
	URL() string
	// dialHost opens a connection for a subscriber, by preference to where it
	// hurts most when Fail comes.
	dialHost() (net.Conn, error)
	// Fail takes the broker, or a node of the cluster, away.
	Fail()
	// Return brings it back.
	Return()
	// processes are those that run now.
	processes() []int
}

func TestMain(m *testing.M) {
	net.DefaultResolver = resolver()
	os.Exit(m.Run())
}

func TestMosquitto(t *testing.T) {
	sizes(t, func(t *testing.T, s *site) engine { return startMosquitto(t, s) })
}

func TestNATS(t *testing.T) {
	sizes(t, func(t *testing.T, s *site) engine { return startCluster(t, s) })
}

// sizes runs a fleet of each size.
func sizes(t *testing.T, start func(t *testing.T, s *site) engine) {
	events := number(t, "COUNT", "20")
	for _, text := range strings.Split(cmp.Or(os.Getenv("KIOSKS"), "50"), ",") {
		kiosks, err := strconv.Atoi(text)
		if err != nil || kiosks < 1 || events < 4 {
			t.Fatalf("KIOSKS=%q COUNT=%d: want numbers of kiosks, joined by commas, and at least four events", text, events)
		}
		t.Run(text, func(t *testing.T) {
			s := newSite(t, kiosks)
			r := &run{t: t, events: events, site: s, engine: start(t, s)}
			r.figures.kiosks = kiosks
			r.all()
		})
	}
}

func number(t *testing.T, name, few string) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), few))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A site is a folder, on a disk of memory, with the certificates of all who
// take part.
type site struct {
	*authority
	devices []string
}

func newSite(t *testing.T, kiosks int) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fleet")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	s := &site{authority: newAuthority(t, dir)}
	s.broker()
	s.issue("host", nil)
	for n := range kiosks {
		device := fmt.Sprintf("gate-%05d", n)
		s.issue(device, nil)
		s.devices = append(s.devices, device)
	}
	return s
}

// A run is one fleet's life.
type run struct {
	t      *testing.T
	events int // of each kiosk
	site   *site
	engine
	sub     *subscriber
	fleet   []*kiosk
	figures figures
}

// all does, in order, what there is to measure.
func (r *run) all() {
	r.sub = subscribe(r.t, r.engine, r.figures.kiosks, r.events)
	before, brokersBefore := r.memory()
	r.open()
	r.storm()
	after, brokersAfter := r.memory()
	r.figures.kioskBytes = (after - before) / int64(r.figures.kiosks)
	r.figures.brokerBytes = (brokersAfter - brokersBefore) / int64(r.figures.kiosks)
	r.burst()
	r.fault()
	r.finish()
	r.t.Log(r.figures)
}

// memory is what the fleet's process and those of the engine take, in bytes.
func (r *run) memory() (ours, engines int64) {
	debug.FreeOSMemory()
	ours = resident(r.t, os.Getpid())
	for _, pid := range r.processes() {
		engines += resident(r.t, pid)
	}
	return ours, engines
}

// open begins the journals and sets up the clients.
func (r *run) open() {
	for _, device := range r.site.devices {
		r.fleet = append(r.fleet, newKiosk(r.t, r.site, device, r.URL()))
	}
}

// storm lets all kiosks connect at once.
func (r *run) storm() {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	r.t.Cleanup(func() {
		stop()
		wg.Wait()
		for _, k := range r.fleet {
			k.close()
		}
	})
	began := time.Now()
	_, before := r.used()
	for _, k := range r.fleet {
		wg.Go(func() {
			if err := k.Run(ctx); err != nil {
				r.t.Errorf("%s: %v", k.Device, err)
			}
		})
	}
	r.connected(began)
	r.figures.storm = time.Since(began)
	_, after := r.used()
	r.figures.loginCPU = (after - before) / time.Duration(r.figures.kiosks)
}

// connected waits until every kiosk is.
func (r *run) connected(began time.Time) {
	r.t.Helper()
	r.until("connections", func() int {
		n := 0
		for _, k := range r.fleet {
			if k.Client.Stats().Connected {
				n++
			}
		}
		return n
	}, r.figures.kiosks)
}

// until waits for a figure to reach want. It gives up when the figure has not
// changed for three minutes.
func (r *run) until(what string, figure func() int, want int) {
	r.t.Helper()
	last, moved := figure(), time.Now()
	for tick := time.Tick(20 * time.Millisecond); last < want; <-tick {
		if now := figure(); now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > 3*time.Minute {
			r.t.Fatalf("%s: %d of %d, and no more for three minutes; %s", what, last, want, r.reasons())
		}
	}
}

// reasons lists why kiosks are not connected.
func (r *run) reasons() string {
	why := map[string]int{}
	for _, k := range r.fleet {
		if s := k.Client.Stats(); !s.Connected {
			why[s.LastError]++
		}
	}
	return fmt.Sprint(why)
}

// burst has every kiosk append half of its events at once.
func (r *run) burst() {
	half := r.events / 2
	began := time.Now()
	ours, engines := r.used()
	r.together(func(k *kiosk) {
		for range half {
			k.attempt()
		}
	})
	r.until("events of the burst", r.sub.count, half*r.figures.kiosks)
	n := float64(half * r.figures.kiosks)
	r.figures.rate = n / time.Since(began).Seconds()
	oursAfter, enginesAfter := r.used()
	r.figures.kioskCPU = time.Duration(float64(oursAfter-ours) / n)
	r.figures.brokerCPU = time.Duration(float64(enginesAfter-engines) / n)
}

// used is the processor time so far, of the fleet's process and of the engine.
func (r *run) used() (ours, engines time.Duration) {
	for _, pid := range r.processes() {
		engines += processorTime(r.t, pid)
	}
	return processorTime(r.t, os.Getpid()), engines
}

// fault has every kiosk append the rest, one event a second, and takes the
// broker or a node of it away meanwhile.
func (r *run) fault() {
	rest := r.events - r.events/2
	var wg sync.WaitGroup
	wg.Go(func() {
		r.together(func(k *kiosk) {
			<-time.After(rand.N(time.Second))
			for range rest {
				k.attempt()
				<-time.After(time.Second)
			}
		})
	})
	<-time.After(time.Second)
	began := time.Now()
	r.Fail()
	r.sub.watchSilence()
	<-time.After(time.Duration(rest) * time.Second / 3)
	r.Return()
	returned := time.Now()
	r.connected(returned)
	r.figures.back = time.Since(began)
	wg.Wait()
	r.until("events", r.sub.count, r.events*r.figures.kiosks)
	r.figures.silence = r.sub.silence()
	r.figures.complete = time.Since(returned)
}

// together calls do for all kiosks at once.
func (r *run) together(do func(k *kiosk)) {
	var wg sync.WaitGroup
	for _, k := range r.fleet {
		wg.Go(func() { do(k) })
	}
	wg.Wait()
}

// finish compares what each kiosk's journal says with what has arrived.
func (r *run) finish() {
	r.until("deliveries noted", func() (n int) {
		for _, k := range r.fleet {
			n += k.delivered()
		}
		return n
	}, r.events*r.figures.kiosks)
	r.sub.stop()
	r.sub.check()
	r.figures.again, r.figures.late, r.figures.logins = r.sub.again, r.sub.late, r.sub.logins
	for _, k := range r.fleet {
		r.figures.sessions += int(k.Client.Stats().Sessions)
	}
}
