//go:build dlib && integration

package test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// An answer is what the HTTP interface says to a picture.
type answer struct {
	status  int
	header  http.Header
	problem struct{ Code, Message, Field string } // of a refusal
	event   event.Event                           // of an attempt that was waited for
}

// send makes one request.
func send(t *testing.T, c *http.Client, r *http.Request) answer {
	t.Helper()
	resp, err := c.Do(r)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	a := answer{status: resp.StatusCode, header: resp.Header}
	var refusal struct {
		Error *struct{ Code, Message, Field string }
	}
	must(t, json.Unmarshal(text, &refusal))
	if refusal.Error != nil {
		a.problem = *refusal.Error
	} else {
		must(t, json.Unmarshal(text, &a.event))
	}
	return a
}

// A body is the body of a request, and its content type.
type body struct{ kind, text string }

// form packs a picture as a browser does.
func form(t *testing.T, name string, picture []byte) body {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="id_photo"; filename="` + name + `"`}, "Content-Type": {"image/jpeg"},
	})
	must(t, err)
	_, err = part.Write(picture)
	must(t, err)
	must(t, w.Close())
	return body{w.FormDataContentType(), b.String()}
}

// object packs words as JSON: a picture in base64, for one.
func object(pairs ...string) body {
	var fields []string
	for i := 0; i < len(pairs); i += 2 {
		name, _ := json.Marshal(pairs[i])
		value, _ := json.Marshal(pairs[i+1])
		fields = append(fields, string(name)+":"+string(value))
	}
	return body{"application/json", "{" + strings.Join(fields, ",") + "}"}
}

// photo packs a picture in JSON that is in base64 already, and may be large.
func photo(text string) body { return body{"application/json", `{"id_photo":"` + text + `"}`} }

// post sends a body and waits for the outcome. While the attempt before is
// still under way it tries again.
func (s *site) post(c *http.Client, b body) answer {
	s.t.Helper()
	for over := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://facegate/v1/attempts?wait=1", strings.NewReader(b.text))
		must(s.t, err)
		if b.kind != "" {
			r.Header.Set("Content-Type", b.kind)
		}
		a := send(s.t, c, r)
		if a.problem.Code != "busy" || time.Now().After(over) {
			return a
		}
	}
}

// peak returns the most memory that the daemon has had, in MiB.
func (d *daemon) peak(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	must(t, err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	must(t, err)
	return kib >> 10
}

// openByHTTP are the edits for a kiosk whose door opens for pictures that came
// over HTTP.
func openByHTTP() []string {
	return append(unhurried(), "sources: {", "sources: {http: {may_open: true}, ")
}

// TestPictures sends pictures of every kind in. Whatever they are, the daemon
// goes on, and the door opens for the good ones alone.
func TestPictures(t *testing.T) {
	t.Parallel()
	s := newSite(t, openByHTTP()...)
	p := s.pictures()
	d := s.start()
	c := s.client()
	t.Logf("memory at the start: %d MiB", d.peak(t))
	good := func() {
		t.Helper()
		if a := s.post(c, form(t, "id.jpg", p.card)); a.status != http.StatusOK || a.event.Reason != event.OK || a.event.Access != event.Granted {
			t.Errorf("a good picture: status %d, %+v, %+v", a.status, a.problem, a.event.Attempt)
		}
	}
	good()
	granted := 1
	const (
		huge   = "picture is 30000x30000 pixels, at most 40 megapixels"
		format = "not a JPEG, PNG, BMP or TIFF picture"
	)
	for _, tt := range []struct {
		name    string
		picture []byte
		reason  event.Reason
		log     string
	}{
		{"cut off", p.card[:len(p.card)/2], event.IDUnreadable, "JPEG picture is cut off"},
		{"header alone", p.card[:3], event.IDUnreadable, "JPEG picture is cut off"},
		{"huge PNG", pngHeader(30000, 30000, 8), event.IDUnreadable, huge},
		{"huge JPEG", resized(t, p.card, 30000, 30000), event.IDUnreadable, huge},
		{"CMYK", p.cmyk, event.NoFaceID, "no face on the ID"},
		{"progressive", p.progressive, event.NoFaceID, "no face on the ID"},
		{"EXIF orientation", p.turned, event.OK, ""},
		{"mislabelled", p.png, event.OK, ""},
		{"text", []byte("Dear Sir or Madam,\r\n"), event.IDUnreadable, format},
		{"base64", []byte(base64.StdEncoding.EncodeToString(p.card)), event.IDUnreadable, format + " but base64 text"},
		{"two people", p.two, event.IDAmbiguous, "two different faces on the ID"},
		{"costly JPEG", progressiveHeader(6300, 6300), event.IDUnreadable, "megapixels for a progressive JPEG"},
		{"large", p.large, event.NoFaceID, "no face on the ID"},
		{"costly PNG", pngHeader(6300, 6300, 16), event.IDUnreadable, "megapixels for a PNG of 16 bits"},
	} {
		a := s.post(c, form(t, "id.jpg", tt.picture))
		if a.status != http.StatusOK || a.event.Attempt == nil || a.event.Reason != tt.reason {
			t.Errorf("%s: status %d, %+v, %+v", tt.name, a.status, a.problem, a.event.Attempt)
			continue
		}
		if tt.log != "" {
			d.says(t, `msg="id photo refused" attempt=`+a.event.AttemptID+` reason=`+string(tt.reason)+` err="?[^"]*`+tt.log)
		} else {
			granted++
		}
		t.Logf("%s: memory so far %d MiB", tt.name, d.peak(t))
	}
	good()
	granted++
	const most = 250
	if got := d.peak(t); got > most {
		t.Errorf("the daemon had %d MiB of memory, at most %d are wanted", got, most)
	}
	s.opened(d, granted)
}

// opened ends the daemon, once the door is shut again, and checks how often it
// was opened.
func (s *site) opened(d *daemon, want int) []event.Event {
	s.t.Helper()
	for over := time.Now().Add(5 * time.Second); time.Now().Before(over); time.Sleep(10 * time.Millisecond) {
		if p := phases(s.timeline()); len(p) >= want && (len(p) == 0 || !p[len(p)-1].down.IsZero()) {
			break
		}
	}
	all := s.attempts(d)
	got := 0
	for _, e := range all {
		if e.Access == event.Granted {
			got++
		}
	}
	if moved := len(phases(s.timeline())); got != want || moved != want {
		s.t.Errorf("the door was granted %d times and moved %d times, want %d", got, moved, want)
	}
	return all
}

// TestBusy sends pictures and scans while an attempt runs: none of them waits.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := newSite(t, openByHTTP()...)
	p := s.pictures()
	s.look("nobody")
	d := s.start()
	c := s.client()
	s.forget()
	s.drop()
	if !s.rise("lamp-busy", patient) {
		t.Fatal("no attempt began")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://facegate/v1/attempts", strings.NewReader(object("id_photo", base64.StdEncoding.EncodeToString(p.card)).text))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	if a := send(t, c, r); a.status != http.StatusConflict || a.problem.Code != "busy" || a.header.Get("Retry-After") != "1" {
		t.Errorf("a second picture: status %d, %+v, Retry-After %q", a.status, a.problem, a.header.Get("Retry-After"))
	}
	s.drop()
	d.says(t, `level=WARN msg="inbox file not used" cause=busy`)
	s.look("same")
	d.says(t, `msg="attempt ended".* reason=ok access=granted source=inbox`)
	if a := s.post(c, form(t, "id.jpg", p.card)); a.event.Attempt == nil || a.event.Reason != event.OK {
		t.Errorf("the next picture: status %d, %+v, %+v", a.status, a.problem, a.event.Attempt)
	}
	expect(t, s.opened(d, 2), "inbox ok granted", "http ok granted")
}

// TestScans puts files of every kind into the inbox.
func TestScans(t *testing.T) {
	t.Parallel()
	s := newSite(t, unhurried()...)
	p := s.pictures()
	d := s.start()
	f := s.follow()
	want := []string{}
	for _, tt := range []struct {
		name    string
		scan    []byte
		outcome string // of the attempt; empty: there is none
		log     string
	}{
		{"empty", nil, "", `level=WARN msg="inbox file not used" cause=empty`},
		{"too large", make([]byte, 15<<20+1), "", `level=WARN msg="inbox file not used" cause=too_large`},
		{"cut off", p.card[:len(p.card)/2], "id_unreadable not_attempted", "JPEG picture is cut off"},
		{"text", []byte("Dear Sir or Madam,\r\n"), "id_unreadable not_attempted", "not a JPEG, PNG, BMP or TIFF picture"},
		{"huge", pngHeader(30000, 30000, 8), "id_unreadable not_attempted", "picture is 30000x30000 pixels, at most 40 megapixels"},
		{"two people", p.two, "id_ambiguous not_attempted", "two different faces on the ID"},
		{"mislabelled", p.png, "ok granted", `msg="attempt ended"`},
	} {
		must(t, os.WriteFile(s.path("scan"), tt.scan, 0o600))
		must(t, os.Rename(s.path("scan"), s.path("inbox/scan.jpg")))
		d.says(t, tt.log)
		if tt.outcome != "" {
			f.until("kind", "attempt")
			want = append(want, "inbox "+tt.outcome)
		}
		if left, err := os.ReadDir(s.path("inbox")); err != nil || len(left) > 0 {
			t.Errorf("%s: the inbox still has %v, %v", tt.name, left, err)
		}
	}
	expect(t, s.opened(d, 1), want...)
}

// onLoopback is a site that is asked by TCP, with a token, and where.
func onLoopback(t *testing.T, token string) (s *site, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address = l.Addr().String()
	must(t, l.Close())
	s = newSite(t, append(openByHTTP(), `"unix:`, `"`+address+`", token_file: DIR/token} #`)...)
	must(t, os.WriteFile(s.path("token"), []byte(token+"\n"), 0o600))
	return s, address
}

// TestLoopback asks in ways that only programs of this machine with the token
// may.
func TestLoopback(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef"
	s, address := onLoopback(t, token)
	p := s.pictures()
	d := s.start()
	c := &http.Client{Timeout: patient}
	t.Cleanup(c.CloseIdleConnections)
	good := object("id_photo", base64.StdEncoding.EncodeToString(p.card))
	for _, tt := range []struct {
		name, host, origin, token string
		status                    int
		code, message             string
	}{
		{"another name", "kiosk.example", "", token, 403, "forbidden", "host \"kiosk.example\" is not this machine"},
		{"another origin", address, "https://kiosk.example", token, 403, "forbidden", "a web page of another origin"},
		{"no origin", address, "null", token, 403, "forbidden", "a web page of another origin"},
		{"no token", address, "", "", 401, "unauthorised", "Authorization: Bearer"},
		{"wrong token", address, "", token + "0", 401, "unauthorised", "Authorization: Bearer"},
		{"good", address, "", token, 200, "", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/attempts?wait=1", strings.NewReader(good.text))
		must(t, err)
		r.Host = tt.host
		r.Header.Set("Content-Type", good.kind)
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		if a := send(t, c, r); a.status != tt.status || a.problem.Code != tt.code || !strings.Contains(a.problem.Message, tt.message) {
			t.Errorf("%s: status %d, %+v, %+v", tt.name, a.status, a.problem, a.event.Attempt)
		}
	}
	expect(t, s.opened(d, 1), "http ok granted")
}
