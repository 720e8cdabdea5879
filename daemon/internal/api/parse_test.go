package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var allFields = []string{photoField, uploadField, refField, agreeField}

// hold fails t if a parser let something through that it must not.
func hold(t *testing.T, sub submission, p *problem) {
	t.Helper()
	if p != nil {
		if _, known := codes()[p.Code]; !known || p.Message == "" || len(p.Message) > 400 {
			t.Errorf("problem %+v", p)
		}
		if sub.picture != nil || sub.upload != "" || sub.subjectRef != "" {
			t.Error("a problem along with a submission")
		}
		return
	}
	if (len(sub.picture) == 0) == (sub.upload == "") {
		t.Errorf("picture of %d bytes and upload %q", len(sub.picture), sub.upload)
	}
	if sub.consent.Whole && !sub.consent.Faces {
		t.Errorf("consent %+v", sub.consent)
	}
	if len(sub.subjectRef) > maxRef || strings.ContainsAny(sub.subjectRef, " \n\x00") {
		t.Errorf("subject_ref %q", sub.subjectRef)
	}
}

func FuzzJSONBody(f *testing.F) {
	for _, seed := range []string{
		`{"id_photo":"AAAA","subject_ref":"card-7"}`, `{"id_photo":"_-\r\n8"}`, `{"id_photo":"\u002b\/\u002B=\n="}`, `{"upload":"\ud83d\ude00\ud83d\u0041\ud83d"}`, "{\"subject_ref\" : \"a\" ,\n\"id_photo\":\"AA\"}", `{"upload":"ABC","consent_cloud":"whole"}`,
		`{"id_photo":"AAAA","id_photo":""}`, `{"id_photo":"AAAA""upload":""}`, `{,}`, `{"id_photo":["AAAA"]}`, `{"ID_PHOTO":"AAAA"}{`, `{"id_photo":"AA==",}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sub, p := parseJSON(bytes.NewReader(body), int64(len(body)), allFields)
		hold(t, sub, p)
		if p != nil {
			return
		}
		var want struct {
			Photo  string `json:"id_photo"`
			Upload string `json:"upload"`
			Ref    string `json:"subject_ref"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("the standard decoder refuses it: %v", err)
		}
		if sub.upload != want.Upload || sub.subjectRef != want.Ref {
			t.Errorf("upload %q, ref %q; the standard decoder reads %q, %q", sub.upload, sub.subjectRef, want.Upload, want.Ref)
		}
		plain := strings.NewReplacer("\n", "", "\r", "", "-", "+", "_", "/", "=", "").Replace(want.Photo)
		if picture, err := base64.RawStdEncoding.DecodeString(plain); err != nil || !bytes.Equal(sub.picture, picture) {
			t.Errorf("picture of %d bytes from %d characters; the standard decoder makes %d bytes: %v", len(sub.picture), len(plain), len(picture), err)
		}
	})
}

func FuzzMultipartBody(f *testing.F) {
	const part = "--b\r\nContent-Disposition: form-data; name=\"%\"\r\n\r\n"
	photo := strings.Replace(part, "%", "id_photo", 1)
	for _, seed := range []string{
		photo + "\xff\xd8\r\n--b--\r\n", photo + "x\r\n" + photo + "y\r\n--b--", photo, "--b--", "",
		strings.Replace(part, "%", "subject_ref", 1) + "card-7\r\n" + photo + "x\r\n--b--\r\n",
		"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sub, p := parseMultipart(multipart.NewReader(bytes.NewReader(body), "b"), allFields)
		hold(t, sub, p)
		if p == nil && !bytes.Contains(body, sub.picture) {
			t.Error("the picture is not what was sent")
		}
	})
}

// A form may be anything but endless: its parts are refused one by one.
func TestManyPartsAreRefusedAtTheFirstTooMany(t *testing.T) {
	body := strings.NewReader(strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"id_photo\"\r\n\r\nx\r\n", 100_000))
	_, p := parseMultipart(multipart.NewReader(body, "b"), allFields)
	if p == nil || p.Field != photoField {
		t.Fatalf("got %+v", p)
	}
	if read := int(body.Size()) - body.Len(); read > 64<<10 {
		t.Errorf("%d bytes were read before that", read)
	}
}

func TestDocsListEveryCode(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[code]int{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		status, err := strconv.Atoi(strings.TrimSpace(cells[2]))
		if name := strings.Trim(cells[1], " `"); err == nil && name != "" {
			documented[code(name)] = status
		}
	}
	if diff := cmp.Diff(documented, codes()); diff != "" {
		t.Errorf("docs/api.md (-) and the program (+) differ:\n%s", diff)
	}
}

// What reaches a listener on loopback gave this machine's own name and, if it
// comes from a web page, one that was served under the same.
func FuzzLoopback(f *testing.F) {
	f.Add("localhost:8080", "http://localhost:8080", "same-origin")
	f.Add("127.0.0.1", "", "")
	f.Add("[::1]:8080", "http://[::1]:8080", "none")
	f.Add("[::ffff:127.0.0.1]", "https://localhost", "cross-site")
	f.Add("evil.example:8080", "http://evil.example:8080", "")
	f.Add("localhost.evil.example", "", "")
	f.Add("localhost", "null", "")
	f.Add("localhost", "http://localhost@evil.example", "")
	f.Fuzz(func(t *testing.T, host, origin, site string) {
		r := &http.Request{Host: host, URL: &url.URL{Path: "/"}, Header: http.Header{}}
		for key, v := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
			if v != "" {
				r.Header.Set(key, v)
			}
		}
		if (&Listener{loopback: true}).refusal(r) != nil {
			return
		}
		if site != "" && site != "same-origin" && site != "none" {
			t.Errorf("a page from %q passes", site)
		}
		if origin != "" && !strings.EqualFold(origin, "http://"+host) {
			t.Errorf("a page of %q passes at %q", origin, host)
		}
		// A browser reads the name as a URL's; what is none brings nobody here.
		if u, err := url.Parse("http://" + host); err == nil {
			ip, err := netip.ParseAddr(u.Hostname())
			if !strings.EqualFold(u.Hostname(), "localhost") && (err != nil || !ip.Unmap().IsLoopback()) {
				t.Errorf("host %q passes, which is %q", host, u.Hostname())
			}
		}
	})
}
