package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/grant"
)

// Bounds of a command.
const (
	MaxCommandBytes = 768 << 10 // a photo at its limit, in base64, with room
	MaxPhotoBytes   = 512 << 10 // after decoding base64
	MaxAhead        = time.Minute
	MaxReplay       = 100_000 // events asked for at once

	maxID    = 128
	maxNonce = 128
	maxDepth = 4
)

// Verb is what a command asks for; it is the last level of its topic.
type Verb string

// The verbs, a closed list.
const (
	VerbVerify  Verb = "verify"  // begin an attempt
	VerbCancel  Verb = "cancel"  // end the attempt
	VerbGrant   Verb = "grant"   // permit the attempt to open the door
	VerbReplay  Verb = "replay"  // send a range of events again
	VerbRebirth Verb = "rebirth" // announce status, info, health and last state again
)

// A Code says in a response what became of a command.
type Code string

// The codes, a closed list.
const (
	OK            Code = "ok"
	Busy          Code = "busy"           // something is running already; nothing was begun
	BadRequest    Code = "bad_request"    // see detail
	TooLarge      Code = "too_large"      //
	ExpiryMissing Code = "expiry_missing" //
	Expired       Code = "expired"        //
	ExpiryTooFar  Code = "expiry_too_far" // more than 60 s ahead
	ClockUnsynced Code = "clock_unsynced" // the kiosk does not know the time
	NonceMissing  Code = "nonce_missing"  //
	NonceUsed     Code = "nonce_used"     //
	NotAllowed    Code = "not_allowed"    // forbidden by configuration
	NotFound      Code = "not_found"      // no such attempt, upload or source
	Unauthorised  Code = "unauthorised"   // a grant's signature does not fit
	JournalFault  Code = "journal_fault"  // the nonce could not be remembered
	Internal      Code = "internal"       // see the log
)

// A Command is one that came in time, for the first time, in good form.
// Exactly one of the pointers is set, that of its verb.
type Command struct {
	Verb    Verb
	ID      string // the sender's, repeated in the response
	Expires time.Time
	Verify  *Verify
	Cancel  *Cancel
	Grant   *grant.Grant
	Replay  *Replay
}

// Verify asks for an attempt with an ID photo from exactly one place.
type Verify struct {
	Source       string `json:"source"`        // a source of this kiosk, such as its document camera
	Upload       string `json:"upload"`        // the name of a photo uploaded over HTTP
	Photo        []byte `json:"photo"`         // the photo itself, in base64
	SubjectRef   string `json:"subject_ref"`   // the caller's opaque word for the ID, may be empty
	ConsentCloud string `json:"consent_cloud"` // what the person lets compare services see: none, faces or whole; empty is none
}

// Cancel asks for an attempt to end.
type Cancel struct {
	AttemptID string `json:"attempt_id"` // empty: the one that runs
}

// Replay asks for events to be sent again.
type Replay struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"` // inclusive
}

// A Response is the answer to a command.
type Response struct {
	Code   Code
	Detail string // for people; no personal data, no secret
}

// A refusal is why a command is not carried out.
type refusal struct {
	code   Code
	detail string
}

func (r *refusal) Error() string { return string(r.code) + ": " + r.detail }

func refuse(code Code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// An envelope is a command as sent.
type envelope struct {
	ID        string          `json:"id"`
	ExpiresAt string          `json:"expires_at"`
	Nonce     string          `json:"nonce"`
	Args      json.RawMessage `json:"args"`
}

// parseCommand reads a command strictly and judges its form only; the nonce
// comes back to be used up. When even the id cannot be made out, the command's
// ID is empty and nobody can be answered.
func parseCommand(verb Verb, payload []byte, at time.Time) (Command, string, *refusal) {
	if len(payload) > MaxCommandBytes {
		return Command{}, "", refuse(TooLarge, "%d bytes, at most %d", len(payload), MaxCommandBytes)
	}
	cmd := Command{Verb: verb, ID: salvageID(payload)}
	var env envelope
	if err := decodeStrict(payload, &env); err != nil {
		return cmd, "", refuse(BadRequest, "%s", err)
	}
	switch {
	case !isWord(env.ID, maxID):
		return cmd, "", refuse(BadRequest, "id: want 1 to %d printable characters", maxID)
	case env.Nonce == "":
		return cmd, "", refuse(NonceMissing, "nonce is required")
	case !isWord(env.Nonce, maxNonce):
		return cmd, "", refuse(BadRequest, "nonce: want 1 to %d printable characters", maxNonce)
	case env.ExpiresAt == "":
		return cmd, "", refuse(ExpiryMissing, "expires_at is required")
	}
	var err error
	if cmd.Expires, err = parseTime(env.ExpiresAt); err != nil {
		return cmd, "", refuse(BadRequest, "expires_at: not RFC 3339")
	}
	switch ahead := cmd.Expires.Sub(at); {
	case ahead <= 0:
		return cmd, "", refuse(Expired, "expired %s ago", (-ahead).Round(time.Second))
	case ahead > MaxAhead:
		return cmd, "", refuse(ExpiryTooFar, "expires in %s, at most %s is allowed", ahead.Round(time.Second), MaxAhead)
	}
	if r := cmd.parseArgs(env.Args); r != nil {
		return cmd, "", r
	}
	return cmd, env.Nonce, nil
}

func (c *Command) parseArgs(args json.RawMessage) *refusal {
	var into any
	switch c.Verb {
	case VerbVerify:
		c.Verify = new(Verify)
		into = c.Verify
	case VerbCancel:
		c.Cancel = new(Cancel)
		into = c.Cancel
	case VerbGrant:
		c.Grant = new(grant.Grant)
		into = c.Grant
	case VerbReplay:
		c.Replay = new(Replay)
		into = c.Replay
	case VerbRebirth:
		into = new(struct{})
	default:
		return refuse(BadRequest, "unknown verb")
	}
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if err := decodeStrict(args, into); err != nil {
		return refuse(BadRequest, "args: %s", err)
	}
	return c.checkArgs()
}

func (c *Command) checkArgs() *refusal {
	switch {
	case c.Verify != nil:
		return c.Verify.check()
	case c.Cancel != nil && c.Cancel.AttemptID != "" && !event.ValidAttemptID(c.Cancel.AttemptID):
		return refuse(BadRequest, "args: attempt_id is malformed")
	case c.Grant != nil:
		return checkGrant(*c.Grant)
	case c.Replay != nil && (c.Replay.From == 0 || c.Replay.To < c.Replay.From):
		return refuse(BadRequest, "args: want 1 <= from <= to")
	case c.Replay != nil && c.Replay.To-c.Replay.From >= MaxReplay:
		return refuse(BadRequest, "args: at most %d events at once", MaxReplay)
	}
	return nil
}

// checkGrant looks at the form of a grant; whether it holds is for the Handler
// to say.
func checkGrant(g grant.Grant) *refusal {
	switch {
	case !event.ValidAttemptID(g.AttemptID):
		return refuse(BadRequest, "args: attempt_id is missing or malformed")
	case len(g.MAC) != 64 || strings.Trim(g.MAC, "0123456789abcdef") != "":
		return refuse(BadRequest, "args: mac: want 64 digits of lower-case hexadecimal")
	}
	if _, err := parseTime(g.ExpiresAt); err != nil {
		return refuse(BadRequest, "args: expires_at is missing or not RFC 3339")
	}
	return nil
}

// parseTime reads a time as RFC 3339 writes it, and not what time.Parse takes
// for it besides: an hour of one digit, a comma for the point, a zone of 24
// hours.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && (s[13] != ':' || strings.ContainsRune(s, ',') || strings.Contains(s, "+24:") || strings.Contains(s, "-24:")) {
		return time.Time{}, errors.New("not RFC 3339")
	}
	return t, err
}

func (v *Verify) check() *refusal {
	given := 0
	for _, set := range []bool{v.Source != "", v.Upload != "", len(v.Photo) > 0} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return refuse(BadRequest, "args: exactly one of source, upload and photo is required")
	case len(v.Photo) > MaxPhotoBytes:
		return refuse(TooLarge, "photo has %d bytes, at most %d", len(v.Photo), MaxPhotoBytes)
	case v.Source != "" && !isWord(v.Source, maxID), v.Upload != "" && !isWord(v.Upload, maxID):
		return refuse(BadRequest, "args: source or upload is malformed")
	case len(v.SubjectRef) > event.MaxSubjectRef || strings.ContainsFunc(v.SubjectRef, unicode.IsControl):
		return refuse(BadRequest, "args: subject_ref is malformed")
	case !slices.Contains([]string{"", "none", "faces", "whole"}, v.ConsentCloud):
		return refuse(BadRequest, "args: consent_cloud must be none, faces or whole")
	}
	return nil
}

// isWord says whether s is from one to longest printable ASCII characters
// without a space.
func isWord(s string, longest int) bool {
	return s != "" && len(s) <= longest &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// salvageID finds the id of a command that may be wrong in any other respect.
func salvageID(payload []byte) string {
	var partial struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(payload, &partial); err != nil || !isWord(partial.ID, maxID) {
		return ""
	}
	return partial.ID
}

// decodeStrict refuses what the standard decoder lets pass: unknown, repeated
// and differently capitalised keys, lists, null, and anything after the
// value. Its errors repeat no value.
func decodeStrict(data []byte, into any) error {
	if err := checkKeys(json.NewDecoder(bytes.NewReader(data)), 0); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return plain(err)
	}
	if dec.More() || dec.InputOffset() < int64(len(bytes.TrimRight(data, " \t\r\n"))) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// plain turns a decoder's error into one that names the place and kind but
// not the content.
func plain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: wrong type of value", wrong.Field)
	}
	return errors.New("an unknown key or a malformed value")
}

// checkKeys reads one value and looks at the keys of its objects. It refuses
// lists and null anywhere, and empty texts in args: who wants to leave something
// out leaves its key out.
func checkKeys(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return errors.New("not valid JSON")
	}
	switch {
	case depth > maxDepth:
		return errors.New("nested too deeply")
	case tok == nil, tok == "" && depth > 1:
		return errors.New("a value is null or empty (leave its key out)")
	}
	open, _ := tok.(json.Delim)
	switch {
	case open == '[':
		return errors.New("a list has no place in a command") // the decoder would take one for a photo
	case open != '{' && depth == 0:
		return errors.New("not a JSON object")
	case open != '{':
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return errors.New("not valid JSON")
		}
		key, _ := tok.(string)
		if seen[key] {
			return errors.New("a key appears twice")
		}
		if strings.ContainsFunc(key, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			return errors.New("unknown key")
		}
		seen[key] = true
		if err := checkKeys(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("not valid JSON")
	}
	return nil
}
