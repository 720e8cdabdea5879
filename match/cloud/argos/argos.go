// Package argos asks the Face Compare API of ARGOS Identity: one POST of both
// pictures, whose result is in the answer or is posted to a URL of ours.
//
//	pictures ─► POST /modules/compare ─► answer ──────────────┬─► score
//	                      └─► (by choice) POST to [Callbacks] ┘
//
// The result comes in one of two published shapes. One has faceMatch with a
// similarity of 0 to 100; the other has targetFace beside a similarity with a
// score of 0 to 1, which is turned into hundredths. So a score is always 0 to
// 100. The shape alone tells the scale: a similarity of 0.97 in the first shape
// is less than one in a hundred.
//
// # Assumptions
//
// No public source settles these; the client relies on them.
//
//   - Either shape may come from production, in an answer and in a callback.
//   - A picture without a face is told by isAvailable false on its side, or by
//     error 1002, which does not tell the side. Error 1002 has no other cause.
//   - With a callbackUrl, a status of 2xx with an empty body or with an object
//     that has neither result nor errorCode says that the result will be posted.
//     A result that is there already counts, and the posted one is ignored.
//   - Nothing signs a callback: whoever knows its path may post. The path is
//     told to the service only, and posted to once; one that was cut off may be
//     posted again.
//   - In the second shape threshold is of the score's scale, isMatch is exactly
//     score >= threshold, and there are both or neither.
//   - Error 1001 is a matter of the account. Error 1003 does not say whose fault
//     it is; its status does.
//   - Error 1010 means that the account gives results by callback only.
//   - 403 means a refused key or address of ours, 429 too many calls, 404 and
//     405 a wrong address.
//   - The gateway takes requests of ten million bytes, so that two pictures of
//     nearly 5 MB are too much together.
package argos

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// Name is the service's name.
const Name = "argos"

// DefaultURL is where the service is.
const DefaultURL = "https://idverify-api.argosidentity.com"

// MaxBytes is the largest picture sent, in bytes: the service takes less than
// 5 MB.
const MaxBytes = 4_999_999

// Of pictures that are too much together none is larger than maxEach, so that
// both fit into maxBoth in base64.
const (
	maxBoth = 9_900_000
	maxEach = 3_700_000
)

// The usual thresholds, 0 to 100.
const (
	// DefaultAccept is the cut in a published client; the documents' example has
	// 80.
	DefaultAccept = 95.0
	// DefaultReject is ours: what lies between stays unsure.
	DefaultReject = 50.0
)

// A Client asks the service. It is ready when its fields are set, and may be
// used concurrently.
type Client struct {
	HTTP       *http.Client // required; see wire.Network
	Key        wire.Secret  // required; sent as x-api-key
	BaseURL    string       // empty: DefaultURL
	IDAsSource bool         // send the ID as originFace and the selfie as targetFace, not the other way round
	Callbacks  *Callbacks   // where results may be posted; nil: nowhere, they are in the answers
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
	if c.Callbacks != nil {
		problems = append(problems, c.Callbacks.Check())
	}
	return errors.Join(problems...)
}

// Name implements cloud.Provider.
func (c *Client) Name() string { return Name }

func (c *Client) base() string {
	return cmp.Or(c.BaseURL, DefaultURL)
}

// A question is the request's body.
type question struct {
	Origin   []byte `json:"originFace"` // in base64, without a MIME prefix
	Target   []byte `json:"targetFace"`
	Callback string `json:"callbackUrl,omitempty"`
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
	var posted <-chan []byte
	if c.Callbacks != nil {
		var forget func()
		body.Callback, posted, forget = c.Callbacks.expect()
		defer forget()
	}
	asked, stop := context.WithCancel(ctx)
	defer stop()
	r, err := c.request(asked, key, body)
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Server, Provider: Name, Err: err}
	}
	// A result may be posted before the answer is here.
	answers := make(chan exchanged, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		response, err := wire.Exchange(c.HTTP, Name, r, key)
		answers <- exchanged{response, err}
	})
	e, reading, err := c.await(ctx, key, answers, posted)
	stop()
	wg.Wait()
	if e == nil { // nothing was read from answers
		e = new(<-answers)
	}
	reading.Sent, reading.Status = e.response.Sent, e.response.Status
	return reading, err
}

// exchanged is what [wire.Exchange] returned.
type exchanged struct {
	response wire.Response
	err      error
}

// await returns what the answer or the posted result says, whichever is first,
// and the answer if it came. An answer that only promises a result is no end.
func (c *Client) await(ctx context.Context, key string, answers <-chan exchanged, posted <-chan []byte) (*exchanged, cloud.Answer, error) {
	var got *exchanged
	for {
		select {
		case e := <-answers:
			got, answers = &e, nil
			if e.err != nil {
				return got, cloud.Answer{}, e.err
			}
			if posted != nil && promises(e.response) {
				continue
			}
			answer, err := c.judge(e.response, key)
			return got, answer, err
		case body := <-posted:
			answer, err := c.judge(wire.Response{Status: http.StatusOK, Body: body}, key)
			return got, answer, err
		case <-ctx.Done():
			f := &cloud.Failure{Kind: cloud.Network, Provider: Name, Err: context.Cause(ctx)}
			if got != nil {
				f.Status = got.response.Status
			}
			return got, cloud.Answer{}, f
		}
	}
}

// question makes the request's body, with pictures small enough.
func (c *Client) question(q cloud.Question) (question, error) {
	live, id := q.Live, q.ID
	limit := MaxBytes
	if (len(live)+len(id))*4/3 > maxBoth {
		limit = maxEach
	}
	for _, p := range []struct {
		name string
		jpeg *[]byte
	}{{"live", &live}, {"id", &id}} {
		if len(*p.jpeg) == 0 {
			return question{}, fmt.Errorf("%s picture is empty", p.name)
		}
		var err error
		if *p.jpeg, err = wire.Fit(*p.jpeg, limit); err != nil {
			return question{}, fmt.Errorf("%s picture: %w", p.name, err)
		}
	}
	if c.IDAsSource {
		return question{Origin: id, Target: live}, nil
	}
	return question{Origin: live, Target: id}, nil
}

func (c *Client) request(ctx context.Context, key string, q question) (*http.Request, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, err := wire.Post(ctx, c.base(), "/modules/compare", "application/json", body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "facegate")
	r.Header.Set("X-Api-Key", key)
	return r, nil
}
