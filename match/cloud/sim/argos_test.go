package sim_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud/sim"
)

func askARGOS(t *testing.T, addr, members string) said {
	p := b64(pictureOf(t, 100))
	body := []byte(`{"originFace":"` + p + `","targetFace":"` + p + `"` + members + `}`)
	return send(t, addr, message("POST /modules/compare", body, "x-api-key: "+keyARGOS, "Content-Type: application/json; charset=utf-8"))
}

func TestARGOSForms(t *testing.T) {
	_, addr := newServer(t, sim.ARGOS, alike(20, 99.1), map[sim.Op]sim.Script{sim.CompareARGOS: {Steps: []sim.Step{
		{}, {Form: 1}, {Form: 2}, {Do: sim.NoSource}, {Do: sim.NoTarget, NoFace: 1},
	}}})
	const (
		box   = `"boundingBox":{"Width":0.5,"Height":0.5,"Left":0.25,"Top":0.25}`
		other = `"boundingBox":{"Width":0.5,"Height":0.5,"Left":0.5,"Top":0.25}`
		deep  = `"result":{"face":{"isAvailable":true,` + box + `},"faceMatch":{"isAvailable":true,"similarity":99.1,"confidence":99.5,` + other + `,"landmarks":[{"Type":"eyeLeft","X":0.6`
	)
	for _, want := range []string{
		`{"apiType":"compare_face","transactionId":"sim-000001",` + deep,
		`{"apiType":"compare_face","transactionId":"sim-000002","result":{"face":{"isAvailable":true,"confidence":0.995,` + box + `},"targetFace":{"isAvailable":true,"confidence":0.995,` + other + `},"similarity":{"score":0.991,"threshold":0.8,"isMatch":true}}}`,
		`{"statusCode":200,"apiType":"compare_face","transactionId":"sim-000003",` + deep,
		`{"apiType":"compare_face","transactionId":"sim-000004","result":{"face":{"isAvailable":false},"faceMatch":{"isAvailable":true,"confidence":99.5,`,
		`{"statusCode":400,"apiType":"compare_face","transactionId":"sim-000000","errorCode":1002,"message":"Failed to compare face."}`,
	} {
		if got := askARGOS(t, addr, ""); !strings.HasPrefix(got.body, want) {
			t.Errorf("answer %d %s\nwant   %s", got.status, got.body, want)
		}
	}
}

func TestARGOSRefused(t *testing.T) {
	p := b64(pictureOf(t, 100))
	large := append(pictureOf(t, 100), make([]byte, 5_000_000)...)
	const kind, key = "Content-Type: application/json", "X-Api-Key: " + keyARGOS
	for _, test := range []struct {
		bad     string
		request []byte
		status  int
		want    string
	}{
		{"no such path", message("POST /v3/faceauth", nil, key, kind), 403, "Missing Authentication Token"},
		{"wrong key", message("POST /modules/compare", []byte(`{"originFace":"`+p+`","targetFace":"`+p+`"}`), "X-Api-Key: x", kind), 403, `{"message":"Forbidden"}`},
		{"no targetFace", message("POST /modules/compare", []byte(`{"originFace":"`+p+`"}`), key, kind), 400, `"errorCode":1000,"message":"Two Images are Required"`},
		{"not less than 5000000", message("POST /modules/compare", []byte(`{"originFace":"`+b64(large)+`","targetFace":"`+p+`"}`), key, kind), 413, "Request Entity Too Large"},
		{"is not https", message("POST /modules/compare", []byte(`{"originFace":"`+p+`","targetFace":"`+p+`","callbackUrl":"http://example.com/x"}`), key, kind), 400, `"errorCode":1003`},
		{"no Content-Length", []byte("POST /modules/compare HTTP/1.1\r\nHost: sim.test\r\n" + key + "\r\n" + kind + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), 400, `"errorCode":1003`},
	} {
		s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), nil)
		if got := send(t, addr, test.request); got.status != test.status || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: answered %d %q", test.bad, got.status, got.body)
		}
		onlyViolation(t, s, test.bad)
	}
}

// receiver takes callbacks.
func receiver(t *testing.T) (web *httptest.Server, bodies chan string) {
	bodies = make(chan string, 8)
	web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.Header.Get("Content-Type") + " " + string(body)
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of a client that does not trust it
	web.StartTLS()
	t.Cleanup(web.Close)
	return web, bodies
}

func TestARGOSCallback(t *testing.T) {
	web, bodies := receiver(t)
	s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), map[sim.Op]sim.Script{
		sim.CompareARGOS:  {Steps: []sim.Step{{}, {Form: 1}}},
		sim.CallbackARGOS: {Steps: []sim.Step{{Do: sim.Twice}, {Do: sim.ServerError}, {Do: sim.HalfOpen}}},
	})
	s.Insecure = true
	url := `,"callbackUrl":"` + web.URL + `/secret"`
	expect(t, askARGOS(t, addr, url), 200, `{"apiType":"compare_face","transactionId":"sim-000001"}`)
	const want = `application/json {"statusCode":200,"apiType":"compare_face","transactionId":"sim-000001","result":{"face":{"isAvailable":true,`
	for range 2 {
		if got := <-bodies; !strings.HasPrefix(got, want) {
			t.Errorf("callback %s", got)
		}
	}
	expect(t, askARGOS(t, addr, url), 202, "")
	if got := <-bodies; got != `application/json {"statusCode":400,"apiType":"compare_face","transactionId":"sim-000002","errorCode":1003,"message":"Failed to process data"}` {
		t.Errorf("callback %s", got)
	}
	expect(t, askARGOS(t, addr, url), 200, `{"apiType":"compare_face","transactionId":"sim-000003"}`)
	s.Close()
	noViolations(t, s)
	var sent []int
	for _, r := range s.Requests() {
		if r.Op == sim.CallbackARGOS {
			sent = append(sent, r.Status)
		}
		if strings.Contains(r.Path, "secret") {
			t.Errorf("log has the callback's path: %+v", r)
		}
	}
	if !slices.Equal(sent, []int{200, 200, 200}) || len(bodies) != 0 {
		t.Errorf("callbacks %v, %d left", sent, len(bodies))
	}
}

func TestARGOSCallbackChecksCertificate(t *testing.T) {
	web, bodies := receiver(t)
	s, addr := newServer(t, sim.ARGOS, alike(20, 99.1), nil)
	askARGOS(t, addr, `,"callbackUrl":"`+web.URL+`"`)
	s.Close()
	if len(bodies) > 0 {
		t.Error("a receiver with an unknown certificate got the result")
	}
	trusting, addr := newServer(t, sim.ARGOS, alike(20, 99.1), nil)
	trusting.Roots = web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	askARGOS(t, addr, `,"callbackUrl":"`+web.URL+`"`)
	<-bodies
}

func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sim.Server{Comparer: alike(20, 99.1), Keys: sim.Keys{ARGOS: keyARGOS}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, map[sim.Service]net.Listener{sim.ARGOS: l}, nil) }()
	if got := askARGOS(t, l.Addr().String(), ""); got.status != 200 {
		t.Errorf("answer %d %q", got.status, got.body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("listener is still open")
	}
}
