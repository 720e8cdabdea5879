package argos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// A reply is an answer or a posted result.
type reply struct {
	Status  *int            `json:"statusCode"` // in posted results and errors
	APIType *string         `json:"apiType"`
	Code    int             `json:"errorCode"`
	Message string          `json:"message"`
	Result  json.RawMessage `json:"result"`
}

// A result has FaceMatch with a similarity, or TargetFace and Similarity.
type result struct {
	Face       *face `json:"face"`
	FaceMatch  *face `json:"faceMatch"`
	TargetFace *face `json:"targetFace"`
	Similarity *struct {
		Score     json.RawMessage  `json:"score"` // 0..1, as is the threshold
		Threshold *json.RawMessage `json:"threshold"`
		IsMatch   *bool            `json:"isMatch"`
	} `json:"similarity"`
}

type face struct {
	IsAvailable *bool           `json:"isAvailable"`
	Similarity  json.RawMessage `json:"similarity"` // 0..100, of FaceMatch
}

// promises reports whether a response says that the result will be posted.
func promises(r wire.Response) bool {
	if r.Status < 200 || r.Status > 299 {
		return false
	}
	body := bytes.TrimSpace(r.Body)
	if len(body) == 0 {
		return true
	}
	var said reply
	return body[0] == '{' && json.Unmarshal(body, &said) == nil && said.Result == nil && said.Code == 0 && said.sane() == nil
}

// judge reads a response, or a posted result as one with status 200.
func (c *Client) judge(r wire.Response, key string) (cloud.Answer, error) {
	var said reply
	err := json.Unmarshal(r.Body, &said)
	if err == nil && said.Code != 0 {
		return said.fault(r, key)
	}
	if r.Status < 200 || r.Status > 299 {
		return cloud.Answer{}, r.Failure(Name, wire.Kind(r.Status), refusal(r.Status, said.Message, key))
	}
	if err != nil {
		return cloud.Answer{}, r.Failure(Name, cloud.Server, "answer is not the JSON expected: "+wire.Excerpt(err.Error(), key))
	}
	if err := said.sane(); err != nil {
		return cloud.Answer{}, r.Failure(Name, cloud.Server, wire.Excerpt(err.Error(), key))
	}
	answer, err := c.score(said.Result)
	if err != nil {
		return cloud.Answer{}, r.Failure(Name, cloud.Server, wire.Excerpt(err.Error(), key))
	}
	return answer, nil
}

// sane refuses the reply of another interface and a status that contradicts
// the one of HTTP.
func (s reply) sane() error {
	if s.APIType != nil && *s.APIType != "compare_face" {
		return fmt.Errorf("answer has apiType %s, not compare_face", *s.APIType)
	}
	if s.Status != nil && (*s.Status < 200 || *s.Status > 299) {
		return fmt.Errorf("answer has statusCode %d without an errorCode", *s.Status)
	}
	return nil
}

// fault says what an error code means.
func (s reply) fault(r wire.Response, key string) (cloud.Answer, error) {
	if s.Status != nil {
		r.Status = *s.Status
	}
	text := fmt.Sprintf("error %d: %s", s.Code, wire.Excerpt(s.Message, key))
	switch s.Code {
	case 1002: // failed to compare
		return cloud.Answer{Missing: cloud.Unknown}, nil
	case 1000: // two images are required
		return cloud.Answer{}, r.Failure(Name, cloud.Rejected, text)
	case 1001: // workspace is unavailable
		return cloud.Answer{}, r.Failure(Name, cloud.Unauthorised, text+" (look at the workspace of this key in the service's dashboard)")
	case 1010: // callbackUrl is required
		return cloud.Answer{}, r.Failure(Name, cloud.Rejected, text+" (this account posts its results: configure callback)")
	}
	return cloud.Answer{}, r.Failure(Name, wire.Kind(r.Status), text)
}

// refusal says why a gateway refused.
func refusal(status int, message, key string) string {
	text := wire.Excerpt(message, key)
	if text == "" {
		text = "no reason given"
	}
	if status == http.StatusForbidden {
		text += " (is the key right, and does the service admit this site's address?)"
	}
	return text
}

// score reads the result in either shape.
func (c *Client) score(raw json.RawMessage) (cloud.Answer, error) {
	var r result
	if err := json.Unmarshal(raw, &r); err != nil {
		return cloud.Answer{}, fmt.Errorf("answer's result is not what is expected: %w", err)
	}
	target, similarity, scale := r.FaceMatch, json.RawMessage(nil), int64(0)
	switch {
	case r.FaceMatch != nil && (r.TargetFace != nil || r.Similarity != nil):
		return cloud.Answer{}, errors.New("answer mixes two shapes")
	case r.FaceMatch != nil:
		similarity = r.FaceMatch.Similarity
	case r.TargetFace != nil:
		target, scale = r.TargetFace, 2
		if r.Similarity != nil {
			similarity = r.Similarity.Score
		}
	}
	if r.Face == nil || r.Face.IsAvailable == nil || target == nil || target.IsAvailable == nil {
		return cloud.Answer{}, errors.New("answer lacks a face")
	}
	score, err := percent(similarity, scale)
	if missing := c.missing(*r.Face.IsAvailable, *target.IsAvailable); missing != cloud.Neither {
		if err == nil && score != 0 || r.Similarity != nil && r.Similarity.IsMatch != nil && *r.Similarity.IsMatch {
			return cloud.Answer{}, errors.New("answer contradicts itself: a likeness to a face that was not found")
		}
		return cloud.Answer{Missing: missing}, nil
	}
	if err != nil {
		return cloud.Answer{}, err
	}
	if err := r.agrees(score); err != nil {
		return cloud.Answer{}, err
	}
	return cloud.Answer{Score: score}, nil
}

// agrees refuses a score that the service's own verdict contradicts, or whose
// scale its threshold puts in doubt. The verdict is in the second shape only,
// and may be left out there, but only whole.
func (r result) agrees(score float64) error {
	s := r.Similarity
	if s == nil || s.Threshold == nil && s.IsMatch == nil {
		return nil
	}
	if s.Threshold == nil || s.IsMatch == nil {
		return errors.New("answer has threshold or isMatch without the other")
	}
	threshold, err := percent(*s.Threshold, 2)
	if err != nil || threshold == 0 {
		return errors.New("answer's threshold is not within (0, 1]")
	}
	if *s.IsMatch != (score >= threshold) {
		return fmt.Errorf("answer contradicts itself: isMatch is %t with score %g and threshold %g of 100", *s.IsMatch, score, threshold)
	}
	return nil
}

// missing names the pictures without a face.
func (c *Client) missing(origin, target bool) cloud.Side {
	live, id := origin, target
	if c.IDAsSource {
		live, id = target, origin
	}
	switch {
	case live && id:
		return cloud.Neither
	case live:
		return cloud.ID
	case id:
		return cloud.Live
	}
	return cloud.Both
}

// percent reads a number of 0 to 100 that was written with a power of ten less:
// 0.57 with scale 2 is exactly what 57 is.
func percent(raw json.RawMessage, scale int64) (float64, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, errors.New("answer has no similarity")
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(raw)), "e")
	if exponent != "" {
		n, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return 0, errors.New("answer's similarity is no usable number")
		}
		scale += n
	}
	v, err := strconv.ParseFloat(mantissa+"e"+strconv.FormatInt(scale, 10), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, errors.New("answer's similarity is not within its scale")
	}
	return v, nil
}
