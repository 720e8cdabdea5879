package sim_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/match/cloud/sim"
)

// play asks ARGOS once for each step.
func play(t *testing.T, script sim.Script, times int) (*sim.Server, []said) {
	t.Helper()
	s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), map[sim.Op]sim.Script{sim.CompareARGOS: script})
	var list []said
	for range times {
		list = append(list, askARGOS(t, addr, ""))
	}
	noViolations(t, s)
	return s, list
}

func statuses(list []said) []int {
	var codes []int
	for _, a := range list {
		codes = append(codes, a.status)
	}
	return codes
}

func TestStepsAreCycled(t *testing.T) {
	steps := []sim.Step{{Do: sim.Throttle, RetryAfter: 1500 * time.Millisecond, Times: 2}, {Do: sim.Unauthorised}, {}}
	s, list := play(t, sim.Script{Steps: steps}, 6)
	if got := statuses(list); !slices.Equal(got, []int{429, 429, 403, 200, 429, 429}) {
		t.Errorf("statuses %v", got)
	}
	if got := list[0].header.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q", got)
	}
	if got := list[2].header.Get("Retry-After"); got != "" {
		t.Errorf("Retry-After %q without being asked for", got)
	}
	log := s.Requests()
	if r := log[0]; r.Did != sim.Throttle || r.Status != 429 || r.Refused || r.Service != sim.ARGOS ||
		r.Op != sim.CompareARGOS || r.Method != "POST" || r.Path != "/modules/compare" || r.Sent == 0 || r.Answered != len(list[0].body) {
		t.Errorf("log %+v", r)
	}
}

func TestStepsEnd(t *testing.T) {
	_, list := play(t, sim.Script{Steps: []sim.Step{{Do: sim.ServerError}, {Do: sim.ServerError, Form: 1}}, Once: true}, 4)
	if got := statuses(list); !slices.Equal(got, []int{500, 502, 200, 200}) {
		t.Errorf("statuses %v", got)
	}
}

func TestChancesRepeat(t *testing.T) {
	script := sim.Script{Seed: 3, Chances: []sim.Chance{{Share: 0.5, Step: sim.Step{Do: sim.ServerError}}, {Share: 0.1, Step: sim.Step{Do: sim.Throttle}}}}
	_, first := play(t, script, 100)
	_, second := play(t, script, 100)
	if !slices.Equal(statuses(first), statuses(second)) {
		t.Error("the same seed drew another row")
	}
	count := make(map[int]int)
	for _, code := range statuses(first) {
		count[code]++
	}
	if count[500] < 35 || count[500] > 65 || count[429] < 3 || count[429] > 20 || count[200] < 25 {
		t.Errorf("drew %v", count)
	}
}

func TestFaults(t *testing.T) {
	_, truth := play(t, sim.Script{}, 1)
	for _, test := range []struct {
		name string
		step sim.Step
		fine func(said) bool
	}{
		{"truncated", sim.Step{Do: sim.Truncated}, func(a said) bool {
			return errors.Is(a.err, io.ErrUnexpectedEOF) && len(a.body) == len(truth[0].body)/2
		}},
		{"html", sim.Step{Do: sim.HTML, Form: 1}, func(a said) bool { return a.status == 503 && strings.HasPrefix(a.body, "<!DOCTYPE html>") }},
		{"empty", sim.Step{Do: sim.Empty}, func(a said) bool { return a.status == 200 && a.body == "" && a.err == nil }},
		{"redirect", sim.Step{Do: sim.Redirect}, func(a said) bool { return a.status == 307 && a.header.Get("Location") == "/moved" }},
		{"huge", sim.Step{Do: sim.Huge, Bytes: 1 << 20}, func(a said) bool {
			return len(a.body) == 1<<20+len(truth[0].body) && json.Valid([]byte(a.body))
		}},
		{"slow", sim.Step{Do: sim.SlowBody, Drip: time.Microsecond}, func(a said) bool { return a.body == truth[0].body }},
		{"reset", sim.Step{Do: sim.Reset}, func(a said) bool { return errors.Is(a.err, syscall.ECONNRESET) }},
		{"latency", sim.Step{Latency: time.Millisecond}, func(a said) bool { return a.body == truth[0].body }},
		{"bad syntax", sim.Step{Do: sim.WrongJSON}, func(a said) bool { return a.status == 200 && !json.Valid([]byte(a.body)) }},
		{"bad types", sim.Step{Do: sim.WrongJSON, Form: 1}, func(a said) bool { return a.status == 200 && json.Valid([]byte(a.body)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, list := play(t, sim.Script{Steps: []sim.Step{test.step}}, 1); !test.fine(list[0]) {
				t.Errorf("answer %d, %d bytes, %v: %.200q", list[0].status, len(list[0].body), list[0].err, list[0].body)
			}
		})
	}
}

func TestHalfOpenEndsWithTheServer(t *testing.T) {
	s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), map[sim.Op]sim.Script{sim.CompareARGOS: {Steps: []sim.Step{{Do: sim.HalfOpen}}}})
	answers := make(chan said, 1)
	go func() { answers <- askARGOS(t, addr, "") }()
	for len(s.Requests()) == 0 || s.Requests()[0].Sent == 0 { // until it is logged as read
		runtime.Gosched()
	}
	select {
	case a := <-answers:
		t.Errorf("was answered: %+v", a)
	default:
	}
	s.Close()
	if a := <-answers; a.err == nil {
		t.Errorf("was answered: %+v", a)
	}
	if r := s.Requests()[0]; r.Did != sim.HalfOpen || r.Status != 0 {
		t.Errorf("log %+v", r)
	}
}

// A client that sends part of its request and leaves has done nothing wrong.
func TestGivingUpIsNoViolation(t *testing.T) {
	s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), nil)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("POST /modules/compare HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 100\r\n\r\n{"))
	_ = conn.(*net.TCPConn).CloseWrite()
	if answer, err := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("was answered: %q (%v)", answer, err)
	}
	_ = conn.Close()
	noViolations(t, s)
}

// Each service has each of its documented errors in every form.
func TestDocumentedErrors(t *testing.T) {
	p := b64(pictureOf(t, 100))
	body := map[sim.Service]string{
		sim.DeepIDV: `{"source":"` + p + `","target":"` + p + `"}`,
		sim.MXFace:  `{"encoded_image1":"` + p + `","encoded_image2":"` + p + `"}`,
		sim.ARGOS:   `{"originFace":"` + p + `","targetFace":"` + p + `"}`,
	}
	head := map[sim.Service][2]string{
		sim.DeepIDV: {"POST /v1/face/compare", "X-Api-Key: " + keyDeepIDV},
		sim.MXFace:  {"POST /api/v3/face/verify", "Subscriptionkey: " + keyMXFace},
		sim.ARGOS:   {"POST /modules/compare", "X-Api-Key: " + keyARGOS},
	}
	for _, test := range []struct {
		service sim.Service
		do      sim.Do
		form    int
		status  int
		want    string
	}{
		{sim.DeepIDV, sim.Throttle, 0, 429, `{"message":"Too Many Requests"}`},
		{sim.DeepIDV, sim.Unauthorised, 0, 401, `{"detail":"Invalid or missing API key"}`},
		{sim.DeepIDV, sim.Unauthorised, 1, 403, `{"error":"Missing API key"}`},
		{sim.DeepIDV, sim.Quota, 0, 402, `Insufficient funds or subscription.`},
		{sim.DeepIDV, sim.Rejected, 1, 400, `{"message":"Invalid body","hints":[{"code":"invalid_type","path":["source"],"message":"Required"}]}`},
		{sim.DeepIDV, sim.ServerError, 0, 500, `{"error":"Internal server error"}`},
		{sim.MXFace, sim.Throttle, 0, 429, `{"code":429,"error":"Rate limit is exceeded. Try again later."}`},
		{sim.MXFace, sim.Quota, 0, 403, `{"code":403,"error":"Out of call volume quota."}`},
		{sim.MXFace, sim.Rejected, 0, 400, `{"errorCode":400,"message":"Invalid image. Please pass base-64 string of any .jpg .jpeg .png .bmp."}`},
		{sim.MXFace, sim.ServerError, 0, 500, `{"code":500,"errorMessage":"Verify service is unavailable."}`},
		{sim.ARGOS, sim.Quota, 0, 429, `{"message":"Limit Exceeded"}`},
		{sim.ARGOS, sim.Unauthorised, 1, 403, `{"message":"User is not authorized to access this resource with an explicit deny"}`},
		{sim.ARGOS, sim.Rejected, 2, 400, `{"statusCode":400,"apiType":"compare_face","transactionId":"sim-000000","errorCode":1010,"message":"callbackUrl is required"}`},
		{sim.ARGOS, sim.ServerError, 1, 502, `{"message":"Bad Gateway"}`},
	} {
		s, addr := newServer(t, test.service, alike(20, 99.1), map[sim.Op]sim.Script{sim.Op(test.service): {Steps: []sim.Step{{Do: test.do, Form: test.form}}}})
		request := message(head[test.service][0], []byte(body[test.service]), head[test.service][1], "Content-Type: application/json")
		expect(t, send(t, addr, request), test.status, test.want)
		noViolations(t, s)
	}
}

func TestReadScripts(t *testing.T) {
	got, err := sim.ReadScripts(strings.NewReader(`{
		"deepidv": {"steps": [{"do": "throttle", "retry_after": "2s", "times": 3}, {"do": "true", "latency": "150ms", "form": 1, "no_face": 2}], "once": true},
		"argos.callback": {"seed": 7, "chances": [{"share": 0.5, "do": "twice"}, {"share": 0.1, "do": "slow_body", "drip": "1ms"}, {"share": 0.1, "do": "huge", "bytes": 9}]}
	}`))
	want := map[sim.Op]sim.Script{
		sim.CompareDeepIDV: {Once: true, Steps: []sim.Step{
			{Do: sim.Throttle, RetryAfter: 2 * time.Second, Times: 3}, {Latency: 150 * time.Millisecond, Form: 1, NoFace: 2},
		}},
		sim.CallbackARGOS: {Seed: 7, Chances: []sim.Chance{
			{Share: 0.5, Step: sim.Step{Do: sim.Twice}},
			{Share: 0.1, Step: sim.Step{Do: sim.SlowBody, Drip: time.Millisecond}},
			{Share: 0.1, Step: sim.Step{Do: sim.Huge, Bytes: 9}},
		}},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestReadScriptsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"deepid": {}}`: "no such operation",
		`{"mxface": {"steps": [{"do": "explode"}]}}`:                "no such thing to do",
		`{"mxface": {"steps": [{"latency": 5}]}}`:                   "is not a duration in quotes",
		`{"mxface": {"steps": [{"delay": "5s"}]}}`:                  "unknown field",
		`{"mxface": {}, "mxface": {}}`:                              "comes twice",
		`{"mxface": {"steps": [{}], "chances": [{"share": 1}]}}`:    "steps and chances",
		`{"mxface": {"chances": [{"share": 0.7}, {"share": 0.7}]}}`: "more than 1",
		`{"mxface": {"steps": [{"share": 0.7}]}}`:                   "share belongs to chances",
		`{"rekognition": {"steps": [{"do": "quota"}]}}`:             "no quota answer",
		`{"argos": {"steps": [{"do": "twice"}]}}`:                   "twice is for argos.callback",
		`{"argos": {"steps": [{"form": -1}]}}`:                      "negative",
		`{"argos": {}} {}`:                                          "text after",
	} {
		if _, err := sim.ReadScripts(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
