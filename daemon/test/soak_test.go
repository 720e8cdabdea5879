//go:build dlib && integration && soak

package test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
	"github.com/facegate/facegate/daemon/internal/scene"
)

// calm is the time for everything to work again after a fault; the client waits
// up to a minute between tries.
const calm = 2 * time.Minute

// A soak is a kiosk that works for long, and all that is done to it.
type soak struct {
	*street
	random  *rand.Rand
	d       *daemon
	broker  *mqtttest.Mosquitto
	network *mqtttest.Proxy
	host    *host // while the broker can be reached
	c       *http.Client
	p       pictures
	sampler *sampler
	done    map[string]int // by visit and fault
	kept    []net.Conn     // of clients that hang about until the end of the round
	blind   bool           // the camera is away or broken
	killed  bool           // the broker has forgotten what it took
}

// services misbehave by the dice, so that every failure comes now and then.
const services = `{
  "deepidv": {"seed": 7, "chances": [
    {"share": 0.1, "do": "throttle", "retry_after": "1s"}, {"share": 0.1, "do": "server_error"}, {"share": 0.1, "do": "wrong_json"},
    {"share": 0.1, "do": "reset"}, {"share": 0.1, "do": "half_open"}]},
  "mxface": {"seed": 8, "chances": [
    {"share": 0.1, "do": "truncated"}, {"share": 0.1, "do": "slow_body"}, {"share": 0.1, "do": "no_faces"}, {"share": 0.05, "do": "huge"}]}
}`

// newSoak lays out a kiosk that is sure of a person who holds the picture of
// the ID into the camera, sure of another person, and unsure of the first
// person's other pictures.
func newSoak(t *testing.T, random *rand.Rand) *soak {
	t.Helper()
	s := &soak{street: newStreet(t, services), random: random, host: &host{}, done: map[string]int{}}
	from := env(t, "FACEGATE_PICTURES")
	self, err := scene.FirstOnID().Film(from, 24)
	must(t, err)
	must(t, scene.Save(s.path("self"), self))
	s.broker = mqtttest.StartMosquitto(t, "allow_anonymous true", "max_queued_messages 0")
	s.network = mqtttest.NewProxy(t, s.broker.Address)
	s.ask("[deepidv, mxface]", "none", "3s", slices.Concat(at(s.network.URL()), []string{
		"accept: 0.05, reject: 1.9", "accept: 0.2, reject: 0.6", "deadline: 40s", "deadline: 8s", "mqtt: {enabled: true}",
		"mqtt: {enabled: true, pictures: true, may_open: true}", "models:", "lockout: {after: 2, delay: 30s, max: 1m, disable: 100}\nmodels:",
		"timeout: 30s", "timeout: 2s", "timeout: 30s", "timeout: 2s",
	})...)
	s.p = s.pictures()
	s.damage()
	s.look("self")
	s.c = s.client()
	return s
}

// duration returns a time from the environment, or the usual one.
func duration(t *testing.T, name string, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// TestSoak lets one daemon work for SOAK, with everything that comes to a kiosk
// and goes wrong around it, in an order that SEED decides, and has it rest after
// each quarter. What it needs must not grow, at work and at rest, and whoever
// consumes its events must have them all in the end.
func TestSoak(t *testing.T) {
	length, seed := duration(t, "SOAK", 20*time.Minute), number(t, "SEED", time.Now().UnixNano())
	t.Logf("SOAK=%v SEED=%d", length, seed)
	s := newSoak(t, rand.New(rand.NewPCG(uint64(seed), 0)))
	consumer := consume(t, s.broker.Address)
	s.d = s.start()
	s.sampler = s.sample(s.d.cmd.Process.Pid)
	s.settle()
	faults := s.faults()
	for quarter := 1; quarter <= 4; quarter++ {
		s.sampler.enter(stretch{quarter, false})
		for began := time.Now(); time.Since(began) < length/4; faults = faults[2:] {
			if len(faults) < 4 {
				faults = append(faults, s.faults()...)
			}
			s.round(faults[:2])
		}
		s.rest(quarter)
	}
	last := s.figure(s.c, "facegate_journal_seq")
	s.complete(consumer, last)
	s.c.CloseIdleConnections()
	samples := s.sampler.end()
	events := s.attempts(s.d)
	if granted, moved := count(events, event.Granted), len(phases(s.timeline())); granted != moved {
		t.Errorf("the door was granted %d times and moved %d times", granted, moved)
	}
	s.tried(events)
	if s.sampler.missed > len(samples)/10 {
		t.Errorf("%d samples are missing beside %d", s.sampler.missed, len(samples))
	}
	s.judge(samples)
}

func count(events []event.Event, access event.Access) int {
	n := 0
	for _, e := range events {
		if e.Access == access {
			n++
		}
	}
	return n
}

// A visit is one thing that comes to a kiosk.
type visit struct {
	name   string
	remote bool // needs the broker
	do     func()
}

// A fault is something that breaks, and is mended.
type fault struct {
	name        string
	begin, mend func()
}

// round goes through every visit in a new order, then through some while
// something is broken.
func (s *soak) round(faults []fault) {
	s.t.Helper()
	sent := s.host.sent
	s.host = s.street.host(s.broker.Address)
	s.host.sent = sent // a nonce counts once
	s.hang()
	visits := s.visits()
	s.random.Shuffle(len(visits), func(i, j int) { visits[i], visits[j] = visits[j], visits[i] })
	for _, v := range visits {
		s.take(v)
	}
	_ = s.host.peer.Close()
	for _, c := range s.kept {
		_ = c.Close()
	}
	s.kept = nil
	for _, f := range faults {
		f.begin()
		for _, v := range visits[:4] {
			if !v.remote {
				s.take(v)
			}
		}
		f.mend()
		s.done[f.name]++
		s.settle()
	}
	s.forget()
}

func (s *soak) take(x visit) {
	s.done[x.name]++
	x.do()
	if s.t.Failed() {
		s.t.Fatalf("after %s the daemon has written\n%s", x.name, s.d.log.String())
	}
}

// settle waits until everything works.
func (s *soak) settle() {
	s.t.Helper()
	over := time.Now().Add(calm)
	for ; ; time.Sleep(100 * time.Millisecond) {
		connected, pending := s.figure(s.c, "facegate_mqtt_connected"), s.figure(s.c, "facegate_journal_pending_events")
		status, missing := s.readiness(s.c)
		if connected == 1 && pending == 0 && status == http.StatusOK {
			break
		}
		if time.Now().After(over) {
			s.t.Fatalf("%v after the last fault: connected %d, pending %d, missing %s\n%s", calm, connected, pending, missing, s.d.log.String())
		}
	}
}

// see turns the camera, unless it is away.
func (s *soak) see(scene string) {
	s.t.Helper()
	if !s.blind {
		s.look(scene)
	}
}

// show hands a body in and holds the answer to one of the statuses.
func (s *soak) show(b body, want ...int) answer {
	s.t.Helper()
	a := s.post(s.c, b)
	if !slices.Contains(want, a.status) {
		s.t.Errorf("status %d, %+v, want one of %v", a.status, a.problem, want)
	}
	return a
}

// person shows the first person's ID.
func (s *soak) person(scene string, more ...string) {
	s.t.Helper()
	s.see(scene)
	s.show(object(append(more, "id_photo", encoded(s.first))...), http.StatusOK)
}

// long begins an attempt that lasts and returns its ID.
func (s *soak) long() string {
	s.t.Helper()
	s.see("nobody")
	b := object("id_photo", encoded(s.first))
	for over := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://facegate/v1/attempts", strings.NewReader(b.text))
		must(s.t, err)
		r.Header.Set("Content-Type", b.kind)
		resp, err := s.c.Do(r)
		must(s.t, err)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusAccepted {
			return strings.TrimPrefix(resp.Header.Get("Location"), "/v1/attempts/")
		}
		if time.Now().After(over) {
			s.t.Fatalf("no attempt within %v: %s", patient, resp.Status)
		}
	}
}

// cancel ends an attempt, which with the camera away has ended by itself.
func (s *soak) cancel(id string) {
	s.t.Helper()
	resp, err := s.c.Post("http://facegate/v1/attempts/"+id+"/cancel", "", nil)
	must(s.t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted && !s.blind {
		s.t.Errorf("cancel: %s", resp.Status)
	}
}

// verify begins an attempt by command, once the one before has ended. What the
// command names may be used up even if it is refused.
func (s *soak) verify(args func() string) {
	s.t.Helper()
	for over := time.Now().Add(calm); ; time.Sleep(200 * time.Millisecond) {
		s.host.sent++
		id := fmt.Sprintf("verify-%d", s.host.sent)
		s.host.publish(mqtttest.Message{Topic: "verify", Payload: mqtttest.Command(id, args())})
		r := decode[reply](s.t, s.host.next("rsp/verify"))
		if r.Code == mqtt.OK {
			s.d.says(s.t, `msg="attempt ended" attempt=`+r.Detail)
			return
		}
		if r.Code != mqtt.Busy && r.Code != mqtt.NotFound || time.Now().After(over) {
			s.t.Errorf("verify: %+v", r)
			return
		}
	}
}

// upload uploads the ID photo and returns args that name it. While as many are
// kept as may be, they name none.
func (s *soak) upload() string {
	s.t.Helper()
	b := form(s.t, "card.jpg", s.first)
	resp, err := s.c.Post("http://facegate/v1/uploads", b.kind, strings.NewReader(b.text))
	must(s.t, err)
	defer resp.Body.Close()
	a := struct {
		UploadID string `json:"upload_id"`
	}{"none"}
	must(s.t, json.NewDecoder(resp.Body).Decode(&a))
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusServiceUnavailable {
		s.t.Errorf("upload: %s", resp.Status)
	}
	return fmt.Sprintf(`{"upload":%q}`, a.UploadID)
}

// busy hands pictures in while an attempt is under way.
func (s *soak) busy() {
	s.t.Helper()
	if s.blind {
		return // an attempt would end at once
	}
	id := s.long()
	b := object("id_photo", encoded(s.first))
	resp, err := s.c.Post("http://facegate/v1/attempts", b.kind, strings.NewReader(b.text))
	must(s.t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusConflict {
		s.t.Errorf("a second picture: %s", resp.Status)
	}
	s.drop()
	s.d.says(s.t, `msg="inbox file not used" cause=busy`)
	s.cancel(id)
}

// scan puts a file into the inbox and waits for what is said of it.
func (s *soak) scan(data []byte, said string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path("scan"), data, 0o600))
	must(s.t, os.Rename(s.path("scan"), s.path("inbox/scan.jpg")))
	s.d.says(s.t, said)
}

// stream follows for a moment.
func (s *soak) stream() {
	s.t.Helper()
	resp, err := s.c.Get("http://facegate/v1/events")
	must(s.t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "event: phase") {
			return
		}
	}
	s.t.Error("the stream does not begin with the phase")
}

// hang makes clients that send half, or take nothing.
func (s *soak) hang() {
	s.t.Helper()
	for _, sent := range []string{
		"POST /v1/attempts HTTP/1.1\r\nX: ",
		"POST /v1/attempts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"id_photo\":\"AAAA",
		"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn, err := net.Dial("unix", s.path("http.sock"))
		must(s.t, err)
		s.kept = append(s.kept, conn)
		_, err = io.WriteString(conn, sent)
		must(s.t, err)
	}
}

func encoded(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// visits lists all that comes to a kiosk, each once a round.
func (s *soak) visits() []visit {
	h := s.host
	const ended = `msg="attempt ended".* source=inbox`
	return []visit{
		{"match", false, func() { s.person("self") }},
		{"another person", false, func() { s.person("other", "subject_ref", "card-7") }},
		{"unsure, services asked", false, func() { s.person("same", "consent_cloud", "faces") }},
		{"unsure again, services asked", false, func() { s.person("same", "consent_cloud", "faces") }},
		{"unsure, nobody to ask", false, func() { s.person("same") }},
		{"cancelled", false, func() { s.cancel(s.long()) }},
		{"busy", false, s.busy},
		{"bad picture", false, func() {
			all := [][]byte{s.first[:len(s.first)/2], []byte("Dear Sir or Madam,\r\n"), pngHeader(30000, 30000, 8), s.p.cmyk, s.p.two, s.p.progressive}
			s.show(form(s.t, "id.jpg", all[s.random.IntN(len(all))]), http.StatusOK)
		}},
		{"bad body", false, func() {
			s.show(object("id_photo", "*"), http.StatusBadRequest)
			s.show(body{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"id_photo\"\r\n\r\nx"}, http.StatusBadRequest)
			s.show(photo(strings.Repeat("A", 30<<20)), http.StatusRequestEntityTooLarge)
		}},
		{"scan", false, func() { s.see("self"); s.scan(s.first, ended+`|msg="inbox file not used" cause=busy`) }},
		{"empty scan", false, func() { s.scan(nil, `msg="inbox file not used" cause=empty`) }},
		{"stream", false, s.stream},
		{"upload that nobody names", false, func() { s.upload() }},
		{"upload", true, func() { s.see("self"); s.verify(s.upload) }},
		{"photo", true, func() { s.see("self"); s.verify(h.photo) }},
		{"wrong commands", true, func() {
			h.ask(mqtt.Expired, "cancel", `{}`, mqtttest.Expires(-time.Second))
			h.ask(mqtt.NonceMissing, "cancel", `{}`, mqtttest.Without("nonce"))
			h.ask(mqtt.BadRequest, "verify", `{"open":true}`)
			h.ask(mqtt.NotFound, "verify", `{"upload":"nonsense"}`)
			h.publish(mqtttest.Message{Topic: "open", Payload: []byte("{")})
		}},
		{"rebirth", true, func() { h.ask(mqtt.OK, "rebirth", `{}`) }},
		{"replay", true, func() {
			if long := s.figure(s.c, "facegate_journal_seq") - 20; long > 0 { // events that were sent long ago
				from := 1 + s.random.IntN(long)
				h.ask(mqtt.OK, "replay", fmt.Sprintf(`{"from":%d,"to":%d}`, from, min(long, from+40)))
				s.d.says(s.t, `msg="replay finished"`)
			}
		}},
	}
}

// faults lists all that breaks, in a new order.
func (s *soak) faults() []fault {
	see := func(what func()) func() { return func() { what(); s.blind = true } }
	seeAgain := func() { s.blind = false; s.look("self") }
	all := []fault{
		{"broker restarted", func() { s.broker.End(syscall.SIGTERM) }, s.broker.Start},
		{"broker killed", func() { s.broker.End(syscall.SIGKILL); s.killed = true }, s.broker.Start},
		{"network down", func() { s.network.Cut(true) }, func() { s.network.Cut(false) }},
		{"network stalled", func() { s.network.Stall(true, true) }, func() { s.network.Stall(false, false) }},
		{"acknowledgements lost", func() { s.network.Stall(false, true) }, func() { s.network.Cut(false); s.network.Stall(false, false) }},
		{"camera away", see(func() { must(s.t, os.Remove(s.path("camera"))) }), seeAgain},
		{"camera damaged", see(func() { s.look("damaged.mjpeg") }), seeAgain},
	}
	s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// damage makes a recording of frames that are cut off.
func (s *soak) damage() {
	s.t.Helper()
	files, err := filepath.Glob(s.path("same/*"))
	must(s.t, err)
	var all []byte
	for _, f := range files {
		frame, err := os.ReadFile(f)
		must(s.t, err)
		all = append(append(all, frame[:len(frame)/2]...), 0xff, 0xd9)
	}
	must(s.t, os.WriteFile(s.path("damaged.mjpeg"), all, 0o600))
}

// complete checks that the consumer has every event in order, and that only
// what a killed broker has forgotten had to be asked for.
func (s *soak) complete(c *consumer, last int) {
	s.t.Helper()
	h := s.street.host(s.broker.Address)
	h.sent = s.host.sent
	asked := 0
	for over := time.Now().Add(calm); ; time.Sleep(100 * time.Millisecond) {
		from, to := c.missing(last)
		if from == 0 {
			break
		}
		if time.Now().After(over) {
			s.t.Fatalf("events %d to %d did not come", from, to)
		}
		if to < last || time.Now().After(over.Add(-calm+5*time.Second)) { // the newest may be on their way
			asked += to - from + 1
			h.ask(mqtt.OK, "replay", fmt.Sprintf(`{"from":%d,"to":%d}`, from, to))
			s.d.says(s.t, `msg="replay finished"`)
			time.Sleep(time.Second)
		}
	}
	_ = h.peer.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.t.Logf("the consumer has %d events of %d, %d of them again; %d came by a replay, of which %d were asked for at the end", len(c.seen), last, c.again, len(c.late), asked)
	if c.fault != nil {
		s.t.Errorf("the consumer: %v", c.fault)
	}
	if len(c.late) > 0 && !s.killed {
		s.t.Errorf("no broker was killed, and %v came late", c.late)
	}
}

// tried checks that the soak was long enough for everything to happen.
func (s *soak) tried(events []event.Event) {
	s.t.Helper()
	for _, e := range events {
		s.done[string(e.Reason)+", "+e.Route]++
	}
	var all []string
	for what, n := range s.done {
		all = append(all, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(all)
	s.t.Logf("what happened: %s", strings.Join(all, "; "))
	want := []string{"ok, local", "ok, cloud", "below_threshold, local", "unsure_no_cloud, local", "cancelled, local", "camera_fault, local", "lockout, local"}
	for _, f := range s.faults() {
		want = append(want, f.name)
	}
	for _, what := range want {
		if s.done[what] == 0 {
			s.t.Errorf("never happened: %s", what)
		}
	}
}
