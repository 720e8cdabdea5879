package sim

import (
	"math"
	"net/http"
)

// Limits of MXFace.
const (
	cutMXFace    = 60 // above which the documents call a score a match
	cutMXFaceNew = 48 // from which the vendor's newer source does
)

func badMXFace(string) answer {
	return literal(http.StatusBadRequest, typeJSON, `{"errorCode":400,"errorMessage":"Invalid request. Please pass valid json with all required parameters."}`)
}

func routeMXFace(x *exchange) operation {
	o := operation{fail: failMXFace, bad: badMXFace, wrong: []string{
		`{"matchedFaces":[{"matchResult":1,`,
		`{"matchedFaces":[{"matchResult":"yes","confidence":"high"}],"confidence":"high"}`,
		`{"matchedFaces":null,"confidence":null}`,
		`[]`,
		`{"matchedFaces":[{"matchResult":7,"confidence":1e9}],"confidence":1e9}`,
		`{"matchedFaces":[{}]}`,
	}}
	version := map[string]int{"/api/face/verify": 1, "/api/v2/face/verify": 2, "/api/v3/face/verify": 3}[x.r.URL.Path]
	if version == 0 {
		x.refuse(literal(http.StatusNotFound, typeJSON, `{"code":404,"error":"Resource not found"}`), "no such path %q", x.r.URL.Path)
		return o
	}
	if x.r.Method != http.MethodPost {
		x.refuse(literal(http.StatusMethodNotAllowed, typeJSON, `{"code":405,"error":"Method not allowed"}`), "method %s instead of POST", x.r.Method)
	}
	o.op = CompareMXFace
	o.run = func(x *exchange) answer { return x.compareMXFace(version) }
	return o
}

func failMXFace(step Step) answer {
	body := func(status int, forms ...string) answer { return literal(status, typeJSON, pick(step.Form, forms...)) }
	switch step.Do {
	case Throttle:
		return body(http.StatusTooManyRequests, `{"code":429,"error":"Rate limit is exceeded. Try again later."}`)
	case Unauthorised:
		return body(http.StatusUnauthorized,
			`{"code":401,"error":"Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription."}`)
	case Quota:
		return body(http.StatusForbidden, `{"code":403,"error":"Out of call volume quota."}`)
	case Rejected:
		return body(http.StatusBadRequest,
			`{"errorCode":400,"message":"Invalid image. Please pass base-64 string of any .jpg .jpeg .png .bmp."}`,
			`{"errorCode":400,"message":"The input is not a valid Base-64 string."}`,
			`{"errorCode":400,"errorMessage":"Invalid request. Please pass valid json with all required parameters."}`,
			`{"code":400,"errorMessage":"Quality threshold value is not valid. Range 20-100"}`)
	}
	return body(http.StatusInternalServerError,
		`{"code":500,"errorMessage":"Verify service is unavailable."}`,
		`{"code":500,"errorMessage":"Something went wrong, please try again later"}`)
}

// noFaceMXFace is said of a missing face and of a poor one.
func noFaceMXFace(form int, text string) answer {
	return pick(form,
		marshalled(http.StatusBadRequest, typeJSON, map[string]any{"code": 400, "message": text}),
		marshalled(http.StatusBadRequest, typeJSON, map[string]any{"code": 400, "errorMessage": text}),
		literal(http.StatusOK, typeJSON, `{"matchedFaces":[]}`))
}

func (x *exchange) compareMXFace(version int) answer {
	x.noQuery()
	x.key("Subscriptionkey", x.s.Keys.MXFace, failMXFace(Step{Do: Unauthorised}))
	var q struct {
		Image1  string `json:"encoded_image1"`
		Image2  string `json:"encoded_image2"`
		All     *bool  `json:"compareAllFaces"`
		Quality *int   `json:"qualityThreshold"`
		Eyes    *int   `json:"minimumDistanceBetweenEyeThreshold"`
	}
	known := []string{"encoded_image1", "encoded_image2", "compareAllFaces", "qualityThreshold", "minimumDistanceBetweenEyeThreshold"}
	if !x.json(&q, badMXFace(""), known...) {
		return answer{}
	}
	if q.Quality != nil && (*q.Quality < 21 || *q.Quality > 100) {
		x.refuse(failMXFace(Step{Do: Rejected, Form: 3}), "qualityThreshold %d is not in 21 to 100", *q.Quality)
	}
	if q.Eyes != nil && *q.Eyes < 1 {
		x.refuse(badMXFace(""), "minimumDistanceBetweenEyeThreshold %d is not positive", *q.Eyes)
	}
	source, target := x.pictureMXFace("encoded_image1", q.Image1), x.pictureMXFace("encoded_image2", q.Image2)
	c, ok := x.truth(source.data, target.data)
	if !ok {
		return answer{}
	}
	if !c.found() {
		return noFaceMXFace(x.step.NoFace, "No face detected or quality of face is very low.")
	}
	poor := func(f Face, p picture) bool {
		distance, known := f.eyes(p)
		return q.Quality != nil && f.Quality < float64(*q.Quality) || q.Eyes != nil && known && distance < float64(*q.Eyes)
	}
	if poor(c.Source[c.Chosen], source) || poor(c.Target[c.best()], target) {
		return noFaceMXFace(x.step.NoFace, "The quality of face is very low. Please check quality of face using Detect or Quality API.")
	}
	return marshalled(http.StatusOK, typeJSON, c.mxface(version, x.step.Form, source, target))
}

func (x *exchange) pictureMXFace(name, text string) picture {
	if text == "" {
		x.refuse(badMXFace(""), "no %s", name)
		return picture{}
	}
	data, err := plain64(text)
	if err != nil {
		x.refuse(failMXFace(Step{Do: Rejected, Form: 1}), "%s %v", name, err)
		return picture{}
	}
	return x.picture(name, data, failMXFace(Step{Do: Rejected}))
}

type rectangleMXFace struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Height int `json:"height"`
	Width  int `json:"width"`
}

type pointMXFace struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

type faceMXFace struct {
	Rectangle rectangleMXFace `json:"faceRectangle"`
	Points    []pointMXFace   `json:"points,omitempty"`
	Quality   float64         `json:"quality"`
}

// newFaceMXFace turns a face into MXFace's words: its box in pixels, and the
// box's corners.
func newFaceMXFace(f Face, p picture, points bool) faceMXFace {
	w, h := float64(p.size.X), float64(p.size.Y)
	left, top, width, height := f.Box.Left*w, f.Box.Top*h, f.Box.Width*w, f.Box.Height*h
	round := func(v float64) int { return int(math.Round(v)) }
	a := faceMXFace{Rectangle: rectangleMXFace{X: round(left), Y: round(top), Height: round(height), Width: round(width)}, Quality: f.Quality}
	if points {
		a.Points = []pointMXFace{{left, top}, {left + width, top}, {left, top + height}, {left + width, top + height}}
	}
	return a
}

// mxface puts the comparison into the words of an API version: v3 says whether
// two faces match, v2 how much of 100, v1 how much of 1 for the best pair.
func (c Comparison) mxface(version, form int, source, target picture) any {
	newer := version == 3 && form%2 == 1
	type pair struct {
		Result     *int       `json:"matchResult,omitempty"`
		Confidence *float64   `json:"confidence,omitempty"`
		Image1     faceMXFace `json:"image1_face"`
		Image2     faceMXFace `json:"image2_face"`
	}
	pairs := []pair{}
	for i, f := range c.Target {
		if newer && i != c.best() {
			continue
		}
		p := pair{Image1: newFaceMXFace(c.Source[c.Chosen], source, !newer), Image2: newFaceMXFace(f, target, !newer)}
		if version == 3 {
			result := 0
			if c.Similarity[i] > cutMXFace || newer && c.Similarity[i] >= cutMXFaceNew {
				result = 1
			}
			p.Result = &result
		}
		if version == 2 || newer {
			p.Confidence = &c.Similarity[i]
		}
		pairs = append(pairs, p)
	}
	if version == 1 {
		return map[string]any{"confidence": c.Similarity[c.best()] / 100, "matchedFaces": pairs}
	}
	return map[string]any{"matchedFaces": pairs}
}
