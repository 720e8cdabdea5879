//go:build dlib && integration

package test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/grant"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// The kiosks of these tests open for whoever stands there, so that every
// attack that became an attempt would move the door. At the end the good one
// does, once.

// TestInboxTricks puts things into the inbox that are no scans, or are made to
// look like others.
func TestInboxTricks(t *testing.T) {
	t.Parallel()
	s := newSite(t, unhurried()...)
	card, secret, outside := s.path("card.jpg"), s.path("secret"), s.path("outside")
	must(t, os.WriteFile(secret, []byte("password-81c3"), 0o600))
	d := s.start()
	in := func(make func(path string) error) func(string) {
		return func(name string) {
			t.Helper()
			must(t, errors.Join(make(outside), os.Rename(outside, filepath.Join(s.path("inbox"), name))))
		}
	}
	text := func(path string) error { return os.WriteFile(path, []byte("Dear Sir or Madam,\r\n"), 0o600) }
	const notAFile, unreadable = `msg="inbox file not used" cause=not_a_file`, `msg="attempt ended".* reason=id_unreadable access=not_attempted source=inbox`
	var held *os.File // the other end of a pipe
	for _, tt := range []struct {
		what, name string
		put        func(name string)
		says       string // empty: nothing
	}{
		{"symbolic link to the card", "scan.jpg", in(func(path string) error { return os.Symlink(card, path) }), notAFile},
		{"symbolic link to a folder", "scan.jpg", in(func(path string) error { return os.Symlink(s.dir, path) }), notAFile},
		{"hard link to a secret", "scan.jpg", in(func(path string) error { return os.Link(secret, path) }), unreadable},
		{"pipe", "scan.jpg", in(func(path string) error { return syscall.Mkfifo(path, 0o600) }), notAFile},
		{"pipe that somebody holds open", "scan.jpg", in(func(path string) (err error) {
			if err = syscall.Mkfifo(path, 0o600); err == nil {
				held, err = os.OpenFile(path, os.O_RDWR, 0)
			}
			return err
		}), notAFile},
		{"endless device", "scan.jpg", in(func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) }), notAFile}, // as /dev/zero
		{"socket", "scan.jpg", in(func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return l.Close()
		}), notAFile},
		{"folder with the card", "folder.jpg", in(func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Link(card, filepath.Join(path, "scan.jpg")))
		}), ""},
		{"10 GB that take no room", "scan.jpg", in(func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 10<<30)) }), `msg="inbox file not used" cause=too_large`},
		{"name of a log line", "scan\ntime=0 level=ERROR msg=password-81c3.jpg", in(text), unreadable},
		{"name of control characters", "\x1b[2Jpassword-81c3\r\x07\xff.jpg", in(text), unreadable},
		{"longest name", "password-81c3" + strings.Repeat("x", 255-13), in(text), unreadable},
		{"file that grows", "growing.jpg", s.grow, `cause=too_large|` + unreadable},
	} {
		tt.put(tt.name)
		if tt.says != "" {
			d.says(t, tt.says)
		}
		if _, err := os.Lstat(filepath.Join(s.path("inbox"), tt.name)); tt.says != "" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it is still there: %v", tt.what, err)
		}
	}
	_ = held.Close()
	if left, err := os.ReadFile(secret); err != nil || string(left) != "password-81c3" {
		t.Errorf("what the link led to: %q, %v", left, err)
	}
	links := strings.Count(d.log.String(), "cause=not_a_file")
	s.swap(text, card)
	for over := time.Now().Add(patient); !s.idle(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(over) {
			t.Fatal("an attempt does not end")
		}
	}
	if strings.Count(d.log.String(), "cause=not_a_file") == links {
		t.Error("no link was met in the place of a text, so nothing is shown")
	}
	if n := len(phases(s.timeline())); n > 0 {
		t.Errorf("the door moved %d times", n)
	}
	s.drop()
	d.says(t, `msg="attempt ended".* reason=ok access=granted source=inbox`)
	const most = 250
	if got := d.peak(t); got > most {
		t.Errorf("the daemon had %d MiB of memory, at most %d are wanted", got, most)
	}
	s.opened(d, 1)
	if strings.Contains(d.log.String(), "password-81c3") {
		t.Error("the log holds a file's name or content")
	}
}

// grow moves a file into the inbox that somebody goes on writing to.
func (s *site) grow(name string) {
	s.t.Helper()
	f, err := os.Create(s.path("growing"))
	must(s.t, err)
	chunk := make([]byte, 1<<20)
	_, err = f.Write(chunk)
	must(s.t, errors.Join(err, os.Rename(s.path("growing"), filepath.Join(s.path("inbox"), name))))
	for range 63 {
		_, err = f.Write(chunk)
		must(s.t, err)
	}
	must(s.t, f.Close())
}

// swap puts text into the inbox and, while it is looked at, a link to the card
// in its place.
func (s *site) swap(text func(path string) error, card string) {
	s.t.Helper()
	file, link, scan := s.path("file"), s.path("link"), s.path("inbox/scan.jpg")
	for i := range 500 {
		must(s.t, errors.Join(text(file), os.Symlink(card, link), os.Rename(file, scan)))
		time.Sleep(time.Duration(i%50) * 20 * time.Microsecond) // any moment of the look
		must(s.t, os.Rename(link, scan))
	}
}

// idle says whether everything in the inbox was taken and no attempt runs.
func (s *site) idle() bool {
	left, err := filepath.Glob(s.path("inbox/*.jpg"))
	must(s.t, err)
	levels, err := s.operator.Levels()
	must(s.t, err)
	for _, l := range levels {
		if l.Name == "lamp-busy" && l.Level == 1 {
			return false
		}
	}
	return len(left) == 1 // the folder
}

// TestLoopbackTricks asks as web pages and their browsers do, and in ways that
// a proxy and the daemon might understand differently. The right token comes
// with every request but those that are about it, as from a proxy that adds it.
func TestLoopbackTricks(t *testing.T) {
	t.Parallel()
	const token = "password-4f61a9d0"
	s, address := onLoopback(t, token)
	card := base64.StdEncoding.EncodeToString(s.pictures().card)
	good := `{"id_photo":"` + card + `"}`
	d := s.start()
	const (
		evil    = "Origin: https://evil.example\r\n"
		proven  = "Authorization: Bearer " + token + "\r\n"
		asJSON  = "Content-Type: application/json\r\n"
		attempt = "POST /v1/attempts?wait=1 HTTP/1.1\r\n"
		follow  = "GET /v1/events HTTP/1.1\r\n"
	)
	host := "Host: " + address + "\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(good))
	multipart := form(t, "id.jpg", s.pictures().card)
	inForm := fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", multipart.kind, len(multipart.text))
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, tt := range []struct {
		name, request, body string
		status              string
	}{
		{"form sent as text", attempt + host + proven + "Content-Type: text/plain\r\n" + length, good, "415"},
		{"form sent in the usual way", attempt + host + proven + "Content-Type: application/x-www-form-urlencoded\r\n" + length, good, "415"},
		{"form with a file, of another page", attempt + host + proven + evil + inForm, multipart.text, "403"},
		{"form with a file, of a page without an origin", attempt + host + proven + "Origin: null\r\n" + inForm, multipart.text, "403"},
		{"form with a file, of another site", attempt + host + proven + "Sec-Fetch-Site: cross-site\r\n" + inForm, multipart.text, "403"},
		{"script of another local server", attempt + host + proven + "Sec-Fetch-Site: same-site\r\n" + asJSON + length, good, "403"},
		{"what a browser asks before", "OPTIONS /v1/attempts HTTP/1.1\r\n" + host + evil + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Private-Network: true\r\n", "", "403"},
		{"the same without an origin", "OPTIONS /v1/attempts HTTP/1.1\r\n" + host + proven, "", "405"},
		{"picture in another page", follow + host + proven + "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", "", "403"},
		{"stream for another page", follow + host + proven + evil, "", "403"},
		{"WebSocket for another page", follow + host + proven + evil + upgrade, "", "403"},
		{"name made to mean this machine", follow + "Host: evil.example\r\n" + proven, "", "403"},
		{"the same, picture", attempt + "Host: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n" + proven + asJSON + length, good, "403"},
		{"another name in the line than in the header", "POST http://evil.example/v1/attempts HTTP/1.1\r\n" + host + proven + asJSON + length, good, "403"},
		{"two hosts", attempt + host + "Host: evil.example\r\n" + proven + asJSON + length, good, "400"},
		{"no host", attempt + proven + asJSON + length, good, "400"},
		{"two lengths", attempt + host + proven + asJSON + length + "Content-Length: 2\r\n", good, "400"},
		{"line break in a header", attempt + host + "Origin: x\ry\r\n" + proven + asJSON + length, good, "400"},
		{"large header", attempt + host + "X: " + strings.Repeat("x", 32<<10) + "\r\n" + proven + asJSON + length, good, "431"},
		{"token in the address", "POST /v1/attempts?wait=1&token=" + token + " HTTP/1.1\r\n" + host + asJSON + length, good, "401"},
		{"access_token in the address", "GET /v1/events?access_token=" + token + " HTTP/1.1\r\n" + host, "", "401"},
		{"user in the address", "POST http://user:" + token + "@" + address + "/v1/attempts HTTP/1.1\r\n" + host + asJSON + length, good, "40"}, // 400 or 401
		{"token twice", attempt + host + "Authorization: Bearer x\r\n" + proven + asJSON + length, good, "401"},
		{"another method in a header", "GET /v1/attempts HTTP/1.1\r\n" + host + proven + "X-HTTP-Method-Override: POST\r\n" + asJSON + length, good, "405"},
	} {
		answer := ask(t, address, tt.request+"Connection: close\r\n\r\n"+tt.body)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+tt.status) || strings.Contains(answer, "Access-Control-Allow") {
			t.Errorf("%s: want status %s and nothing allowed to browsers, got\n%s", tt.name, tt.status, answer)
		}
	}
	if n := len(phases(s.timeline())); n > 0 {
		t.Errorf("the door moved %d times", n)
	}
	if answer := ask(t, address, attempt+host+proven+asJSON+length+"Connection: close\r\n\r\n"+good); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("the good one: %s", answer)
	}
	expect(t, s.opened(d, 1), "http ok granted")
	if strings.Contains(d.log.String(), token) {
		t.Error("the log holds the token")
	}
}

// ask sends a request as it stands and returns all that comes back.
func ask(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patient)))
	var sender sync.WaitGroup
	sender.Go(func() { _, _ = io.WriteString(conn, request) }) // a refusal may come before all is sent
	text, _ := io.ReadAll(conn)
	_ = conn.Close()
	sender.Wait()
	return string(text)
}

// as runs f as another user, on a thread that then ends.
func as(uid, gid int, f func() error) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		for _, call := range [][2]uintptr{{syscall.SYS_SETGROUPS, 0}, {syscall.SYS_SETGID, uintptr(gid)}, {syscall.SYS_SETUID, uintptr(uid)}} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], 0, 0); errno != 0 {
				failed <- fmt.Errorf("become user %d (these tests need root): %w", uid, errno)
				return
			}
		}
		failed <- f()
	}()
	return <-failed
}

// TestAnotherUser lets another user of the machine try the daemon's socket and
// files, in a folder that everybody may enter.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, openByHTTP()...)
	must(t, os.Chmod(s.dir, 0o755))
	d := s.start()
	const nobody = 65534
	connect := func() error {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return errors.Join(syscall.Connect(fd, &syscall.SockaddrUnix{Name: s.path("http.sock")}), syscall.Close(fd))
	}
	read := func(path string) func() error {
		return func() error { _, err := os.ReadFile(path); return err }
	}
	for name, try := range map[string]func() error{
		"the socket":           connect,
		"removing the socket":  func() error { return os.Remove(s.path("http.sock")) },
		"a scan":               func() error { return os.WriteFile(s.path("inbox/scan.jpg"), nil, 0o600) },
		"another inbox":        func() error { return os.Rename(s.path("inbox"), s.path("inbox.old")) },
		"the journal":          read(s.path("journal.db")),
		"the journal's log":    read(s.path("journal.db-wal")),
		"another journal":      func() error { return os.WriteFile(s.path("journal.db"), nil, 0o600) },
		"the daemon's memory":  read(fmt.Sprintf("/proc/%d/mem", d.cmd.Process.Pid)),
		"the daemon's secrets": read(fmt.Sprintf("/proc/%d/environ", d.cmd.Process.Pid)),
		"a signal":             func() error { return syscall.Kill(d.cmd.Process.Pid, syscall.SIGKILL) },
	} {
		if err := as(nobody, nobody, try); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: %v, want permission denied", name, err)
		}
	}
	if err := as(nobody, os.Getgid(), connect); err != nil {
		t.Errorf("a member of the socket's group: %v", err)
	}
	if a := s.post(s.client(), form(t, "id.jpg", s.pictures().card)); a.status != http.StatusOK {
		t.Errorf("the daemon's own user: status %d, %+v", a.status, a.problem)
	}
	expect(t, s.opened(d, 1), "http ok granted")
}

// TestBrokerTricks comes to the embedded broker with what is not MQTT, and with
// what a web page may do.
func TestBrokerTricks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	web := l.Addr().String()
	must(t, l.Close())
	s := newSite(t, slices.Concat(marked(), unhurried(), commanded("enabled: true, pictures: true, may_open: true"), []string{`"}}`, `", websocket: "` + web + `"}}`})...)
	s.mark()
	d := s.start()
	good := mqtttest.Message{Topic: root + "cmd/verify", QoS: 0, Payload: mqtttest.Command("page", s.host(s.embedded()).photo())}.Packet().Bytes()
	hello := mqtttest.Packet{Type: mqtttest.Connect, Body: []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x04page")}.Bytes()
	// A page can post anything to the port of MQTT, behind a head that it does not choose.
	if answer := ask(t, s.embedded(), "POST / HTTP/1.1\r\nHost: "+s.embedded()+"\r\nContent-Type: text/plain\r\n\r\n"+string(hello)+string(good)); answer != "" {
		t.Errorf("a post to the port of MQTT was answered: %q", answer)
	}
	// Nor does a command count before a login.
	if answer := ask(t, s.embedded(), string(good)); answer != "" {
		t.Errorf("a command before a login was answered: %q", answer)
	}
	upgrade := "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for _, headers := range []string{
		"Host: " + web + "\r\nOrigin: https://evil.example\r\n", "Host: " + web + "\r\nOrigin: null\r\n",
		"Host: evil.example\r\nOrigin: http://evil.example\r\n", "Host: evil.example\r\n",
	} {
		if answer := ask(t, web, "GET / HTTP/1.1\r\n"+headers+upgrade); !strings.HasPrefix(answer, "HTTP/1.1 403") {
			t.Errorf("WebSocket with %q: %q, want it refused", headers, answer)
		}
	}
	if n := len(phases(s.timeline())); n > 0 {
		t.Errorf("the door moved %d times", n)
	}
	h := s.host(s.embedded())
	h.outcome(h.ask("ok", "verify", h.photo()).Detail, event.DecisionMatch, event.OK, event.Granted)
	expect(t, s.opened(d, 1), "mqtt ok granted")
}

// A foe is a broker that says what it likes to the daemon.
type foe struct {
	t    *testing.T
	ln   net.Listener
	told chan mqtttest.Message // by the daemon
	conn chan net.Conn         // of the daemon, once it has subscribed
}

func newFoe(t *testing.T) *foe {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &foe{t: t, ln: ln, told: make(chan mqtttest.Message, 1<<16), conn: make(chan net.Conn, 16)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return f
}

// serve answers as a sound broker does.
func (f *foe) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		p, err := mqtttest.ReadPacket(r)
		if err != nil {
			return
		}
		var out []byte
		switch p.Type {
		case mqtttest.Connect:
			out = mqtttest.Packet{Type: mqtttest.Connack, Body: []byte{0, 0}}.Bytes()
		case mqtttest.Subscribe:
			out = mqtttest.Packet{Type: mqtttest.Suback, Body: []byte{p.Body[0], p.Body[1], 0}}.Bytes()
		case mqtttest.Pingreq:
			out = mqtttest.Packet{Type: mqtttest.Pingresp}.Bytes()
		case mqtttest.Publish:
			m, err := mqtttest.ParseMessage(p)
			if err != nil {
				f.t.Errorf("the daemon sends what is no message: %v", err)
				return
			}
			if m.QoS == 1 {
				out = mqtttest.Ack(m.ID).Bytes()
			}
			f.told <- m
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		if p.Type == mqtttest.Subscribe {
			f.conn <- conn
		}
	}
}

// hears waits for a message of the daemon below the topic that has the words.
func (f *foe) hears(topic, words string) mqtttest.Message {
	f.t.Helper()
	for over := time.After(patient); ; {
		select {
		case m := <-f.told:
			if strings.HasPrefix(m.Topic, root+topic) && strings.Contains(string(m.Payload), words) {
				return m
			}
		case <-over:
			f.t.Fatalf("nothing on %s with %s within %v", topic, words, patient)
		}
	}
}

// TestMaliciousBroker lets the broker say what it likes, while only a host that
// it has no key of may let people in.
func TestMaliciousBroker(t *testing.T) {
	t.Parallel()
	const secret, forger = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	key, err := grant.NewKey([]byte(secret))
	forged, err2 := grant.NewKey([]byte(forger))
	must(t, errors.Join(err, err2))
	f := newFoe(t)
	s := newSite(t, slices.Concat(at("tcp://"+f.ln.Addr().String()), marked(), unhurried(), commanded("enabled: true, pictures: true, may_open: true"),
		[]string{"door: {", "door: {authorise: host, grant_key_file: DIR/grant.key, wait: 3s, "})...)
	s.mark()
	must(t, os.WriteFile(s.path("grant.key"), []byte(secret+"\n"), 0o600))
	photo := (&host{s: s}).photo()
	d := s.start()
	conn := <-f.conn
	sent := 0
	tell := func(m mqtttest.Message) {
		t.Helper()
		_, err := conn.Write(m.Packet().Bytes())
		must(t, err)
	}
	fresh := func(args string) []byte { sent++; return mqtttest.Command(fmt.Sprintf("foe-%d", sent), args) }
	command := func(verb, args string) {
		t.Helper()
		tell(mqtttest.Message{Topic: root + "cmd/" + verb, Payload: fresh(args)})
	}
	// settled waits until all that was told before has been looked at.
	settled := func() {
		t.Helper()
		for over := time.Now().Add(patient); ; { // while the queue is full, it is busy
			command("cancel", `{"attempt_id":"`+mqtttest.AttemptID+`"}`)
			m := f.hears("rsp/cancel", fmt.Sprintf(`"foe-%d"`, sent))
			if strings.Contains(string(m.Payload), `"not_found"`) {
				return
			}
			if time.Now().After(over) {
				t.Fatalf("the last answer is %s", m.Payload)
			}
		}
	}

	for range 200 {
		tell(mqtttest.Message{Topic: root + "cmd/verify", Retained: true, Payload: fresh(photo)})
	}
	for range 20_000 {
		tell(mqtttest.Message{Topic: root + "cmd/cancel", Retained: true, Payload: fresh(`{}`)})
	}
	f.hears("error", "retained_command")
	for _, topic := range []string{
		"facegate/other/gate-1/cmd/verify", "facegate/test/gate-2/cmd/verify", root + "cmd/verify/now", root + "verify", root + "event/attempt", "cmd/verify", "$SYS/cmd/verify",
	} {
		tell(mqtttest.Message{Topic: topic, Payload: fresh(photo)})
	}
	settled()
	if strings.Contains(d.log.String(), "attempt ended") {
		t.Errorf("there was an attempt:\n%s", d.log.String())
	}

	again := mqtttest.Message{Topic: root + "cmd/verify", Payload: fresh(photo)}
	tell(again)
	id := decode[reply](t, f.hears("rsp/verify", `"ok"`)).Detail
	f.hears("attempt/", "awaiting_grant")
	sign := func(k grant.Key, device, id string) string {
		return grantArgs(grant.Sign(k, "test", device, id, time.Now().Add(30*time.Second)))
	}
	for range 500 {
		for _, args := range []string{
			sign(forged, "gate-1", id), sign(key, "gate-2", id), sign(key, "gate-1", mqtttest.AttemptID), // for another kiosk, of another attempt
			grantArgs(grant.Grant{AttemptID: id, ExpiresAt: "2030-01-01T00:00:00Z", MAC: strings.Repeat("0", 64)}),
		} {
			command("grant", args)
		}
	}
	f.hears("event/attempt", `"not_authorised"`)
	settled()
	for range 1000 {
		tell(again)
	}
	f.hears("rsp/verify", `"nonce_used"`)
	settled()
	_, err = conn.Write(append([]byte{mqtttest.Publish << 4, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 64<<20)...)) // the start of 256 MiB
	must(t, errors.Join(err, conn.Close()))
	conn = <-f.conn
	if n := len(phases(s.timeline())); n > 0 {
		t.Errorf("the door moved %d times", n)
	}

	command("verify", photo)
	id = decode[reply](t, f.hears("rsp/verify", `"ok"`)).Detail
	f.hears("attempt/", "awaiting_grant")
	command("grant", sign(key, "gate-1", id))
	f.hears("event/attempt", `"granted"`)
	const most = 250
	if got := d.peak(t); got > most {
		t.Errorf("the daemon had %d MiB of memory, at most %d are wanted", got, most)
	}
	expect(t, s.opened(d, 1), "mqtt not_authorised denied", "mqtt ok granted")
}
