package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/facegate/facegate/daemon/internal/api"
)

func TestBadBodies(t *testing.T) {
	b := loopback(t, nil)
	multi := func(pairs ...string) [2]string {
		body, media := form(t, pairs...)
		return [2]string{media, body}
	}
	object := func(body string) [2]string { return [2]string{"application/json", body} }
	whole := multi("id_photo", picture)
	cut := [2]string{whole[0], whole[1][:len(whole[1])-60]}
	long := strings.Repeat("x", 129)
	const (
		bad   = http.StatusBadRequest
		media = http.StatusUnsupportedMediaType
	)
	tests := []struct {
		name   string
		body   [2]string
		status int
		code   string
		field  string
	}{
		{"nothing", object(``), bad, "bad_request", ""},
		{"not an object", object(`[]`), bad, "bad_request", ""},
		{"cut short", object(`{"id_photo":"AAAA"`), bad, "bad_request", ""},
		{"raw line break", object("{\"id_photo\":\"AAAA\nAAAA\"}"), bad, "bad_request", ""},
		{"second value", object(`{"id_photo":"AAAA"}{}`), bad, "bad_request", ""},
		{"unknown field", object(`{"id_photo":"AAAA","door":"open"}`), bad, "bad_request", "door"},
		{"other capitals", object(`{"ID_PHOTO":"AAAA"}`), bad, "bad_request", "ID_PHOTO"},
		{"twice", object(`{"id_photo":"AAAA","id_photo":"BBBB"}`), bad, "bad_request", "id_photo"},
		{"number", object(`{"id_photo":7}`), bad, "bad_request", "id_photo"},
		{"null", object(`{"id_photo":null}`), bad, "bad_request", "id_photo"},
		{"nested", object(`{"id_photo":{"a":[]}}`), bad, "bad_request", "id_photo"},
		{"no picture", object(`{}`), bad, "bad_request", "id_photo"},
		{"empty picture", object(`{"id_photo":""}`), bad, "bad_request", "id_photo"},
		{"no base64", object(`{"id_photo":"????"}`), bad, "bad_request", "id_photo"},
		{"both alphabets", object(`{"id_photo":"+-AA"}`), bad, "bad_request", "id_photo"},
		{"data URL", object(`{"id_photo":"data:image/jpeg;base64,AAAA"}`), bad, "bad_request", "id_photo"},
		{"picture and upload", object(`{"id_photo":"AAAA","upload":"x"}`), bad, "bad_request", "upload"},
		{"empty upload", object(`{"upload":""}`), bad, "bad_request", "upload"},
		{"unknown upload", object(`{"upload":"x"}`), http.StatusNotFound, "not_found", "upload"},
		{"reference with a space", object(`{"id_photo":"AAAA","subject_ref":"a b"}`), bad, "bad_request", "subject_ref"},
		{"reference with a control character", object(`{"id_photo":"AAAA","subject_ref":"a\u0007"}`), bad, "bad_request", "subject_ref"},
		{"consent to something else", object(`{"id_photo":"AAAA","consent_cloud":"yes"}`), bad, "bad_request", "consent_cloud"},
		{"form with consent to something else", multi("id_photo", "AAAA", "consent_cloud", "true"), bad, "bad_request", "consent_cloud"},
		{"long reference", object(`{"id_photo":"AAAA","subject_ref":"` + long + `"}`), bad, "bad_request", "subject_ref"},
		{"form cut short", cut, bad, "bad_request", ""},
		{"form without parts", multi(), bad, "bad_request", "id_photo"},
		{"form with unknown field", multi("id_photo", picture, "may_open", "true"), bad, "bad_request", "may_open"},
		{"form with field twice", multi("id_photo", picture, "id_photo", picture), bad, "bad_request", "id_photo"},
		{"form with empty picture", multi("id_photo", ""), bad, "bad_request", "id_photo"},
		{"form with long reference", multi("subject_ref", long), bad, "bad_request", "subject_ref"},
		{"form without boundary", [2]string{"multipart/form-data", "x"}, media, "unsupported_media_type", ""},
		{"bare picture", [2]string{"image/jpeg", picture}, media, "unsupported_media_type", ""},
		{"no media type", [2]string{"", picture}, media, "unsupported_media_type", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(t, http.MethodPost, "/v1/attempts", tt.body[0], tt.body[1])
			code, field := got.problem(t)
			if got.status != tt.status || code != tt.code || field != tt.field {
				t.Errorf("got %d %s %q, want %d %s %q: %s", got.status, code, field, tt.status, tt.code, tt.field, got.body)
			}
		})
	}
	if len(b.line.requests) > 0 {
		t.Error("a bad body started an attempt")
	}
}

// A refusal repeated a part's header, whatever its size.
func TestRefusalsAreShort(t *testing.T) {
	b := loopback(t, nil)
	for name, header := range map[string]string{"no colon": strings.Repeat("\xff", 1<<20), "no name": ": " + strings.Repeat("\xff", 1<<20)} {
		got := b.do(t, http.MethodPost, "/v1/attempts", "multipart/form-data; boundary=b", "--b\r\n"+header+"\r\n\r\nx\r\n--b--")
		if got.status != http.StatusBadRequest || len(got.body) > 1000 {
			t.Errorf("%s: status %d, %d bytes", name, got.status, len(got.body))
		}
	}
}

func TestPackedBodiesAndOddParametersAreRefused(t *testing.T) {
	b := loopback(t, nil)
	got := b.do(t, http.MethodPost, "/v1/attempts", "application/json", `{"id_photo":"AAAA"}`, "Content-Encoding", "gzip")
	if code, _ := got.problem(t); code != "unsupported_media_type" {
		t.Errorf("gzip: %s", got.body)
	}
	for _, query := range []string{"wait=yes", "wait=1&wait=1", "may_open=1"} {
		got := b.json(t, "/v1/attempts?"+query, `{"id_photo":"AAAA"}`)
		if code, field := got.problem(t); code != "bad_request" || field != "wait" {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	if len(b.line.requests) > 0 {
		t.Error("an attempt was started")
	}
}

func TestLargestPicture(t *testing.T) {
	b := loopback(t, nil)
	// Fifteen mebibytes are a multiple of three, so base64 needs no padding.
	most := strings.Repeat("x", api.MaxPicture)
	base64Most := strings.Repeat("eHh4", api.MaxPicture/3)
	fits, fitsMedia := form(t, "id_photo", most)
	over, overMedia := form(t, "id_photo", most+"x")
	far, farMedia := form(t, "id_photo", most+most)
	tests := []struct {
		name, media, body string
		status            int
	}{
		{"form that fits", fitsMedia, fits, http.StatusAccepted},
		{"form one byte over", overMedia, over, http.StatusRequestEntityTooLarge},
		{"form far over", farMedia, far, http.StatusRequestEntityTooLarge},
		{"base64 that fits", "application/json", `{"id_photo":"` + base64Most + `"}`, http.StatusAccepted},
		{"base64 over", "application/json", `{"id_photo":"` + base64Most + `eHh4"}`, http.StatusRequestEntityTooLarge},
		{"base64 far over", "application/json", `{"id_photo":"` + base64Most + base64Most + `"}`, http.StatusRequestEntityTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(t, http.MethodPost, "/v1/attempts", tt.media, tt.body)
			if got.status != tt.status {
				t.Fatalf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status != http.StatusAccepted {
				if code, field := got.problem(t); code != "too_large" || field != "id_photo" {
					t.Errorf("code %s, field %s", code, field)
				}
				return
			}
			if r := <-b.line.requests; string(r.Picture) != most {
				t.Errorf("the line got %d other bytes", len(r.Picture))
			}
		})
	}
}

// A body whose length is not told beforehand ends where the limit is.
func TestEndlessBodiesAreCutOff(t *testing.T) {
	b := loopback(t, nil)
	for media, head := range map[string]string{
		"application/json":                `{"id_photo":"`,
		"multipart/form-data; boundary=b": "--b\r\nContent-Disposition: form-data; name=\"id_photo\"\r\n\r\n",
		"multipart/form-data; boundary=c": "--c\r\nX: ", // a header without an end
	} {
		body := io.MultiReader(strings.NewReader(head), strings.NewReader(strings.Repeat("A", 40<<20)))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v1/attempts", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", media)
		resp, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge && resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", media, resp.StatusCode)
		}
	}
	if len(b.line.requests) > 0 {
		t.Error("an attempt was started")
	}
}
