package rekognition_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const arn = "arn:aws:iam::123456789012:role/gate"

// assumed is what STS says to a good token.
func assumed(id string, ends time.Time) string {
	return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>` +
		`<Credentials><AccessKeyId>` + id + `</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>` +
		`<Expiration>` + ends.UTC().Format(time.RFC3339) + `</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
}

func withRole(t *testing.T, faces, sts string) rekognition.Settings {
	set := settings(t, faces)
	set.Keys = rekognition.Keys{}
	set.Role = rekognition.Role{ARN: arn, TokenFile: secret(t, "web.identity.token"), Endpoint: sts}
	return set
}

func TestRoleIsAssumedOnce(t *testing.T) {
	sts := wiretest.Serve(t, says(200, assumed("ASIAROLE", time.Now().Add(time.Hour))))
	faces := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
	c := client(t, withRole(t, faces.URL, sts.URL))
	for range 2 {
		if _, err := wiretest.Ask(t, c); err != nil {
			t.Fatal(err)
		}
	}
	requests := sts.Requests()
	if len(requests) != 1 {
		t.Fatalf("%d requests to STS, want 1", len(requests))
	}
	form, err := url.ParseQuery(string(requests[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Action": "AssumeRoleWithWebIdentity", "RoleArn": arn, "RoleSessionName": "facegate", "WebIdentityToken": "web.identity.token",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if a := requests[0].Header.Get("Authorization"); a != "" {
		t.Errorf("token sent with authorization %s", a)
	}
	r := faces.Requests()[1]
	if given, want := signature(r, strings.TrimPrefix(faces.URL, "http://"), "role-secret"); given != want {
		t.Errorf("signature %s, want %s", given, want)
	}
	if got := r.Header.Get("X-Amz-Security-Token"); got != "role-token" {
		t.Errorf("session token %q", got)
	}
}

func TestRoleIsRenewed(t *testing.T) {
	for name, tt := range map[string]struct {
		lives time.Duration
		faces http.HandlerFunc
	}{
		"near its end": {4 * time.Minute, says(200, fmt.Sprintf(oneMatch, "99"))},
		"when refused": {time.Hour, says(400, `{"__type":"ExpiredTokenException"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			sts := wiretest.Serve(t, says(200, assumed("ASIAROLE", time.Now().Add(tt.lives))))
			c := client(t, withRole(t, wiretest.Serve(t, tt.faces).URL, sts.URL))
			for range 2 {
				_, _ = wiretest.Ask(t, c)
			}
			if n := len(sts.Requests()); n != 2 {
				t.Errorf("%d requests to STS, want 2", n)
			}
		})
	}
}

func TestRoleIsNotAssumed(t *testing.T) {
	failed := func(code string) string {
		return `<ErrorResponse><Error><Type>Sender</Type><Code>` + code + `</Code><Message>web.identity.token</Message></Error></ErrorResponse>`
	}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   cloud.Kind
	}{
		{"denied", 403, failed("AccessDenied"), cloud.Unauthorised},
		{"invalid token", 400, failed("InvalidIdentityToken"), cloud.Unauthorised},
		{"expired token", 400, failed("ExpiredTokenException"), cloud.Unauthorised},
		{"identity provider silent", 400, failed("IDPCommunicationError"), cloud.Server},
		{"busy", 400, failed("Throttling"), cloud.Throttled},
		{"down", 503, "", cloud.Server},
		{"no key", 200, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>`, cloud.Server},
		{"web page", 200, `<html><p>`, cloud.Server},
	} {
		t.Run(tt.name, func(t *testing.T) {
			faces := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
			_, err := wiretest.Ask(t, client(t, withRole(t, faces.URL, wiretest.Serve(t, says(tt.status, tt.body)).URL)))
			if f := failureOf(t, err); f.Kind != tt.want || f.Status != tt.status || strings.Contains(f.Error(), "web.identity") {
				t.Errorf("failure %v, want %s", f, tt.want)
			}
			if n := len(faces.Requests()); n != 0 {
				t.Errorf("%d pictures sent", n)
			}
		})
	}
}

func TestUnreadableKeys(t *testing.T) {
	s := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
	for name, change := range map[string]func(*rekognition.Settings){
		"id":     func(s *rekognition.Settings) { s.Keys.AccessKeyID = "/nowhere/id" },
		"secret": func(s *rekognition.Settings) { s.Keys.SecretAccessKey = "/nowhere/secret" },
		"token":  func(s *rekognition.Settings) { s.Keys.SessionToken = "/nowhere/token" },
		"role": func(s *rekognition.Settings) {
			s.Keys, s.Role = rekognition.Keys{}, rekognition.Role{ARN: arn, TokenFile: "/nowhere/identity"}
		},
	} {
		set := settings(t, s.URL)
		change(&set)
		_, err := wiretest.Ask(t, client(t, set))
		if f := failureOf(t, err); f.Kind != cloud.Unauthorised || !strings.Contains(f.Error(), "/nowhere/") {
			t.Errorf("%s: failure %v, want unauthorised with the file's name", name, f)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestKeyIsReadForEachCall(t *testing.T) {
	s := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
	set := settings(t, s.URL)
	c := client(t, set)
	for _, id := range []string{"AKIDONE", "AKIDTWO"} {
		if err := os.WriteFile(string(set.Keys.AccessKeyID), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := wiretest.Ask(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if a := s.Requests()[1].Header.Get("Authorization"); !strings.Contains(a, "AKIDTWO") {
		t.Errorf("authorization %s", a)
	}
}

func TestCheck(t *testing.T) {
	good := settings(t, "")
	for _, tt := range []struct {
		setting string // empty: nothing wrong
		change  func(*rekognition.Settings)
	}{
		{"", func(*rekognition.Settings) {}},
		{"", func(s *rekognition.Settings) { s.Endpoint = "http://127.0.0.1:8000/rek" }},
		{"", func(s *rekognition.Settings) { s.Bucket = rekognition.Bucket{Name: "gate-7", Prefix: "kiosk/"} }},
		{"http", func(s *rekognition.Settings) { s.HTTP = nil }},
		{"region", func(s *rekognition.Settings) { s.Region = "" }},
		{"region", func(s *rekognition.Settings) { s.Region = "eu-central-1.evil.example/" }},
		{"endpoint", func(s *rekognition.Settings) { s.Endpoint = "http://rekognition.example" }},
		{"attempts", func(s *rekognition.Settings) { s.Attempts = 4 }},
		{"attempts", func(s *rekognition.Settings) { s.Attempts = -1 }},
		{"access_key_id_file", func(s *rekognition.Settings) { s.Keys.AccessKeyID = "" }},
		{"secret_access_key_file", func(s *rekognition.Settings) { s.Keys.SecretAccessKey = "" }},
		{"role_arn", func(s *rekognition.Settings) { s.Role = rekognition.Role{ARN: arn, TokenFile: "/token"} }},
		{"role_arn", func(s *rekognition.Settings) {
			s.Keys, s.Role = rekognition.Keys{}, rekognition.Role{ARN: "gate", TokenFile: "/token"}
		}},
		{"role_token_file", func(s *rekognition.Settings) {
			s.Keys, s.Role = rekognition.Keys{}, rekognition.Role{ARN: arn}
		}},
		{"role_endpoint", func(s *rekognition.Settings) {
			s.Keys, s.Role = rekognition.Keys{}, rekognition.Role{ARN: arn, TokenFile: "/token", Endpoint: "sts"}
		}},
		{"bucket", func(s *rekognition.Settings) { s.Bucket.Prefix = "kiosk/" }},
		{"bucket", func(s *rekognition.Settings) { s.Bucket.Name = "Gate" }},
		{"bucket", func(s *rekognition.Settings) { s.Bucket.Name = "gate--euc1-az1--x-s3" }},
		{"bucket_prefix", func(s *rekognition.Settings) { s.Bucket = rekognition.Bucket{Name: "gate", Prefix: "/kiosk"} }},
		{"bucket_prefix", func(s *rekognition.Settings) { s.Bucket = rekognition.Bucket{Name: "gate", Prefix: "a\nb"} }},
		{"bucket_endpoint", func(s *rekognition.Settings) {
			s.Bucket = rekognition.Bucket{Name: "gate", Endpoint: "http://s3.example"}
		}},
	} {
		s := good
		tt.change(&s)
		_, err := rekognition.New(s)
		if tt.setting == "" && err != nil || tt.setting != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.setting+": ")) {
			t.Errorf("problem %v, want one of %q", err, tt.setting)
		}
	}
	all := rekognition.Settings{Attempts: 9}.Check()
	if n := len(strings.Split(all.Error(), "\n")); n != 5 {
		t.Errorf("%d problems, want 5:\n%v", n, all)
	}
}
