package rekognition_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestLine(t *testing.T) {
	connect := func(t *testing.T, address string) cloud.Provider { return client(t, settings(t, address)) }
	wiretest.TestLine(t, connect, `{"FaceMatches":[{"Similarity":99}`, accessKeyID, secretAccessKey)
}

// net/http quotes a header line that it can't parse, which may be ours.
func TestUnreadableAnswersAreNotQuoted(t *testing.T) {
	s := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		wiretest.Raw(w, "HTTP/1.1 200 OK\r\nAuthorization "+strings.ReplaceAll(r.Header.Get("Authorization"), "/", " ")+"\r\n\r\n")
	})
	_, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
	f := failureOf(t, err)
	if f.Kind != cloud.Network || strings.Contains(f.Error(), accessKeyID) || strings.Contains(f.Error(), "AWS4") {
		t.Errorf("failure %v, want network without our header", f)
	}
}

func TestAttempts(t *testing.T) {
	n := 0
	s := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n < 3 {
			says(500, `{"__type":"InternalServerError"}`)(w, r)
			return
		}
		says(200, fmt.Sprintf(oneMatch, "99"))(w, r)
	})
	set := settings(t, s.URL)
	set.Attempts = 3
	answer, err := wiretest.Ask(t, client(t, set))
	if err != nil || answer.Score != 99 {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	requests := s.Requests()
	if len(requests) != 3 || answer.Sent != 3*int64(len(requests[0].Data)) {
		t.Errorf("%d attempts of %d bytes, counted %d", len(requests), len(requests[0].Data), answer.Sent)
	}
}

// A kiosk's clock may be wrong by more than the five minutes that AWS allows.
func TestClockIsCorrected(t *testing.T) {
	ahead := time.Now().Add(time.Hour)
	s := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", ahead.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || ahead.Sub(signed).Abs() > 5*time.Minute {
			says(403, `{"__type":"InvalidSignatureException"}`)(w, r)
			return
		}
		says(200, fmt.Sprintf(oneMatch, "99"))(w, r)
	})
	c := client(t, settings(t, s.URL))
	if _, err := wiretest.Ask(t, c); failureOf(t, err).Kind != cloud.Unauthorised {
		t.Errorf("first call: %v, want unauthorised", err)
	}
	if _, err := wiretest.Ask(t, c); err != nil {
		t.Errorf("second call: %v", err)
	}
}

// Whatever the environment and the home directory say, the request goes where
// the settings say, with the key they say.
func TestNothingFromTheEnvironment(t *testing.T) {
	wrong := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "100")))
	home := t.TempDir()
	shared := "[default]\naws_access_key_id=WRONG\naws_secret_access_key=WRONG\nregion=us-east-1\nendpoint_url=" + wrong.URL + "\n"
	for _, name := range []string{"config", "credentials"} {
		if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(shared), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HOME": home, "AWS_CONFIG_FILE": filepath.Join(home, ".aws/config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(home, ".aws/credentials"),
		"AWS_PROFILE": "default", "AWS_ACCESS_KEY_ID": "WRONG", "AWS_SECRET_ACCESS_KEY": "WRONG", "AWS_SESSION_TOKEN": "WRONG",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": wrong.URL, "AWS_ENDPOINT_URL_REKOGNITION": wrong.URL,
		"AWS_CA_BUNDLE": filepath.Join(home, "none.pem"), "AWS_MAX_ATTEMPTS": "9", "AWS_RETRY_MODE": "adaptive",
		"AWS_WEB_IDENTITY_TOKEN_FILE": filepath.Join(home, "none"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/wrong",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": wrong.URL, "AWS_EC2_METADATA_SERVICE_ENDPOINT": wrong.URL,
		"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_NEW_RETRIES_2026": "true",
		"AWS_EXECUTION_ENV": "leaks", "AWS_LAMBDA_FUNCTION_NAME": "leaks", "_X_AMZN_TRACE_ID": "leaks", "AWS_SDK_UA_APP_ID": "leaks",
		"HTTP_PROXY": wrong.URL, "HTTPS_PROXY": wrong.URL, "http_proxy": wrong.URL, "https_proxy": wrong.URL, "ALL_PROXY": wrong.URL,
	} {
		t.Setenv(name, value)
	}
	right := wiretest.Serve(t, says(500, `{"__type":"InternalServerError"}`))
	_, err := wiretest.Ask(t, client(t, settings(t, right.URL)))
	if f := failureOf(t, err); f.Kind != cloud.Server {
		t.Errorf("failure %v, want server", f)
	}
	if n := len(wrong.Requests()); n != 0 {
		t.Errorf("%d requests went where the environment says", n)
	}
	requests := right.Requests()
	if len(requests) != 1 {
		t.Fatalf("%d requests, want 1", len(requests))
	}
	if given, want := signature(requests[0], strings.TrimPrefix(right.URL, "http://"), secretAccessKey); given != want {
		t.Errorf("signature %s, want %s", given, want)
	}
	for name, values := range requests[0].Header {
		if text := strings.Join(values, " "); strings.Contains(text, "leaks") || strings.Contains(text, "WRONG") || strings.Contains(text, "us-east-1") {
			t.Errorf("header %s: %s", name, text)
		}
	}
}

// Without an endpoint of its own the request goes to the region's.
func TestRegionIsPinned(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	var host string
	set := settings(t, "")
	set.HTTP = &http.Client{Transport: wiretest.Transport(func(r *http.Request) (*http.Response, error) {
		host = r.URL.Scheme + "://" + r.URL.Host
		return nil, errors.New("not sent")
	})}
	_, err := wiretest.Ask(t, client(t, set))
	if f := failureOf(t, err); f.Kind != cloud.Network || host != "https://rekognition.eu-central-1.amazonaws.com" {
		t.Errorf("asked %s, %v", host, f)
	}
}
