//go:build integration

package rekognition_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud/rekognition"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

// moto starts the server that make race prepares and returns its address.
// It is an independent reading of the same API: it looks at no picture and
// always answers a similarity of 100.
func moto(t *testing.T) string {
	modules, err := filepath.Abs("../../../build/moto")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "python3", "-m", "moto.server", "-H", host, "-p", port)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+modules)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start moto: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		_ = log.Close()
	})
	address := "http://" + net.JoinHostPort(host, port)
	for deadline := time.Now().Add(time.Minute); ; {
		answer, err := http.Get(address + "/moto-api/data.json")
		if err == nil {
			_ = answer.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("moto does not answer (make race installs it): %v\n%s", err, text)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func send(t *testing.T, method, address string) string {
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var text strings.Builder
	if err := answer.Write(&text); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, address, text.String())
	}
	return text.String()
}

func TestMoto(t *testing.T) {
	address := moto(t)
	set := settings(t, address)
	set.Region = "us-east-1" // where a bucket needs no location
	t.Run("bytes", func(t *testing.T) {
		answer, err := wiretest.Ask(t, client(t, set))
		if err != nil || answer.Score != 100 || answer.Status != 200 {
			t.Errorf("answer %+v, %v", answer, err)
		}
	})
	t.Run("role", func(t *testing.T) {
		set := set
		set.Keys, set.Role = rekognition.Keys{}, rekognition.Role{ARN: arn, TokenFile: secret(t, "token"), Endpoint: address}
		answer, err := wiretest.Ask(t, client(t, set))
		if err != nil || answer.Score != 100 {
			t.Errorf("answer %+v, %v", answer, err)
		}
	})
	t.Run("bucket", func(t *testing.T) {
		for _, versions := range []bool{false, true} {
			set := set
			set.Bucket = rekognition.Bucket{Name: fmt.Sprintf("gate-%t", versions), Endpoint: address}
			at := address + "/" + set.Bucket.Name
			send(t, http.MethodPut, at+"?x-id=CreateBucket")
			if versions {
				putVersioning(t, at)
			}
			c := client(t, set)
			answer, err := wiretest.Ask(t, c)
			if err != nil || answer.Score != 100 {
				t.Errorf("answer %+v, %v", answer, err)
			}
			_ = c.Close()
			if list := send(t, http.MethodGet, at+"?versions"); strings.Contains(list, ".jpg") {
				t.Errorf("versions=%t: left in the bucket: %s", versions, list)
			}
		}
	})
}

func putVersioning(t *testing.T, bucket string) {
	const enabled = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, bucket+"?versioning", strings.NewReader(enabled))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != 200 {
		t.Fatalf("keep versions: %s", answer.Status)
	}
}
