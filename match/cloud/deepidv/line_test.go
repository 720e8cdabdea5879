package deepidv_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestLine(t *testing.T) {
	wiretest.TestLine(t, func(t *testing.T, address string) cloud.Provider { return at(t, address) }, good, key)
}

// A service that stalls at any step holds nobody longer than the context.
func TestStallEndsWithTheContext(t *testing.T) {
	for send, stall := range map[deepidv.Send]string{
		deepidv.Multipart: "/v1/face/compare",
		deepidv.JSON:      "/v1/face/compare",
		deepidv.Presigned: "/v1/upload/presign",
		"presigned put":   "/store/1",
	} {
		t.Run(string(send), func(t *testing.T) {
			ctx, silent := wiretest.Stall(t, "")
			s := newStore(t)
			c := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != stall {
					s.ServeHTTP(w, r)
					return
				}
				silent(w, r)
			})
			s.base, c.Send = c.BaseURL, send
			if send == "presigned put" {
				c.Send = deepidv.Presigned
			}
			_, err := c.Compare(ctx, wiretest.Question())
			if f := failed(t, err); f.Kind != cloud.Network || !errors.Is(f, wiretest.ErrLate) {
				t.Errorf("failure = %v", f)
			}
		})
	}
}

func TestNobodyIsAskedAfterTheEnd(t *testing.T) {
	for _, send := range []deepidv.Send{deepidv.Multipart, deepidv.JSON, deepidv.Presigned} {
		c := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("asked after the end") })
		c.Send = send
		ctx, end := context.WithCancel(t.Context())
		end()
		got, err := c.Compare(ctx, wiretest.Question())
		if f := failed(t, err); f.Kind != cloud.Network || got.Sent != 0 {
			t.Errorf("answer %+v, failure %v", got, f)
		}
	}
}
