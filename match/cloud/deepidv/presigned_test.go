package deepidv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/deepidv"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// A store is the service with its upload store, all on one server.
type store struct {
	t    *testing.T
	base string // the store's address
	sent int64

	mu sync.Mutex
	// mu guards the following
	calls   []string
	objects map[string][]byte
}

func newStore(t *testing.T) *store { return &store{t: t, objects: map[string][]byte{}} }

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.sent += int64(len(data))
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	switch r.URL.Path {
	case "/v1/upload/presign":
		s.presign(w, r, data)
	case "/store/0", "/store/1":
		if r.Header.Get("x-api-key") != "" || r.Header.Get("Authorization") != "" {
			s.t.Error("the store was sent the key")
		}
		if got := r.Header.Get("Content-Type"); got != "image/jpeg" || r.Method != http.MethodPut || len(r.TransferEncoding) != 0 {
			s.t.Errorf("%s with Content-Type %q and encoding %v", r.Method, got, r.TransferEncoding)
		}
		if got := r.URL.Query().Get("X-Amz-Signature"); got != "s+g" {
			s.t.Errorf("signature %q", got)
		}
		s.objects["org/key-"+r.URL.Path[len("/store/"):]+"<&>"] = data
	default:
		checkCompare(s.t, r)
		var keys map[string]string
		if err := json.Unmarshal(data, &keys); err != nil {
			s.t.Error(err)
		}
		s.objects["source"], s.objects["target"] = s.objects[keys["source"]], s.objects[keys["target"]]
		_, _ = io.WriteString(w, good)
	}
}

// presign promises a place for each file.
func (s *store) presign(w http.ResponseWriter, r *http.Request, data []byte) {
	if r.Header.Get("x-api-key") != key || r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("presign with %v", r.Header)
	}
	q := wiretest.Question()
	first, second := len(q.Live), len(q.ID)
	if strings.Contains(string(data), fmt.Sprintf(`[{"contentType":"image/jpeg","byteLength":%d}`, second)) {
		first, second = second, first
	}
	want := fmt.Sprintf(`{"files":[{"contentType":"image/jpeg","byteLength":%d},{"contentType":"image/jpeg","byteLength":%d}]}`, first, second)
	if string(data) != want {
		s.t.Errorf("presign with %s, want %s", data, want)
	}
	_, _ = fmt.Fprintf(w, `{"uploads":[{"uploadUrl":"%[1]s/store/0?X-Amz-Signature=s%%2Bg","fileKey":"org/key-0<&>"},`+
		`{"uploadUrl":"%[1]s/store/1?X-Amz-Signature=s%%2Bg","fileKey":"org/key-1<&>"}]}`, s.base)
}

func TestPresigned(t *testing.T) {
	q := wiretest.Question()
	for _, idFirst := range []bool{false, true} {
		s := newStore(t)
		c := ask(t, s.ServeHTTP)
		s.base, c.Send, c.IDAsSource = c.BaseURL, deepidv.Presigned, idFirst
		got, err := wiretest.Ask(t, c)
		if want := (cloud.Answer{Score: 96.4, Sent: s.sent, Status: 200}); err != nil || got != want {
			t.Errorf("Compare() = %+v, %v, want %+v", got, err, want)
		}
		source, target := q.Live, q.ID
		if idFirst {
			source, target = q.ID, q.Live
		}
		if !bytes.Equal(s.objects["source"], source) || !bytes.Equal(s.objects["target"], target) {
			t.Errorf("ID first %t: compared %q with %q", idFirst, s.objects["source"], s.objects["target"])
		}
		want := "POST /v1/upload/presign, PUT /store/0, PUT /store/1, POST /v1/face/compare"
		if calls := strings.Join(s.calls, ", "); calls != want {
			t.Errorf("calls: %s, want %s", calls, want)
		}
	}
}

func TestPresignRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   cloud.Kind
	}{
		"bad request": {400, `{"message":"Validation failed","hints":[]}`, cloud.Rejected},
		"key":         {401, `{"detail":"Invalid or missing API key"}`, cloud.Unauthorised},
		"money":       {402, `Insufficient funds or subscription.`, cloud.Quota},
		"forbidden":   {403, `{"error":"Forbidden"}`, cloud.Unauthorised},
		"old path":    {404, `{"error":"Not found"}`, cloud.Server},
		"throttled":   {429, `{"message":"Too Many Requests"}`, cloud.Throttled},
		"down":        {500, `{"error":"Unexpected"}`, cloud.Server},
		"moved":       {302, ``, cloud.Server},
		"not JSON":    {200, `<html>`, cloud.Server},
		"empty":       {200, ``, cloud.Server},
		"null":        {200, `null`, cloud.Server},
		"none":        {200, `{"uploads":[]}`, cloud.Server},
		"one":         {200, `{"uploads":[{"uploadUrl":"https://store.example/1","fileKey":"a"}]}`, cloud.Server},
		"null upload": {200, `{"uploads":[null,null]}`, cloud.Server},
		"wrong type":  {200, `{"uploads":[{"uploadUrl":1,"fileKey":"a"},{"uploadUrl":2,"fileKey":"b"}]}`, cloud.Server},
	} {
		t.Run(name, func(t *testing.T) {
			client := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/upload/presign" {
					t.Errorf("went on to %s", r.URL.Path)
				}
				wiretest.Say(c.status, c.body)(w, r)
			})
			client.Send = deepidv.Presigned
			got, err := wiretest.Ask(t, client)
			if f := failed(t, err); f.Kind != c.kind || f.Status != c.status || got.Status != c.status {
				t.Errorf("answer %+v, failure %v", got, f)
			}
		})
	}
}

// The service names where faces are sent to: not just anywhere.
func TestUploadAddressRefused(t *testing.T) {
	for _, address := range []string{
		"", "store", "/store/0", "//store.example/0", "http://store.example/0", "http://127.0.0.1.store.example/0",
		"https://", "https://:443/0", "https://user:s3cret@store.example/0", "https://store.example/0#s3cret",
		"ftp://127.0.0.1/0", "file:///tmp/0", "https://store.example/%zz", "http://user@127.0.0.1/0",
	} {
		quoted, err := json.Marshal(address)
		if err != nil {
			t.Fatal(err)
		}
		client := ask(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/upload/presign" {
				t.Errorf("%s: went on to %s", address, r.URL)
			}
			wiretest.Say(200, fmt.Sprintf(`{"uploads":[{"uploadUrl":%[1]s,"fileKey":"a"},{"uploadUrl":%[1]s,"fileKey":"b"}]}`, quoted))(w, r)
		})
		client.Send = deepidv.Presigned
		_, err = wiretest.Ask(t, client)
		if f := failed(t, err); f.Kind != cloud.Server || strings.Contains(f.Error(), "s3cret") {
			t.Errorf("%s: failure %v", address, f)
		}
	}
}

func TestStoreRefusesUpload(t *testing.T) {
	const xml = `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><SignatureProvided>s3cret</SignatureProvided></Error>`
	for status, kind := range map[int]cloud.Kind{
		301: cloud.Server, 307: cloud.Server, 400: cloud.Server, 403: cloud.Server, 404: cloud.Server,
		408: cloud.Network, 411: cloud.Server, 429: cloud.Server, 500: cloud.Server, 503: cloud.Server,
	} {
		for _, refused := range []string{"/store/0", "/store/1"} {
			s := newStore(t)
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
			c := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/face/compare" {
					t.Error("compared what was not uploaded")
				}
				if r.URL.Path != refused {
					s.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Location", elsewhere.URL)
				wiretest.Say(status, xml)(w, r)
			})
			s.base, c.Send = c.BaseURL, deepidv.Presigned
			got, err := wiretest.Ask(t, c)
			if f := failed(t, err); f.Kind != kind || f.Status != status || got.Status != status || strings.Contains(f.Error(), "s3cret") {
				t.Errorf("%s with %d: answer %+v, failure %v", refused, status, got, f)
			}
			elsewhere.Close()
		}
	}
}
