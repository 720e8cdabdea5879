package argos_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// certificate writes a certificate for this machine and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "cert"), certPEM, 0o600), os.WriteFile(filepath.Join(dir, "key"), keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

// A poster does what the service does with a callbackUrl.
type poster struct{ http.Client }

// callbacks serves results until the test ends, and returns who can post them.
func callbacks(t *testing.T) (*argos.Callbacks, *poster) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	c := &argos.Callbacks{Listen: "127.0.0.1:0", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	l, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	c.PublicURL = "https://" + l.Addr().String() + "/argos/"
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Serve(ctx, l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c, &poster{http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// send returns the status of the answer, 0 without one.
func (p *poster) send(method, address string, body io.Reader) int {
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		return 0
	}
	answer, err := p.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func (p *poster) post(address, body string) int {
	return p.send(http.MethodPost, address, strings.NewReader(body))
}

func callbackURL(r *http.Request) string {
	var q struct{ CallbackURL string }
	_ = json.NewDecoder(r.Body).Decode(&q)
	return q.CallbackURL
}

func TestResultIsPosted(t *testing.T) {
	callbacks, service := callbacks(t)
	later := make(chan string, 1)
	for _, tt := range []struct {
		name    string
		promise http.HandlerFunc
		body    string
		want    cloud.Answer
		kind    cloud.Kind // of the failure, if any
	}{
		{"after an object", wiretest.Say(200, `{"apiType":"compare_face","transactionId":"txn_1"}`), fmt.Sprintf(deployed, "99.1"), cloud.Answer{Score: 99.1, Status: 200}, ""},
		{"after an empty answer", wiretest.Say(202, ``), fmt.Sprintf(documented, "0.95", true), cloud.Answer{Score: 95, Status: 202}, ""},
		{"no face", wiretest.Say(202, ``), `{"statusCode":200,"result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":false}}}`, cloud.Answer{Missing: cloud.ID, Status: 202}, ""},
		{"error 1002", wiretest.Say(202, ``), `{"statusCode":400,"apiType":"compare_face","errorCode":1002,"message":"Failed to compare face."}`, cloud.Answer{Missing: cloud.Unknown, Status: 202}, ""},
		{"error 1003", wiretest.Say(202, ``), `{"statusCode":500,"apiType":"compare_face","errorCode":1003}`, cloud.Answer{Status: 202}, cloud.Server},
		{"unreadable", wiretest.Say(202, ``), `<html>`, cloud.Answer{Status: 202}, cloud.Server},
		{"promise posted", wiretest.Say(202, ``), `{}`, cloud.Answer{Status: 202}, cloud.Server},
		{"too long", wiretest.Say(202, ``), strings.Repeat(" ", 1<<20+1) + fmt.Sprintf(deployed, "99"), cloud.Answer{Status: 202}, cloud.Server},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { service.post(<-later, tt.body) })
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				address := callbackURL(r)
				tt.promise(w, r)
				_ = http.NewResponseController(w).Flush()
				later <- address
			})
			c.Callbacks = callbacks
			got, err := wiretest.Ask(t, c)
			if got.Sent == 0 {
				t.Error("no byte counted")
			}
			// The result may be faster than the answer.
			if tt.want.Sent = got.Sent; got.Status == 0 {
				got.Status = tt.want.Status
			}
			if got != tt.want {
				t.Errorf("answer %+v, want %+v", got, tt.want)
			}
			if tt.kind == "" && err != nil || tt.kind != "" && failureOf(t, err).Kind != tt.kind {
				t.Errorf("failure %v, want %q", err, tt.kind)
			}
		})
	}
}

func TestResultIsPostedBeforeTheAnswer(t *testing.T) {
	callbacks, service := callbacks(t)
	c := client(t, func(_ http.ResponseWriter, r *http.Request) {
		if status := service.post(callbackURL(r), fmt.Sprintf(deployed, "99.1")); status != 200 {
			t.Errorf("posting: status %d", status)
		}
		<-r.Context().Done()
	})
	c.Callbacks = callbacks
	if got, err := wiretest.Ask(t, c); err != nil || got.Score != 99.1 {
		t.Errorf("answer %+v, %v", got, err)
	}
}

func TestAnswerMayHoldTheResult(t *testing.T) {
	callbacks, service := callbacks(t)
	var address string
	for body, kind := range map[string]cloud.Kind{
		fmt.Sprintf(deployed, "99.1"): "",
		`{"errorCode":1003}`:          cloud.Server,
		`<html>`:                      cloud.Server,
		`null`:                        cloud.Server,
		`[]`:                          cloud.Server,
		`{"result":null}`:             cloud.Server,
		`{"apiType":"id_live_doc"}`:   cloud.Server,
		`{"statusCode":500}`:          cloud.Server,
	} {
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			address = callbackURL(r)
			wiretest.Say(200, body)(w, r)
		})
		c.Callbacks = callbacks
		got, err := wiretest.Ask(t, c)
		if kind == "" && (err != nil || got.Score != 99.1) || kind != "" && failureOf(t, err).Kind != kind {
			t.Errorf("%s: answer %+v, %v; want %q", body, got, err, kind)
		}
		if status := service.post(address, fmt.Sprintf(deployed, "100")); status != 404 {
			t.Errorf("posting after the call: status %d, want 404", status)
		}
	}
}

func TestOnlyItsOwnPathTakesAResultOnce(t *testing.T) {
	callbacks, service := callbacks(t)
	good := fmt.Sprintf(deployed, "99.1")
	c := client(t, func(_ http.ResponseWriter, r *http.Request) {
		address := callbackURL(r)
		base, token := address[:strings.LastIndex(address, "/")+1], address[strings.LastIndex(address, "/")+1:]
		if base != callbacks.PublicURL || len(token) != 43 {
			t.Errorf("callback URL %s", address)
		}
		for _, wrong := range []string{base, base + "x", base + token[1:], base + token + "x", base + token + "/x", base + strings.ToUpper(token), base + "?" + token} {
			if status := service.post(wrong, good); status != 404 {
				t.Errorf("%s: status %d, want 404", wrong, status)
			}
		}
		for _, method := range []string{"GET", "PUT", "HEAD", "OPTIONS", "DELETE"} {
			if status := service.send(method, address, nil); status != 404 {
				t.Errorf("%s: status %d, want 404", method, status)
			}
		}
		cut := io.MultiReader(strings.NewReader(good), broken{})
		if status := service.send("POST", address, cut); status != 0 {
			t.Errorf("cut off: status %d", status)
		}
		// A proxy may change what stands before the last part.
		if status := service.post(strings.Replace(address, "/argos/", "/", 1), good); status != 200 {
			t.Errorf("status %d, want 200", status)
		}
		if status := service.post(address, fmt.Sprintf(deployed, "1")); status != 404 {
			t.Errorf("second use: status %d, want 404", status)
		}
		<-r.Context().Done()
	})
	c.Callbacks = callbacks
	if got, err := wiretest.Ask(t, c); err != nil || got.Score != 99.1 {
		t.Errorf("answer %+v, %v", got, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut off") }

func TestPathExpiresWithTheCall(t *testing.T) {
	callbacks, service := callbacks(t)
	tooLate := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	addresses := make(chan string, 1)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		addresses <- callbackURL(r)
		wiretest.Say(202, "")(w, r)
		cancel(tooLate)
	})
	c.Callbacks = callbacks
	_, err := c.Compare(ctx, wiretest.Question())
	if f := failureOf(t, err); f.Kind != cloud.Network || !errors.Is(f, tooLate) {
		t.Errorf("failure %v, want network with the cause", f)
	}
	if status := service.post(<-addresses, fmt.Sprintf(deployed, "99")); status != 404 {
		t.Errorf("status %d, want 404", status)
	}
}

// Each call gets its own result, whatever the order.
func TestCallsShareTheListener(t *testing.T) {
	callbacks, service := callbacks(t)
	const n = 20
	addresses := make(chan [2]string, n)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			OriginFace  []byte
			CallbackURL string
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		wiretest.Say(202, "")(w, r)
		_ = http.NewResponseController(w).Flush()
		addresses <- [2]string{q.CallbackURL, string(q.OriginFace)}
	})
	c.Callbacks = callbacks
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := c.Compare(t.Context(), cloud.Question{Live: fmt.Append(nil, i), ID: []byte("id")})
			if err != nil || got.Score != float64(i) {
				t.Errorf("call %d: %+v, %v", i, got, err)
			}
		})
	}
	var all [][2]string
	for range n {
		all = append(all, <-addresses)
	}
	for _, a := range all {
		if status := service.post(a[0], fmt.Sprintf(deployed, a[1])); status != 200 {
			t.Errorf("status %d", status)
		}
	}
	wg.Wait()
}

// Connections that say nothing, or half of something, neither pile up nor hold
// the end.
func TestSilentConnections(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	c := &argos.Callbacks{Listen: "127.0.0.1:0", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	l, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	counting := &counter{Listener: l, full: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, counting) }()
	half, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	if _, err := io.WriteString(half, "POST /argos/x HTTP/1.1\r\nHost: x\r\nContent-"); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	<-counting.full
	begin := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("ended after %v", took)
	}
	if n := counting.n; n > 32 {
		t.Errorf("%d connections at once, want 32 at most", n)
	}
}

// counter counts accepted connections and says when there are 32.
type counter struct {
	net.Listener
	n    int
	full chan struct{}
}

func (c *counter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		if c.n++; c.n == 32 {
			close(c.full)
		}
	}
	return conn, err
}

func TestCertificateIsRenewed(t *testing.T) {
	callbacks, service := callbacks(t)
	if status := service.post(callbacks.PublicURL+"x", ""); status != 404 {
		t.Fatalf("status %d, want 404", status)
	}
	renewed := certificate(t, filepath.Dir(callbacks.CertFile))
	if status := service.post(callbacks.PublicURL+"x", ""); status != 0 {
		t.Errorf("old certificate still in use: status %d", status)
	}
	service.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: renewed}}
	if status := service.post(callbacks.PublicURL+"x", ""); status != 404 {
		t.Errorf("new certificate not in use: status %d", status)
	}
}

func TestOpenReports(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for problem, c := range map[string]*argos.Callbacks{
		"callback.cert_file: ": {Listen: "127.0.0.1:0", CertFile: "/nowhere", KeyFile: key},
		"callback.listen: ":    {Listen: "192.0.2.1:8443", CertFile: cert, KeyFile: key},
	} {
		if l, err := c.Open(); err == nil || !strings.HasPrefix(err.Error(), problem) {
			t.Errorf("%v, %v; want %q", l, err, problem)
		}
	}
}
