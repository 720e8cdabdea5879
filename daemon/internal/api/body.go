package api

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
)

// The fields that a body may have.
const (
	photoField  = "id_photo"
	uploadField = "upload"
	refField    = "subject_ref"
	agreeField  = "consent_cloud"
)

// Bounds of a body.
const (
	maxRef       = 128
	maxMultipart = MaxPicture + 64<<10
	// In JSON four characters carry three bytes, and base64 may be broken into
	// lines of 76 with an escaped line break after each.
	maxJSON = MaxPicture/3*4 + MaxPicture/3*4/76*4 + 64<<10
)

// A submission is what a client sent in: a picture, or the name of an upload.
type submission struct {
	picture    []byte
	upload     string
	subjectRef string // may be empty
	consent    attempt.Consent
}

// receive reads the body of a request that may have the given fields.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, fields ...string) (submission, *problem) {
	turn := time.NewTimer(answerWait)
	defer turn.Stop()
	select {
	case s.bodies <- struct{}{}:
		defer func() { <-s.bodies }()
	case <-turn.C:
		return submission{}, refuse(overloaded, "%d other pictures are being received", maxBodies)
	case <-r.Context().Done():
		return submission{}, refuse(badRequest, "the client left")
	}
	if packed := r.Header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		return submission{}, refuse(unsupportedMedia, "content encoding %s: send the body as it is", short(packed))
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && media == "application/json":
		body, p := bounded(w, r, maxJSON)
		if p != nil {
			return submission{}, p
		}
		return parseJSON(body, r.ContentLength, fields)
	case err == nil && media == "multipart/form-data" && params["boundary"] != "":
		body, p := bounded(w, r, maxMultipart)
		if p != nil {
			return submission{}, p
		}
		return parseMultipart(multipart.NewReader(body, params["boundary"]), fields)
	}
	return submission{}, refuse(unsupportedMedia, "content type must be multipart/form-data with a boundary, or application/json")
}

// bounded returns the body of r, which ends in an error after most bytes.
func bounded(w http.ResponseWriter, r *http.Request, most int64) (io.Reader, *problem) {
	if r.ContentLength > most {
		return nil, pictureTooLarge()
	}
	return http.MaxBytesReader(w, r.Body, most), nil
}

func pictureTooLarge() *problem {
	return refuse(tooLarge, "a picture has at most %d bytes", MaxPicture).in(photoField)
}

// malformed turns an error of reading a body into an answer.
func malformed(kind string, err error) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return pictureTooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(badRequest, "the %s body did not arrive in time, within %v of the request's first byte", kind, readWait)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(badRequest, "the %s body ends early", kind)
	}
	return refuse(badRequest, "%s body: %.200s", kind, err) // the library may repeat megabytes that it cannot read
}

// parseJSON reads one object with the given fields, each at most once. Length
// is that of the body, below 0 if it is not known.
func parseJSON(body io.Reader, length int64, fields []string) (submission, *problem) {
	o := object{r: bufio.NewReader(body), fields: fields, size: int(length / 4 * 3)}
	if p := o.read(); p != nil {
		return submission{}, p
	}
	sub := submission{picture: o.picture, upload: o.words[uploadField], subjectRef: o.words[refField]}
	switch _, hasUpload := o.words[uploadField]; {
	case o.picture != nil && hasUpload:
		return submission{}, refuse(badRequest, "id_photo and upload exclude each other").in(uploadField)
	case hasUpload && sub.upload == "":
		return submission{}, refuse(badRequest, "upload is empty").in(uploadField)
	}
	return sub.checked(o.words[agreeField])
}

func malformedJSON(err error) *problem {
	p := malformed("JSON", err)
	if _, ok := errors.AsType[errSyntax](err); ok {
		p.Message += " (a line break inside a string is written \\n; base64 -w0 makes none)"
	}
	return p
}

// checkName refuses a field that is not among the given ones, or came before.
func checkName[V any](name string, fields []string, before map[string]V) *problem {
	if !slices.Contains(fields, name) {
		return refuse(badRequest, "unknown field %s; known are %s", short(name), strings.Join(fields, ", ")).in(strings.Trim(short(name), `"`))
	}
	if _, twice := before[name]; twice {
		return refuse(badRequest, "%s is given twice", name).in(name)
	}
	return nil
}

// parseMultipart reads a form with the given fields, each at most once.
func parseMultipart(form *multipart.Reader, fields []string) (submission, *problem) {
	values := map[string][]byte{}
	for {
		// A raw part is taken as it is: nothing unpacks it behind our back.
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return submission{}, malformed("multipart", err)
		}
		name := part.FormName()
		if p := checkName(name, fields, values); p != nil {
			return submission{}, p
		}
		most := map[string]int{photoField: MaxPicture, uploadField: maxRef, refField: maxRef, agreeField: maxRef}[name]
		value, err := io.ReadAll(io.LimitReader(part, int64(most)+1))
		switch {
		case err != nil:
			return submission{}, malformed("multipart", err)
		case len(value) > most && name == photoField:
			return submission{}, pictureTooLarge()
		case len(value) > most:
			return submission{}, refuse(badRequest, "%s has at most %d bytes", name, most).in(name)
		case len(value) == 0 && name == photoField:
			return submission{}, refuse(badRequest, "id_photo is empty").in(photoField)
		}
		values[name] = value
	}
	sub := submission{
		picture: values[photoField], upload: string(values[uploadField]),
		subjectRef: string(values[refField]),
	}
	if sub.picture != nil && sub.upload != "" {
		return submission{}, refuse(badRequest, "id_photo and upload exclude each other").in(uploadField)
	}
	return sub.checked(string(values[agreeField]))
}

// checked returns sub, with the person's consent, if it is complete and its
// words are words.
func (sub submission) checked(consent string) (submission, *problem) {
	switch {
	case sub.picture == nil && sub.upload == "":
		return submission{}, refuse(badRequest, "id_photo is missing").in(photoField)
	case len(sub.subjectRef) > maxRef || strings.ContainsFunc(sub.subjectRef, func(r rune) bool { return r <= ' ' || r > '~' }):
		return submission{}, refuse(badRequest, "subject_ref must be at most %d printable ASCII characters without a space", maxRef).in(refField)
	}
	var err error
	if sub.consent, err = attempt.ParseConsent(consent); err != nil {
		return submission{}, refuse(badRequest, "%s %v", agreeField, err).in(agreeField)
	}
	return sub, nil
}
