package rekognition_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const (
	sourceFace = `"SourceImageFace":{"BoundingBox":{"Height":0.44,"Left":0.12,"Top":0.2,"Width":0.33},"Confidence":99.9}`
	oneMatch   = `{` + sourceFace + `,"FaceMatches":[{"Face":{"BoundingBox":{"Height":0.44,"Left":0.12,"Top":0.2,"Width":0.33},"Confidence":99.9},"Similarity":%s}],"UnmatchedFaces":[]}`
)

// The vector was made with the SDK's signer; see also TestRequest.
func TestSignatureOfTestsIsTheDocumentedOne(t *testing.T) {
	body := `{"SimilarityThreshold":0,"SourceImage":{"Bytes":"/9j/"},"TargetImage":{"Bytes":"/9j+"}}`
	r := wiretest.Request{Request: &http.Request{Method: "POST", URL: &url.URL{Path: "/"}, ContentLength: int64(len(body)), Header: http.Header{}}, Data: []byte(body)}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("X-Amz-Target", "RekognitionService.CompareFaces")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/rekognition/aws4_request, "+
		"SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, "+
		"Signature=103833b1a6d2f9ba6e88f622d823b2bdf3379da01265c50a515732bb6a657d4c")
	if given, want := signature(r, "127.0.0.1:8080", secretAccessKey); given != want {
		t.Errorf("signature %s, want %s", want, given)
	}
}

func TestRequest(t *testing.T) {
	for _, swap := range []bool{false, true} {
		t.Run(fmt.Sprintf("swap=%t", swap), func(t *testing.T) {
			s := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "91.5")))
			set := settings(t, s.URL)
			set.IDAsSource = swap
			set.Keys.SessionToken = secret(t, "the/session+token")
			answer, err := wiretest.Ask(t, client(t, set))
			if err != nil {
				t.Fatal(err)
			}
			r := s.Requests()[0]
			want := cloud.Answer{Score: 91.5, Sent: int64(len(r.Data)), Status: 200}
			if answer != want {
				t.Errorf("answer %+v, want %+v", answer, want)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.CompareFaces",
				"X-Amz-Security-Token": "the/session+token", "User-Agent": "facegate",
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if r.Method != "POST" || r.URL.Path != "/" {
				t.Errorf("%s %s, want POST /", r.Method, r.URL.Path)
			}
			authorization := r.Header.Get("Authorization")
			if !strings.Contains(authorization, "Credential="+accessKeyID+"/") || !strings.Contains(authorization, "/eu-central-1/rekognition/aws4_request") {
				t.Errorf("authorization %q", authorization)
			}
			if given, want := signature(r, strings.TrimPrefix(s.URL, "http://"), secretAccessKey); given != want {
				t.Errorf("signature %s, want %s", given, want)
			}
			type picture struct{ Bytes []byte }
			type body struct {
				SimilarityThreshold      *float64
				SourceImage, TargetImage picture
			}
			var got body
			d := json.NewDecoder(bytes.NewReader(r.Data))
			d.DisallowUnknownFields()
			if err := d.Decode(&got); err != nil {
				t.Fatal(err)
			}
			wantBody := body{new(float64), picture{wiretest.Question().Live}, picture{wiretest.Question().ID}}
			if swap {
				wantBody.SourceImage, wantBody.TargetImage = wantBody.TargetImage, wantBody.SourceImage
			}
			if diff := cmp.Diff(wantBody, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	match := func(similarity string) string { return fmt.Sprintf(oneMatch, similarity) }
	for _, tt := range []struct {
		name, body string
		want       cloud.Answer
	}{
		{"at the threshold", match("80"), cloud.Answer{Score: 80}},
		{"just below", match("79.99999237060547"), cloud.Answer{Score: 79.99999237060547}},
		{"least", match("0"), cloud.Answer{Score: 0}},
		{"most", match("100"), cloud.Answer{Score: 100}},
		{"the best of several", `{` + sourceFace + `,"FaceMatches":[{"Similarity":3},{"Similarity":99.5},{"Similarity":7}]}`, cloud.Answer{Score: 99.5}},
		{"minimal", `{"FaceMatches":[{"Similarity":88}]}`, cloud.Answer{Score: 88}},
		{"orientation and unknown members", `{"FaceMatches":[{"Similarity":88}],"SourceImageOrientationCorrection":"ROTATE_90","TargetImageOrientationCorrection":null,"New":{}}`, cloud.Answer{Score: 88}},
		{"no match among the faces", `{` + sourceFace + `,"FaceMatches":[],"UnmatchedFaces":[{"Confidence":99}]}`, cloud.Answer{Score: 0}},
		{"no target face", `{` + sourceFace + `,"FaceMatches":[],"UnmatchedFaces":[]}`, cloud.Answer{Missing: cloud.ID}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := wiretest.Serve(t, says(200, tt.body))
			got, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
			tt.want.Status = 200
			wiretest.CheckAnswer(t, got, err, tt.want)
		})
	}
}

func TestMissingTargetFaceFollowsTheRoles(t *testing.T) {
	s := wiretest.Serve(t, says(200, `{`+sourceFace+`,"FaceMatches":[]}`))
	set := settings(t, s.URL)
	set.IDAsSource = true
	answer, err := wiretest.Ask(t, client(t, set))
	if err != nil || answer.Missing != cloud.Live {
		t.Errorf("missing %v, %v; want live", answer.Missing, err)
	}
}

func TestInvalidParameterMissesAFace(t *testing.T) {
	s := wiretest.Serve(t, says(400, `{"__type":"InvalidParameterException","Code":"InvalidParameterException","Logref":"5022229e","Message":"Request has invalid parameters."}`))
	answer, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
	wiretest.CheckAnswer(t, answer, err, cloud.Answer{Missing: cloud.Unknown, Status: 400})
}

func TestUnreadableAnswersAreNoScore(t *testing.T) {
	for name, body := range map[string]string{
		"empty":                  ``,
		"null":                   `null`,
		"no members":             `{}`,
		"no faces":               `{"FaceMatches":[],"UnmatchedFaces":[]}`,
		"members in lower case":  `{"faceMatches":[{"similarity":99}],"sourceImageFace":{}}`,
		"match without a score":  `{"FaceMatches":[{"Face":{}}]}`,
		"score is null":          fmt.Sprintf(oneMatch, "null"),
		"score is text":          fmt.Sprintf(oneMatch, `"99"`),
		"score is not a number":  fmt.Sprintf(oneMatch, `"NaN"`),
		"score is infinite":      fmt.Sprintf(oneMatch, `"Infinity"`),
		"score is too high":      fmt.Sprintf(oneMatch, "100.1"),
		"score is too low":       fmt.Sprintf(oneMatch, "-0.1"),
		"one of two is too high": `{"FaceMatches":[{"Similarity":99},{"Similarity":101}]}`,
		"matches are text":       `{"FaceMatches":"99"}`,
		"truncated":              fmt.Sprintf(oneMatch, "99")[:150],
		"web page":               `<html><body>Welcome</body></html>`,
		"huge":                   `{"FaceMatches":[` + strings.Repeat(`{"Similarity":99},`, 80_000) + `{"Similarity":99}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := wiretest.Serve(t, says(200, body))
			answer, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
			wiretest.CheckNoScore(t, answer, failureOf(t, err))
		})
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   cloud.Kind
	}{
		{400, `{"__type":"InvalidImageFormatException","Code":"InvalidImageFormatException","Message":"Request has invalid image format."}`, cloud.Rejected},
		{400, `{"__type":"ImageTooLargeException","Message":"Image size is too large."}`, cloud.Rejected},
		{400, `{"__type":"com.amazonaws.rekognition#ImageTooLargeException"}`, cloud.Rejected},
		{400, `{"__type":"InvalidS3ObjectException","Message":"Unable to get object metadata from S3."}`, cloud.Rejected},
		{400, `{"__type":"ValidationException","message":"1 validation error detected"}`, cloud.Rejected},
		{400, `{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/gate is not authorized to perform: rekognition:CompareFaces"}`, cloud.Unauthorised},
		{400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`, cloud.Unauthorised},
		{400, `{"__type":"InvalidSignatureException","message":"The Canonical String should have been"}`, cloud.Unauthorised},
		{400, `{"__type":"MissingAuthenticationTokenException"}`, cloud.Unauthorised},
		{400, `{"__type":"IncompleteSignatureException"}`, cloud.Unauthorised},
		{400, `{"__type":"ExpiredTokenException"}`, cloud.Unauthorised},
		{403, `{"message":"Forbidden"}`, cloud.Unauthorised},
		{400, `{"__type":"ProvisionedThroughputExceededException","Message":"Provisioned Rate exceeded."}`, cloud.Throttled},
		{400, `{"__type":"ThrottlingException","Message":"Slow down; sudden increase in rate of requests."}`, cloud.Throttled},
		{500, `{"__type":"ThrottlingException","Message":"Service Unavailable"}`, cloud.Throttled},
		{429, ``, cloud.Throttled},
		{400, `{"__type":"LimitExceededException"}`, cloud.Quota},
		{400, `{"__type":"ServiceQuotaExceededException"}`, cloud.Quota},
		{500, `{"__type":"InternalServerError","Message":"Internal server error"}`, cloud.Server},
		{503, `<html>no healthy upstream</html>`, cloud.Server},
		{502, ``, cloud.Server},
		{400, `{"__type":"InternalFailure"}`, cloud.Server},
		{302, ``, cloud.Server},
		{400, `{"__type":"SerializationException"}`, cloud.Rejected},
		{400, `{"__type":"SomethingNewException","Message":"` + strings.Repeat("x", 5000) + `"}`, cloud.Rejected},
		{413, ``, cloud.Rejected},
	} {
		t.Run(fmt.Sprintf("%d %.50s", tt.status, tt.body), func(t *testing.T) {
			s := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				says(tt.status, tt.body)(w, r)
			})
			answer, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
			f := failureOf(t, err)
			wiretest.CheckRefusal(t, answer, f, cloud.Failure{Kind: tt.want, Status: tt.status, RetryAfter: 7 * time.Second})
			if len(f.Error()) > 300 {
				t.Errorf("error of %d bytes", len(f.Error()))
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d attempts, want 1", n)
			}
		})
	}
}

func TestErrorHeaderCountsAsCode(t *testing.T) {
	s := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "ThrottlingException:http://internal.example/")
		w.WriteHeader(400)
	})
	_, err := wiretest.Ask(t, client(t, settings(t, s.URL)))
	if f := failureOf(t, err); f.Kind != cloud.Throttled {
		t.Errorf("failure %v, want throttled", f)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	const token = "FwoGZXIvYXdzEXAMPLETOKEN"
	for _, code := range []string{"InvalidSignatureException", "AccessDeniedException", "ValidationException", token} {
		s := wiretest.Serve(t, says(400, fmt.Sprintf(`{"__type":%q,"Message":"x-amz-security-token:%s \u0007 %s"}`, code, token, secretAccessKey)))
		set := settings(t, s.URL)
		set.Keys.SessionToken = secret(t, token)
		_, err := wiretest.Ask(t, client(t, set))
		text := failureOf(t, err).Error()
		for _, s := range []string{token, secretAccessKey, "\a", "Signature="} {
			if strings.Contains(text, s) {
				t.Errorf("%s: error %q holds %q", code, text, s)
			}
		}
	}
}

func TestPictureOverTheLimitIsMadeSmaller(t *testing.T) {
	big := wiretest.Noise(t, 2300, 2300, 100)
	if len(big) <= 5<<20 {
		t.Fatalf("picture of %d bytes is not too big", len(big))
	}
	s := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
	if _, err := client(t, settings(t, s.URL)).Compare(t.Context(), cloud.Question{Live: big, ID: wiretest.Question().ID}); err != nil {
		t.Fatal(err)
	}
	var body struct{ SourceImage, TargetImage struct{ Bytes []byte } }
	if err := json.Unmarshal(s.Requests()[0].Data, &body); err != nil {
		t.Fatal(err)
	}
	if n := len(body.SourceImage.Bytes); n > 5<<20 {
		t.Errorf("sent a picture of %d bytes", n)
	}
	if _, err := jpeg.Decode(bytes.NewReader(body.SourceImage.Bytes)); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(body.TargetImage.Bytes, wiretest.Question().ID) {
		t.Error("a small picture was changed")
	}
}

func TestUnusablePicturesAreNotSent(t *testing.T) {
	s := wiretest.Serve(t, says(200, fmt.Sprintf(oneMatch, "99")))
	c := client(t, settings(t, s.URL))
	for name, q := range map[string]cloud.Question{
		"empty":              {Live: nil, ID: wiretest.Question().ID},
		"big and no picture": {Live: wiretest.Question().Live, ID: make([]byte, 5<<20+1)},
	} {
		_, err := c.Compare(t.Context(), q)
		if f := failureOf(t, err); f.Kind != cloud.Rejected {
			t.Errorf("%s: failure %v, want rejected", name, f)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, fmt.Sprintf(oneMatch, "99.5"))
	f.Add(200, `{"FaceMatches":[{"Similarity":"NaN"}]}`)
	f.Add(200, `{`+sourceFace+`}`)
	f.Add(400, `{"__type":"InvalidParameterException","Message":"x"}`)
	f.Add(503, `<html>`)
	set := settings(f, "")
	var status int
	var body string
	set.HTTP = &http.Client{Transport: wiretest.Canned(&status, &body)}
	c := client(f, set)
	f.Fuzz(func(t *testing.T, s int, b string) {
		status, body = 200+s%400, b
		if status < 200 {
			status += 400
		}
		answer, err := wiretest.Ask(t, c)
		if err != nil {
			failureOf(t, err)
			if answer.Score != 0 || answer.Missing != cloud.Neither {
				t.Errorf("answer %+v beside %v", answer, err)
			}
			return
		}
		if answer.Score < 0 || answer.Score > 100 || answer.Score != 0 && status >= 300 {
			t.Errorf("answer %+v to %d", answer, status)
		}
	})
}
