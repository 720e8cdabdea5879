package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud/sim"
)

func form(parts ...string) []byte {
	return []byte("--B0\r\n" + strings.Join(parts, "\r\n--B0\r\n") + "\r\n--B0--\r\n")
}

func filePart(name string, data []byte) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"; filename=\"" + name + ".jpg\"\r\nContent-Type: image/jpeg\r\n\r\n" + string(data)
}

func textPart(name, text string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + text
}

func TestDeepIDV(t *testing.T) {
	p := pictureOf(t, 100)
	both := `{"source":"` + b64(p) + `","target":"` + b64(pngOf(t, 90)) + `"}`
	const (
		jsonType = "Content-Type: application/json"
		formType = "Content-Type: multipart/form-data; boundary=B0"
		key      = "X-Api-Key: " + keyDeepIDV
		match    = `{"isMatch":true,"confidence":80,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`
		noKey    = `{"detail":"Invalid or missing API key"}`
		invalid  = `{"error":"Invalid body"}`
		format   = `{"error":"Unsupported image format"}`
	)
	exif := slices.Insert(slices.Clone(p), 2, []byte("\xff\xe1\x00\x08Exif\x00\x00")...)
	for _, test := range []struct {
		name, line string
		headers    []string
		body       string
		status     int
		want, bad  string
	}{
		{"json", "", []string{key, jsonType}, both, 200, match, ""},
		{"form", "", []string{key, formType}, string(form(filePart("source", p), filePart("target", p))), 200, match, ""},
		{"no key", "", []string{jsonType}, both, 401, noKey, "no key in header X-Api-Key"},
		{"wrong key", "", []string{"X-Api-Key: x", jsonType}, both, 401, noKey, "wrong key"},
		{"another's key", "", []string{key, "Subscriptionkey: x", jsonType}, both, 400, `{"error":"unexpected header"}`, "Subscriptionkey"},
		{"two keys", "", []string{key, key, jsonType}, both, 400, `{"error":"duplicate header"}`, "comes 2 times"},
		{"cookie", "", []string{key, jsonType, "Cookie: a=b"}, both, 400, `{"error":"unexpected header"}`, "Cookie"},
		{"path", "POST /face/compare", []string{key, jsonType}, both, 404, `{"error":"Not Found"}`, "no such path"},
		{"method", "PUT /v1/face/compare", []string{key, jsonType}, both, 405, `{"error":"Method Not Allowed"}`, "method PUT"},
		{"query", "POST /v1/face/compare?a=1", []string{key, jsonType}, both, 400, `{"error":"unexpected query"}`, "has a query"},
		{"type", "", []string{key, "Content-Type: text/plain"}, both, 400, invalid, "content type"},
		{"unknown member", "", []string{key, jsonType}, strings.Replace(both, "{", `{"threshold":1,`, 1), 400, invalid, `unknown member "threshold"`},
		{"duplicate member", "", []string{key, jsonType}, strings.Replace(both, "{", `{"target":"",`, 1), 400, invalid, "comes twice"},
		{"trailing text", "", []string{key, jsonType}, both + "{}", 400, invalid, "text after"},
		{"missing", "", []string{key, jsonType}, `{"source":"` + b64(p) + `"}`, 400, invalid, "target is empty"},
		{"prefix", "", []string{key, jsonType}, strings.Replace(both, `"source":"`, `"source":"data:image/jpeg;base64,`, 1), 400, invalid, "data: prefix"},
		{"padding", "", []string{key, jsonType}, `{"source":"/9j/4A","target":"/9j/4A=="}`, 400, invalid, "not base64 with padding"},
		{"not a picture", "", []string{key, jsonType}, `{"source":"aGVsbG8=","target":"` + b64(p) + `"}`, 400, format, "neither JPEG nor PNG"},
		{"exif", "", []string{key, jsonType}, `{"source":"` + b64(exif) + `","target":"` + b64(p) + `"}`, 400, format, "source has metadata: an APP1"},
		{"cut picture", "", []string{key, jsonType}, `{"source":"` + b64(p[:len(p)-9]) + `","target":"` + b64(p) + `"}`, 400, format, "source has no JPEG marker"},
		{"unknown key of upload", "", []string{key, formType}, string(form(filePart("source", p), textPart("target", "uploads/x"))), 403, `{"error":"File is not readable by this organization"}`, "key of no upload"},
		{"unknown part", "", []string{key, formType}, string(form(filePart("source", p), filePart("target", p), textPart("x", "y"))), 400, invalid, `unknown multipart part "x"`},
		{"missing part", "", []string{key, formType}, string(form(filePart("source", p))), 400, invalid, `no multipart part "target"`},
		{"part twice", "", []string{key, formType}, string(form(filePart("source", p), filePart("source", p))), 400, invalid, "comes twice"},
		{"lying part", "", []string{key, formType}, string(form(filePart("source", pngOf(t, 90)), filePart("target", p))), 400, format, "its part says"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, addr := newServer(t, sim.DeepIDV, alike(80, 12), nil)
			line := test.line
			if line == "" {
				line = "POST /v1/face/compare"
			}
			expect(t, send(t, addr, message(line, []byte(test.body), test.headers...)), test.status, test.want)
			if test.bad == "" {
				noViolations(t, s)
			} else {
				onlyViolation(t, s, test.bad)
			}
		})
	}
}

func TestDeepIDVNoFace(t *testing.T) {
	p := b64(pictureOf(t, 100))
	request := message("POST /v1/face/compare", []byte(`{"source":"`+p+`","target":"`+p+`"}`), "X-Api-Key: "+keyDeepIDV, "Content-Type: application/json")
	_, addr := newServer(t, sim.DeepIDV, alike(99, 12), map[sim.Op]sim.Script{sim.CompareDeepIDV: {Steps: []sim.Step{
		{Do: sim.NoSource}, {Do: sim.NoTarget}, {Do: sim.NoFaces}, {Do: sim.NoTarget, NoFace: 1},
	}}})
	for _, want := range []string{
		`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":false,"targetFaceDetected":true}`,
		`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":false}`,
		`{"isMatch":false,"confidence":0,"threshold":80,"sourceFaceDetected":false,"targetFaceDetected":false}`,
		`{"isMatch":false,"confidence":0,"threshold":0,"sourceFaceDetected":false,"targetFaceDetected":false}`,
	} {
		expect(t, send(t, addr, request), 200, want)
	}
}

// presigned asks for an upload of one JPEG.
func presigned(t *testing.T, addr string, length int) (path, key string) {
	t.Helper()
	body := fmt.Sprintf(`{"files":[{"contentType":"image/jpeg","byteLength":%d}]}`, length)
	got := send(t, addr, message("POST /v1/upload/presign", []byte(body), "X-Api-Key: "+keyDeepIDV, "Content-Type: application/json"))
	var a struct {
		Uploads []struct{ UploadURL, FileKey string }
	}
	if err := json.Unmarshal([]byte(got.body), &a); err != nil || len(a.Uploads) != 1 {
		t.Fatalf("presign answered %d %q", got.status, got.body)
	}
	return strings.TrimPrefix(a.Uploads[0].UploadURL, "http://sim.test"), a.Uploads[0].FileKey
}

func TestDeepIDVUpload(t *testing.T) {
	s, addr := newServer(t, sim.DeepIDV, alike(99, 12), nil)
	p := pictureOf(t, 100)
	path, key := presigned(t, addr, len(p))
	expect(t, send(t, addr, message("PUT "+path, p, "Content-Type: image/jpeg")), 200, "")
	body := `{"source":"` + key + `","target":"` + key + `"}`
	got := send(t, addr, message("POST /v1/face/compare", []byte(body), "X-Api-Key: "+keyDeepIDV, "Content-Type: application/json"))
	expect(t, got, 200, `{"isMatch":true,"confidence":99,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`)
	mixed := form(textPart("source", key), filePart("target", p))
	got = send(t, addr, message("POST /v1/face/compare", mixed, "X-Api-Key: "+keyDeepIDV, "Content-Type: multipart/form-data; boundary=B0"))
	if got.status != 200 {
		t.Errorf("mixed form answered %d %q", got.status, got.body)
	}
	noViolations(t, s)
}

func TestDeepIDVUploadRefused(t *testing.T) {
	p := pictureOf(t, 100)
	for bad, change := range map[string]func(path string) []byte{
		"not given out": func(path string) []byte { return message("PUT "+path+"0", p, "Content-Type: image/jpeg") },
		"does not belong here": func(path string) []byte {
			return message("PUT "+path, p, "Content-Type: image/jpeg", "X-Api-Key: "+keyDeepIDV)
		},
		"content type":          func(path string) []byte { return message("PUT "+path, p, "Content-Type: image/png") },
		"bytes, announced were": func(path string) []byte { return message("PUT "+path, p[1:], "Content-Type: image/jpeg") },
	} {
		s, addr := newServer(t, sim.DeepIDV, alike(99, 12), nil)
		path, _ := presigned(t, addr, len(p))
		if got := send(t, addr, change(path)); got.status != 403 {
			t.Errorf("%s: answered %d %q", bad, got.status, got.body)
		}
		onlyViolation(t, s, bad)
	}
}

func TestRekognition(t *testing.T) {
	p := pictureOf(t, 100)
	const target = "RekognitionService.CompareFaces"
	good := `{"SimilarityThreshold":50,"SourceImage":{"Bytes":"` + b64(p) + `"},"TargetImage":{"Bytes":"` + b64(p) + `"}}`
	now := time.Now()
	sign := func(body string) []string {
		return signed("rekognition", "POST /", "sim.test", target, []byte(body), now, "token")
	}
	with := func(image string) string { return strings.Replace(good, b64(p), image, 1) }
	small := with(b64(pictureOf(t, 79)))
	long := with(b64(append(slices.Clone(p), make([]byte, 5<<20)...)))
	object := strings.Replace(good, `"Bytes":"`+b64(p)+`"`, `"S3Object":{"Bucket":"faces","Name":"none"}`, 1)
	for _, test := range []struct {
		name, body string
		headers    []string
		status     int
		code, bad  string
	}{
		{"good", good, sign(good), 200, "", ""},
		{"unsigned", good, sign(good)[:4], 400, "MissingAuthenticationTokenException", "not signed"},
		{"other body", good + " ", sign(good), 400, "InvalidSignatureException", "signature is wrong"},
		{"stale", good, signed("rekognition", "POST /", "sim.test", target, []byte(good), now.Add(-6*time.Minute), "token"), 400, "InvalidSignatureException", "is not now"},
		{"no token", good, signed("rekognition", "POST /", "sim.test", target, []byte(good), now, ""), 400, "UnrecognizedClientException", "session token"},
		{"for S3", good, signed("s3", "POST /", "sim.test", target, []byte(good), now, "token"), 400, "InvalidSignatureException", `it is for "s3"`},
		{"other host", good, signed("rekognition", "POST /", "other.test", target, []byte(good), now, "token"), 400, "InvalidSignatureException", "signature is wrong"},
		{"target", good, signed("rekognition", "POST /", "sim.test", "RekognitionService.DetectFaces", []byte(good), now, "token"), 400, "UnknownOperationException", "X-Amz-Target"},
		{"added header", good, append(sign(good), "X-Amz-Meta: x"), 400, "InvalidSignatureException", "x-amz-meta is not signed"},
		{"key", good, append(sign(good), "X-Api-Key: x"), 400, "InvalidParameterException", "X-Api-Key"},
		{"small", small, sign(small), 400, "InvalidParameterException", "79 by 79"},
		{"large", long, sign(long), 400, "ImageTooLargeException", "more than 5242880"},
		{"no object", object, sign(object), 400, "InvalidS3ObjectException", "does not exist"},
		{"not a picture", with("aGVsbG8="), sign(with("aGVsbG8=")), 400, "InvalidImageFormatException", "neither JPEG nor PNG"},
		{"base64url", with("_9j_4A=="), sign(with("_9j_4A==")), 400, "SerializationException", "base64url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, addr := newServer(t, sim.Rekognition, alike(40, 91.1), nil)
			got := send(t, addr, message("POST /", []byte(test.body), test.headers...))
			if test.bad == "" {
				noViolations(t, s)
			} else {
				onlyViolation(t, s, test.bad)
			}
			var e struct {
				Type string `json:"__type"`
			}
			if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != test.status || e.Type != test.code {
				t.Errorf("answer %d %.300q (%v), want %d %s", got.status, got.body, got.err, test.status, test.code)
			}
		})
	}
}

func TestRekognitionParameters(t *testing.T) {
	p := b64(pictureOf(t, 100))
	image := `{"Bytes":"` + p + `"}`
	for bad, body := range map[string]string{
		"SimilarityThreshold 100.5": `{"SimilarityThreshold":100.5,"SourceImage":` + image + `,"TargetImage":` + image + `}`,
		`QualityFilter "BEST"`:      `{"QualityFilter":"BEST","SourceImage":` + image + `,"TargetImage":` + image + `}`,
		"has not one of":            `{"SourceImage":{},"TargetImage":` + image + `}`,
		`unknown member "Region"`:   `{"Region":"x","SourceImage":` + image + `,"TargetImage":` + image + `}`,
		"TargetImage has not":       `{"SourceImage":` + image + `}`,
		"not a JSON object":         `[]`,
	} {
		s, addr := newServer(t, sim.Rekognition, alike(40, 91.1), nil)
		headers := signed("rekognition", "POST /", "sim.test", "RekognitionService.CompareFaces", []byte(body), time.Now(), "token")
		if got := send(t, addr, message("POST /", []byte(body), headers...)); got.status != 400 {
			t.Errorf("%s: answered %d", bad, got.status)
		}
		onlyViolation(t, s, bad)
	}
}

func TestRekognitionForms(t *testing.T) {
	p := b64(pictureOf(t, 100))
	body := []byte(`{"SimilarityThreshold":50,"SourceImage":{"Bytes":"` + p + `"},"TargetImage":{"Bytes":"` + p + `"}}`)
	_, addr := newServer(t, sim.Rekognition, alike(50, 91.1), map[sim.Op]sim.Script{sim.CompareRekognition: {Steps: []sim.Step{{}, {Form: 1}, {Form: 2}, {Do: sim.NoTarget}}}})
	ask := func() said {
		headers := signed("rekognition", "POST /", "sim.test", "RekognitionService.CompareFaces", body, time.Now(), "token")
		return send(t, addr, message("POST /", body, headers...))
	}
	const source = `{"SourceImageFace":{"BoundingBox":{"Width":0.5,"Height":0.5,"Left":0.25,"Top":0.25},"Confidence":99.5},"FaceMatches":[{"Similarity":91.0999984741211,"Face":{`
	full := ask()
	for _, want := range []string{source, `"Landmarks":[{"Type":"eyeLeft"`, `"UnmatchedFaces":[]`, `{"Similarity":50,`} {
		if !strings.Contains(full.body, want) {
			t.Errorf("answer %s lacks %s", full.body, want)
		}
	}
	expect(t, ask(), 200, source+`"BoundingBox":{"Width":0.5,"Height":0.5,"Left":0.5,"Top":0.25},"Confidence":99.5}},`+
		`{"Similarity":50,"Face":{"BoundingBox":{"Width":0.5,"Height":0.5,"Left":0,"Top":0.25},"Confidence":99.5}}]}`)
	if got := ask(); !strings.Contains(got.body, `"SourceImageOrientationCorrection":"ROTATE_90"`) {
		t.Errorf("answer %s has no orientation", got.body)
	}
	expect(t, ask(), 400, `{"__type":"InvalidParameterException","Code":"InvalidParameterException","Logref":"00000000-0000-0000-0000-000000000000","Message":"Request has invalid parameters."}`)
}

func TestBucket(t *testing.T) {
	p := pictureOf(t, 100)
	s, addr := newServer(t, sim.Rekognition, alike(40, 91.1), nil)
	do := func(line, host string, body []byte) said {
		headers := signed("s3", line, host, "", body, time.Now(), "token")
		return send(t, addr, bytes.Replace(message(line, body, headers...), []byte("sim.test"), []byte(host), 1))
	}
	expect(t, do("PUT /faces/a/1.jpg?x-id=PutObject", "sim.test", p), 200, "")
	expect(t, do("PUT /2.jpg", "faces.sim.test", p), 200, "")
	if got := s.Objects(); !slices.Equal(got, []string{"2.jpg", "a/1.jpg"}) {
		t.Errorf("objects %q", got)
	}
	body := []byte(`{"SourceImage":{"S3Object":{"Bucket":"faces","Name":"a/1.jpg"}},"TargetImage":{"S3Object":{"Bucket":"faces","Name":"2.jpg"}}}`)
	headers := signed("rekognition", "POST /", "sim.test", "RekognitionService.CompareFaces", body, time.Now(), "token")
	if got := send(t, addr, message("POST /", body, headers...)); got.status != 200 {
		t.Errorf("comparison of objects answered %d %q", got.status, got.body)
	}
	expect(t, do("DELETE /faces/a/1.jpg?x-id=DeleteObject", "sim.test", nil), 204, "")
	expect(t, do("DELETE /2.jpg", "faces.sim.test", nil), 204, "")
	noViolations(t, s)
	if got := s.Objects(); len(got) > 0 {
		t.Errorf("objects left: %q", got)
	}
	if got := do("PUT /other/1.jpg", "sim.test", p); got.status != 404 || !strings.Contains(got.body, "<Code>NoSuchBucket</Code>") {
		t.Errorf("unknown bucket answered %d %q", got.status, got.body)
	}
	if got := send(t, addr, message("PUT /faces/1.jpg", p, "Content-Type: image/jpeg")); got.status != 403 {
		t.Errorf("unsigned object answered %d %q", got.status, got.body)
	}
	if got := do("PUT /faces/1.jpg", "sim.test", []byte("text")); got.status != 400 {
		t.Errorf("text as object answered %d %q", got.status, got.body)
	}
	if got := do("GET /faces/1.jpg", "sim.test", nil); got.status != 405 {
		t.Errorf("reading an object answered %d %q", got.status, got.body)
	}
	if got := s.Objects(); len(got) > 0 {
		t.Errorf("refused objects were kept: %q", got)
	}
}

func TestMXFace(t *testing.T) {
	p := b64(pictureOf(t, 100))
	both := `{"encoded_image1":"` + p + `","encoded_image2":"` + p + `"}`
	plus := func(member string) string { return strings.Replace(both, "{", "{"+member+",", 1) }
	const (
		v3   = "/api/v3/face/verify"
		face = `"image1_face":{"faceRectangle":{"x":25,"y":25,"height":50,"width":50},"points":[{"x":25,"y":25},{"x":75,"y":25},{"x":25,"y":75},{"x":75,"y":75}],"quality":70}`
		left = `"image2_face":{"faceRectangle":{"x":0,"y":25,"height":50,"width":50},"points":[{"x":0,"y":25},{"x":50,"y":25},{"x":0,"y":75},{"x":50,"y":75}],"quality":70}`
		poor = `{"code":400,"message":"The quality of face is very low. Please check quality of face using Detect or Quality API."}`
		lack = `{"errorCode":400,"errorMessage":"Invalid request. Please pass valid json with all required parameters."}`
	)
	for _, test := range []struct {
		name, path, key, body string
		step                  sim.Step
		status                int
		want, bad             string // want is a part of the answer
	}{
		{"v3", v3, keyMXFace, both, sim.Step{}, 200, `{"matchedFaces":[{"matchResult":0,` + face + `,` + left + `},{"matchResult":1,`, ""},
		{"v3 newer", v3, keyMXFace, both, sim.Step{Form: 1}, 200, `{"matchedFaces":[{"matchResult":1,"confidence":60.5,"image1_face":{"faceRectangle":{"x":25,"y":25,"height":50,"width":50},"quality":70},`, ""},
		{"v2", "/api/v2/face/verify", keyMXFace, both, sim.Step{}, 200, `{"matchedFaces":[{"confidence":60,`, ""},
		{"v1", "/api/face/verify", keyMXFace, both, sim.Step{}, 200, `{"confidence":0.605,`, ""},
		{"options", v3, keyMXFace, plus(`"compareAllFaces":true,"qualityThreshold":70,"minimumDistanceBetweenEyeThreshold":29`), sim.Step{}, 200, "matchResult", ""},
		{"poor", v3, keyMXFace, plus(`"qualityThreshold":71`), sim.Step{}, 400, poor, ""},
		{"eyes", v3, keyMXFace, plus(`"minimumDistanceBetweenEyeThreshold":31`), sim.Step{}, 400, poor, ""},
		{"no face", v3, keyMXFace, both, sim.Step{Do: sim.NoFaces}, 400, `{"code":400,"message":"No face detected or quality of face is very low."}`, ""},
		{"no face, other", v3, keyMXFace, both, sim.Step{Do: sim.NoFaces, NoFace: 1}, 400, `{"code":400,"errorMessage":"No face`, ""},
		{"no face, no pair", v3, keyMXFace, both, sim.Step{Do: sim.NoSource, NoFace: 2}, 200, `{"matchedFaces":[]}`, ""},
		{"key", v3, "x", both, sim.Step{}, 401, `{"code":401,"error":"Access denied due to invalid subscription key`, "wrong key"},
		{"path", "/api/v4/face/verify", keyMXFace, both, sim.Step{}, 404, `{"code":404`, "no such path"},
		{"missing", v3, keyMXFace, `{"encoded_image1":"` + p + `"}`, sim.Step{}, 400, lack, "no encoded_image2"},
		{"base64", v3, keyMXFace, strings.Replace(both, p, "%%%", 1), sim.Step{}, 400, `{"errorCode":400,"message":"The input is not a valid Base-64 string."}`, "not base64"},
		{"not a picture", v3, keyMXFace, strings.Replace(both, p, "aGVsbG8=", 1), sim.Step{}, 400, `{"errorCode":400,"message":"Invalid image.`, "neither JPEG nor PNG"},
		{"quality", v3, keyMXFace, plus(`"qualityThreshold":20`), sim.Step{}, 400, `{"code":400,"errorMessage":"Quality threshold value`, "not in 21 to 100"},
		{"type of a member", v3, keyMXFace, plus(`"qualityThreshold":"50"`), sim.Step{}, 400, lack, "cannot unmarshal"},
		{"spelling", v3, keyMXFace, plus(`"qualitythreshold":50`), sim.Step{}, 400, lack, `unknown member "qualitythreshold"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, addr := newServer(t, sim.MXFace, alike(60, 60.5), map[sim.Op]sim.Script{sim.CompareMXFace: {Steps: []sim.Step{test.step}}})
			got := send(t, addr, message("POST "+test.path, []byte(test.body), "subscriptionkey: "+test.key, "Content-Type: application/json"))
			if got.status != test.status || !strings.HasPrefix(got.body, test.want) && !strings.Contains(got.body, test.want) {
				t.Errorf("answer %d %s\nwant   %d %s", got.status, got.body, test.status, test.want)
			}
			if test.bad == "" {
				noViolations(t, s)
			} else {
				onlyViolation(t, s, test.bad)
			}
		})
	}
}
