package argos_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestRequest(t *testing.T) {
	for _, swap := range []bool{false, true} {
		s := wiretest.Serve(t, wiretest.Say(200, fmt.Sprintf(deployed, "91.5")))
		c := at(t, s.URL+"/")
		c.IDAsSource = swap
		answer, err := wiretest.Ask(t, c)
		if err != nil {
			t.Fatal(err)
		}
		r := s.Requests()[0]
		if want := (cloud.Answer{Score: 91.5, Sent: int64(len(r.Data)), Status: 200}); answer != want {
			t.Errorf("answer %+v, want %+v", answer, want)
		}
		if r.Method != "POST" || r.URL.Path != "/modules/compare" || r.Header.Get("X-Api-Key") != apiKey || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL.Path, r.Header)
		}
		live, id := base64.StdEncoding.EncodeToString(wiretest.Question().Live), base64.StdEncoding.EncodeToString(wiretest.Question().ID)
		want := map[string]any{"originFace": live, "targetFace": id}
		if swap {
			want = map[string]any{"originFace": id, "targetFace": live}
		}
		var got map[string]any
		if err := json.Unmarshal(r.Data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAnswers(t *testing.T) {
	const unavailable = `{"apiType":"compare_face","transactionId":"txn_1","result":{"face":{"isAvailable":%t},%q:{"isAvailable":%t%s}%s}}`
	for _, tt := range []struct {
		name, body string
		want       cloud.Answer
	}{
		{"deployed", fmt.Sprintf(deployed, "99.1"), cloud.Answer{Score: 99.1}},
		{"deployed, at the threshold", fmt.Sprintf(deployed, "95"), cloud.Answer{Score: 95}},
		{"deployed, just below", fmt.Sprintf(deployed, "94.99999999999999"), cloud.Answer{Score: 94.99999999999999}},
		{"deployed, least", fmt.Sprintf(deployed, "0"), cloud.Answer{Score: 0}},
		{"deployed, most", fmt.Sprintf(deployed, "100.0"), cloud.Answer{Score: 100}},
		{"deployed, small numbers are small", fmt.Sprintf(deployed, "0.97"), cloud.Answer{Score: 0.97}},
		{"posted shape", strings.Replace(fmt.Sprintf(deployed, "99.1"), "{", `{"statusCode":200,"engineVersion":"1",`, 1), cloud.Answer{Score: 99.1}},
		{"documented", fmt.Sprintf(documented, "0.854321098765432", true), cloud.Answer{Score: 85.4321098765432}},
		{"documented, at the threshold", fmt.Sprintf(documented, "0.95", true), cloud.Answer{Score: 95}},
		{"documented, exact where multiplying is not", fmt.Sprintf(documented, "0.57", false), cloud.Answer{Score: 57}},
		{"documented, with an exponent", fmt.Sprintf(documented, "9.9E-1", true), cloud.Answer{Score: 99}},
		{"documented, tiny", fmt.Sprintf(documented, "1e-400", false), cloud.Answer{Score: 0}},
		{"documented, most", fmt.Sprintf(documented, "1", true), cloud.Answer{Score: 100}},
		{"documented, without its verdict", strings.Replace(fmt.Sprintf(documented, "0.9", true), `,"threshold":0.8,"isMatch":true`, "", 1), cloud.Answer{Score: 90}},
		{"documented, threshold exact where multiplying is not", strings.Replace(fmt.Sprintf(documented, "0.07", true), "0.8", "0.07", 1), cloud.Answer{Score: 7}},
		{"documented, threshold of 1", strings.Replace(fmt.Sprintf(documented, "1", true), "0.8", "1", 1), cloud.Answer{Score: 100}},
		{"no origin face", fmt.Sprintf(unavailable, false, "faceMatch", true, `,"similarity":0`, ""), cloud.Answer{Missing: cloud.Live}},
		{"no target face", fmt.Sprintf(unavailable, true, "faceMatch", false, "", ""), cloud.Answer{Missing: cloud.ID}},
		{"no target face, null", fmt.Sprintf(unavailable, true, "faceMatch", false, `,"similarity":null`, ""), cloud.Answer{Missing: cloud.ID}},
		{"no face", fmt.Sprintf(unavailable, false, "faceMatch", false, "", ""), cloud.Answer{Missing: cloud.Both}},
		{"documented, no origin face", fmt.Sprintf(unavailable, false, "targetFace", true, "", ""), cloud.Answer{Missing: cloud.Live}},
		{"documented, no target face", fmt.Sprintf(unavailable, true, "targetFace", false, "", `,"similarity":{"score":0,"threshold":0.8,"isMatch":false}`), cloud.Answer{Missing: cloud.ID}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wiretest.Ask(t, client(t, wiretest.Say(200, tt.body)))
			tt.want.Status = 200
			wiretest.CheckAnswer(t, got, err, tt.want)
		})
	}
}

func TestMissingFaceFollowsTheRoles(t *testing.T) {
	c := client(t, wiretest.Say(200, `{"result":{"face":{"isAvailable":false},"faceMatch":{"isAvailable":true}}}`))
	c.IDAsSource = true
	answer, err := wiretest.Ask(t, c)
	if err != nil || answer.Missing != cloud.ID {
		t.Errorf("missing %v, %v; want id", answer.Missing, err)
	}
}

func TestErrors(t *testing.T) {
	coded := func(status, code int, text string) string {
		return fmt.Sprintf(`{"statusCode":%d,"apiType":"compare_face","transactionId":"txn_1","errorCode":%d,"message":%q}`, status, code, text)
	}
	for _, tt := range []struct {
		status int
		body   string
		want   cloud.Kind
		says   string
	}{
		{400, coded(400, 1000, "Two Images are Required"), cloud.Rejected, "Two Images are Required"},
		{400, `{"errorCode":1000,"message":"Two Images are Required"}`, cloud.Rejected, "1000"},
		{400, coded(400, 1001, "Workspace is unavailable"), cloud.Unauthorised, "dashboard"},
		{400, coded(400, 1010, "callbackUrl is required"), cloud.Rejected, "configure callback"},
		{400, coded(400, 1003, "Failed to process data"), cloud.Rejected, "1003"},
		{500, coded(500, 1003, "Failed to process data"), cloud.Server, "1003"},
		{200, coded(400, 1003, "Failed to process data"), cloud.Rejected, "1003"},
		{200, `{"errorCode":1003}`, cloud.Server, "1003"},
		{400, coded(400, 1099, strings.Repeat("word ", 1000)), cloud.Rejected, "1099"},
		{403, `{"message":"Forbidden"}`, cloud.Unauthorised, "Forbidden (is the key right"},
		{403, `{"message":"User is not authorized to access this resource with an explicit deny"}`, cloud.Unauthorised, "admit this site's address"},
		{401, ``, cloud.Unauthorised, ""},
		{413, `{"message":"Request Entity Too Large"}`, cloud.Rejected, "Too Large"},
		{429, `{"message":"Too Many Requests"}`, cloud.Throttled, ""},
		{400, `{"message":"Bad Request"}`, cloud.Rejected, "Bad Request"},
		{404, `<html>`, cloud.Server, ""},
		{302, ``, cloud.Server, ""},
		{500, `{"message":"Internal server error"}`, cloud.Server, ""},
		{502, `<html>Bad Gateway</html>`, cloud.Server, ""},
		{503, fmt.Sprintf(deployed, "99"), cloud.Server, ""},
	} {
		t.Run(fmt.Sprintf("%d %.60s", tt.status, tt.body), func(t *testing.T) {
			answer, err := wiretest.Ask(t, client(t, wiretest.SayWait(tt.status, tt.body, "7")))
			f := failureOf(t, err)
			if f.Kind != tt.want || f.RetryAfter != 7*time.Second || !strings.Contains(f.Error(), tt.says) {
				t.Errorf("failure %v after %v, want %s with %q", f, f.RetryAfter, tt.want, tt.says)
			}
			if answer.Status != tt.status || answer.Score != 0 || answer.Sent == 0 {
				t.Errorf("answer %+v", answer)
			}
		})
	}
	for _, status := range []int{400, 200} {
		answer, err := wiretest.Ask(t, client(t, wiretest.Say(status, coded(400, 1002, "Failed to compare face."))))
		if err != nil || answer.Missing != cloud.Unknown {
			t.Errorf("error 1002: %+v, %v; want an unknown side missing", answer, err)
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	picture := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("face"), 100))
	_, err := wiretest.Ask(t, client(t, wiretest.Say(200, `{"apiType":"`+apiKey+`"}`)))
	if f := failureOf(t, err); f.Kind != cloud.Server || strings.Contains(f.Error(), apiKey) {
		t.Errorf("failure %v, want server without the key", f)
	}
	for _, body := range []string{
		`{"message":"` + apiKey + ` is wrong \u0007 ` + picture + `"}`,
		`{"errorCode":1003,"message":"` + apiKey + ` is wrong \u0007 ` + picture + `"}`,
	} {
		_, err := wiretest.Ask(t, client(t, wiretest.Say(403, body)))
		text := failureOf(t, err).Error()
		for _, s := range []string{apiKey, "\a", picture[:50]} {
			if strings.Contains(text, s) {
				t.Errorf("error %q holds %q", text, s)
			}
		}
	}
}

func TestLine(t *testing.T) {
	wiretest.TestLine(t, func(t *testing.T, address string) cloud.Provider { return at(t, address) }, fmt.Sprintf(deployed, "99"), apiKey)
}

func TestUnreadableKey(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("was asked") })
	c.Key = "/nowhere/key"
	_, err := wiretest.Ask(t, c)
	if f := failureOf(t, err); f.Kind != cloud.Unauthorised || !strings.Contains(f.Error(), "/nowhere/key") {
		t.Errorf("failure %v, want unauthorised", f)
	}
}

func TestPicturesOverTheLimits(t *testing.T) {
	most, small := wiretest.Noise(t, 1650, 1650, 100), wiretest.Question().ID // each alone is admitted, two are not
	if len(most) >= 5_000_000 || len(most) < 4_000_000 {
		t.Fatalf("picture of %d bytes", len(most))
	}
	over := append(bytes.Clone(most), make([]byte, 5_000_000-len(most))...)
	for name, tt := range map[string]struct {
		live, id []byte
		same     bool
	}{
		"one is admitted":   {most, small, true},
		"both are too much": {most, most, false},
		"one is too much":   {over, small, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := wiretest.Serve(t, wiretest.Say(200, fmt.Sprintf(deployed, "99")))
			if _, err := at(t, s.URL).Compare(t.Context(), cloud.Question{Live: tt.live, ID: tt.id}); err != nil {
				t.Fatal(err)
			}
			sent := s.Requests()[0].Data
			var body struct{ OriginFace, TargetFace []byte }
			if err := json.Unmarshal(sent, &body); err != nil {
				t.Fatal(err)
			}
			if len(sent) > 10_000_000 || len(body.OriginFace) >= 5_000_000 || bytes.Equal(body.OriginFace, tt.live) != tt.same {
				t.Errorf("sent %d bytes with pictures of %d and %d", len(sent), len(body.OriginFace), len(body.TargetFace))
			}
			if _, err := jpeg.Decode(bytes.NewReader(body.OriginFace)); err != nil {
				t.Error(err)
			}
		})
	}
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("was asked") })
	for _, q := range []cloud.Question{{ID: small}, {Live: make([]byte, 5_000_000), ID: small}} {
		if _, err := c.Compare(t.Context(), q); failureOf(t, err).Kind != cloud.Rejected {
			t.Errorf("failure %v, want rejected", err)
		}
	}
}

func TestCheck(t *testing.T) {
	whole := func() *argos.Callbacks {
		return &argos.Callbacks{Listen: ":8443", PublicURL: "https://gate.example/argos", CertFile: "/c", KeyFile: "/k"}
	}
	for _, tt := range []struct {
		problem string // empty: none
		client  *argos.Client
	}{
		{"", &argos.Client{Key: "/key"}},
		{"", &argos.Client{Key: "/key", Callbacks: whole()}},
		{"key_file: ", &argos.Client{}},
		{"base_url: ", &argos.Client{Key: "/key", BaseURL: "http://argos.example"}},
	} {
		err := tt.client.Check()
		if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.problem)) {
			t.Errorf("problem %v, want %q", err, tt.problem)
		}
	}
	for problem, spoil := range map[string]func(*argos.Callbacks){
		"callback.listen: missing":     func(c *argos.Callbacks) { c.Listen = "" },
		`callback.listen: "8443"`:      func(c *argos.Callbacks) { c.Listen = "8443" },
		"callback.public_url: missing": func(c *argos.Callbacks) { c.PublicURL = "" },
		`callback.public_url: "http:`:  func(c *argos.Callbacks) { c.PublicURL = "http://gate.example" },
		`callback.public_url: "https:`: func(c *argos.Callbacks) { c.PublicURL = "https://gate.example/?a=b" },
		"callback.cert_file: missing":  func(c *argos.Callbacks) { c.CertFile = "" },
		"callback.key_file: missing":   func(c *argos.Callbacks) { c.KeyFile = "" },
	} {
		c := whole()
		spoil(c)
		err := (&argos.Client{Key: "/key", Callbacks: c}).Check()
		if err == nil || !strings.HasPrefix(err.Error(), problem) || strings.Contains(err.Error(), "\n") {
			t.Errorf("problem %v, want %q", err, problem)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, fmt.Sprintf(deployed, "99.5"))
	f.Add(200, fmt.Sprintf(documented, "0.995", true))
	f.Add(400, `{"statusCode":400,"errorCode":1002,"message":"Failed to compare face."}`)
	f.Add(403, `{"message":"Forbidden"}`)
	f.Add(200, fmt.Sprintf(documented, "1E-99999999999", false))
	var status int
	var body string
	c := at(f, "http://127.0.0.1")
	c.HTTP = &http.Client{Transport: wiretest.Canned(&status, &body)}
	f.Fuzz(func(t *testing.T, s int, b string) {
		status, body = 200+(s%400+400)%400, b
		answer, err := wiretest.Ask(t, c)
		if err != nil {
			failureOf(t, err)
			if answer.Score != 0 || answer.Missing != cloud.Neither {
				t.Errorf("answer %+v beside %v", answer, err)
			}
			return
		}
		if !(answer.Score >= 0 && answer.Score <= 100) || answer.Score != 0 && status >= 300 {
			t.Errorf("answer %+v to %d", answer, status)
		}
	})
}
