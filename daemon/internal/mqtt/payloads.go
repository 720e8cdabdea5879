package mqtt

import (
	"encoding/json"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// State is what the status topic says about the kiosk.
type State string

// The states. Offline is published by the broker in our name.
const (
	Online   State = "online"
	Degraded State = "degraded" // running, with a fault in a component
	Stopped  State = "stopped"  // ended in an orderly way
	Offline  State = "offline"  // lost
)

// A Fault is one message on the error topic.
type Fault struct {
	Code      string        // a fixed word, see docs/mqtt.md
	Component string        // camera, engine, journal, mqtt ...
	Detail    string        // for people; no personal data, no secret
	RetryIn   time.Duration // zero: nothing is going to be tried again
}

type statusPayload struct {
	V       int        `json:"v"`
	State   State      `json:"state"`
	Since   event.Time `json:"since"` // with offline: when the lost connection began
	BootID  string     `json:"boot_id"`
	Version string     `json:"version"`
}

type lastPayload struct {
	V        int            `json:"v"`
	Decision event.Decision `json:"decision"`
	Reason   event.Reason   `json:"reason"`
	Time     event.Time     `json:"ts"`
}

type progressPayload struct {
	V         int        `json:"v"`
	AttemptID string     `json:"attempt_id"`
	Hint      string     `json:"hint"`
	Time      event.Time `json:"ts"`
}

type faultPayload struct {
	V         int        `json:"v"`
	Code      string     `json:"code"`
	Component string     `json:"component"`
	Detail    string     `json:"detail,omitempty"`
	RetryInMS int64      `json:"retry_in_ms,omitempty"`
	Time      event.Time `json:"ts"`
}

type responsePayload struct {
	V      int    `json:"v"`
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Code   Code   `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// encode marshals our own flat payloads, which cannot fail.
func encode(payload any) []byte {
	b, _ := json.Marshal(payload)
	return b
}

func now() event.Time { return event.Time{Time: time.Now()} }
