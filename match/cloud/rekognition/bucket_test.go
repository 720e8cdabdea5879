package rekognition_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// A store is a bucket that keeps versions.
type store struct {
	*wiretest.Service

	// mu guards the following
	mu      sync.Mutex
	objects map[string]int // versions that are there, by path and version
	puts    int
}

func newStore(t *testing.T) *store {
	s := &store{objects: map[string]int{}}
	s.Service = wiretest.Serve(t, s.answer)
	return s
}

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		s.puts++
		version := fmt.Sprint("v", s.puts)
		s.objects[r.URL.Path+"?versionId="+version]++
		w.Header().Set("X-Amz-Version-Id", version)
	case http.MethodDelete:
		delete(s.objects, r.URL.Path+"?versionId="+r.URL.Query().Get("versionId"))
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *store) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

func withBucket(t *testing.T, faces, s3 string) rekognition.Settings {
	set := settings(t, faces)
	set.Bucket = rekognition.Bucket{Name: "gate", Prefix: "kiosk-7/", Endpoint: s3}
	return set
}

func TestPicturesGoByBucket(t *testing.T) {
	s3 := newStore(t)
	var stored int
	faces := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		stored = len(s3.left())
		says(200, fmt.Sprintf(oneMatch, "99"))(w, r)
	})
	c := client(t, withBucket(t, faces.URL, s3.URL))
	answer, err := wiretest.Ask(t, c)
	if err != nil || answer.Score != 99 {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if stored != 2 {
		t.Errorf("%d pictures in the bucket while comparing, want 2", stored)
	}
	if left := s3.left(); len(left) != 0 {
		t.Errorf("left in the bucket: %v", left)
	}

	type object struct{ Bucket, Name, Version string }
	var body struct{ SourceImage, TargetImage struct{ S3Object object } }
	compare := faces.Requests()[0]
	if err := json.Unmarshal(compare.Data, &body); err != nil {
		t.Fatal(err)
	}
	sent := int64(len(compare.Data))
	for o, picture := range map[object][]byte{body.SourceImage.S3Object: wiretest.Question().Live, body.TargetImage.S3Object: wiretest.Question().ID} {
		at := slices.IndexFunc(s3.Requests(), func(r wiretest.Request) bool { return r.Method == "PUT" && r.URL.Path == "/gate/"+o.Name })
		if at < 0 || !strings.HasPrefix(o.Name, "kiosk-7/") || len(o.Name) < 30 || o.Bucket != "gate" || o.Version == "" {
			t.Fatalf("compared %+v, which is not stored", o)
		}
		r := s3.Requests()[at]
		sent += int64(len(r.Data))
		if !bytes.Equal(r.Data, picture) || r.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("stored %q as %s, want %q", r.Data, r.Header.Get("Content-Type"), picture)
		}
		if given, want := signature(r, strings.TrimPrefix(s3.URL, "http://"), secretAccessKey); given != want {
			t.Errorf("signature %s, want %s", given, want)
		}
	}
	if answer.Sent != sent {
		t.Errorf("counted %d bytes, sent %d", answer.Sent, sent)
	}
}

func TestPicturesAreDeletedAfterFailure(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"refused":   says(400, `{"__type":"InvalidS3ObjectException"}`),
		"no face":   says(400, `{"__type":"InvalidParameterException"}`),
		"cut off":   wiretest.Close,
		"ctx ended": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s3 := newStore(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if answer == nil {
				answer = func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }
			}
			c := client(t, withBucket(t, wiretest.Serve(t, answer).URL, s3.URL))
			_, _ = c.Compare(ctx, wiretest.Question())
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if left := s3.left(); len(left) != 0 || s3.puts != 2 {
				t.Errorf("of %d pictures left in the bucket: %v", s3.puts, left)
			}
		})
	}
}

func TestUploadFails(t *testing.T) {
	failed := func(code string) string { return `<Error><Code>` + code + `</Code><Message>m</Message></Error>` }
	for _, tt := range []struct {
		status int
		body   string
		want   cloud.Kind
	}{
		{403, failed("AccessDenied"), cloud.Unauthorised},
		{403, failed("SignatureDoesNotMatch"), cloud.Unauthorised},
		{403, failed("InvalidAccessKeyId"), cloud.Unauthorised},
		{503, failed("SlowDown"), cloud.Throttled},
		{500, failed("InternalError"), cloud.Server},
		{404, failed("NoSuchBucket"), cloud.Server},
	} {
		t.Run(tt.body, func(t *testing.T) {
			t.Parallel() // a failed upload is deleted again, later
			faces := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
			s3 := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "PUT" && strings.HasSuffix(r.URL.Path, "-source.jpg") {
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, tt.body)
				}
			})
			c := client(t, withBucket(t, faces.URL, s3.URL))
			_, err := wiretest.Ask(t, c)
			if f := failureOf(t, err); f.Kind != tt.want || f.Status != tt.status {
				t.Errorf("failure %v, want %s", f, tt.want)
			}
			_ = c.Close()
			deleted := 0
			for _, r := range s3.Requests() {
				if r.Method == "DELETE" {
					deleted++
				}
			}
			if deleted != 3 || len(faces.Requests()) != 0 {
				t.Errorf("deleted %d times, %d compared; want 3, 0", deleted, len(faces.Requests()))
			}
		})
	}
}

// A lateStore stores what it was sent a second after the sender hung up. It
// keeps no versions.
type lateStore struct {
	// mu guards the following
	mu      sync.Mutex
	objects map[string]bool
	deleted int
}

// RoundTrip implements http.RoundTripper.
func (s *lateStore) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.Method {
	case http.MethodPut:
		<-r.Context().Done()
		time.AfterFunc(time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.objects[r.URL.Path] = true
		})
		return nil, r.Context().Err()
	case http.MethodDelete:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.deleted++
		delete(s.objects, r.URL.Path)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// The deletion of an upload that the deadline cut off came before the store had
// the picture, which stayed.
func TestPictureStoredAfterTheDeadlineIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s3 := &lateStore{objects: map[string]bool{}}
		set := withBucket(t, "http://127.0.0.1:1", "http://127.0.0.1:2")
		set.HTTP = &http.Client{Transport: s3}
		c := client(t, set)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Compare(ctx, wiretest.Question())
		if f := failureOf(t, err); !errors.Is(f, context.DeadlineExceeded) {
			t.Errorf("failure %v", f)
		}
		begin := time.Now()
		_ = c.Close()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("deleting took %v", took)
		}
		time.Sleep(time.Minute)
		if len(s3.objects) != 0 || s3.deleted != 4 {
			t.Errorf("left in the bucket after %d deletions: %v", s3.deleted, s3.objects)
		}
	})
}

// A bucket that does not delete must be heard of, must not delay an answer, and
// must not collect calls without end.
func TestDeletionFails(t *testing.T) {
	hold := make(chan struct{})
	s3 := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "DELETE" {
			<-hold
			w.WriteHeader(403)
		}
	})
	set := withBucket(t, wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99"))).URL, s3.URL)
	var log bytes.Buffer
	set.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := client(t, set)
	for range 8 {
		if _, err := wiretest.Ask(t, c); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Compare(ctx, wiretest.Question())
	if f := failureOf(t, err); f.Kind != cloud.Network || !errors.Is(f, context.DeadlineExceeded) {
		t.Errorf("ninth call: %v, want network", f)
	}
	close(hold)
	_ = c.Close()
	if n := strings.Count(log.String(), "picture not deleted from bucket"); n != 16 {
		t.Errorf("%d of 16 pictures heard of:\n%s", n, log.String())
	}
}
