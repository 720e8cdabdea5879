package argos_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/wire"
)

const apiKey = "test-key-0123456789"

// The two published shapes, with room for the score.
const (
	deployed = `{"apiType":"compare_face","transactionId":"txn_1","result":{` +
		`"face":{"isAvailable":true,"boundingBox":{"Width":0.42,"Height":0.56,"Left":0.12,"Top":0.23}},` +
		`"faceMatch":{"isAvailable":true,"similarity":%s,"confidence":99.9,"boundingBox":{"Width":0.45,"Height":0.54,"Left":0.13,"Top":0.24},` +
		`"landmarks":[{"Type":"eyeLeft","X":0.1,"Y":0.2}],"pose":{"Roll":0,"Yaw":0,"Pitch":0},"quality":{"Brightness":0,"Sharpness":0}}}}`
	documented = `{"apiType":"compare_face","transactionId":"txn_1","result":{` +
		`"face":{"isAvailable":true,"boundingBox":{"Width":0.42,"Height":0.56,"Left":0.12,"Top":0.23},"confidence":0.98},` +
		`"targetFace":{"isAvailable":true,"boundingBox":{"Width":0.45,"Height":0.54,"Left":0.13,"Top":0.24},"confidence":0.97},` +
		`"similarity":{"score":%s,"threshold":0.8,"isMatch":%t}}}`
)

// says answers everything with one body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// client asks a server of that handler.
func client(t testing.TB, handler http.HandlerFunc) *argos.Client {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	h, err := wire.Network{}.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(apiKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &argos.Client{HTTP: h, Key: wire.Secret(key), BaseURL: s.URL}
}

func question() cloud.Question {
	return cloud.Question{Live: []byte("\xff\xd8live"), ID: []byte("\xff\xd8id")}
}

func ask(t testing.TB, c *argos.Client) (cloud.Answer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Compare(ctx, question())
}

func failureOf(t testing.TB, err error) *cloud.Failure {
	t.Helper()
	f, ok := errors.AsType[*cloud.Failure](err)
	if !ok {
		t.Fatalf("error %v is not a failure", err)
	}
	if f.Provider != "argos" {
		t.Errorf("provider %q, want argos", f.Provider)
	}
	return f
}
