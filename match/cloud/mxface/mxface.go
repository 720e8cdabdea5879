// Package mxface asks the MXFace service whether two faces are the same: one
// POST of both pictures in base64, to the path of one of three generations,
// each with a scale of its own:
//
//	V3  /api/v3/face/verify   matchResult 0 or 1, or confidence by choice
//	V2  /api/v2/face/verify   confidence 0..100
//	V1  /api/face/verify      confidence 0..1
//
// A service that sends several pairs of faces is as sure as its best pair.
//
// A client never tries again on its own; whoever asks decides what comes next.
// Only a request that meets a connection the service had already closed is
// sent again, by net/http.
//
// # Assumptions
//
// No page of the service tells its errors or its limits:
//
//   - A picture without a face, or with one too poor, is status 400 with a text
//     that says so; it does not say which picture. A text that is not known
//     means that the request was refused. See unusable for the texts.
//   - Status 200 with an empty matchedFaces, or with such a text in place of one,
//     also means that a face is missing.
//   - The text of an error is called error, errorMessage or message, its number
//     code or errorCode; the status alone decides.
//   - 401 and 403 mean a refused key, but 403 with a text that speaks of a quota
//     an empty account, as 402 does. 429 means too many calls, 404 and 405 a
//     wrong address.
//   - V3 has matchResult in every pair. It may have confidence, which is not read
//     unless chosen; its upper end is not known, and its cut is 60 by the guide
//     and 48 by the vendor's newer source. From 60 on both would say 1, below 48
//     both 0: a pair that says otherwise is no answer.
//   - V2 has confidence in every pair, V1 one for the whole answer.
//   - compareAllFaces, qualityThreshold and minimumDistanceBetweenEyeThreshold
//     are known to V3 only.
//   - A picture of 5,000,000 bytes is not too large.
package mxface

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// Name is the service's name.
const Name = "mxface"

// DefaultURL is where the service is; each version adds its path.
const DefaultURL = "https://faceapi.mxface.ai"

// MaxBytes is the largest picture sent, in bytes. Larger ones are scaled down.
const MaxBytes = 5_000_000

// A Version is a generation of the service.
type Version string

// The versions.
const (
	V3 Version = "v3"
	V2 Version = "v2"
	V1 Version = "v1"
)

// A Client asks the service. It is ready when its fields are set, and may be
// used concurrently.
type Client struct {
	HTTP       *http.Client // required; see wire.Network
	Key        wire.Secret  // required; sent as Subscriptionkey
	BaseURL    string       // empty: DefaultURL
	Version    Version      // empty: V3
	Confidence bool         // V3: the score is confidence, not matchResult; the others have nothing else
	IDAsSource bool         // send the ID as first picture and the selfie as second, not the other way round

	// For V3 only.
	CompareAllFaces bool // compare every face of the first picture, not only the one of the best quality
	MinQuality      int  // of a face, 21..100; 0: as the service likes
	MinEyeDistance  int  // pixels between the eyes; 0: as the service likes
}

var _ cloud.Provider = (*Client)(nil)

// Check reports all that is wrong with the settings, without asking anybody
// and without reading the key, which may be readable by the service only.
func (c *Client) Check() error {
	var problems []error
	fail := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Key == "" {
		fail("key_file: missing (name a file that holds the subscription key)")
	}
	if err := wire.CheckURL(c.base()); err != nil {
		fail("base_url: %w (the service's own is %s)", err, DefaultURL)
	}
	if c.version() != V3 && c.version() != V2 && c.version() != V1 {
		fail("version: %q is unknown (choose v3, v2 or v1)", string(c.Version))
	}
	if c.MinQuality != 0 && (c.MinQuality < 21 || c.MinQuality > 100) {
		fail("quality_threshold: %d is not within 21..100 (leave it out for the service's own)", c.MinQuality)
	}
	if c.MinEyeDistance < 0 {
		fail("min_eye_distance: %d is negative (leave it out for the service's own)", c.MinEyeDistance)
	}
	if c.version() == V2 || c.version() == V1 {
		for _, s := range []struct {
			name string
			set  bool
		}{
			{"confidence", c.Confidence},
			{"compare_all_faces", c.CompareAllFaces},
			{"quality_threshold", c.MinQuality != 0},
			{"min_eye_distance", c.MinEyeDistance != 0},
		} {
			if s.set {
				fail("%s: is for version v3 only (leave it out, or choose v3)", s.name)
			}
		}
	}
	return errors.Join(problems...)
}

// Name implements cloud.Provider.
func (c *Client) Name() string { return Name }

func (c *Client) base() string { return cmp.Or(c.BaseURL, DefaultURL) }

func (c *Client) version() Version { return cmp.Or(c.Version, V3) }

func (c *Client) path() string {
	if c.version() == V1 {
		return "/api/face/verify"
	}
	return "/api/" + string(c.version()) + "/face/verify"
}

// A question is the request's body.
type question struct {
	Image1          []byte `json:"encoded_image1"`
	Image2          []byte `json:"encoded_image2"`
	CompareAllFaces bool   `json:"compareAllFaces,omitempty"`
	MinQuality      int    `json:"qualityThreshold,omitempty"`
	MinEyeDistance  int    `json:"minimumDistanceBetweenEyeThreshold,omitempty"`
}

// Compare implements cloud.Provider.
func (c *Client) Compare(ctx context.Context, q cloud.Question) (cloud.Answer, error) {
	key, err := c.Key.Read()
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Unauthorised, Provider: Name, Err: err}
	}
	body, err := c.question(q)
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Rejected, Provider: Name, Err: err}
	}
	r, err := c.request(ctx, key, body)
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Server, Provider: Name, Err: err}
	}
	response, err := wire.Exchange(c.HTTP, Name, r, key)
	took := cloud.Answer{Sent: response.Sent, Status: response.Status}
	if err != nil {
		return took, err
	}
	score, missing, err := c.judge(response, key)
	if err != nil {
		return took, err
	}
	took.Score, took.Missing = score, missing
	return took, nil
}

// question returns the request's body.
func (c *Client) question(q cloud.Question) ([]byte, error) {
	first, second := q.Live, q.ID
	if c.IDAsSource {
		first, second = q.ID, q.Live
	}
	first, err := wire.Fit(first, MaxBytes)
	if err != nil {
		return nil, err
	}
	second, err = wire.Fit(second, MaxBytes)
	if err != nil {
		return nil, err
	}
	return json.Marshal(question{first, second, c.CompareAllFaces, c.MinQuality, c.MinEyeDistance})
}

func (c *Client) request(ctx context.Context, key string, body []byte) (*http.Request, error) {
	r, err := wire.Post(ctx, c.base(), c.path(), "application/json", body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Subscriptionkey", key)
	return r, nil
}

// judge turns a response into a score, a missing face, or a failure.
func (c *Client) judge(r wire.Response, key string) (score float64, missing cloud.Side, err error) {
	if r.Status == http.StatusOK {
		if score, missing, err = c.read(r.Body); err != nil {
			return 0, cloud.Neither, r.Failure(Name, cloud.Server, wire.Excerpt(err.Error(), key))
		}
		return score, missing, nil
	}
	text := complaint(r.Body)
	if r.Status == http.StatusBadRequest && unusable(text) {
		return 0, cloud.Unknown, nil
	}
	kind := wire.Kind(r.Status)
	if r.Status == http.StatusForbidden && strings.Contains(strings.ToLower(text), "quota") {
		kind = cloud.Quota
	}
	if text = wire.Excerpt(text, key); text == "" {
		text = "no reason given"
	}
	return 0, cloud.Neither, r.Failure(Name, kind, text)
}
