// Package event defines what facegate publishes: one JSON object per event,
// versioned, described for consumers by docs/schema/event.schema.json.
//
// An event names no person and carries no picture and no template.
package event

import "time"

// Version is the value of "v" in every payload.
const Version = 1

// Kind says which of the optional parts an event has.
type Kind string

// The kinds of event.
const (
	KindAttempt Kind = "attempt" // the one outcome of an attempt
	KindAccess  Kind = "access"  // a fact about the door
	KindGap     Kind = "gap"     // events that the journal had to drop
)

// Decision is the outcome of an attempt.
type Decision string

// The decisions, a closed list.
const (
	DecisionMatch   Decision = "match"
	DecisionNoMatch Decision = "no_match"
	DecisionUnsure  Decision = "unsure"
	DecisionError   Decision = "error"
)

// Reason says why, from a closed list.
type Reason string

// The reasons.
const (
	OK               Reason = "ok"
	BelowThreshold   Reason = "below_threshold"
	UnsureNoCloud    Reason = "unsure_no_cloud"
	NoFaceLive       Reason = "no_face_live"
	NoFaceID         Reason = "no_face_id"
	IDFaceTooSmall   Reason = "id_face_too_small"
	IDAmbiguous      Reason = "id_ambiguous"
	IDUnreadable     Reason = "id_unreadable"
	IDBlurred        Reason = "id_blurred"
	IDGlare          Reason = "id_glare"
	MultiFaceLive    Reason = "multi_face_live"
	QualitySize      Reason = "quality_size"
	QualitySharpness Reason = "quality_sharpness"
	QualityExposure  Reason = "quality_exposure"
	QualityPose      Reason = "quality_pose"
	Timeout          Reason = "timeout"
	CameraFault      Reason = "camera_fault"
	EngineFault      Reason = "engine_fault"
	JournalFault     Reason = "journal_fault"
	Lockout          Reason = "lockout"
	Cancelled        Reason = "cancelled"
	Interrupted      Reason = "interrupted"
	NotAuthorised    Reason = "not_authorised"
	PADFailed        Reason = "pad_failed"    // the person did not do what was asked, or is a picture
	PADMissing       Reason = "pad_missing"   // a match that may not open the door, as nobody could be asked
	CloudUnsure      Reason = "cloud_unsure"  // services were asked and came to no verdict either
	CloudNoFace      Reason = "cloud_no_face" // a service found no face and does not say in which picture, or in neither
)

// Access says what became of the door in an attempt.
type Access string

// The values of an attempt's access.
const (
	Granted      Access = "granted"       // the door was told to open
	Denied       Access = "denied"        // a match that was not let through
	NotAttempted Access = "not_attempted" // nothing asked for the door
)

// AccessFact is one fact about the door.
type AccessFact string

// The facts.
const (
	PulseStarted     AccessFact = "pulse_started"
	PulseEnded       AccessFact = "pulse_ended"
	PulseInterrupted AccessFact = "pulse_interrupted" // the program died after granting; whether the door moved is unknown
	PulseFailed      AccessFact = "pulse_failed"      // the output could not be driven
)

// An Event is one line of the journal and one MQTT message.
//
// Seq, JournalID, Site, Device and the fields of [Stamp] are filled by the
// journal. An event that it did not take has Seq 0 and is told on the device
// alone.
type Event struct {
	V          int    `json:"v"`
	Kind       Kind   `json:"kind"`
	Seq        uint64 `json:"seq"`        // counts without gaps over the journal's life, from 1
	JournalID  string `json:"journal_id"` // changes only when a new journal is begun
	Site       string `json:"site"`
	Device     string `json:"device"`
	Historical bool   `json:"historical"` // sent again, or late; not stored
	Stamp
	AttemptID string `json:"attempt_id,omitempty"` // a ULID

	*Attempt
	*AccessEvent
	*Gap
}

// A Stamp says when something happened.
type Stamp struct {
	BootID      string `json:"boot_id"`      // the kernel's, new at each boot
	Time        Time   `json:"ts"`           // UTC, milliseconds
	MonoMS      int64  `json:"mono_ms"`      // CLOCK_BOOTTIME in milliseconds
	ClockSynced bool   `json:"clock_synced"` // whether ts can be trusted
}

// An Attempt is the outcome of one attempt.
type Attempt struct {
	Decision   Decision           `json:"decision"`
	Reason     Reason             `json:"reason"`
	Source     string             `json:"source"`                // http, inbox, button, mqtt
	Route      string             `json:"route"`                 // who decided: local or cloud
	Access     Access             `json:"access"`                //
	Score      *float64           `json:"score,omitempty"`       // the distance that decided
	FMR        *float64           `json:"fmr,omitempty"`         // how many comparisons of two people are at or below it; absent without a calibration
	Scores     []float64          `json:"scores,omitempty"`      // of every probe
	Accept     float64            `json:"accept"`                // thresholds in force
	Reject     float64            `json:"reject"`                //
	Engine     string             `json:"engine,omitempty"`      // dlib
	ModelID    string             `json:"model_id,omitempty"`    // name and the start of its sha256
	FramesSeen int                `json:"frames_seen"`           // frames looked at
	FramesUsed int                `json:"frames_used"`           // probes compared
	Gates      map[string]float64 `json:"gates,omitempty"`       // quality figures of the last face looked at
	StageMS    map[string]float64 `json:"stage_ms,omitempty"`    // milliseconds spent by stage
	SubjectRef string             `json:"subject_ref,omitempty"` // the caller's opaque word for the ID
	RetryInMS  int64              `json:"retry_in_ms,omitempty"` // with reason lockout
	PAD        *PAD               `json:"pad,omitempty"`         // with an attempt whose person was put to a test
	Cloud      *Cloud             `json:"cloud,omitempty"`       // with an attempt for which a compare service was to be asked
}

// A PAD is what presentation-attack detection asked of the person in an
// attempt, and found.
type PAD struct {
	Kind    string   `json:"kind"`             // the test that decided: model or turn
	Side    string   `json:"side,omitempty"`   // with turn: the person's own left or right
	Score   *float64 `json:"score,omitempty"`  // of the model, 0..1, more is likelier a person; absent if none was asked
	Accept  *float64 `json:"accept,omitempty"` // the least score that passes
	Verdict string   `json:"verdict"`          // passed, or why not
}

// The kinds of a PAD.
const (
	Turn  = "turn"  // asks the person to turn the head
	Model = "model" // a model looks at the frames that were compared
)

// PADPassed is the verdict of a PAD on somebody who may be let through.
const PADPassed = "passed"

// NotLive is the verdict of a model on a picture.
const NotLive = "not_live"

// A Cloud is what compare services were asked in an attempt, and said. Score
// and thresholds are in the scale of the provider that decided.
type Cloud struct {
	Why       string   `json:"why"`                // unsure, engine_down
	Verdict   string   `json:"verdict"`            // match, no_match, unsure
	Provider  string   `json:"provider,omitempty"` // who decided; two that agreed are joined by +
	Score     *float64 `json:"score,omitempty"`
	Accept    *float64 `json:"accept,omitempty"`
	Reject    *float64 `json:"reject,omitempty"`
	Missing   string   `json:"missing,omitempty"` // where no face was found: live, id, both, unknown
	Failure   string   `json:"failure,omitempty"` // why there is no answer
	Calls     int      `json:"calls"`
	SentBytes int64    `json:"sent_bytes"`
}

// An AccessEvent is a fact about the door.
type AccessEvent struct {
	Fact        AccessFact `json:"fact"`
	CommandedMS int64      `json:"commanded_ms,omitempty"` // the pulse asked for; not with pulse_interrupted
	MeasuredMS  float64    `json:"measured_ms,omitempty"`  // the pulse as timed by the program, with pulse_ended
	Detail      string     `json:"detail,omitempty"`
}

// A Gap names events that are no longer in the journal.
type Gap struct {
	From        uint64 `json:"from"`        // first seq dropped
	To          uint64 `json:"to"`          // last seq dropped
	Undelivered int    `json:"undelivered"` // of these, never acknowledged by a broker
	Cause       string `json:"cause"`       // [CauseBytes] or [CauseAge]
}

// A Time is written in UTC with exactly three decimals.
type Time struct{ time.Time }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) {
	return []byte(t.UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}
