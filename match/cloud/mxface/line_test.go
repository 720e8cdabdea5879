package mxface_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/mxface"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
	"github.com/facegate/facegate/match/picture"
)

func TestLine(t *testing.T) {
	wiretest.TestLine(t, func(t *testing.T, address string) cloud.Provider { return at(t, address) }, guide, key)
}

func TestUnreadableKey(t *testing.T) {
	c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a key") })
	c.Key = wire.Secret(filepath.Join(t.TempDir(), "none"))
	got, err := wiretest.Ask(t, c)
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
	s := wiretest.Serve(t, wiretest.Say(200, guide))
	q := wiretest.Question()
	q.Live = large
	if _, err := at(t, s.URL).Compare(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(s.Requests()[0].Data, &fields); err != nil {
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
