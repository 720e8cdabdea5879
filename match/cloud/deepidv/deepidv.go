// Package deepidv asks the deepidv service whether two faces are the same:
//
//	Multipart, JSON   POST /v1/face/compare with both pictures
//	Presigned         POST /v1/upload/presign, PUT each picture to the store
//	                  that the answer names, POST /v1/face/compare with its keys
//
// The service reports the similarity of AWS Rekognition, 0..100. Its own
// verdict, isMatch, decides nothing here: the caller's thresholds do. But an
// answer that contradicts itself is no answer.
//
// A client never tries again on its own; whoever asks decides what comes next.
// Only a request that meets a connection the service had already closed is
// sent again, by net/http.
//
// # Assumptions
//
// The documents leave these open, or disagree about them:
//
//   - A missing key may be answered with 401 or 403; both mean a refused key.
//   - 404 and 405 mean a wrong address or a lost upload, not refused pictures.
//   - 429 may come without Retry-After; its body and those of 400 are only shown.
//   - Either picture without a face is reported by the flags of the guide's
//     table, or by all fields false or 0. Of the latter, told by a threshold of
//     0, the side is unknown.
//   - A face that is missing never comes with a confidence above 0, and isMatch
//     is exactly confidence >= threshold, whatever the threshold.
//   - A JSON string is taken for a picture if it is standard base64 with
//     padding and without a data: prefix.
//   - A part of a multipart body is taken for a file if it has a file name and
//     a Content-Type of image/jpeg.
//   - The answer to a presign request has a status of 2xx and one upload for
//     each file, in the order asked. The upload addresses outlive the deadline.
//   - The store answers an upload with 2xx. Uploads can't be deleted by the
//     client; how long they are kept is up to the service.
//   - With several faces in a picture, the largest of the source is compared
//     with all of the target, and the best counts, as Rekognition does.
package deepidv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// Name is the service's name.
const Name = "deepidv"

// DefaultURL is where the service is. Live and test keys use the same address.
const DefaultURL = "https://api.deepidv.com"

// MaxBytes is the largest picture the service takes, in bytes: the byteLength
// maximum of its OpenAPI document.
const MaxBytes = 15 << 20

// The usual thresholds, in the service's scale 0..100.
const (
	// DefaultAccept is what AWS advises on this scale where a match has to be
	// right: the confidence is the bare similarity of its service.
	DefaultAccept = 99.0
	// DefaultReject is the threshold in every published answer, and where
	// isMatch turns. What lies between stays unsure.
	DefaultReject = 80.0
)

// A Send is how pictures travel.
type Send string

// The ways to send pictures.
const (
	Multipart Send = "multipart" // as files of a form
	JSON      Send = "json"      // in base64
	Presigned Send = "presigned" // by way of a store, to which the service gives addresses
)

// A Client asks the service. It is ready when its fields are set, and may be
// used concurrently.
type Client struct {
	HTTP       *http.Client // required; see wire.Network
	Key        wire.Secret  // required; sent as x-api-key
	BaseURL    string       // empty: DefaultURL
	Send       Send         // empty: Multipart
	IDAsSource bool         // send the ID as source and the selfie as target, not the other way round
}

var _ cloud.Provider = (*Client)(nil)

// Check reports all that is wrong with the settings, without asking anybody
// and without reading the key, which may be readable by the service only.
func (c *Client) Check() error {
	var problems []error
	if c.Key == "" {
		problems = append(problems, errors.New("key_file: missing (name a file that holds the API key)"))
	}
	if err := wire.CheckURL(c.base()); err != nil {
		problems = append(problems, fmt.Errorf("base_url: %w (the service's own is %s)", err, DefaultURL))
	}
	switch c.Send {
	case "", Multipart, JSON, Presigned:
	default:
		problems = append(problems, fmt.Errorf("send: %q is unknown (choose multipart, json or presigned)", string(c.Send)))
	}
	return errors.Join(problems...)
}

// Name implements cloud.Provider.
func (c *Client) Name() string { return Name }

// Compare implements cloud.Provider.
func (c *Client) Compare(ctx context.Context, q cloud.Question) (cloud.Answer, error) {
	key, err := c.Key.Read()
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Unauthorised, Provider: Name, Err: err}
	}
	pictures := [2][]byte{q.Live, q.ID}
	if c.IDAsSource {
		pictures = [2][]byte{q.ID, q.Live}
	}
	for i, p := range pictures {
		if pictures[i], err = wire.Fit(p, MaxBytes); err != nil {
			return cloud.Answer{}, &cloud.Failure{Kind: cloud.Rejected, Provider: Name, Err: err}
		}
	}
	k := call{client: c, key: key}
	response, err := k.compare(ctx, pictures)
	if err != nil {
		return k.took, err
	}
	r, err := read(response.Body)
	if err != nil {
		return k.took, response.Failure(Name, cloud.Server, wire.Excerpt(err.Error(), key))
	}
	answer := k.took
	answer.Score, answer.Missing = *r.Confidence, c.missing(r)
	return answer, nil
}

func (c *Client) base() string { return cmp.Or(c.BaseURL, DefaultURL) }

// missing says which of our pictures has no face.
func (c *Client) missing(r reply) cloud.Side {
	source, target := cloud.Live, cloud.ID
	if c.IDAsSource {
		source, target = cloud.ID, cloud.Live
	}
	switch {
	case *r.Source && *r.Target:
		return cloud.Neither
	case *r.Source:
		return target
	case *r.Target:
		return source
	case *r.Threshold == 0:
		return cloud.Unknown // all false or 0: either picture, or both
	}
	return cloud.Both
}
