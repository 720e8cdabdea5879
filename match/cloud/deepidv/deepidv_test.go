package deepidv_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/wire"
)

const key = "sk_test_k3y"

// good is the answer in the guide.
const good = `{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`

func question() cloud.Question {
	return cloud.Question{Live: []byte("\xff\xd8live\x00\r\n--"), ID: []byte("\xff\xd8the ID\xff\xd9")}
}

// ask returns a client of a server with the handler, ready to ask.
func ask(t *testing.T, handler http.HandlerFunc) *deepidv.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &deepidv.Client{HTTP: client(t), Key: secret(t), BaseURL: server.URL}
}

func client(t *testing.T) *http.Client {
	t.Helper()
	c, err := wire.Network{}.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func secret(t *testing.T) wire.Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return wire.Secret(path)
}

// say returns a handler that reads the request and answers with a literal.
func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// failed returns the failure, which must name the service and show neither the
// key nor too much.
func failed(t *testing.T, err error) *cloud.Failure {
	t.Helper()
	f, ok := errors.AsType[*cloud.Failure](err)
	if !ok {
		t.Fatalf("error %v is no *cloud.Failure", err)
	}
	if f.Provider != "deepidv" || strings.Contains(f.Error(), key) || len(f.Err.Error()) > 300 {
		t.Errorf("failure = %q", f)
	}
	return f
}

func body(t *testing.T, r *http.Request) []byte {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if int64(len(data)) != r.ContentLength {
		t.Errorf("%d bytes with a Content-Length of %d", len(data), r.ContentLength)
	}
	return data
}

// checkCompare holds a comparison to what all ways of sending have in common.
func checkCompare(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Method != http.MethodPost || r.URL.String() != "/v1/face/compare" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	if got := r.Header.Values("x-api-key"); len(got) != 1 || got[0] != key {
		t.Errorf("x-api-key: %q", got)
	}
	if got := r.Header.Get("Accept"); got != "application/json" {
		t.Errorf("Accept: %q", got)
	}
}

// files reads a form of two files; the fields in the order sent.
func files(t *testing.T, r *http.Request, data []byte) (names []string, contents [][]byte) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("Content-Type: %q", r.Header.Get("Content-Type"))
	}
	for form := multipart.NewReader(bytes.NewReader(data), params["boundary"]); ; {
		part, err := form.NextPart()
		if err == io.EOF {
			return names, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != "image/jpeg" || part.FileName() != part.FormName()+".jpg" {
			t.Errorf("part %s has Content-Type %q and file name %q", part.FormName(), got, part.FileName())
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		names, contents = append(names, part.FormName()), append(contents, content)
	}
}

func TestMultipart(t *testing.T) {
	q := question()
	for _, idFirst := range []bool{false, true} {
		var sent int
		c := ask(t, func(w http.ResponseWriter, r *http.Request) {
			data := body(t, r)
			sent = len(data)
			checkCompare(t, r)
			names, contents := files(t, r, data)
			want := [][]byte{q.Live, q.ID}
			if idFirst {
				want = [][]byte{q.ID, q.Live}
			}
			if len(names) != 2 || names[0] != "source" || names[1] != "target" || !bytes.Equal(contents[0], want[0]) || !bytes.Equal(contents[1], want[1]) {
				t.Errorf("ID first %t: parts %q hold %q", idFirst, names, contents)
			}
			_, _ = io.WriteString(w, good)
		})
		c.IDAsSource = idFirst
		got, err := c.Compare(t.Context(), q)
		if want := (cloud.Answer{Score: 96.4, Sent: int64(sent), Status: 200}); err != nil || got != want {
			t.Errorf("Compare() = %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestJSON(t *testing.T) {
	q := question()
	for _, idFirst := range []bool{false, true} {
		var sent int
		c := ask(t, func(w http.ResponseWriter, r *http.Request) {
			data := body(t, r)
			sent = len(data)
			checkCompare(t, r)
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: %q", got)
			}
			source, target := q.Live, q.ID
			if idFirst {
				source, target = q.ID, q.Live
			}
			b := base64.StdEncoding
			want := `{"source":"` + b.EncodeToString(source) + `","target":"` + b.EncodeToString(target) + `"}`
			if string(data) != want {
				t.Errorf("ID first %t: sent %s, want %s", idFirst, data, want)
			}
			_, _ = io.WriteString(w, good)
		})
		c.Send, c.IDAsSource = deepidv.JSON, idFirst
		got, err := c.Compare(t.Context(), q)
		if want := (cloud.Answer{Score: 96.4, Sent: int64(sent), Status: 200}); err != nil || got != want {
			t.Errorf("Compare() = %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	const yes, no = true, false
	for name, c := range map[string]struct {
		body           string
		score          float64
		missing, turns cloud.Side // with the selfie and with the ID as source
	}{
		"match":               {good, 96.4, cloud.Neither, cloud.Neither},
		"too low":             {`{"isMatch":false,"confidence":12.25,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`, 12.25, cloud.Neither, cloud.Neither},
		"at the threshold":    {`{"isMatch":true,"confidence":80,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`, 80, cloud.Neither, cloud.Neither},
		"just below":          {`{"isMatch":false,"confidence":79.99999999999999,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`, 79.99999999999999, cloud.Neither, cloud.Neither},
		"another threshold":   {`{"isMatch":true,"confidence":70.5,"threshold":70.5,"sourceFaceDetected":true,"targetFaceDetected":true}`, 70.5, cloud.Neither, cloud.Neither},
		"all alike":           {`{"isMatch":true,"confidence":100,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`, 100, cloud.Neither, cloud.Neither},
		"nothing alike":       {`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`, 0, cloud.Neither, cloud.Neither},
		"more fields":         {`{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true,"requestId":"x","cost":null}`, 96.4, cloud.Neither, cloud.Neither},
		"no source":           {`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":false,"targetFaceDetected":true}`, 0, cloud.Live, cloud.ID},
		"no target":           {`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":false}`, 0, cloud.ID, cloud.Live},
		"neither":             {`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":false,"targetFaceDetected":false}`, 0, cloud.Both, cloud.Both},
		"all false, OpenAPI":  {`{"isMatch":false,"confidence":0,"threshold":0,"sourceFaceDetected":false,"targetFaceDetected":false}`, 0, cloud.Unknown, cloud.Unknown},
		"no source, no limit": {`{"isMatch":false,"confidence":0,"threshold":0,"sourceFaceDetected":false,"targetFaceDetected":true}`, 0, cloud.Live, cloud.ID},
	} {
		t.Run(name, func(t *testing.T) {
			for _, idFirst := range []bool{no, yes} {
				client := ask(t, say(200, c.body))
				client.IDAsSource = idFirst
				want := c.missing
				if idFirst {
					want = c.turns
				}
				got, err := client.Compare(t.Context(), question())
				if err != nil || got.Score != c.score || got.Missing != want || got.Status != 200 {
					t.Errorf("ID first %t: Compare() = %+v, %v, want score %v, missing %q", idFirst, got, err, c.score, want)
				}
			}
		})
	}
}

func TestNotAnAnswer(t *testing.T) {
	for name, body := range map[string]string{
		"empty":                  ``,
		"null":                   `null`,
		"list":                   `[]`,
		"no fields":              `{}`,
		"HTML":                   `<!DOCTYPE html><html><body>Welcome</body></html>`,
		"truncated":              good[:60],
		"two answers":            good + good,
		"error with 200":         `{"error":"Too busy"}`,
		"no verdict":             `{"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"no confidence":          `{"isMatch":true,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"null confidence":        `{"isMatch":true,"confidence":null,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"no threshold":           `{"isMatch":true,"confidence":96.4,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"no source flag":         `{"isMatch":true,"confidence":96.4,"threshold":80,"targetFaceDetected":true}`,
		"null target flag":       `{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":null}`,
		"confidence as text":     `{"isMatch":true,"confidence":"96.4","threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"confidence not a size":  `{"isMatch":true,"confidence":NaN,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"confidence infinite":    `{"isMatch":true,"confidence":1e999,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"confidence too high":    `{"isMatch":true,"confidence":100.01,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"confidence negative":    `{"isMatch":false,"confidence":-1,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"threshold too high":     `{"isMatch":false,"confidence":96.4,"threshold":800,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"flag as number":         `{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":1,"targetFaceDetected":true}`,
		"match without source":   `{"isMatch":true,"confidence":0,"threshold":80,"sourceFaceDetected":false,"targetFaceDetected":true}`,
		"match without target":   `{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":false}`,
		"likeness to no face":    `{"isMatch":false,"confidence":96.4,"threshold":99,"sourceFaceDetected":false,"targetFaceDetected":false}`,
		"match below threshold":  `{"isMatch":true,"confidence":79.9,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"no match above":         `{"isMatch":false,"confidence":80,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		"no match, no threshold": `{"isMatch":false,"confidence":0,"threshold":0,"sourceFaceDetected":true,"targetFaceDetected":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, say(200, body)).Compare(t.Context(), question())
			if f := failed(t, err); f.Kind != cloud.Server || f.Status != 200 {
				t.Errorf("failure = %v, want of kind server", f)
			}
			if got.Score != 0 || got.Sent == 0 || got.Status != 200 {
				t.Errorf("answer = %+v", got)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		wait   string // Retry-After
		kind   cloud.Kind
		text   string
		after  time.Duration
	}{
		"general":            {400, `{"error":"Image is larger than 15 MB"}`, "", cloud.Rejected, "Image is larger than 15 MB", 0},
		"validation":         {400, `{"message":"Validation failed","hints":[{"path":["source"],"message":"Required"}]}`, "", cloud.Rejected, "Validation failed", 0},
		"gateway, no key":    {401, `{"detail":"Invalid or missing API key"}`, "", cloud.Unauthorised, "Invalid or missing API key", 0},
		"key missing":        {403, `{"error":"Missing API key"}`, "", cloud.Unauthorised, "Missing API key", 0},
		"no money":           {402, "Insufficient funds or subscription.\n", "", cloud.Quota, "Insufficient funds or subscription.", 0},
		"no such upload":     {404, `{"error":"Resource not found"}`, "", cloud.Server, "Resource not found", 0},
		"throttled":          {429, `{"message":"Too Many Requests"}`, "", cloud.Throttled, "Too Many Requests", 0},
		"throttled, wait":    {429, `{"message":"Too Many Requests"}`, "9", cloud.Throttled, "Too Many Requests", 9 * time.Second},
		"throttled for long": {429, ``, "999999", cloud.Throttled, "no reason given", time.Hour},
		"internal":           {500, `{"error":"Unexpected error"}`, "", cloud.Server, "Unexpected error", 0},
		"gateway page":       {502, `<html><head><title>502 Bad Gateway</title></head></html>`, "", cloud.Server, "no reason given", 0},
		"unavailable":        {503, ``, "30", cloud.Server, "no reason given", 30 * time.Second},
		"late":               {504, `{"message":"Endpoint request timed out"}`, "", cloud.Server, "Endpoint request timed out", 0},
		"redirect":           {307, ``, "", cloud.Server, "no reason given", 0},
		"created":            {201, good, "", cloud.Server, "no reason given", 0},
		"key sent back":      {401, `{"message":"key ` + key + ` is revoked"}`, "", cloud.Unauthorised, "key … is revoked", 0},
		"picture sent back":  {400, `{"error":"not a picture: ` + strings.Repeat("/9j/4AAQ", 500) + `"}`, "", cloud.Rejected, "not a picture: …", 0},
		"odd types":          {400, `{"message":{"a":1},"error":7,"detail":"the reason"}`, "", cloud.Rejected, "the reason", 0},
		"binary":             {400, "\xff\xd8\xff\xe0\x00\x10JFIF", "", cloud.Rejected, "no reason given", 0},
		"null":               {400, `null`, "", cloud.Rejected, "no reason given", 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if c.wait != "" {
					w.Header().Set("Retry-After", c.wait)
				}
				say(c.status, c.body)(w, r)
			})
			got, err := client.Compare(t.Context(), question())
			f := failed(t, err)
			if f.Kind != c.kind || f.Status != c.status || f.RetryAfter != c.after || f.Err.Error() != c.text {
				t.Errorf("failure = %v, wait %v, want %s: %s, wait %v", f, f.RetryAfter, c.kind, c.text, c.after)
			}
			if got.Status != c.status || got.Sent == 0 {
				t.Errorf("answer = %+v", got)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	if err := (&deepidv.Client{Key: "/run/key"}).Check(); err != nil {
		t.Errorf("least settings: %v", err)
	}
	for _, send := range []deepidv.Send{deepidv.Multipart, deepidv.JSON, deepidv.Presigned} {
		if err := (&deepidv.Client{Key: "/run/key", Send: send, BaseURL: "https://eu.example/x"}).Check(); err != nil {
			t.Errorf("%s: %v", send, err)
		}
	}
	err := (&deepidv.Client{BaseURL: "http://api.deepidv.com", Send: "pigeon"}).Check()
	if err == nil {
		t.Fatal("three wrong settings were taken")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{"key_file: ", "base_url: ", "send: "} {
		if len(lines) != 3 || !strings.HasPrefix(lines[i], want) || !strings.HasSuffix(lines[i], ")") {
			t.Errorf("problems:\n%v\nwant one of %s, with a remedy", err, want)
		}
	}
}

func TestBasePathIsKept(t *testing.T) {
	asked := make(chan string, 1)
	c := ask(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = io.WriteString(w, good)
	})
	c.BaseURL += "/gateway/"
	if _, err := c.Compare(t.Context(), question()); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "/gateway/v1/face/compare" {
		t.Errorf("asked %s", got)
	}
}

func TestUnreadableKey(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a key") })
	c.Key = wire.Secret(filepath.Join(t.TempDir(), "none"))
	got, err := c.Compare(t.Context(), question())
	if f := failed(t, err); f.Kind != cloud.Unauthorised || f.Status != 0 || !errors.Is(f, os.ErrNotExist) || got != (cloud.Answer{}) {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}

func TestPictureOfTheLimit(t *testing.T) {
	q := question()
	q.Live = bytes.Repeat([]byte{1}, deepidv.MaxBytes)
	c := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if _, contents := files(t, r, body(t, r)); len(contents) != 2 || !bytes.Equal(contents[0], q.Live) {
			t.Error("a picture of 15 MiB did not arrive as it was")
		}
		_, _ = io.WriteString(w, good)
	})
	if _, err := c.Compare(t.Context(), q); err != nil {
		t.Error(err)
	}
}

func TestOversizePictureIsNotSent(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked about a picture of more than 15 MiB") })
	q := question()
	q.ID = bytes.Repeat([]byte{1}, deepidv.MaxBytes+1)
	got, err := c.Compare(t.Context(), q)
	if f := failed(t, err); f.Kind != cloud.Rejected || got.Sent != 0 {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}
