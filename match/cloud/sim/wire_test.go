package sim_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud/sim"
)

// table is a Comparer that always says the same.
type table struct {
	sim.Comparison
	err error
}

func (t table) Compare(context.Context, []byte, []byte) (sim.Comparison, error) {
	return t.Comparison, t.err
}

// alike is a comparison of one face with two.
func alike(first, second float64) table {
	face := func(left float64) sim.Face {
		return sim.Face{
			Box: sim.Box{Left: left, Top: 0.25, Width: 0.5, Height: 0.5}, Confidence: 99.5, Quality: 70,
			Landmarks: []sim.Landmark{{Type: "eyeLeft", X: left + 0.1, Y: 0.4}, {Type: "eyeRight", X: left + 0.4, Y: 0.4}},
		}
	}
	return table{Comparison: sim.Comparison{
		Source: []sim.Face{face(0.25)}, Target: []sim.Face{face(0), face(0.5)}, Similarity: []float64{first, second},
	}}
}

const (
	keyDeepIDV = "sk_test_1"
	keyMXFace  = "mx-2"
	keyARGOS   = "ar-3"
)

// newServer returns a simulator and the address of one of its services.
func newServer(t *testing.T, service sim.Service, truth sim.Comparer, scripts map[sim.Op]sim.Script) (*sim.Server, string) {
	t.Helper()
	s := &sim.Server{
		Comparer: truth, Scripts: scripts,
		Keys: sim.Keys{DeepIDV: keyDeepIDV, MXFace: keyMXFace, ARGOS: keyARGOS},
		AWS:  sim.AWS{AccessKey: "AKIDEXAMPLE", SecretKey: "secret", SessionToken: "token", Region: "eu-west-1", Bucket: "faces"},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler(service))
	t.Cleanup(web.Close)
	t.Cleanup(s.Close)
	return s, web.Listener.Addr().String()
}

// message spells out a request.
func message(line string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: sim.test\r\n", line)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	b.Write(body)
	return b.Bytes()
}

// said is an answer.
type said struct {
	status int
	header http.Header
	body   string
	err    error // of reading
}

// send writes a request to a connection of its own and reads the answer.
func send(t *testing.T, addr string, request []byte) said {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(request); err != nil {
		return said{err: err}
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return said{err: err}
	}
	body, err := io.ReadAll(r.Body)
	return said{status: r.StatusCode, header: r.Header, body: string(body), err: err}
}

// pictureOf returns a JPEG of a size.
func pictureOf(t *testing.T, side int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, side, side)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t *testing.T, side int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// signed adds the headers of a signature to a request of Rekognition or, with
// the sum of the body, of S3. It is written apart from what it tests.
func signed(service, line, host, target string, body []byte, at time.Time, token string) []string {
	hash := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stamp := at.UTC().Format("20060102T150405Z")
	method, path, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(path, "?")
	kind, headers, names := "application/x-amz-json-1.1", "", ""
	if service == "s3" {
		kind = "image/jpeg"
	}
	var list []string
	add := func(name, value string) {
		headers += strings.ToLower(name) + ":" + value + "\n"
		names += ";" + strings.ToLower(name)
		if name != "Host" {
			list = append(list, name+": "+value)
		}
	}
	add("Content-Type", kind)
	add("Host", host)
	if service == "s3" {
		add("X-Amz-Content-Sha256", hash(body))
	}
	add("X-Amz-Date", stamp)
	if token != "" {
		add("X-Amz-Security-Token", token)
	}
	if target != "" {
		add("X-Amz-Target", target)
	}
	names = names[1:]
	canonical := method + "\n" + path + "\n" + query + "\n" + headers + "\n" + names + "\n" + hash(body)
	scope := stamp[:8] + "/eu-west-1/" + service + "/aws4_request"
	key := []byte("AWS4secret")
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	sum := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hash([]byte(canonical))))
	return append(list, "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"+scope+", SignedHeaders="+names+", Signature="+sum)
}

// noViolations fails the test if the simulator found fault.
func noViolations(t *testing.T, s *sim.Server) {
	t.Helper()
	if v := s.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
}

// onlyViolation fails the test unless the first fault found is the wanted one.
func onlyViolation(t *testing.T, s *sim.Server, want string) {
	t.Helper()
	if v := s.Violations(); len(v) == 0 || !strings.Contains(v[0], want) {
		t.Errorf("violations %q, want %q", v, want)
	}
}

func expect(t *testing.T, got said, status int, body string) {
	t.Helper()
	if got.err != nil || got.status != status || got.body != body {
		t.Errorf("answer %d %q (%v)\n   want %d %q", got.status, got.body, got.err, status, body)
	}
}

func TestComparerMistakesAreServerErrors(t *testing.T) {
	wrong := alike(10, 20)
	wrong.Similarity = wrong.Similarity[:1]
	for name, truth := range map[string]table{
		"fails": {err: errors.New("no model")}, "too few": wrong, "out of range": alike(10, 120),
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := newServer(t, sim.ARGOS, truth, nil)
			body := []byte(`{"originFace":"` + b64(pictureOf(t, 100)) + `","targetFace":"` + b64(pictureOf(t, 100)) + `"}`)
			got := send(t, addr, message("POST /modules/compare", body, "X-Api-Key: "+keyARGOS, "Content-Type: application/json"))
			expect(t, got, 500, `{"message":"Internal server error"}`)
			noViolations(t, s)
		})
	}
}
