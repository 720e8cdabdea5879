package mxface

import (
	"math"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"matchedFaces":[{"matchResult":1,"image1_face":{"quality":94.4}}]}`,
		`{"matchedFaces":[{"matchResult":1,"confidence":93},{"matchResult":0,"confidence":3}]}`,
		`{"matchedFaces":[]}`,
		`{"confidence":0.93}`,
		`{"errorCode":400,"errorMessage":"No face detected or quality of face is very low."}`,
		`null`,
	} {
		f.Add([]byte(seed))
	}
	kinds := []struct {
		client Client
		most   float64
	}{
		{Client{Version: V1}, 1},
		{Client{Version: V2}, 100},
		{Client{Version: V3}, 1},
		{Client{Version: V3, Confidence: true}, math.MaxFloat64},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, k := range kinds {
			c := k.client
			score, missing, err := c.read(body)
			if !(score >= 0 && score <= k.most) {
				t.Errorf("%s: read(%q) = %v", c.Version, body, score)
			}
			if c.Version == V3 && !c.Confidence && score != 0 && score != 1 {
				t.Errorf("read(%q) = %v, neither yes nor no", body, score)
			}
			if (err != nil || missing != cloud.Neither) && score != 0 {
				t.Errorf("%s: read(%q) = %v, %q, %v", c.Version, body, score, missing, err)
			}
		}
	})
}

// Whatever an error says, it is never a likeness, and only 400 may mean that a
// face is missing.
func FuzzRefusal(f *testing.F) {
	f.Add(401, []byte(`{"code":401,"error":"Access denied for mx-k3y"}`))
	f.Add(400, []byte(`{"errorMessage":null,"message":"Face not found"}`))
	f.Add(502, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status == 200 {
			return
		}
		c := Client{}
		score, missing, err := c.judge(wire.Response{Status: status, Body: body}, "mx-k3y")
		if score != 0 || err == nil && (status != 400 || missing != cloud.Unknown) {
			t.Errorf("judge(%d, %q) = %v, %q, %v", status, body, score, missing, err)
		}
		if failure, ok := err.(*cloud.Failure); ok && len([]rune(failure.Err.Error())) > 200 {
			t.Errorf("judge(%d, %q) = %v", status, body, err)
		}
	})
}
