package mqtt

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// A sample is a command, good but for what its name says.
type sample struct {
	name    string
	verb    Verb
	payload string
}

// The published schema and the parser must agree: a host that holds its
// commands to the schema is to get no bad_request, and what the schema
// refuses is not to slip through.
func TestCommandSchemaIsAsStrictAsTheParser(t *testing.T) {
	check := func(s sample, schema, parser bool) {
		t.Helper()
		err := eventtest.Err("command/"+string(s.verb), []byte(s.payload))
		_, _, refused := parseCommand(s.verb, []byte(s.payload), samplesAt())
		if (err == nil) != schema || (refused == nil) != parser {
			t.Errorf("%s: schema says %v, want ok %v; parser says %v, want ok %v\n%.300s", s.name, err, schema, refused, parser, s.payload)
		}
		if schema && eventtest.Err("command", []byte(s.payload)) != nil {
			t.Errorf("%s: the schema of all commands refuses it", s.name)
		}
	}
	for _, s := range goodSamples() {
		check(s, true, true)
	}
	for _, s := range badSamples() {
		check(s, false, false)
	}
	for _, s := range finerSamples() {
		check(s, true, false)
	}
}

func samplesAt() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// with and withArgs build payloads; head is a piece of the envelope and what
// stands there instead.
func with(name string, verb Verb, args string, head ...string) sample {
	payload := `{"id":"a-1","expires_at":"2026-01-02T03:04:35Z","nonce":"n","args":` + args + `}`
	if args == "" {
		payload = `{"id":"a-1","expires_at":"2026-01-02T03:04:35Z","nonce":"n"}`
	}
	return sample{name, verb, strings.NewReplacer(head...).Replace(payload)}
}

const (
	expiry  = "2026-01-02T03:04:35Z"
	attempt = `"attempt_id":"01KJM2Z8Q4T0V6W9X3Y5A7BCDE"`
)

func mac(digits string) string { return `"mac":"` + strings.Repeat(digits, 32) + `"` }

func goodSamples() []sample {
	words := strings.Repeat("~", 128)
	return []sample{
		with("id at its limit", VerbCancel, "", "a-1", words),
		with("nonce at its limit", VerbCancel, "", `"n"`, `"`+words+`"`),
		with("expiry with a zone", VerbCancel, "", expiry, "2026-01-02T04:04:35.125+01:00"),
		with("no args", VerbCancel, ""),
		with("empty args", VerbCancel, "{}"),
		with("cancel one", VerbCancel, "{"+attempt+"}"),
		with("rebirth", VerbRebirth, ""),
		with("rebirth, args", VerbRebirth, "{}"),
		with("source", VerbVerify, `{"source":"document"}`),
		with("upload", VerbVerify, `{"upload":"u","subject_ref":"card 17 ü"}`),
		with("photo", VerbVerify, `{"photo":"AAAA"}`),
		with("photo, padded", VerbVerify, `{"photo":"AAAAAA=="}`),
		with("photo, padded once", VerbVerify, `{"photo":"AAA="}`),
		with("photo in lines", VerbVerify, `{"photo":"AA\nAA\r\nAA=\n=\n"}`),
		with("subject_ref at its limit", VerbVerify, `{"upload":"u","subject_ref":"`+strings.Repeat("x", 128)+`"}`),
		with("consent to nothing", VerbVerify, `{"upload":"u","consent_cloud":"none"}`),
		with("consent for the faces", VerbVerify, `{"upload":"u","consent_cloud":"faces"}`),
		with("consent for whole pictures", VerbVerify, `{"source":"document","consent_cloud":"whole"}`),
		with("grant", VerbGrant, "{"+attempt+`,"expires_at":"`+expiry+`",`+mac("0f")+"}"),
		with("replay", VerbReplay, `{"from":1,"to":100000}`),
		with("replay of the last", VerbReplay, `{"from":18446744073709551615,"to":18446744073709551615}`),
	}
}

func badSamples() []sample {
	long := strings.Repeat("x", 129)
	bad := []sample{
		{"not an object", VerbCancel, `["id"]`},
		{"empty object", VerbCancel, `{}`},
		with("no id", VerbCancel, "", `"id":"a-1",`, ""),
		with("no nonce", VerbCancel, "", `,"nonce":"n"`, ""),
		with("no expiry", VerbCancel, "", `"expires_at":"`+expiry+`",`, ""),
		with("unknown key", VerbCancel, "", `"nonce"`, `"force":true,"nonce"`),
		with("capitals", VerbCancel, "", `"id"`, `"ID"`),
		with("args a list", VerbCancel, "[]"),
		with("args null", VerbCancel, "null"),
		with("cancel nonsense", VerbCancel, `{"attempt_id":"7"}`),
		with("cancel nothing", VerbCancel, `{"attempt_id":""}`),
		with("cancel null", VerbCancel, `{"attempt_id":null}`),
		with("rebirth with args", VerbRebirth, `{"now":true}`),
		with("nowhere", VerbVerify, `{}`),
		with("no args", VerbVerify, ""),
		with("two places", VerbVerify, `{"upload":"u","source":"document"}`),
		with("empty source", VerbVerify, `{"upload":"u","source":""}`),
		with("upload with a space", VerbVerify, `{"upload":"u u"}`),
		with("upload too long", VerbVerify, `{"upload":"`+long+`"}`),
		with("photo empty", VerbVerify, `{"photo":""}`),
		with("photo of line breaks", VerbVerify, `{"photo":"\n\n\n\n"}`),
		with("photo not base64", VerbVerify, `{"photo":"****"}`),
		with("photo cut off", VerbVerify, `{"photo":"AAAAA"}`),
		with("photo not padded", VerbVerify, `{"photo":"AAAAAA"}`),
		with("photo goes on after its padding", VerbVerify, `{"photo":"AA==AAAA"}`),
		with("photo a list", VerbVerify, `{"photo":[65,65]}`),
		with("subject_ref too long", VerbVerify, `{"upload":"u","subject_ref":"`+long+`"}`),
		with("subject_ref empty", VerbVerify, `{"upload":"u","subject_ref":""}`),
		with("subject_ref of two lines", VerbVerify, `{"upload":"u","subject_ref":"a\nb"}`),
		with("subject_ref with a C1 control", VerbVerify, `{"upload":"u","subject_ref":"a\u0085b"}`),
		with("consent to whatever", VerbVerify, `{"upload":"u","consent_cloud":"all"}`),
		with("consent in capitals", VerbVerify, `{"upload":"u","consent_cloud":"Faces"}`),
		with("consent that is yes", VerbVerify, `{"upload":"u","consent_cloud":true}`),
		with("consent empty", VerbVerify, `{"upload":"u","consent_cloud":""}`),
		with("cancel with consent", VerbCancel, `{"consent_cloud":"faces"}`),
		with("verify with another's args", VerbVerify, `{"from":1,"to":2}`),
		with("grant without mac", VerbGrant, "{"+attempt+`,"expires_at":"`+expiry+`"}`),
		with("grant, short mac", VerbGrant, "{"+attempt+`,"expires_at":"`+expiry+`","mac":"00"}`),
		with("grant, mac in capitals", VerbGrant, "{"+attempt+`,"expires_at":"`+expiry+`",`+mac("0F")+"}"),
		with("grant, expiry nonsense", VerbGrant, "{"+attempt+`,"expires_at":"soon",`+mac("00")+"}"),
		with("grant for nothing", VerbGrant, `{"expires_at":"`+expiry+`",`+mac("00")+"}"),
		with("replay from 0", VerbReplay, `{"from":0,"to":5}`),
		with("replay below 0", VerbReplay, `{"from":-1,"to":5}`),
		with("replay without end", VerbReplay, `{"from":1}`),
		with("replay of text", VerbReplay, `{"from":"1","to":"2"}`),
		with("replay of a half", VerbReplay, `{"from":1.5,"to":2}`),
		with("replay beyond all numbers", VerbReplay, `{"from":1,"to":18446744073709551616}`),
	}
	for _, word := range []string{`""`, `"` + long + `"`, `"a b"`, `"a\nb"`, `"ü"`, `"\u007f"`, `7`, `null`} {
		bad = append(bad, with("id "+word, VerbCancel, "", `"a-1"`, word), with("nonce "+word, VerbCancel, "", `"n"`, word))
	}
	for _, text := range []string{
		"soon", "2026-01-02", "2026-01-02T03:04:35", "2026-01-02 03:04:35Z", "2026-01-02T03:04:35,5Z", "2026-01-02t03:04:35z",
		"2026-01-02T3:04:35Z", "2026-01-32T03:04:35Z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:35+24:00", "2026-01-02T03:04:35+25:00", "2026-01-02T03:04:35.Z", "",
	} {
		bad = append(bad, with("expiry "+text, VerbCancel, "", expiry, text))
	}
	return bad
}

// finerSamples are refused for what a JSON Schema cannot say; the schema's
// descriptions say it.
func finerSamples() []sample {
	large := base64.StdEncoding.EncodeToString(make([]byte, MaxPhotoBytes+1))
	return []sample{
		with("expired", VerbCancel, "", expiry, "2026-01-02T03:04:05Z"),
		with("expiry too far", VerbCancel, "", expiry, "2026-01-02T03:05:06Z"),
		with("a key twice", VerbCancel, "", `"nonce"`, `"nonce":"m","nonce"`),
		with("replay backwards", VerbReplay, `{"from":5,"to":4}`),
		with("replay of too much", VerbReplay, `{"from":1,"to":100001}`),
		with("a number with a point", VerbReplay, `{"from":1.0,"to":2}`),
		with("photo too large", VerbVerify, fmt.Sprintf(`{"photo":%q}`, large)),
		with("subject_ref of too many bytes", VerbVerify, `{"upload":"u","subject_ref":"`+strings.Repeat("ü", 65)+`"}`),
	}
}

// The codes of responses are a closed list in two places.
func TestResponseCodesEqualTheSchema(t *testing.T) {
	codes := []Code{
		OK, Busy, BadRequest, TooLarge, ExpiryMissing, Expired, ExpiryTooFar, ClockUnsynced, NonceMissing, NonceUsed,
		NotAllowed, NotFound, Unauthorised, JournalFault, Internal,
	}
	for _, c := range codes {
		eventtest.ValidateAs(t, "response", encode(responsePayload{1, "id", c == OK, c, "detail"}))
	}
	if eventtest.Err("response", encode(responsePayload{1, "id", false, "surprise", ""})) == nil {
		t.Error("the schema takes a code that there is not")
	}
	if eventtest.Err("response", encode(responsePayload{1, "id", true, Busy, ""})) == nil {
		t.Error("the schema takes a refusal that is ok")
	}
}
