package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// An Op is something that a service does. Each has a script of its own.
type Op string

// The operations.
const (
	CompareDeepIDV     Op = "deepidv"
	PresignDeepIDV     Op = "deepidv.presign"
	UploadDeepIDV      Op = "deepidv.upload"
	CompareRekognition Op = "rekognition"
	PutObject          Op = "rekognition.put"
	DeleteObject       Op = "rekognition.delete"
	CompareMXFace      Op = "mxface"
	CompareARGOS       Op = "argos"
	CallbackARGOS      Op = "argos.callback" // the result that is posted to a callbackUrl
)

// ops are all operations.
func ops() []Op {
	return []Op{
		CompareDeepIDV, PresignDeepIDV, UploadDeepIDV, CompareRekognition, PutObject, DeleteObject,
		CompareMXFace, CompareARGOS, CallbackARGOS,
	}
}

// A Do is what a step does with a request. A request that is refused for a
// violation gets the service's error instead of an answer, but suffers the
// faults of the connection all the same.
type Do string

// What a step can do.
const (
	Truly Do = "" // answer what the Comparer says; "true" in a file

	// Answers as if the Comparer had found no face.
	NoSource Do = "no_source"
	NoTarget Do = "no_target"
	NoFaces  Do = "no_faces"

	// The service's documented errors, in the step's Form.
	Throttle     Do = "throttle"
	Unauthorised Do = "unauthorised"
	Quota        Do = "quota" // Rekognition has none
	ServerError  Do = "server_error"
	Rejected     Do = "rejected" // the request or its pictures are not taken

	// Answers that are none.
	WrongJSON Do = "wrong_json" // 200; not JSON, or of wrong types, or of another shape
	HTML      Do = "html"       // 200, or in form 1 503
	Empty     Do = "empty"      // 200
	Redirect  Do = "redirect"   // 307 to a path that does not exist
	Huge      Do = "huge"       // the true answer and Bytes of white space

	// Faults of the connection.
	Truncated Do = "truncated" // half of the true answer
	SlowBody  Do = "slow_body" // the true answer, a byte each Drip
	Reset     Do = "reset"     // the connection is reset instead of an answer
	HalfOpen  Do = "half_open" // never answer
	Twice     Do = "twice"     // of argos.callback: post the result twice
)

// dos is all that can be done.
func dos() []Do {
	return []Do{
		Truly, NoSource, NoTarget, NoFaces, Throttle, Unauthorised, Quota, ServerError, Rejected,
		WrongJSON, HTML, Empty, Redirect, Huge, Truncated, SlowBody, Reset, HalfOpen, Twice,
	}
}

// truth reports whether the Comparer must be asked.
func (d Do) truth() bool {
	switch d {
	case Truly, NoSource, NoTarget, NoFaces, Huge, Truncated, SlowBody, Twice:
		return true
	}
	return false
}

// A Step is what is done with one request. The zero value answers truly at
// once.
type Step struct {
	Do         Do
	Latency    time.Duration // before the first byte of the answer
	RetryAfter time.Duration // header of that name, with Throttle, Quota and ServerError; 0: none

	// Form chooses among the documented forms of the answer or error, counted
	// from 0 and round again. Of true answers: Rekognition has 0 with all
	// members, 1 with the least, 2 with orientations; MXFace v3 has 0 without
	// and 1 with a confidence; ARGOS has 0 with faceMatch (0 to 100), 1 with
	// targetFace and score (0 to 1), 2 like 0 with statusCode. To a callbackUrl,
	// ARGOS answers 0 with 200 and a transaction, 1 with 202 and nothing.
	Form int
	// NoFace chooses how a missing face is said. deepidv has 0 with a flag for
	// each side, 1 with all members 0 or false; MXFace has 0 and 1 with two
	// spellings of an error, 2 without a pair; ARGOS has 0 with isAvailable
	// false, 1 with error 1002.
	NoFace int

	Drip  time.Duration // with SlowBody; 0: 100 ms
	Bytes int           // with Huge; 0: 8 MiB
	Times int           // how many requests take this step; 0: 1
}

// A Chance is a step that is taken by a share of the requests.
type Chance struct {
	Share float64 // 0 to 1
	Step  Step
}

// A Script says what is done with the requests for one operation, in the order
// of their arrival.
type Script struct {
	Steps []Step // the first for the first request, and so on
	Once  bool   // answer truly after the last step, instead of starting over

	// Chances, instead of Steps, draws for each request; what is left of 1
	// answers truly. The same seed draws the same row.
	Chances []Chance
	Seed    uint64
}

// problems lists what is wrong with a script.
func (s Script) problems(op Op) []string {
	var bad []string
	add := func(format string, args ...any) {
		bad = append(bad, fmt.Sprintf("scripts.%s: ", op)+fmt.Sprintf(format, args...))
	}
	if !slices.Contains(ops(), op) {
		add("no such operation (one of %v)", ops())
	}
	if len(s.Steps) > 0 && len(s.Chances) > 0 {
		add("has steps and chances (use one of them)")
	}
	steps, sum := slices.Clone(s.Steps), 0.0
	for _, c := range s.Chances {
		if !(c.Share >= 0 && c.Share <= 1) {
			add("share %v is not in 0 to 1", c.Share)
		}
		sum += c.Share
		steps = append(steps, c.Step)
	}
	if sum > 1+1e-9 {
		add("shares add up to %v, more than 1", sum)
	}
	for _, step := range steps {
		if !slices.Contains(dos(), step.Do) {
			add("no such thing to do: %q", step.Do)
		}
		if step.Do == Quota && strings.HasPrefix(string(op), string(Rekognition)) {
			add("the service has no quota answer")
		}
		if step.Do == Twice && op != CallbackARGOS {
			add("%s is for %s", Twice, CallbackARGOS)
		}
		if min(step.Form, step.NoFace, step.Bytes, step.Times) < 0 || min(step.Latency, step.RetryAfter, step.Drip) < 0 {
			add("a negative number")
		}
	}
	return bad
}

// An actor plays a script.
type actor struct {
	script Script
	dice   *rand.Rand
	at     int // of Steps
	played int // times that Steps[at] was taken
}

func (a *actor) next() Step {
	if len(a.script.Chances) > 0 {
		drawn := a.dice.Float64()
		for _, c := range a.script.Chances {
			if drawn < c.Share {
				return c.Step
			}
			drawn -= c.Share
		}
		return Step{}
	}
	if a.at == len(a.script.Steps) {
		return Step{}
	}
	step := a.script.Steps[a.at]
	a.played++
	if a.played < max(step.Times, 1) {
		return step
	}
	a.at, a.played = a.at+1, 0
	if a.at == len(a.script.Steps) && !a.script.Once {
		a.at = 0
	}
	return step
}

// stepJSON is a Step in a file.
type stepJSON struct {
	Do         Do       `json:"do"`
	Latency    duration `json:"latency"`
	RetryAfter duration `json:"retry_after"`
	Form       int      `json:"form"`
	NoFace     int      `json:"no_face"`
	Drip       duration `json:"drip"`
	Bytes      int      `json:"bytes"`
	Times      int      `json:"times"`
	Share      float64  `json:"share"`
}

func (s stepJSON) step() Step {
	if s.Do == "true" {
		s.Do = Truly
	}
	return Step{
		Do: s.Do, Latency: time.Duration(s.Latency), RetryAfter: time.Duration(s.RetryAfter),
		Form: s.Form, NoFace: s.NoFace, Drip: time.Duration(s.Drip), Bytes: s.Bytes, Times: s.Times,
	}
}

// duration is one in JSON: "250ms".
type duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s is not a duration in quotes, like \"250ms\"", text)
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// ReadScripts reads the scripts for operations from a JSON file. Everything is
// optional but "share" in chances:
//
//	{
//	  "deepidv": {"steps": [
//	    {"do": "throttle", "retry_after": "2s", "times": 3},
//	    {"do": "true", "latency": "150ms"}
//	  ], "once": true},
//	  "argos": {"seed": 7, "chances": [
//	    {"share": 0.5, "do": "server_error"},
//	    {"share": 0.1, "do": "half_open"}
//	  ]}
//	}
func ReadScripts(r io.Reader) (map[Op]Script, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	if _, err := keyPaths(text); err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	var file map[Op]struct {
		Steps   []stepJSON `json:"steps"`
		Once    bool       `json:"once"`
		Chances []stepJSON `json:"chances"`
		Seed    uint64     `json:"seed"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	scripts, bad := make(map[Op]Script), []error(nil)
	for op, f := range file {
		script := Script{Once: f.Once, Seed: f.Seed}
		for _, step := range f.Steps {
			if step.Share != 0 {
				bad = append(bad, fmt.Errorf("scripts.%s: share belongs to chances", op))
			}
			script.Steps = append(script.Steps, step.step())
		}
		for _, step := range f.Chances {
			script.Chances = append(script.Chances, Chance{Share: step.Share, Step: step.step()})
		}
		for _, problem := range script.problems(op) {
			bad = append(bad, errors.New(problem))
		}
		scripts[op] = script
	}
	return scripts, errors.Join(bad...)
}
