//go:build dlib && integration

package test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// TestBodies sends requests that are wrong in themselves: none becomes an
// attempt.
func TestBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t, openByHTTP()...)
	p := s.pictures()
	d := s.start()
	c := s.client()
	hung := s.hang()
	f := s.follow()
	plain := base64.StdEncoding.EncodeToString(p.card)
	var lines []string
	for rest := plain; rest != ""; {
		n := min(76, len(rest))
		lines, rest = append(lines, rest[:n]), rest[n:]
	}
	good := object("id_photo", strings.Join(lines, "\r\n"), "subject_ref", "card-7")
	large := bytes.Repeat([]byte{0xff}, 15<<20+1)
	for _, tt := range []struct {
		name    string
		body    body
		status  int
		code    string
		message string
		field   string
	}{
		{"empty file", form(t, "id.jpg", nil), 400, "bad_request", "id_photo is empty", "id_photo"},
		{"nothing", body{"application/json", ""}, 400, "bad_request", "the JSON body ends early", ""},
		{"no parts", body{"multipart/form-data; boundary=b", "--b--"}, 400, "bad_request", "id_photo is missing", "id_photo"},
		{"cut off", body{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"id_photo\"\r\n\r\nx"}, 400, "bad_request", "the multipart body ends early", ""},
		{"data prefix", object("id_photo", "data:image/jpeg;base64,"+plain), 400, "bad_request", "without a data: prefix", "id_photo"},
		{"broken base64", object("id_photo", plain[:100]+"*"+plain[100:]), 400, "bad_request", "must be base64 alone", "id_photo"},
		{"cut base64", object("id_photo", plain[:4001]), 400, "bad_request", "must be base64 alone", "id_photo"},
		{"raw line break", body{"application/json", "{\"id_photo\":\"" + plain[:76] + "\n" + plain[76:] + "\"}"}, 400, "bad_request", "a line break inside a string is written \\n", ""},
		{"unknown field", object("id_photo", plain, "open", "yes"), 400, "bad_request", `unknown field "open"`, "open"},
		{"duplicate field", object("id_photo", plain, "id_photo", plain), 400, "bad_request", "id_photo is given twice", "id_photo"},
		{"other case", object("ID_Photo", plain), 400, "bad_request", `unknown field "ID_Photo"`, "ID_Photo"},
		{"trailing", body{"application/json", good.text + "{}"}, 400, "bad_request", "must end after the object", ""},
		{"not a string", body{"application/json", `{"id_photo":7}`}, 400, "bad_request", "id_photo must be a string", "id_photo"},
		{"too large", form(t, "id.jpg", large), 413, "too_large", "a picture has at most 15728640 bytes", "id_photo"},
		{"too large in JSON", photo(base64.StdEncoding.EncodeToString(large)), 413, "too_large", "a picture has at most 15728640 bytes", "id_photo"},
		{"far too large", photo(strings.Repeat("A", 30<<20)), 413, "too_large", "a picture has at most 15728640 bytes", "id_photo"},
		{"no content type", body{"", good.text}, 415, "unsupported_media_type", "content type must be", ""},
		{"a picture alone", body{"image/jpeg", string(p.card)}, 415, "unsupported_media_type", "content type must be", ""},
		{"bad reference", object("id_photo", plain, "subject_ref", "Ada Lovelace"), 400, "bad_request", "subject_ref must be", "subject_ref"},
		{"unknown upload", object("upload", "none"), 404, "not_found", "no such upload", "upload"},
	} {
		a := s.post(c, tt.body)
		if a.status != tt.status || a.problem.Code != tt.code || !strings.Contains(a.problem.Message, tt.message) || a.problem.Field != tt.field {
			t.Errorf("%s: status %d, %+v", tt.name, a.status, a.problem)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://facegate/v1/attempts", http.NoBody)
	must(t, err)
	if a := send(t, c, r); a.status != http.StatusMethodNotAllowed || a.problem.Code != "method_not_allowed" || a.header.Get("Allow") != "POST" {
		t.Errorf("wrong method: status %d, %+v, Allow %q", a.status, a.problem, a.header.Get("Allow"))
	}
	// Beside the client that hangs there is room for one more.
	if a := s.post(c, good); a.status != http.StatusOK || a.event.Reason != event.OK {
		t.Errorf("base64 in lines: status %d, %+v, %+v", a.status, a.problem, a.event.Attempt)
	}
	d.says(t, `msg="attempt ended".* reason=ok access=granted source=http`)
	f.until("fact", "pulse_ended")
	// Of a client that leaves, the attempt goes on.
	s.leave(form(t, "id.jpg", p.card))
	d.says(t, `msg="attempt ended".* reason=ok access=granted source=http`)
	hung.end(t)
	const most = 250
	if got := d.peak(t); got > most {
		t.Errorf("the daemon had %d MiB of memory, at most %d are wanted", got, most)
	} else {
		t.Logf("memory: %d MiB", got)
	}
	expect(t, s.opened(d, 2), "http ok granted", "http ok granted")
}

// A hanging client has sent half of a picture.
type hanging struct {
	conn  net.Conn
	began time.Time
}

func (s *site) hang() *hanging {
	s.t.Helper()
	conn, err := net.Dial("unix", s.path("http.sock"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "POST /v1/attempts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"id_photo\":\"AAAA")
	must(s.t, err)
	return &hanging{conn, time.Now()}
}

// end waits until the daemon has had enough of the client.
func (h *hanging) end(t *testing.T) {
	t.Helper()
	must(t, h.conn.SetReadDeadline(h.began.Add(40*time.Second)))
	text, err := io.ReadAll(h.conn)
	if took := time.Since(h.began); err != nil || took < 29*time.Second {
		t.Errorf("the hanging client: after %v: %v", took, err)
	}
	if !bytes.Contains(text, []byte("400 Bad Request")) || !bytes.Contains(text, []byte("did not arrive in time")) {
		t.Errorf("the hanging client was told:\n%s", text)
	}
}

// leave sends a picture, asks for the outcome, and hangs up.
func (s *site) leave(b body) {
	s.t.Helper()
	conn, err := net.Dial("unix", s.path("http.sock"))
	must(s.t, err)
	s.forget()
	_, err = fmt.Fprintf(conn, "POST /v1/attempts?wait=1 HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", b.kind, len(b.text), b.text)
	must(s.t, err)
	if !s.rise("lamp-busy", patient) {
		s.t.Error("no attempt began")
	}
	must(s.t, conn.Close())
}

// TestLargestPictures sends as many of the largest pictures as the daemon
// takes, several at once and in the costliest wrapping.
func TestLargestPictures(t *testing.T) {
	t.Parallel()
	s := newSite(t, openByHTTP()...)
	p := s.pictures()
	d := s.start()
	c := s.client()
	plain := base64.StdEncoding.EncodeToString(append(p.card, make([]byte, 15<<20-len(p.card))...)) // bytes after a picture's end are ignored
	var lines strings.Builder
	for len(plain) > 0 {
		n := min(76, len(plain))
		lines.WriteString(plain[:n] + `\n`)
		plain = plain[n:]
	}
	large := photo(lines.String())
	var senders sync.WaitGroup
	var kept, refused atomic.Int32
	for range 4 {
		senders.Go(func() {
			for range 4 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://facegate/v1/uploads", strings.NewReader(large.text))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", large.kind)
				resp, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusCreated:
					kept.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	senders.Wait()
	if a := s.post(c, large); a.event.Attempt == nil || a.event.Reason != event.OK {
		t.Errorf("status %d, %+v, %+v", a.status, a.problem, a.event.Attempt)
	}
	t.Logf("%d uploads kept, %d refused, memory %d MiB", kept.Load(), refused.Load(), d.peak(t))
	if kept.Load() == 0 || refused.Load() == 0 {
		t.Error("want some kept and some refused")
	}
	const most = 250
	if got := d.peak(t); got > most {
		t.Errorf("the daemon had %d MiB of memory, at most %d are wanted", got, most)
	}
	expect(t, s.opened(d, 1), "http ok granted")
}
