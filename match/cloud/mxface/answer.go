package mxface

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/facegate/facegate/match/cloud"
)

// A reply is the service's answer of status 200, of any version.
type reply struct {
	complaints
	MatchedFaces *[]pair  `json:"matchedFaces"` // V3, V2
	Confidence   *float64 `json:"confidence"`   // V1
}

// A pair is two faces that were compared.
type pair struct {
	MatchResult *float64 `json:"matchResult"` // 0 or 1; V3
	Confidence  *float64 `json:"confidence"`
}

// complaints is where an error's text may be.
type complaints struct {
	Error        any `json:"error"`
	ErrorMessage any `json:"errorMessage"`
	Message      any `json:"message"`
}

// failed reports whether there is an error, of whatever type. A message alone
// is none.
func (c complaints) failed() bool {
	return c.ErrorMessage != nil && c.ErrorMessage != "" || c.Error != nil && c.Error != ""
}

// text returns the first of the texts that is one.
func (c complaints) text() string {
	for _, v := range []any{c.ErrorMessage, c.Error, c.Message} {
		if s, ok := v.(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// complaint returns what an error's body says, "" if nothing can be shown.
func complaint(body []byte) string {
	var c complaints
	if json.Unmarshal(body, &c) == nil {
		return c.text()
	}
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, "<") {
		return "" // a gateway's page
	}
	return text
}

// unusable reports whether an error's text says that a picture has no face, or
// none that is good enough. The service has no number for it; the texts are
// those of its public source, and near ones.
func unusable(text string) bool {
	text = strings.ToLower(text)
	for _, phrase := range []string{
		"no face",
		"face not found", "face is not found",
		"face not detected", "face is not detected",
		"quality of face is very low",
		"invalid face size",
	} {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

// read reads an answer of status 200.
func (c *Client) read(body []byte) (score float64, missing cloud.Side, err error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, cloud.Neither, fmt.Errorf("answer is not the JSON expected: %w", err)
	}
	if r.failed() {
		if r.MatchedFaces == nil && r.Confidence == nil && unusable(r.text()) {
			return 0, cloud.Unknown, nil
		}
		return 0, cloud.Neither, fmt.Errorf("answer holds an error: %s", r.text())
	}
	if c.version() == V1 {
		score, err = within("confidence", r.Confidence, 1)
		return score, cloud.Neither, err
	}
	if r.MatchedFaces == nil {
		return 0, cloud.Neither, errors.New("answer has no matchedFaces")
	}
	if len(*r.MatchedFaces) == 0 {
		return 0, cloud.Unknown, nil
	}
	for _, p := range *r.MatchedFaces {
		s, err := c.score(p)
		if err != nil {
			return 0, cloud.Neither, err
		}
		score = max(score, s)
	}
	return score, cloud.Neither, nil
}

// The cuts of V3's matchResult in the scale of its confidence, by the vendor's
// newer source and by the guide.
const (
	lowCut  = 48
	highCut = 60
)

// score returns what one pair says, in the scale of the version.
func (c *Client) score(p pair) (float64, error) {
	if c.version() == V2 {
		return within("confidence", p.Confidence, 100)
	}
	result, err := within("matchResult", p.MatchResult, 1)
	if err != nil {
		return 0, err
	}
	if result != 0 && result != 1 {
		return 0, fmt.Errorf("answer has matchResult %g, neither 0 nor 1", result)
	}
	if !c.Confidence {
		return result, nil
	}
	confidence, err := within("confidence", p.Confidence, math.MaxFloat64)
	if err != nil {
		return 0, err
	}
	if result == 0 && confidence >= highCut || result == 1 && confidence < lowCut {
		return 0, fmt.Errorf("answer contradicts itself: matchResult is %g with confidence %g", result, confidence)
	}
	return confidence, nil
}

// within returns a number of the answer that must be there, 0..most.
func within(name string, v *float64, most float64) (float64, error) {
	if v == nil {
		return 0, fmt.Errorf("answer has no %s", name)
	}
	if !(*v >= 0 && *v <= most) {
		return 0, fmt.Errorf("answer has %s %g, not 0..%g", name, *v, most)
	}
	return *v, nil
}
