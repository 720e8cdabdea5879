package deepidv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/facegate/facegate/match/cloud/wire"
)

// A reply is the service's answer; all fields are required.
type reply struct {
	IsMatch    *bool    `json:"isMatch"`
	Confidence *float64 `json:"confidence"` // 0..100
	Threshold  *float64 `json:"threshold"`  // 0..100
	Source     *bool    `json:"sourceFaceDetected"`
	Target     *bool    `json:"targetFaceDetected"`
}

// read reads the answer of a comparison. Without an error all fields are set
// and agree with each other.
func read(body []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return reply{}, fmt.Errorf("answer is not the JSON expected: %w", err)
	}
	if r.IsMatch == nil || r.Confidence == nil || r.Threshold == nil || r.Source == nil || r.Target == nil {
		return reply{}, errors.New("answer lacks a field")
	}
	if !percent(*r.Confidence) || !percent(*r.Threshold) {
		return reply{}, fmt.Errorf("answer has confidence %g and threshold %g, not 0..100", *r.Confidence, *r.Threshold)
	}
	found := *r.Source && *r.Target
	if !found && (*r.IsMatch || *r.Confidence != 0) {
		return reply{}, errors.New("answer contradicts itself: a likeness to a face that was not found")
	}
	if found && *r.IsMatch != (*r.Confidence >= *r.Threshold) {
		return reply{}, fmt.Errorf("answer contradicts itself: isMatch is %t with confidence %g and threshold %g", *r.IsMatch, *r.Confidence, *r.Threshold)
	}
	return r, nil
}

func percent(v float64) bool { return v >= 0 && v <= 100 }

// complaint returns what an error's body says, in any of its documented
// shapes: JSON with message, error or detail, or plain text.
func complaint(body []byte, key string) string {
	text := strings.TrimSpace(string(body))
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		text = ""
		for _, name := range []string{"message", "error", "detail"} {
			if said, ok := object[name].(string); ok && text == "" {
				text = said
			}
		}
	} else if strings.HasPrefix(text, "<") {
		text = "" // a gateway's page
	}
	if text = wire.Excerpt(text, key); text == "" {
		return "no reason given"
	}
	return text
}
