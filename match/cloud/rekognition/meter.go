package rekognition

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/facegate/facegate/match/cloud/wire"
)

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 1 << 20

// longestPause bounds the wait between two attempts.
const longestPause = time.Second

var errLong = errors.New("answer is too long")

// attempts returns the SDK's own way to try a request n times. A context that
// ends sooner ends it.
func attempts(n int) aws.Retryer {
	if n == 1 {
		return aws.NopRetryer{}
	}
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = n, longestPause })
}

// A meter sends the requests of one call and remembers what they took.
type meter struct {
	client *http.Client
	sent   atomic.Int64 // bytes of bodies
	status atomic.Int32 // of the last response
	pause  atomic.Int64 // a time.Duration, from the last Retry-After
	cut    atomic.Bool  // an answer ended too soon
}

// Do implements the SDK's interface to an HTTP client.
func (m *meter) Do(r *http.Request) (*http.Response, error) {
	// Neither is signed. The SDK puts what it found in the environment into them.
	r.Header.Set("User-Agent", "facegate")
	r.Header.Del("X-Amzn-Trace-Id")
	answer, err := m.client.Do(wire.Count(r, &m.sent))
	if err != nil {
		return nil, err
	}
	m.status.Store(int32(answer.StatusCode))
	m.pause.Store(int64(wire.RetryAfter(answer.Header, time.Now())))
	answer.Body = &bounded{ReadCloser: answer.Body, left: maxAnswer, cut: &m.cut}
	return answer, nil
}

// bounded ends a body that is too long with errLong.
type bounded struct {
	io.ReadCloser
	left int
	cut  *atomic.Bool
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return n - 1, errLong
	}
	if err != nil && err != io.EOF {
		b.cut.Store(true)
	}
	return n, err
}
