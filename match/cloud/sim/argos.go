package sim

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Limits of ARGOS.
const (
	maxARGOS     = 5_000_000 // bytes of a picture, which must be fewer
	maxBodyARGOS = 10 << 20  // bytes of a request
)

// errorARGOS returns one of the documented codes.
func errorARGOS(status, code int, text string) answer {
	return marshalled(status, typeJSON, struct {
		Status      int    `json:"statusCode"`
		APIType     string `json:"apiType"`
		Transaction string `json:"transactionId"`
		Code        int    `json:"errorCode"`
		Message     string `json:"message"`
	}{status, "compare_face", "sim-000000", code, text})
}

func badARGOS(string) answer {
	return errorARGOS(http.StatusBadRequest, 1003, "Failed to process data")
}

func tooLargeARGOS() answer {
	return literal(http.StatusRequestEntityTooLarge, typeJSON, `{"message":"Request Entity Too Large"}`)
}

func routeARGOS(x *exchange) operation {
	o := operation{op: CompareARGOS, run: (*exchange).compareARGOS, fail: failARGOS, bad: badARGOS, wrong: wrongARGOS()}
	if x.r.URL.Path != "/modules/compare" || x.r.Method != http.MethodPost { // as API Gateway does
		o.op, o.run = "", nil
		x.refuse(literal(http.StatusForbidden, typeJSON, `{"message":"Missing Authentication Token"}`), "no such path or method: %s %q", x.r.Method, x.r.URL.Path)
	}
	return o
}

func wrongARGOS() []string {
	return []string{
		`{"apiType":"compare_face","result":{"face":`,
		`{"apiType":"compare_face","transactionId":1,"result":{"face":{"isAvailable":"yes"},"faceMatch":{"isAvailable":"yes","similarity":"99.1"}}}`,
		`{"apiType":"compare_face","transactionId":null,"result":null}`,
		`[]`,
		`{"apiType":"compare_face","transactionId":"sim-000000","result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":true,"similarity":9910}}}`,
		`{"apiType":"compare_face","transactionId":"sim-000000","result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":true}}}`,
		`{"apiType":"id_live_doc","transactionId":"sim-000000","result":{"score":1}}`,
	}
}

func failARGOS(step Step) answer {
	switch step.Do {
	case Throttle:
		return literal(http.StatusTooManyRequests, typeJSON, `{"message":"Too Many Requests"}`)
	case Unauthorised:
		return literal(http.StatusForbidden, typeJSON, pick(step.Form,
			`{"message":"Forbidden"}`,
			`{"message":"User is not authorized to access this resource with an explicit deny"}`))
	case Quota:
		return literal(http.StatusTooManyRequests, typeJSON, `{"message":"Limit Exceeded"}`)
	case Rejected:
		return pick(step.Form,
			errorARGOS(http.StatusBadRequest, 1000, "Two Images are Required"),
			errorARGOS(http.StatusBadRequest, 1001, "Workspace is unavailable"),
			errorARGOS(http.StatusBadRequest, 1010, "callbackUrl is required"),
			errorARGOS(http.StatusBadRequest, 1002, "Failed to compare face."),
			errorARGOS(http.StatusBadRequest, 1003, "Failed to process data"),
			tooLargeARGOS())
	}
	return pick(step.Form,
		literal(http.StatusInternalServerError, typeJSON, `{"message":"Internal server error"}`),
		literal(http.StatusBadGateway, typeJSON, `{"message":"Bad Gateway"}`))
}

func (x *exchange) compareARGOS() answer {
	x.noQuery()
	x.key("X-Api-Key", x.s.Keys.ARGOS, failARGOS(Step{Do: Unauthorised}))
	if len(x.body) > maxBodyARGOS {
		x.refuse(tooLargeARGOS(), "body has %d bytes, more than %d", len(x.body), maxBodyARGOS)
		return answer{}
	}
	var q struct {
		Origin   string  `json:"originFace"`
		Target   string  `json:"targetFace"`
		Callback *string `json:"callbackUrl"`
	}
	if !x.json(&q, badARGOS(""), "originFace", "targetFace", "callbackUrl") {
		return answer{}
	}
	if q.Callback != nil {
		if err := checkCallback(*q.Callback); err != nil {
			x.refuse(badARGOS(""), "callbackUrl: %v", err)
		}
	}
	origin, target := x.pictureARGOS("originFace", q.Origin), x.pictureARGOS("targetFace", q.Target)
	c, ok := x.truth(origin.data, target.data)
	if !ok {
		return answer{}
	}
	transaction := fmt.Sprintf("sim-%06d", x.s.number())
	if q.Callback == nil {
		return resultARGOS(c, transaction, x.step.Form%3, x.step.NoFace)
	}
	x.s.call(*q.Callback, transaction, c)
	if x.step.Form%2 == 1 {
		return answer{status: http.StatusAccepted}
	}
	return marshalled(http.StatusOK, typeJSON, map[string]string{"apiType": "compare_face", "transactionId": transaction})
}

// checkCallback refuses a URL to which no result should go.
func checkCallback(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("is not a plain URL")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("is not https://")
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (x *exchange) pictureARGOS(name, text string) picture {
	if text == "" {
		x.refuse(failARGOS(Step{Do: Rejected}), "no %s", name)
		return picture{}
	}
	data, err := plain64(text)
	if err != nil {
		x.refuse(badARGOS(""), "%s %v", name, err)
		return picture{}
	}
	if len(data) >= maxARGOS {
		x.refuse(tooLargeARGOS(), "%s has %d bytes, not less than %d", name, len(data), maxARGOS)
		return picture{}
	}
	return x.picture(name, data, badARGOS(""))
}

// Faces in the words of ARGOS. Members that a form doesn't have are nil.
type (
	faceARGOS struct {
		Available   bool          `json:"isAvailable"`
		Similarity  *float64      `json:"similarity,omitempty"`
		Confidence  *float64      `json:"confidence,omitempty"`
		BoundingBox *boxAWS       `json:"boundingBox,omitempty"`
		Landmarks   []landmarkAWS `json:"landmarks,omitempty"`
		Pose        *poseAWS      `json:"pose,omitempty"`
		Quality     *qualityAWS   `json:"quality,omitempty"`
	}
	scoreARGOS struct {
		Score     float64 `json:"score"`
		Threshold float64 `json:"threshold"`
		IsMatch   bool    `json:"isMatch"`
	}
	comparedARGOS struct {
		Face       faceARGOS   `json:"face"`
		FaceMatch  *faceARGOS  `json:"faceMatch,omitempty"`
		TargetFace *faceARGOS  `json:"targetFace,omitempty"`
		Similarity *scoreARGOS `json:"similarity,omitempty"`
	}
	envelopeARGOS struct {
		Status      int           `json:"statusCode,omitempty"`
		APIType     string        `json:"apiType"`
		Transaction string        `json:"transactionId"`
		Result      comparedARGOS `json:"result"`
	}
)

// resultARGOS puts the comparison into one of the published shapes: 0 with
// faceMatch, 1 with targetFace and a score, 2 as it is posted to a callback.
func resultARGOS(c Comparison, transaction string, form, noFace int) answer {
	if !c.found() && noFace%2 == 1 {
		return errorARGOS(http.StatusBadRequest, 1002, "Failed to compare face.")
	}
	e := envelopeARGOS{APIType: "compare_face", Transaction: transaction}
	if form == 2 {
		e.Status = http.StatusOK
	}
	var target faceARGOS
	if len(c.Source) > 0 {
		f := c.Source[c.Chosen]
		box := newBox(f.Box)
		e.Result.Face = faceARGOS{Available: true, BoundingBox: &box}
		if form == 1 {
			e.Result.Face.Confidence = share(f.Confidence)
		}
	}
	if len(c.Target) > 0 {
		f := c.Target[c.best()]
		box, quality := newBox(f.Box), newQuality(f)
		target = faceARGOS{Available: true, BoundingBox: &box, Confidence: &f.Confidence}
		if form == 1 {
			target.Confidence = share(f.Confidence)
		} else {
			target.Landmarks, target.Pose, target.Quality = newLandmarks(f), &poseAWS{}, &quality
		}
	}
	switch {
	case form == 1:
		e.Result.TargetFace = &target
		e.Result.Similarity = &scoreARGOS{Threshold: 0.8}
		if c.found() {
			e.Result.Similarity.Score = c.Similarity[c.best()] / 100
			e.Result.Similarity.IsMatch = e.Result.Similarity.Score >= 0.8
		}
	default:
		e.Result.FaceMatch = &target
		if c.found() {
			target.Similarity = &c.Similarity[c.best()]
		}
	}
	return marshalled(http.StatusOK, typeJSON, e)
}

// share returns hundredths.
func share(v float64) *float64 { v /= 100; return &v }
