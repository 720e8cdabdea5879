package wiretest

import (
	"errors"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud"
)

// maxText bounds the text of a failure, in bytes.
const maxText = 300

// Failed returns the failure that err must be. It must name its provider and
// show neither a secret nor too much.
func Failed(t testing.TB, err error, provider string, secrets ...string) *cloud.Failure {
	t.Helper()
	f, ok := errors.AsType[*cloud.Failure](err)
	if !ok {
		t.Fatalf("error %v is no *cloud.Failure", err)
	}
	if f.Provider != provider || len(f.Err.Error()) > maxText {
		t.Errorf("failure = %q, want a short one of %s", f, provider)
	}
	for _, secret := range secrets {
		if strings.Contains(f.Error(), secret) {
			t.Errorf("failure %q shows a secret", f)
		}
	}
	return f
}

// CheckAnswer holds an answer to the one wanted. The bytes that were sent may
// be any number but 0.
func CheckAnswer(t testing.TB, got cloud.Answer, err error, want cloud.Answer) {
	t.Helper()
	want.Sent = got.Sent
	if err != nil || got != want || got.Sent == 0 {
		t.Errorf("answer = %+v, %v, want %+v", got, err, want)
	}
}

// CheckRefusal holds a failure to the kind, the status, the wait and, if want
// has an error, the text that were wanted. The answer beside it must tell what
// the call took and nothing else.
func CheckRefusal(t testing.TB, got cloud.Answer, f *cloud.Failure, want cloud.Failure) {
	t.Helper()
	if f.Kind != want.Kind || f.Status != want.Status || f.RetryAfter != want.RetryAfter {
		t.Errorf("failure = %v, wait %v, want %s with %d, wait %v", f, f.RetryAfter, want.Kind, want.Status, want.RetryAfter)
	}
	if want.Err != nil && f.Err.Error() != want.Err.Error() {
		t.Errorf("failure = %v, want %v", f, want.Err)
	}
	if took := (cloud.Answer{Sent: got.Sent, Status: want.Status}); got != took || got.Sent == 0 {
		t.Errorf("answer = %+v, want only what the call took", got)
	}
}

// CheckNoScore holds what became of an answer of status 200 that can't be
// understood to be no score.
func CheckNoScore(t testing.TB, got cloud.Answer, f *cloud.Failure) {
	t.Helper()
	CheckRefusal(t, got, f, cloud.Failure{Kind: cloud.Server, Status: 200})
}
