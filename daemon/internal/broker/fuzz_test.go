package broker

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whatever stands around a line, its password is in no error and opens no
// account but its own.
func FuzzParseUsers(f *testing.F) {
	const password = "pass-Word 1"
	f.Add("", "ann", "")
	f.Add("# people\n\nbob:y\r\n", "ann", "\r\nbob:z\n")
	f.Add("ann:x\n", "ann", "\n")
	f.Add("ann:x\n", "", "\n:")
	f.Add("bob:x", "", "no colon")
	f.Fuzz(func(t *testing.T, before, user, after string) {
		if strings.Contains(before+user+after, password) {
			return
		}
		users, err := parseUsers(before + "\n" + user + ":" + password + "\n" + after)
		if err != nil {
			if strings.Contains(err.Error(), password) || users != nil {
				t.Errorf("error %q along with %d users", err, len(users))
			}
			return
		}
		if !strings.ContainsAny(user, ":\n") && !strings.HasPrefix(user, "#") && users[user] != sha256.Sum256([]byte(password)) {
			t.Errorf("the password of %q was not kept", user)
		}
		for name, sum := range users {
			if name == "" || sum == sha256.Sum256(nil) {
				t.Errorf("user %q without a name or a password", name)
			}
		}
	})
}

// local says whether a client that takes text for a host comes to this machine.
func local(text string) bool {
	u, err := url.Parse("http://" + text)
	if err != nil {
		return true // nobody comes anywhere
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Without passwords nobody comes in by a name that foreign DNS could give this
// machine, and no page of elsewhere comes in at all.
func FuzzTrusts(f *testing.F) {
	f.Add("localhost:9001", "http://127.0.0.1:8080", true)
	f.Add("[::1]:9001", "http://[::1]", true)
	f.Add("evil.example:9001", "http://evil.example", true)
	f.Add("localhost.evil.example", "", true)
	f.Add("gate-1.example", "http://gate-1.example@evil.example", false)
	f.Add("]", "null", false) // neither has a name
	f.Fuzz(func(t *testing.T, host, origin string, open bool) {
		r := &http.Request{Host: host, Header: http.Header{}}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if !(&upgrader{open: open}).trusts(r) {
			return
		}
		if open && !local(host) {
			t.Errorf("host %q passes", host)
		}
		if origin == "" {
			return
		}
		page, err := url.Parse(origin)
		if err != nil {
			t.Fatalf("page %q passes: %v", origin, err)
		}
		own, err := url.Parse("http://" + host)
		if err == nil && !strings.EqualFold(page.Hostname(), own.Hostname()) && !(local(page.Host) && local(host)) {
			t.Errorf("page %q passes at %q", origin, host)
		}
	})
}

// A wire is a connection of which one side has sent all it will.
type wire struct {
	net.Conn
	sent *bytes.Reader
}

func (w wire) Read(p []byte) (int, error)       { return w.sent.Read(p) }
func (w wire) Write(p []byte) (int, error)      { return len(p), nil }
func (w wire) Close() error                     { return nil }
func (w wire) SetDeadline(time.Time) error      { return nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

// A taken is a response whose connection is taken over.
type taken struct {
	*httptest.ResponseRecorder
	wire
}

func (t taken) Write(p []byte) (int, error) { return t.ResponseRecorder.Write(p) }

func (t taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.wire, bufio.NewReadWriter(bufio.NewReader(t.wire), bufio.NewWriter(t.wire)), nil
}

// frames sends a stream as the frames of a client, cut up as cuts says, with
// pings between them.
func frames(stream, cuts []byte) []byte {
	var out []byte
	frame := func(head byte, body []byte) {
		out = append(out, head)
		if len(body) < 126 {
			out = append(out, 0x80|byte(len(body)))
		} else {
			out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(len(body)))
		}
		mask := [4]byte{1, 2, 3, 4}
		out = append(out, mask[:]...)
		for i, b := range body {
			out = append(out, b^mask[i%4])
		}
	}
	kind := byte(2) // binary
	for _, c := range cuts {
		n := min(int(c>>2), len(stream))
		final := c&1 == 1
		head := kind
		if kind = 0; final {
			head, kind = head|0x80, 2
		}
		frame(head, stream[:n])
		stream = stream[n:]
		if c&2 != 0 {
			frame(0x89, []byte("ping"))
		}
	}
	frame(kind|0x80, stream)
	return out
}

// What a client sends comes out whole and in order however it was cut up, and
// whatever follows, reading ends with an error.
func FuzzWebSocketRead(f *testing.F) {
	f.Add([]byte("\x10\x0c\x00\x04MQTT"), []byte{9, 0, 3, 2}, []byte{}, uint8(3))
	f.Add([]byte("hello"), []byte{}, []byte("\x81\x81\x00\x00\x00\x00x"), uint8(0))
	f.Add([]byte{}, []byte{1, 1, 1}, []byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), uint8(200))
	f.Add([]byte("x"), []byte{0}, []byte("\x88\x80\x00\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, stream, cuts, more []byte, size uint8) {
		if len(stream) > 1<<16-1 {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		for key, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
			r.Header.Set(key, v)
		}
		upgrade := &upgrader{open: true}
		w := taken{httptest.NewRecorder(), wire{sent: bytes.NewReader(nil)}}
		c, err := upgrade.accept(w, r)
		if err != nil {
			t.Fatal(err)
		}
		w.sent.Reset(append(frames(stream, cuts), more...))
		var got []byte
		p := make([]byte, int(size)+1)
		for err == nil {
			var n int
			if n, err = c.Read(p); n == 0 && err == nil {
				t.Fatal("neither bytes nor an error")
			}
			got = append(got, p[:n]...)
		}
		if !bytes.HasPrefix(got, stream) || len(got) > len(stream)+len(more) {
			t.Errorf("%q was read as %q before %v, with %q after it", stream, got, err, more)
		}
		if len(more) == 0 && (len(got) > len(stream) || err == io.ErrNoProgress) {
			t.Errorf("%q was read as %q: %v", stream, got, err)
		}
	})
}
