package sim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// freshness is how far a request's date may be from the clock.
const freshness = 5 * time.Minute

// The errors of a signature that services tell apart.
var (
	errUnsigned  = errors.New("request is not signed")
	errStranger  = errors.New("key or session token is unknown")
	errStale     = errors.New("date of the signature is not now")
	errSignature = errors.New("signature is wrong")
)

// A signature is what an Authorization header says.
type signature struct {
	key, day, region, service string
	headers                   []string
	hex                       string
}

// parseAuthorization reads an Authorization header of AWS4-HMAC-SHA256, which
// has three parts in this order.
func parseAuthorization(text string) (signature, error) {
	var s signature
	rest, ok := strings.CutPrefix(text, "AWS4-HMAC-SHA256 ")
	if !ok {
		return s, errors.New("authorization is not AWS4-HMAC-SHA256")
	}
	fields := strings.Split(rest, ", ")
	if len(fields) != 3 {
		return s, fmt.Errorf("authorization has %d parts, not 3", len(fields))
	}
	credential, ok1 := strings.CutPrefix(fields[0], "Credential=")
	signed, ok2 := strings.CutPrefix(fields[1], "SignedHeaders=")
	sum, ok3 := strings.CutPrefix(fields[2], "Signature=")
	if !ok1 || !ok2 || !ok3 {
		return s, errors.New("authorization lacks Credential, SignedHeaders or Signature")
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || scope[0] == "" {
		return s, errors.New("authorization has no good Credential")
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || strings.ToLower(sum) != sum {
		return s, errors.New("authorization has no good Signature")
	}
	s = signature{key: scope[0], day: scope[1], region: scope[2], service: scope[3], headers: strings.Split(signed, ";"), hex: sum}
	for i, name := range s.headers {
		if name == "" || strings.ToLower(name) != name || i > 0 && name <= s.headers[i-1] {
			return s, fmt.Errorf("signed headers are not sorted, lower-case and single: %.200q", signed)
		}
	}
	return s, nil
}

// checkSignature verifies the signature of a request to a service at a time.
// It returns one of the errors above, wrapped.
func checkSignature(r *http.Request, body []byte, account AWS, service string, now time.Time) error {
	if r.Header.Get("Authorization") == "" {
		return errUnsigned
	}
	s, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	if s.key != account.AccessKey || account.AccessKey == "" {
		return fmt.Errorf("%w: another access key", errStranger)
	}
	if r.Header.Get("X-Amz-Security-Token") != account.SessionToken {
		return fmt.Errorf("%w: another session token", errStranger)
	}
	if s.region != account.Region || s.service != service {
		return fmt.Errorf("%w: it is for %.40q in %.40q", errSignature, s.service, s.region)
	}
	const form = "20060102T150405Z"
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(form, date)
	if err != nil || date[:8] != s.day {
		return fmt.Errorf("%w: X-Amz-Date %.40q is not a date of %.10q", errSignature, date, s.day)
	}
	if at.Sub(now).Abs() > freshness {
		return fmt.Errorf("%w: %s, now is %s", errStale, date, now.UTC().Format(form))
	}
	if err := signedEnough(r, s.headers); err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	sum, err := payloadSum(r, body, service)
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	if want := sign(r, s, sum, account.SecretKey); !hmac.Equal([]byte(want), []byte(s.hex)) {
		return errSignature
	}
	return nil
}

// signedEnough reports a header that must be signed and is not.
func signedEnough(r *http.Request, signed []string) error {
	must := []string{"host", "x-amz-date"}
	for name := range r.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			must = append(must, name)
		}
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return fmt.Errorf("header %s is not signed", name)
		}
	}
	for _, name := range signed {
		if name != "host" && name != "content-length" && r.Header.Get(name) == "" {
			return fmt.Errorf("signed header %s is not sent", name)
		}
	}
	return nil
}

// payloadSum returns what stands for the body in the signature.
func payloadSum(r *http.Request, body []byte, service string) (string, error) {
	sum := sha256.Sum256(body)
	want := hex.EncodeToString(sum[:])
	got := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case got == want, got == "" && service != "s3":
		return want, nil
	case got == "UNSIGNED-PAYLOAD" && service == "s3" && r.TLS != nil: // as the SDK sends over TLS
		return got, nil
	}
	return "", fmt.Errorf("X-Amz-Content-Sha256 %.70q is not the body's", got)
}

// sign computes the signature of a request.
func sign(r *http.Request, s signature, sum, secret string) string {
	path, _ := url.PathUnescape(r.URL.EscapedPath())
	path = escape(path)
	if s.service != "s3" { // which alone doesn't escape twice
		path = escape(path)
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	var headers strings.Builder
	for _, name := range s.headers {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	canonical := strings.Join([]string{r.Method, path, query, headers.String(), strings.Join(s.headers, ";"), sum}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{s.day, s.region, s.service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(hashed[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, step := range []string{s.day, s.region, s.service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// headerValue returns a header as it is signed: without needless white space.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

// escape percent-encodes all but the unreserved characters and the slash.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
