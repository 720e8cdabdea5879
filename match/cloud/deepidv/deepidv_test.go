package deepidv_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const key = "sk_test_k3y"

// good is the answer in the guide.
const good = `{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`

// at returns a client of the service at an address.
func at(t *testing.T, address string) *deepidv.Client {
	t.Helper()
	return &deepidv.Client{HTTP: wiretest.Client(t, wire.Network{}), Key: wire.Secret(wiretest.File(t, key+"\n")), BaseURL: address}
}

// ask returns a client of a server with the handler, ready to ask.
func ask(t *testing.T, handler http.HandlerFunc) *deepidv.Client {
	t.Helper()
	return at(t, wiretest.Serve(t, handler).URL)
}

func failed(t *testing.T, err error) *cloud.Failure {
	t.Helper()
	return wiretest.Failed(t, err, "deepidv", key)
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
func files(t *testing.T, r wiretest.Request) (names []string, contents [][]byte) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("Content-Type: %q", r.Header.Get("Content-Type"))
	}
	for form := multipart.NewReader(bytes.NewReader(r.Data), params["boundary"]); ; {
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

// compared asks a service that gives the good answer and returns what it was
// sent, in the order source, target.
func compared(t *testing.T, send deepidv.Send, idFirst bool) (sent wiretest.Request, source, target []byte) {
	t.Helper()
	s := wiretest.Serve(t, wiretest.Say(200, good))
	c := at(t, s.URL)
	c.Send, c.IDAsSource = send, idFirst
	got, err := wiretest.Ask(t, c)
	sent = s.Requests()[0]
	if want := (cloud.Answer{Score: 96.4, Sent: int64(len(sent.Data)), Status: 200}); err != nil || got != want {
		t.Errorf("Compare() = %+v, %v, want %+v", got, err, want)
	}
	checkCompare(t, sent.Request)
	q := wiretest.Question()
	if idFirst {
		return sent, q.ID, q.Live
	}
	return sent, q.Live, q.ID
}

func TestMultipart(t *testing.T) {
	for _, idFirst := range []bool{false, true} {
		sent, source, target := compared(t, deepidv.Multipart, idFirst)
		names, contents := files(t, sent)
		if len(names) != 2 || names[0] != "source" || names[1] != "target" || !bytes.Equal(contents[0], source) || !bytes.Equal(contents[1], target) {
			t.Errorf("ID first %t: parts %q hold %q", idFirst, names, contents)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, idFirst := range []bool{false, true} {
		sent, source, target := compared(t, deepidv.JSON, idFirst)
		if got := sent.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type: %q", got)
		}
		b := base64.StdEncoding
		want := `{"source":"` + b.EncodeToString(source) + `","target":"` + b.EncodeToString(target) + `"}`
		if string(sent.Data) != want {
			t.Errorf("ID first %t: sent %s, want %s", idFirst, sent.Data, want)
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
				client := ask(t, wiretest.Say(200, c.body))
				client.IDAsSource = idFirst
				want := c.missing
				if idFirst {
					want = c.turns
				}
				got, err := wiretest.Ask(t, client)
				wiretest.CheckAnswer(t, got, err, cloud.Answer{Score: c.score, Missing: want, Status: 200})
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
		"huge":                   good + strings.Repeat(" ", 2<<20),
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
			got, err := wiretest.Ask(t, ask(t, wiretest.Say(200, body)))
			wiretest.CheckNoScore(t, got, failed(t, err))
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
			got, err := wiretest.Ask(t, ask(t, wiretest.SayWait(c.status, c.body, c.wait)))
			wiretest.CheckRefusal(t, got, failed(t, err), cloud.Failure{Kind: c.kind, Status: c.status, RetryAfter: c.after, Err: errors.New(c.text)})
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
	s := wiretest.Serve(t, wiretest.Say(200, good))
	if _, err := wiretest.Ask(t, at(t, s.URL+"/gateway/")); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[0].URL.Path; got != "/gateway/v1/face/compare" {
		t.Errorf("asked %s", got)
	}
}

func TestUnreadableKey(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a key") })
	c.Key = wire.Secret(filepath.Join(t.TempDir(), "none"))
	got, err := wiretest.Ask(t, c)
	if f := failed(t, err); f.Kind != cloud.Unauthorised || f.Status != 0 || !errors.Is(f, os.ErrNotExist) || got != (cloud.Answer{}) {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}

func TestPictureOfTheLimit(t *testing.T) {
	q := wiretest.Question()
	q.Live = bytes.Repeat([]byte{1}, deepidv.MaxBytes)
	s := wiretest.Serve(t, wiretest.Say(200, good))
	if _, err := at(t, s.URL).Compare(t.Context(), q); err != nil {
		t.Error(err)
	}
	if _, contents := files(t, s.Requests()[0]); len(contents) != 2 || !bytes.Equal(contents[0], q.Live) {
		t.Error("a picture of 15 MiB did not arrive as it was")
	}
}

func TestOversizePictureIsNotSent(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked about a picture of more than 15 MiB") })
	q := wiretest.Question()
	q.ID = bytes.Repeat([]byte{1}, deepidv.MaxBytes+1)
	got, err := c.Compare(t.Context(), q)
	if f := failed(t, err); f.Kind != cloud.Rejected || got.Sent != 0 {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}
