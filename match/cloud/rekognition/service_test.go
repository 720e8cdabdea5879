package rekognition_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const (
	accessKeyID     = "AKIDEXAMPLE"
	secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// says answers everything with one body, of the type that the service uses.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		wiretest.Say(status, body)(w, r)
	}
}

func secret(t testing.TB, text string) wire.Secret {
	t.Helper()
	return wire.Secret(wiretest.File(t, text+"\n"))
}

func settings(t testing.TB, address string) rekognition.Settings {
	return rekognition.Settings{
		HTTP:     wiretest.Client(t, wire.Network{}),
		Region:   "eu-central-1",
		Keys:     rekognition.Keys{AccessKeyID: secret(t, accessKeyID), SecretAccessKey: secret(t, secretAccessKey)},
		Endpoint: address,
	}
}

func client(t testing.TB, s rekognition.Settings) *rekognition.Client {
	c, err := rekognition.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func failureOf(t testing.TB, err error) *cloud.Failure {
	t.Helper()
	return wiretest.Failed(t, err, "rekognition", accessKeyID, secretAccessKey)
}

// signature computes what Authorization must hold, from what the server got,
// by the rules of Signature Version 4.
func signature(r wiretest.Request, host, secret string) (given, want string) {
	field := func(name string) string {
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return value
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(field("SignedHeaders"), ";") {
		value := strings.TrimSpace(strings.Join(r.Header.Values(name), ","))
		switch name {
		case "host":
			value = host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), field("SignedHeaders"), sum(r.Data)}, "\n")
	scope := strings.SplitN(field("Credential"), "/", 2)[1]
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, sum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return field("Signature"), hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
