package deepidv

import (
	"strings"
	"testing"
)

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"isMatch":true,"confidence":96.4,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		`{"isMatch":false,"confidence":0,"threshold":0,"sourceFaceDetected":false,"targetFaceDetected":false}`,
		`{"isMatch":false,"confidence":-0,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":false}`,
		`{"isMatch":null}`,
		`[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := read(body)
		if err != nil {
			if r != (reply{}) {
				t.Errorf("read(%q) = %+v with %v", body, r, err)
			}
			return
		}
		c := Client{}
		if *r.Confidence < 0 || *r.Confidence > 100 || c.missing(r) != 0 && *r.Confidence != 0 {
			t.Errorf("read(%q) has confidence %v, missing %q", body, *r.Confidence, c.missing(r))
		}
	})
}

func FuzzReadPlaces(f *testing.F) {
	f.Add([]byte(`{"uploads":[{"uploadUrl":"https://store.example/1?X=y","fileKey":"a"},{"uploadUrl":"https://store.example/2","fileKey":"b"}]}`))
	f.Add([]byte(`{"uploads":[{"uploadUrl":"http://127.0.0.1/1","fileKey":"a"},{"uploadUrl":"http://[::1]/2","fileKey":"b"}]}`))
	f.Add([]byte(`{"uploads":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		places, err := readPlaces(body, DefaultURL)
		if err != nil {
			return
		}
		if len(places) != 2 {
			t.Fatalf("%d places", len(places))
		}
		for _, p := range places {
			if !strings.HasPrefix(strings.ToLower(p.UploadURL), "https://") || p.FileKey == "" {
				t.Errorf("a picture would go to %q as %q", p.UploadURL, p.FileKey)
			}
		}
	})
}

func FuzzComplaint(f *testing.F) {
	f.Add([]byte(`{"detail":"Invalid or missing API key"}`))
	f.Add([]byte(`Insufficient funds or subscription.`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := complaint(body, "sk_test"); got == "" || len([]rune(got)) > 200 {
			t.Errorf("complaint(%q) = %q", body, got)
		}
	})
}

func TestPlainStoreOnlyBesideAPlainService(t *testing.T) {
	const plain = "http://127.0.0.1:9000/bucket/x?sig=1"
	if !storeAllowed(plain, "http://[::1]:8080") {
		t.Error("a store on this machine was refused to a service on this machine")
	}
	if storeAllowed(plain, DefaultURL) {
		t.Error("the service may send pictures to this machine's own servers")
	}
}
