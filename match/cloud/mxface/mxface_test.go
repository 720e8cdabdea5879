package mxface_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/mxface"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const key = "mx-k3y"

// guide is the answer in the guide, with the braces it lost.
const guide = `{"matchedFaces":[{"matchResult":1,
	"image1_face":{"faceRectangle":{"x":30,"y":0,"height":1860,"width":1532},
		"points":[{"x":58.2854,"y":-42.453003},{"x":1562.8524,"y":-20.026917},{"x":30.252747,"y":1838.2557},{"x":1534.8197,"y":1860.6819}],
		"quality":94.401535},
	"image2_face":{"faceRectangle":{"x":30,"y":0,"height":1860,"width":1532},
		"points":[{"x":58.2854,"y":-42.453003},{"x":1562.8524,"y":-20.026917},{"x":30.252747,"y":1838.2557},{"x":1534.8197,"y":1860.6819}],
		"quality":94.401535}}]}`

// at returns a client of the service at an address.
func at(t *testing.T, address string) *mxface.Client {
	t.Helper()
	return &mxface.Client{HTTP: wiretest.Client(t, wire.Network{}), Key: wire.Secret(wiretest.File(t, key+"\n")), BaseURL: address}
}

// ask returns a client of a server with the handler, ready to ask.
func ask(t *testing.T, handler http.HandlerFunc) *mxface.Client {
	t.Helper()
	return at(t, wiretest.Serve(t, handler).URL)
}

func failed(t *testing.T, err error) *cloud.Failure {
	t.Helper()
	return wiretest.Failed(t, err, "mxface", key)
}

func TestRequest(t *testing.T) {
	q := wiretest.Question()
	live, id := base64.StdEncoding.EncodeToString(q.Live), base64.StdEncoding.EncodeToString(q.ID)
	for name, c := range map[string]struct {
		set    func(*mxface.Client)
		path   string
		body   string
		answer string
	}{
		"default": {func(*mxface.Client) {}, "/api/v3/face/verify",
			`{"encoded_image1":"` + live + `","encoded_image2":"` + id + `"}`, guide},
		"v3, all": {func(c *mxface.Client) {
			c.Version, c.CompareAllFaces, c.MinQuality, c.MinEyeDistance = mxface.V3, true, 50, 30
		}, "/api/v3/face/verify",
			`{"encoded_image1":"` + live + `","encoded_image2":"` + id + `","compareAllFaces":true,"qualityThreshold":50,"minimumDistanceBetweenEyeThreshold":30}`, guide},
		"ID first": {func(c *mxface.Client) { c.IDAsSource = true }, "/api/v3/face/verify",
			`{"encoded_image1":"` + id + `","encoded_image2":"` + live + `"}`, guide},
		"v2": {func(c *mxface.Client) { c.Version = mxface.V2 }, "/api/v2/face/verify",
			`{"encoded_image1":"` + live + `","encoded_image2":"` + id + `"}`, `{"matchedFaces":[{"confidence":1}]}`},
		"v1": {func(c *mxface.Client) { c.Version = mxface.V1 }, "/api/face/verify",
			`{"encoded_image1":"` + live + `","encoded_image2":"` + id + `"}`, `{"confidence":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := wiretest.Serve(t, wiretest.Say(200, c.answer))
			client := at(t, s.URL)
			c.set(client)
			got, err := wiretest.Ask(t, client)
			if want := (cloud.Answer{Score: 1, Sent: int64(len(c.body)), Status: 200}); err != nil || got != want {
				t.Errorf("Compare() = %+v, %v, want %+v", got, err, want)
			}
			r := s.Requests()[0]
			if r.Method != http.MethodPost || r.URL.String() != c.path || string(r.Data) != c.body {
				t.Errorf("%s %s %s, want %s %s", r.Method, r.URL, r.Data, c.path, c.body)
			}
			if r.Header.Get("Subscriptionkey") != key || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers: %v", r.Header)
			}
		})
	}
}

// The scales are kept as they are: a score is compared with thresholds of the
// same version only.
func TestScores(t *testing.T) {
	for name, c := range map[string]struct {
		version    mxface.Version
		confidence bool
		body       string
		want       float64
	}{
		"v3 yes":                 {mxface.V3, false, guide, 1},
		"v3 no":                  {mxface.V3, false, `{"matchedFaces":[{"matchResult":0}]}`, 0},
		"v3 with confidence":     {mxface.V3, false, `{"matchedFaces":[{"matchResult":0,"confidence":99}]}`, 0},
		"v3 with odd confidence": {mxface.V3, false, `{"matchedFaces":[{"matchResult":1,"confidence":0.97}]}`, 1},
		"v3 best of three":       {mxface.V3, false, `{"matchedFaces":[{"matchResult":0},{"matchResult":1},{"matchResult":0}]}`, 1},
		"v3 null errors":         {mxface.V3, false, `{"code":200,"error":null,"errorMessage":"","message":"ok","matchedFaces":[{"matchResult":1}]}`, 1},
		"v3 by confidence":       {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":60}]}`, 60},
		"v3 just below":          {mxface.V3, true, `{"matchedFaces":[{"matchResult":0,"confidence":59.99999999}]}`, 59.99999999},
		"v3 newer cut":           {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":48}]}`, 48},
		"v3 below the newer cut": {mxface.V3, true, `{"matchedFaces":[{"matchResult":0,"confidence":47.5}]}`, 47.5},
		"v3 beyond 100":          {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":412}]}`, 412},
		"v3 best confidence":     {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":70},{"matchResult":1,"confidence":71},{"matchResult":0,"confidence":3}]}`, 71},
		"v2":                     {mxface.V2, false, `{"matchedFaces":[{"confidence":87.25}]}`, 87.25},
		"v2 all":                 {mxface.V2, false, `{"matchedFaces":[{"confidence":100}]}`, 100},
		"v2 none":                {mxface.V2, false, `{"matchedFaces":[{"confidence":0}]}`, 0},
		"v2 best":                {mxface.V2, false, `{"matchedFaces":[{"confidence":12},{"confidence":80},{"confidence":79.9}]}`, 80},
		"v1":                     {mxface.V1, false, `{"confidence":0.5}`, 0.5},
		"v1 all":                 {mxface.V1, false, `{"confidence":1}`, 1},
		"v1 none":                {mxface.V1, false, `{"confidence":0,"matchedFaces":null}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := ask(t, wiretest.Say(200, c.body))
			client.Version, client.Confidence = c.version, c.confidence
			got, err := wiretest.Ask(t, client)
			wiretest.CheckAnswer(t, got, err, cloud.Answer{Score: c.want, Status: 200})
		})
	}
}

func TestNoFace(t *testing.T) {
	for name, c := range map[string]struct {
		version mxface.Version
		status  int
		body    string
	}{
		"v3 text":               {mxface.V3, 400, `{"code":400,"message":"No face detected or quality of face is very low."}`},
		"v3 errorMessage":       {mxface.V3, 400, `{"errorCode":400,"errorMessage":"No face detected or quality of face is very low."}`},
		"v3 error":              {mxface.V3, 400, `{"code":400,"error":"Face not found in image 2"}`},
		"v3 quality":            {mxface.V3, 400, `{"code":400,"message":"The quality of face is very low. Please check quality of face using Detect or Quality API."}`},
		"v3 size":               {mxface.V3, 400, `{"code":400,"message":"Invalid face size"}`},
		"v3 other spelling":     {mxface.V3, 400, `{"code":400,"message":"FACE IS NOT DETECTED"}`},
		"v3 no pair":            {mxface.V3, 200, `{"matchedFaces":[]}`},
		"v3 text with 200":      {mxface.V3, 200, `{"code":400,"errorMessage":"No face detected or quality of face is very low."}`},
		"v2 text":               {mxface.V2, 400, `{"code":400,"errorMessage":"No face found"}`},
		"v2 no pair":            {mxface.V2, 200, `{"matchedFaces":[]}`},
		"v1 text":               {mxface.V1, 400, `{"message":"No face detected or quality of face is very low."}`},
		"v1 text with 200":      {mxface.V1, 200, `{"error":"Face not detected"}`},
		"v3 plain text":         {mxface.V3, 400, "No face detected\n"},
		"v3 null text, another": {mxface.V3, 400, `{"errorMessage":null,"error":"","message":"Face not found"}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := ask(t, wiretest.Say(c.status, c.body))
			client.Version = c.version
			got, err := wiretest.Ask(t, client)
			wiretest.CheckAnswer(t, got, err, cloud.Answer{Missing: cloud.Unknown, Status: c.status})
		})
	}
}

func TestErrors(t *testing.T) {
	const denied = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription."
	for name, c := range map[string]struct {
		status int
		body   string
		wait   string // Retry-After
		kind   cloud.Kind
		text   string
		after  time.Duration
	}{
		"key":           {401, `{"code":401,"error":"` + denied + `"}`, "", cloud.Unauthorised, denied, 0},
		"forbidden":     {403, `{"message":"Forbidden"}`, "", cloud.Unauthorised, "Forbidden", 0},
		"field missing": {400, `{"errorCode":400,"errorMessage":"Invalid request. Please pass valid json with all required parameters."}`, "", cloud.Rejected, "Invalid request. Please pass valid json with all required parameters.", 0},
		"not base64":    {400, `{"errorCode":400,"message":"The input is not a valid Base-64 string."}`, "", cloud.Rejected, "The input is not a valid Base-64 string.", 0},
		"not a picture": {400, `{"errorCode":400,"message":"Invalid image. Please pass base-64 string of any .jpg .jpeg .png .bmp."}`, "", cloud.Rejected, "Invalid image. Please pass base-64 string of any .jpg .jpeg .png .bmp.", 0},
		"bad quality":   {400, `{"code":400,"message":"Quality threshold value is not valid. Range 20-100"}`, "", cloud.Rejected, "Quality threshold value is not valid. Range 20-100", 0},
		"unknown text":  {400, `{"code":400,"message":"Engine code 17"}`, "", cloud.Rejected, "Engine code 17", 0},
		"no text":       {400, `{"code":400}`, "", cloud.Rejected, "no reason given", 0},
		"used up":       {403, `{"code":403,"error":"Out of call volume quota."}`, "", cloud.Quota, "Out of call volume quota.", 0},
		"no money":      {402, ``, "", cloud.Quota, "no reason given", 0},
		"wrong path":    {404, `{"code":404,"message":"No face service here"}`, "", cloud.Server, "No face service here", 0},
		"too large":     {413, `<html>Request Entity Too Large</html>`, "", cloud.Rejected, "no reason given", 0},
		"throttled":     {429, `{"statusCode":429,"message":"Rate limit is exceeded."}`, "12", cloud.Throttled, "Rate limit is exceeded.", 12 * time.Second},
		"throttled raw": {429, `Too many`, "", cloud.Throttled, "Too many", 0},
		"down":          {500, `{"code":500,"errorMessage":"Verify service is unavailable."}`, "", cloud.Server, "Verify service is unavailable.", 0},
		"failure":       {500, `{"code":500,"errorMessage":"Something went wrong, please try again later"}`, "", cloud.Server, "Something went wrong, please try again later", 0},
		"no face, 500":  {500, `{"code":500,"errorMessage":"No face detected"}`, "", cloud.Server, "No face detected", 0},
		"unavailable":   {503, ``, "30", cloud.Server, "no reason given", 30 * time.Second},
		"redirect":      {302, ``, "", cloud.Server, "no reason given", 0},
		"created":       {201, guide, "", cloud.Server, "no reason given", 0},
		"key sent back": {401, `{"error":"no subscription for ` + key + `"}`, "", cloud.Unauthorised, "no subscription for …", 0},
		"picture back":  {400, `{"message":"bad ` + strings.Repeat("/9j/4AAQ", 500) + `"}`, "", cloud.Rejected, "bad …", 0},
		"odd types":     {400, `{"errorMessage":{},"error":[1],"message":"the reason"}`, "", cloud.Rejected, "the reason", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wiretest.Ask(t, ask(t, wiretest.SayWait(c.status, c.body, c.wait)))
			wiretest.CheckRefusal(t, got, failed(t, err), cloud.Failure{Kind: c.kind, Status: c.status, RetryAfter: c.after, Err: errors.New(c.text)})
		})
	}
}

func TestNotAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		version    mxface.Version
		confidence bool
		body       string
	}{
		"empty":                {mxface.V3, false, ``},
		"null":                 {mxface.V3, false, `null`},
		"list":                 {mxface.V3, false, `[]`},
		"HTML":                 {mxface.V3, false, `<html>Welcome</html>`},
		"truncated":            {mxface.V3, false, guide[:300]},
		"two answers":          {mxface.V3, false, guide + guide},
		"huge":                 {mxface.V3, false, guide + strings.Repeat(" ", 2<<20)},
		"no pairs":             {mxface.V3, false, `{}`},
		"null pairs":           {mxface.V3, false, `{"matchedFaces":null}`},
		"null pair":            {mxface.V3, false, `{"matchedFaces":[null]}`},
		"pairs as object":      {mxface.V3, false, `{"matchedFaces":{"matchResult":1}}`},
		"no result":            {mxface.V3, false, `{"matchedFaces":[{"confidence":99}]}`},
		"null result":          {mxface.V3, false, `{"matchedFaces":[{"matchResult":null}]}`},
		"one without result":   {mxface.V3, false, `{"matchedFaces":[{"matchResult":1},{}]}`},
		"result as text":       {mxface.V3, false, `{"matchedFaces":[{"matchResult":"1"}]}`},
		"result as fact":       {mxface.V3, false, `{"matchedFaces":[{"matchResult":true}]}`},
		"result between":       {mxface.V3, false, `{"matchedFaces":[{"matchResult":0.5}]}`},
		"result 2":             {mxface.V3, false, `{"matchedFaces":[{"matchResult":2}]}`},
		"result -1":            {mxface.V3, false, `{"matchedFaces":[{"matchResult":-1}]}`},
		"error beside pairs":   {mxface.V3, false, `{"errorMessage":"Something went wrong","matchedFaces":[{"matchResult":1}]}`},
		"no face beside pairs": {mxface.V3, false, `{"errorMessage":"No face detected","matchedFaces":[{"matchResult":1}]}`},
		"unknown error":        {mxface.V3, false, `{"code":500,"error":"Something went wrong"}`},
		"error as object":      {mxface.V3, false, `{"error":{},"matchedFaces":[{"matchResult":1}]}`},
		"v1's answer":          {mxface.V3, false, `{"confidence":0.99}`},
		"no confidence":        {mxface.V3, true, guide},
		"not a result":         {mxface.V3, true, `{"matchedFaces":[{"confidence":99}]}`},
		"yes, but low":         {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":47.9}]}`},
		"yes, of 0..1":         {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":0.97}]}`},
		"no, but high":         {mxface.V3, true, `{"matchedFaces":[{"matchResult":0,"confidence":60}]}`},
		"negative":             {mxface.V3, true, `{"matchedFaces":[{"matchResult":0,"confidence":-3}]}`},
		"infinite":             {mxface.V3, true, `{"matchedFaces":[{"matchResult":1,"confidence":1e999}]}`},
		"v2 without":           {mxface.V2, false, `{"matchedFaces":[{"matchResult":1}]}`},
		"v2 beyond 100":        {mxface.V2, false, `{"matchedFaces":[{"confidence":100.5}]}`},
		"v2 one beyond 100":    {mxface.V2, false, `{"matchedFaces":[{"confidence":99},{"confidence":101}]}`},
		"v2 as text":           {mxface.V2, false, `{"matchedFaces":[{"confidence":"99"}]}`},
		"v1 without":           {mxface.V1, false, `{"matchedFaces":[{"confidence":99}]}`},
		"v1 of 0..100":         {mxface.V1, false, `{"confidence":87}`},
		"v1 negative":          {mxface.V1, false, `{"confidence":-0.1}`},
		"v1 null":              {mxface.V1, false, `{"confidence":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := ask(t, wiretest.Say(200, c.body))
			client.Version, client.Confidence = c.version, c.confidence
			got, err := wiretest.Ask(t, client)
			wiretest.CheckNoScore(t, got, failed(t, err))
		})
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]mxface.Client{
		"least":   {},
		"v3, all": {Version: mxface.V3, Confidence: true, CompareAllFaces: true, MinQuality: 21, MinEyeDistance: 30},
		"v2":      {Version: mxface.V2, BaseURL: "https://eu.example/x", MinQuality: 0},
		"v1":      {Version: mxface.V1, IDAsSource: true},
	} {
		c.Key = "/run/key"
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		client mxface.Client
		want   []string
	}{
		"nothing right": {mxface.Client{BaseURL: "http://mxface.ai", Version: "v4", MinQuality: 20, MinEyeDistance: -1},
			[]string{"key_file: ", "base_url: ", "version: ", "quality_threshold: ", "min_eye_distance: "}},
		"too good": {mxface.Client{Key: "/run/key", MinQuality: 101}, []string{"quality_threshold: "}},
		"v2": {mxface.Client{Key: "/run/key", Version: mxface.V2, Confidence: true, CompareAllFaces: true, MinQuality: 50, MinEyeDistance: 30},
			[]string{"confidence: ", "compare_all_faces: ", "quality_threshold: ", "min_eye_distance: "}},
		"v1": {mxface.Client{Key: "/run/key", Version: mxface.V1, CompareAllFaces: true}, []string{"compare_all_faces: "}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.client.Check()
			if err == nil {
				t.Fatal("wrong settings were taken")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("problems:\n%v\nwant %q", err, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], want) || !strings.HasSuffix(lines[i], ")") {
					t.Errorf("problem %q, want %s with a remedy", lines[i], want)
				}
			}
		})
	}
}
