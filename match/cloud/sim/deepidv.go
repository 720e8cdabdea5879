package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Limits of deepidv.
const (
	maxDeepIDV     = 15 << 20         // bytes of a picture
	uploadLifetime = 15 * time.Minute // of an upload's URL
	keyPrefix      = "uploads/sim/"   // of every key that an upload got
	cutDeepIDV     = 80               // confidence of a match
)

// An upload is one that was allowed.
type upload struct {
	kind     string // content type
	length   int    // bytes
	key      string
	query    string
	expires  time.Time
	contents []byte // nil until it was made
}

func simpleError(status int, text string) answer {
	return marshalled(status, typeJSON, map[string]string{"error": text})
}

func badDeepIDV(text string) answer { return simpleError(http.StatusBadRequest, text) }

func missingKeyDeepIDV() answer {
	return literal(http.StatusUnauthorized, typeJSON, `{"detail":"Invalid or missing API key"}`)
}

func routeDeepIDV(x *exchange) operation {
	o := operation{fail: failDeepIDV, bad: badDeepIDV, wrong: []string{
		`{"isMatch":true,"confidence":96.4,"thre`,
		`{"isMatch":"yes","confidence":"96.4","threshold":80,"sourceFaceDetected":1,"targetFaceDetected":1}`,
		`{"isMatch":null,"confidence":null,"threshold":null,"sourceFaceDetected":null,"targetFaceDetected":null}`,
		`[]`,
		`{"isMatch":true,"confidence":964,"threshold":80,"sourceFaceDetected":true,"targetFaceDetected":true}`,
		`{"isMatch":true,"confidence":96.4}`,
	}}
	method := http.MethodPost
	switch path := x.r.URL.Path; {
	case path == "/v1/face/compare":
		o.op, o.run = CompareDeepIDV, (*exchange).compareDeepIDV
	case path == "/v1/upload/presign":
		o.op, o.run = PresignDeepIDV, (*exchange).presign
	case strings.HasPrefix(path, "/upload/"):
		o.op, o.run, method = UploadDeepIDV, (*exchange).upload, http.MethodPut
		o.bad = func(text string) answer { return xmlError(http.StatusForbidden, "AccessDenied", text) }
		o.fail = failS3
	default:
		x.refuse(simpleError(http.StatusNotFound, "Not Found"), "no such path %q", path)
		return o
	}
	if x.r.Method != method {
		x.refuse(simpleError(http.StatusMethodNotAllowed, "Method Not Allowed"), "method %s instead of %s", x.r.Method, method)
	}
	return o
}

func failDeepIDV(step Step) answer {
	switch step.Do {
	case Throttle:
		return literal(http.StatusTooManyRequests, typeJSON, pick(step.Form,
			`{"message":"Too Many Requests"}`,
			`{"error":"Rate limit exceeded"}`))
	case Unauthorised:
		return pick(step.Form,
			missingKeyDeepIDV(),
			simpleError(http.StatusForbidden, "Missing API key"),
			simpleError(http.StatusUnauthorized, "Invalid API key"),
			simpleError(http.StatusForbidden, "File is not readable by this organization"))
	case Quota:
		return literal(http.StatusPaymentRequired, typeText, "Insufficient funds or subscription.")
	case Rejected:
		return pick(step.Form,
			badDeepIDV("Unsupported image format"),
			literal(http.StatusBadRequest, typeJSON, `{"message":"Invalid body","hints":[{"code":"invalid_type","path":["source"],"message":"Required"}]}`),
			simpleError(http.StatusNotFound, "Referenced resource not found"))
	}
	return pick(step.Form,
		simpleError(http.StatusInternalServerError, "Internal server error"),
		literal(http.StatusServiceUnavailable, typeText, "Service Unavailable"))
}

func (x *exchange) compareDeepIDV() answer {
	x.noQuery()
	x.key("X-Api-Key", x.s.Keys.DeepIDV, missingKeyDeepIDV())
	pictures := make(map[string]picture)
	if strings.HasPrefix(x.r.Header.Get("Content-Type"), "multipart/") {
		x.formDeepIDV(pictures)
	} else {
		var q struct{ Source, Target string }
		if !x.json(&q, badDeepIDV("Invalid body"), "source", "target") {
			return answer{}
		}
		pictures["source"] = x.stringDeepIDV("source", q.Source)
		pictures["target"] = x.stringDeepIDV("target", q.Target)
	}
	c, ok := x.truth(pictures["source"].data, pictures["target"].data)
	if !ok {
		return answer{}
	}
	type said struct {
		IsMatch    bool    `json:"isMatch"`
		Confidence float64 `json:"confidence"`
		Threshold  float64 `json:"threshold"`
		Source     bool    `json:"sourceFaceDetected"`
		Target     bool    `json:"targetFaceDetected"`
	}
	a := said{Threshold: cutDeepIDV, Source: len(c.Source) > 0, Target: len(c.Target) > 0}
	if c.found() {
		a.Confidence = c.Similarity[c.best()]
		a.IsMatch = a.Confidence >= a.Threshold
	} else {
		a = pick(x.step.NoFace, a, said{})
	}
	return marshalled(http.StatusOK, typeJSON, a)
}

// formDeepIDV reads the multipart form: a file, or a key as text, for each side.
func (x *exchange) formDeepIDV(pictures map[string]picture) {
	list, err := parts(x.r.Header.Get("Content-Type"), x.body)
	if err != nil {
		x.refuse(badDeepIDV("Invalid body"), "%v", err)
		return
	}
	for _, p := range list {
		switch {
		case p.name != "source" && p.name != "target":
			x.refuse(badDeepIDV("Invalid body"), "unknown multipart part %q", p.name)
		case !p.file:
			if p.kind != "" && !strings.HasPrefix(p.kind, "text/plain") {
				x.refuse(badDeepIDV("Invalid body"), "%s is a key of type %q", p.name, p.kind)
			}
			pictures[p.name] = x.uploaded(p.name, string(p.contents))
		default:
			pictures[p.name] = x.pictureDeepIDV(p.name, p.contents)
			if want := http.DetectContentType(p.contents); p.kind != want {
				x.refuse(badDeepIDV("Unsupported image format"), "%s is %s, but its part says %q", p.name, want, p.kind)
			}
		}
	}
	for _, name := range []string{"source", "target"} {
		if _, ok := pictures[name]; !ok {
			x.refuse(badDeepIDV("Invalid body"), "no multipart part %q", name)
		}
	}
}

// stringDeepIDV reads a member that is a key or a picture in base64.
func (x *exchange) stringDeepIDV(name, text string) picture {
	if strings.HasPrefix(text, keyPrefix) {
		return x.uploaded(name, text)
	}
	data, err := plain64(text)
	if err != nil {
		x.refuse(badDeepIDV("Invalid body"), "%s %v", name, err)
		return picture{}
	}
	return x.pictureDeepIDV(name, data)
}

func (x *exchange) pictureDeepIDV(name string, data []byte) picture {
	if len(data) > maxDeepIDV {
		x.refuse(badDeepIDV("Image is larger than 15 MB"), "%s has %d bytes, more than %d", name, len(data), maxDeepIDV)
		return picture{}
	}
	return x.picture(name, data, badDeepIDV("Unsupported image format"))
}

// uploaded finds the picture that was uploaded under a key.
func (x *exchange) uploaded(name, key string) picture {
	x.s.mu.Lock()
	var data []byte
	for _, u := range x.s.uploads {
		if u.key == key {
			data = u.contents
		}
	}
	x.s.mu.Unlock()
	if data == nil {
		x.refuse(simpleError(http.StatusForbidden, "File is not readable by this organization"), "%s is a key of no upload", name)
		return picture{}
	}
	return x.pictureDeepIDV(name, data)
}

// presign allows uploads.
func (x *exchange) presign() answer {
	x.noQuery()
	x.key("X-Api-Key", x.s.Keys.DeepIDV, missingKeyDeepIDV())
	var q struct {
		Files []struct {
			ContentType string
			ByteLength  int
		}
	}
	if !x.json(&q, badDeepIDV("Invalid body"), "files", "files[].contentType", "files[].byteLength") {
		return answer{}
	}
	if len(q.Files) == 0 {
		x.refuse(badDeepIDV("Invalid body"), "no files")
	}
	type allowed struct {
		URL string `json:"uploadUrl"`
		Key string `json:"fileKey"`
	}
	var list []allowed
	for i, f := range q.Files {
		if f.ContentType != "image/jpeg" && f.ContentType != "image/png" {
			x.refuse(badDeepIDV("Unsupported image format"), "file %d has content type %.40q", i, f.ContentType)
		}
		if f.ByteLength < 1 || f.ByteLength > maxDeepIDV {
			x.refuse(badDeepIDV("Image is larger than 15 MB"), "file %d has byteLength %d, not in 1 to %d", i, f.ByteLength, maxDeepIDV)
		}
		n := x.s.number()
		u := &upload{
			kind: f.ContentType, length: f.ByteLength, key: fmt.Sprintf("%s%06d", keyPrefix, n),
			query: fmt.Sprintf("X-Amz-Expires=900&X-Amz-Signature=%064x", n), expires: time.Now().Add(uploadLifetime),
		}
		path := fmt.Sprintf("/upload/%06d", n)
		x.s.mu.Lock()
		if x.s.uploads == nil {
			x.s.uploads = make(map[string]*upload)
		}
		x.s.uploads[path] = u
		x.s.mu.Unlock()
		scheme := "http://"
		if x.r.TLS != nil {
			scheme = "https://"
		}
		list = append(list, allowed{URL: scheme + x.r.Host + path + "?" + u.query, Key: u.key})
	}
	return marshalled(http.StatusOK, typeJSON, map[string]any{"uploads": list})
}

// upload takes what was announced, once.
func (x *exchange) upload() answer {
	x.absentBut("") // a URL that was signed needs no key and must not get one
	denied := func(text string) answer { return xmlError(http.StatusForbidden, "AccessDenied", text) }
	x.s.mu.Lock()
	u := x.s.uploads[x.r.URL.Path]
	x.s.mu.Unlock()
	switch {
	case u == nil || x.r.URL.RawQuery != u.query:
		x.refuse(xmlError(http.StatusForbidden, "SignatureDoesNotMatch", "The signature does not match"), "upload to a URL that was not given out")
		return answer{}
	case time.Now().After(u.expires):
		x.refuse(denied("Request has expired"), "upload to a URL that has expired")
	case x.r.Header.Get("Content-Type") != u.kind:
		x.refuse(denied("Content-Type differs"), "upload has content type %.40q, announced was %q", x.r.Header.Get("Content-Type"), u.kind)
	case len(x.body) != u.length:
		x.refuse(denied("Content-Length differs"), "upload has %d bytes, announced were %d", len(x.body), u.length)
	}
	x.picture("upload", x.body, denied("Unsupported image format"))
	if got := http.DetectContentType(x.body); got != u.kind {
		x.refuse(denied("Content-Type differs"), "upload is %s, announced was %q", got, u.kind)
	}
	if x.refusal == nil && x.step.Do.truth() {
		x.s.change(func() { u.contents = x.body })
	}
	return answer{status: http.StatusOK, header: map[string]string{"ETag": `"0"`}}
}
