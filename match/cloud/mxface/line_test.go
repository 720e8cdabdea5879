package mxface_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/mxface"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/picture"
)

func TestBrokenLine(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    cloud.Kind
		status  int
	}{
		"reset": {reset, cloud.Network, 0},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5000")
			say(200, guide)(w, r)
		}, cloud.Network, 200},
		"huge": {say(200, guide+strings.Repeat(" ", 2<<20)), cloud.Server, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, c.handler).Compare(t.Context(), question())
			if f := failed(t, err); f.Kind != c.kind || f.Status != c.status || got.Status != c.status || got.Score != 0 {
				t.Errorf("answer %+v, failure %v", got, f)
			}
		})
	}
}

// reset closes the connection so that the other end gets an error.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

func TestStallEndsWithTheContext(t *testing.T) {
	late := errors.New("too late")
	ctx, end := context.WithCancelCause(t.Context())
	c := ask(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		end(late)
		<-r.Context().Done()
	})
	got, err := c.Compare(ctx, question())
	if f := failed(t, err); f.Kind != cloud.Network || !errors.Is(f, late) || got.Sent == 0 {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}

func TestUnreadableKey(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a key") })
	c.Key = wire.Secret(filepath.Join(t.TempDir(), "none"))
	got, err := c.Compare(t.Context(), question())
	if f := failed(t, err); f.Kind != cloud.Unauthorised || !errors.Is(f, os.ErrNotExist) || got != (cloud.Answer{}) {
		t.Errorf("answer %+v, failure %v", got, f)
	}
}

func TestOversizePictureIsShrunk(t *testing.T) {
	small, err := picture.JPEG(image.NewGray(image.Rect(0, 0, 300, 400)), 95)
	if err != nil {
		t.Fatal(err)
	}
	large := append(small, make([]byte, mxface.MaxBytes+1-len(small))...) // behind its end a JPEG may hold anything
	var fields struct {
		Image1 []byte `json:"encoded_image1"`
	}
	c := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, guide)
	})
	q := question()
	q.Live = large
	if _, err := c.Compare(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	size, err := jpeg.DecodeConfig(bytes.NewReader(fields.Image1))
	if err != nil || size.Width != 300 || size.Height != 400 || len(fields.Image1) > mxface.MaxBytes {
		t.Errorf("sent %d bytes, %d x %d, %v", len(fields.Image1), size.Width, size.Height, err)
	}
}

func TestUnreadableOversizePictureIsNotSent(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked about a picture too large") })
	for _, q := range []cloud.Question{{Live: make([]byte, mxface.MaxBytes+1)}, {ID: make([]byte, mxface.MaxBytes+1)}} {
		if _, err := c.Compare(t.Context(), q); failed(t, err).Kind != cloud.Rejected {
			t.Errorf("failure = %v", err)
		}
	}
}
