package sim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Limits of Rekognition and its bucket.
const (
	maxImageBytes = 5 << 20  // in the request
	maxObject     = 15 << 20 // in the bucket
	minSide       = 80       // pixels
	typeAWS       = "application/x-amz-json-1.1"
	targetAWS     = "RekognitionService.CompareFaces"
)

// modelError returns an error of Rekognition's own, as its guide prints it.
func modelError(status int, name, text string) answer {
	return marshalled(status, typeAWS, struct {
		Type    string `json:"__type"`
		Code    string
		Logref  string
		Message string
	}{name, name, "00000000-0000-0000-0000-000000000000", text})
}

// gateError returns an error of what stands before Rekognition.
func gateError(name, text string) answer {
	return marshalled(http.StatusBadRequest, typeAWS, map[string]string{"__type": name, "message": text})
}

func invalidParameter() answer {
	return modelError(http.StatusBadRequest, "InvalidParameterException", "Request has invalid parameters.")
}

// xmlError returns an error of a bucket.
func xmlError(status int, code, text string) answer {
	return literal(status, typeXML, fmt.Sprintf(
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><RequestId>0</RequestId></Error>", code, text))
}

// routeAWS tells Rekognition, which has one path, from the bucket.
func routeAWS(x *exchange) operation {
	o := operation{fail: failRekognition, wrong: []string{
		`{"FaceMatches":[{"Similarity":99.9`,
		`{"SourceImageFace":{"Confidence":"high"},"FaceMatches":[{"Similarity":"99.9"}]}`,
		`{"SourceImageFace":null,"FaceMatches":null,"UnmatchedFaces":null}`,
		`{}`,
		`{"SourceImageFace":{"Confidence":99.9},"FaceMatches":[{"Similarity":"NaN","Face":{"Confidence":99.9}}]}`,
		`{"SourceImageFace":{"Confidence":99.9},"FaceMatches":[{"Similarity":999,"Face":{"Confidence":99.9}}]}`,
		`{"facematches":[{"similarity":99.9}]}`,
	}}
	o.bad = func(string) answer { return invalidParameter() }
	o.op, o.run = CompareRekognition, (*exchange).compareRekognition
	if x.r.URL.Path == "/" && x.r.Method == http.MethodPost {
		return o
	}
	o.fail = failS3
	o.bad = func(text string) answer { return xmlError(http.StatusBadRequest, "InvalidRequest", text) }
	switch x.r.Method {
	case http.MethodPut:
		o.op, o.run = PutObject, (*exchange).putObject
	case http.MethodDelete:
		o.op, o.run = DeleteObject, (*exchange).deleteObject
	default:
		o.op, o.run = "", nil
		x.refuse(xmlError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed"), "method %s on path %q", x.r.Method, x.r.URL.Path)
	}
	return o
}

func failRekognition(step Step) answer {
	switch step.Do {
	case Throttle:
		return pick(step.Form,
			modelError(http.StatusBadRequest, "ProvisionedThroughputExceededException", "Provisioned Rate exceeded."),
			modelError(http.StatusBadRequest, "ThrottlingException", "Slow down; sudden increase in rate of requests."),
			modelError(http.StatusInternalServerError, "ThrottlingException", "Service Unavailable"),
			literal(http.StatusTooManyRequests, typeText, "Too Many Requests"))
	case Unauthorised:
		return pick(step.Form,
			gateError("UnrecognizedClientException", "The security token included in the request is invalid."),
			gateError("InvalidSignatureException", "The request signature does not match."),
			modelError(http.StatusBadRequest, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/sim is not authorized to perform: rekognition:CompareFaces"),
			gateError("ExpiredTokenException", "The security token included in the request is expired"),
			gateError("MissingAuthenticationTokenException", "Missing Authentication Token"))
	case Rejected:
		bare := answer{status: http.StatusBadRequest, kind: typeAWS, header: map[string]string{"X-Amzn-Errortype": "InvalidParameterException"}}
		return pick(step.Form,
			invalidParameter(),
			modelError(http.StatusBadRequest, "InvalidImageFormatException", "Request has invalid image format."),
			modelError(http.StatusBadRequest, "ImageTooLargeException", "Image size is too large."),
			modelError(http.StatusBadRequest, "InvalidS3ObjectException", "Unable to get object metadata from S3. Check object key, region and/or access permissions."),
			bare)
	}
	return modelError(http.StatusInternalServerError, "InternalServerError", "Internal server error")
}

func failS3(step Step) answer {
	switch step.Do {
	case Throttle:
		return xmlError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case Unauthorised:
		return pick(step.Form,
			xmlError(http.StatusForbidden, "AccessDenied", "Access Denied"),
			xmlError(http.StatusForbidden, "SignatureDoesNotMatch", "The signature does not match"),
			xmlError(http.StatusForbidden, "InvalidAccessKeyId", "The key does not exist"))
	case Rejected:
		return xmlError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	return xmlError(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
}

// image is one of the two in a request.
type imageAWS struct {
	Bytes    *string
	S3Object *struct{ Bucket, Name, Version string }
}

func (x *exchange) compareRekognition() answer {
	x.noQuery()
	x.absent("X-Api-Key", "Subscriptionkey")
	x.signed("rekognition", func(err error) answer {
		switch {
		case errors.Is(err, errUnsigned):
			return failRekognition(Step{Do: Unauthorised, Form: 4})
		case errors.Is(err, errStranger):
			return failRekognition(Step{Do: Unauthorised})
		}
		return failRekognition(Step{Do: Unauthorised, Form: 1})
	})
	if got := x.r.Header.Get("X-Amz-Target"); got != targetAWS {
		x.refuse(gateError("UnknownOperationException", ""), "X-Amz-Target is %.80q, not %q", got, targetAWS)
	}
	if got := x.r.Header.Get("Content-Type"); got != typeAWS {
		x.refuse(gateError("UnknownOperationException", ""), "content type is %.80q, not %q", got, typeAWS)
	}
	var q struct {
		SourceImage, TargetImage *imageAWS
		SimilarityThreshold      *float64
		QualityFilter            *string
	}
	known := []string{"SimilarityThreshold", "QualityFilter"}
	for _, image := range []string{"SourceImage", "TargetImage"} {
		known = append(known, image, image+".Bytes", image+".S3Object", image+".S3Object.Bucket", image+".S3Object.Name", image+".S3Object.Version")
	}
	if !x.members(&q, gateError("SerializationException", ""), known...) {
		return answer{}
	}
	threshold := 80.0
	if q.SimilarityThreshold != nil {
		threshold = *q.SimilarityThreshold
	}
	if threshold < 0 || threshold > 100 {
		x.refuse(invalidParameter(), "SimilarityThreshold %v is not in 0 to 100", threshold)
	}
	if f := q.QualityFilter; f != nil && !slices.Contains([]string{"NONE", "AUTO", "LOW", "MEDIUM", "HIGH"}, *f) {
		x.refuse(invalidParameter(), "QualityFilter %.40q does not exist", *f)
	}
	source, target := x.imageAWS("SourceImage", q.SourceImage), x.imageAWS("TargetImage", q.TargetImage)
	c, ok := x.truth(source.data, target.data)
	if !ok {
		return answer{}
	}
	if !c.found() {
		return invalidParameter()
	}
	return marshalled(http.StatusOK, typeAWS, facesAWS(c, threshold, x.step.Form))
}

// signed verifies the signature.
func (x *exchange) signed(service string, refusal func(error) answer) {
	if err := checkSignature(x.r, x.body, x.s.AWS, service, time.Now()); err != nil {
		x.refuse(refusal(err), "%v", err)
	}
}

// imageAWS finds a picture of the request.
func (x *exchange) imageAWS(name string, i *imageAWS) picture {
	if i == nil || (i.Bytes == nil) == (i.S3Object == nil) {
		x.refuse(invalidParameter(), "%s has not one of Bytes and S3Object", name)
		return picture{}
	}
	if i.S3Object != nil {
		return x.objectAWS(name, i.S3Object.Bucket, i.S3Object.Name, i.S3Object.Version)
	}
	data, err := plain64(*i.Bytes)
	if err != nil {
		x.refuse(gateError("SerializationException", ""), "%s %v", name, err)
		return picture{}
	}
	if len(data) > maxImageBytes {
		x.refuse(failRekognition(Step{Do: Rejected, Form: 2}), "%s has %d bytes, more than %d", name, len(data), maxImageBytes)
		return picture{}
	}
	return x.sized(name, x.picture(name, data, failRekognition(Step{Do: Rejected, Form: 1})))
}

// sized refuses a picture that is too small.
func (x *exchange) sized(name string, p picture) picture {
	if x.refusal == nil && min(p.size.X, p.size.Y) < minSide {
		x.refuse(invalidParameter(), "%s has %d by %d pixels, less than %d", name, p.size.X, p.size.Y, minSide)
	}
	return p
}

// objectAWS finds a picture in the bucket.
func (x *exchange) objectAWS(name, bucket, key, version string) picture {
	x.s.mu.Lock()
	data, ok := x.s.objects[key]
	x.s.mu.Unlock()
	if !ok || bucket != x.s.AWS.Bucket || version != "" {
		x.refuse(failRekognition(Step{Do: Rejected, Form: 3}), "%s is an S3Object that does not exist", name)
		return picture{}
	}
	return x.sized(name, x.picture(name, data, failRekognition(Step{Do: Rejected, Form: 1})))
}

// object returns the key that a bucket's path means: with the bucket before
// it, or in the host's name.
func (x *exchange) object() string {
	bucket := x.s.AWS.Bucket
	key, byPath := strings.CutPrefix(x.r.URL.Path, "/"+bucket+"/")
	if !byPath && strings.HasPrefix(x.r.Host, bucket+".") {
		key = strings.TrimPrefix(x.r.URL.Path, "/")
	} else if !byPath {
		key = ""
	}
	if bucket == "" || key == "" || len(key) > 1024 {
		x.refuse(xmlError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"), "path %.80q names no object in the bucket", x.r.URL.Path)
	}
	return key
}

// checkS3 checks what holds for every request to the bucket.
func (x *exchange) checkS3(id string) {
	x.absent("X-Api-Key", "Subscriptionkey")
	if q := x.r.URL.RawQuery; q != "" && q != "x-id="+id {
		x.refuse(x.operation.bad("unexpected query"), "query %.80q is unknown", q)
	}
	x.signed("s3", func(err error) answer {
		switch {
		case errors.Is(err, errUnsigned):
			return failS3(Step{Do: Unauthorised})
		case errors.Is(err, errStranger):
			return failS3(Step{Do: Unauthorised, Form: 2})
		}
		return failS3(Step{Do: Unauthorised, Form: 1})
	})
	if x.r.Header.Get("X-Amz-Acl") != "" {
		x.refuse(x.operation.bad("unexpected header"), "header X-Amz-Acl is sent, which may open an object to others")
	}
}

func (x *exchange) putObject() answer {
	x.checkS3("PutObject")
	key := x.object()
	if len(x.body) > maxObject {
		x.refuse(xmlError(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"), "object has %d bytes, more than %d", len(x.body), maxObject)
	}
	x.picture("object", x.body, x.operation.bad("not a picture"))
	if got, want := x.r.Header.Get("Content-Type"), http.DetectContentType(x.body); got != want {
		x.refuse(x.operation.bad("wrong type"), "object is %s, but its content type is %.40q", want, got)
	}
	if x.refusal == nil && x.step.Do.truth() {
		x.s.mu.Lock()
		if x.s.objects == nil {
			x.s.objects = make(map[string][]byte)
		}
		x.s.objects[key] = x.body
		x.s.mu.Unlock()
	}
	return answer{status: http.StatusOK, header: map[string]string{"ETag": `"0"`}}
}

func (x *exchange) deleteObject() answer {
	x.checkS3("DeleteObject")
	key := x.object()
	if x.refusal == nil && x.step.Do.truth() {
		x.s.change(func() { delete(x.s.objects, key) })
	}
	return answer{status: http.StatusNoContent}
}
