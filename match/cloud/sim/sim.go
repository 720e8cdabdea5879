// Package sim imitates four services that compare faces, so that their clients
// can be tried without a key, a bill or a picture that leaves the machine.
//
//	request ─► checks of every byte ─► script ─► answer, fault or silence
//	                 │ violations        │ step
//	                 ▼                   ▼
//	           Violations()         Requests()
//
// It was written from the services' documents and knows no client: what it
// sends are the documented bodies, what it takes is the documented request and
// nothing besides. It is stricter than the services in one respect: what they
// would silently ignore (a field they don't know, metadata in a picture) is
// refused and recorded.
//
//	s := &sim.Server{Comparer: table, Keys: sim.Keys{ARGOS: "k"}}
//	defer s.Close()
//	web := httptest.NewServer(s.Handler(sim.ARGOS))
//
// # What it does not do
//
// BMP pictures are refused, though MXFace and ARGOS take them. MXFace's
// compareAllFaces is checked, but the answer has the pairs of one source face,
// the Comparer's. Objects uploaded in the aws-chunked coding are refused.
//
// # Command
//
// A command around it wants these options:
//
//	-deepidv, -rekognition, -mxface, -argos host:port   where each listens; empty: not at all
//	-tls-cert, -tls-key file                            serve HTTPS with this certificate
//	-deepidv-key, -mxface-key, -argos-key file          hold the key that is right
//	-aws-credentials file                               access key, secret key and, if wanted, session token, a line each
//	-region name                                        of Rekognition and its bucket
//	-bucket name                                        the one that exists
//	-scripts file                                       see [ReadScripts]
//	-callback-ca file                                   PEM of an authority that ARGOS' callback trusts
//	-callback-insecure                                  don't check certificates of callbacks to this machine
//
// # Assumptions
//
// The services' documents leave open, and this package decides:
//
//   - deepidv: a missing key is a 401; 429 has API Gateway's body; an upload URL lasts 15 minutes; texts of most errors.
//   - deepidv: among several faces the best similarity counts.
//   - Rekognition: a picture over 5 MiB is an ImageTooLargeException, a SimilarityThreshold out of range an InvalidParameterException; errors of the signature have status 400.
//   - MXFace: 429 for throttling, 403 for quota; no face is a 400; a score of exactly 60 is no match.
//   - ARGOS: statuses of all error codes; a callbackUrl is acknowledged with 200 and the transaction's number; no face is isAvailable false; 429 has API Gateway's body.
package sim

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Service is one that is imitated.
type Service string

// The services.
const (
	DeepIDV     Service = "deepidv"
	Rekognition Service = "rekognition" // and a bucket's objects
	MXFace      Service = "mxface"
	ARGOS       Service = "argos"
)

// A Box is a face's place as shares of the picture's width and height; it may
// reach over the edge.
type Box struct{ Left, Top, Width, Height float64 }

// A Landmark is a point of a face as shares of the picture's width and height.
type Landmark struct {
	Type string // eyeLeft, eyeRight, nose, mouthLeft, mouthRight
	X, Y float64
}

// A Face is one that a Comparer found.
type Face struct {
	Box        Box
	Confidence float64 // that it is a face, 0 to 100
	Quality    float64 // 0 to 100
	Landmarks  []Landmark
}

// A Comparison is the truth about two pictures.
type Comparison struct {
	Source, Target []Face
	Chosen         int       // index in Source of the face that is compared
	Similarity     []float64 // of each face in Target to it, 0 to 100; empty without a source face
}

// A Comparer knows the truth. It may be called concurrently and must not keep
// the pictures, which are JPEG or PNG that can be decoded.
type Comparer interface {
	Compare(ctx context.Context, source, target []byte) (Comparison, error)
}

// Keys are the right ones. An empty one is no key: every request is refused.
type Keys struct{ DeepIDV, MXFace, ARGOS string }

// AWS is the account that signs requests, and its bucket.
type AWS struct {
	AccessKey, SecretKey string
	SessionToken         string // empty: requests must come without one
	Region               string
	Bucket               string // the only one that exists; empty: none
}

// maxLog bounds the log of requests; the oldest are dropped.
const maxLog = 100_000

// A Server imitates the services. Set the fields before the first request. Its
// methods may be called concurrently.
type Server struct {
	Comparer Comparer // required
	Keys     Keys
	AWS      AWS
	Scripts  map[Op]Script  // an operation without one answers truly
	Log      *slog.Logger   // nil: none
	Roots    *x509.CertPool // authorities that ARGOS' callbacks trust; nil: the system's
	Insecure bool           // callbacks to this machine are sent whatever the certificate

	// mu guards the following
	mu       sync.Mutex
	log      []*Request
	actors   map[Op]*actor
	uploads  map[string]*upload // by the path of their URL
	objects  map[string][]byte  // by key
	serial   int
	closed   chan struct{}
	shut     bool
	callback sync.WaitGroup
}

// A Request is one that was answered, or, with op argos.callback, one that was
// sent.
type Request struct {
	Service    Service
	Op         Op // empty if there is no such operation
	At         time.Time
	Method     string
	Path       string
	Sent       int // bytes of the body
	Did        Do  // what the script said
	Refused    bool
	Status     int           // answered; 0: none
	Answered   int           // bytes of the answer's body that were written
	Took       time.Duration // from the request's headers to the answer's last byte
	Violations []string
}

// Requests returns what was asked so far, in the order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, len(s.log))
	for i, r := range s.log {
		list[i] = *r
		list[i].Violations = slices.Clone(r.Violations)
	}
	return list
}

// Violations returns what clients did wrong so far, each with the operation
// before it.
func (s *Server) Violations() []string {
	var list []string
	for _, r := range s.Requests() {
		for _, v := range r.Violations {
			list = append(list, cmp.Or(string(r.Op), string(r.Service))+": "+v)
		}
	}
	return list
}

// Objects returns the keys of what lies in the bucket, sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k := range s.objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Close lets go of the requests that are never answered, drops callbacks that
// are not yet sent and waits for those under way. The server answers nothing
// slow any more.
func (s *Server) Close() {
	s.mu.Lock()
	closed := s.closing()
	if !s.shut {
		s.shut = true
		close(closed)
	}
	s.mu.Unlock()
	s.callback.Wait()
}

// closing returns the channel that Close closes. The caller holds mu.
func (s *Server) closing() chan struct{} {
	if s.closed == nil {
		s.closed = make(chan struct{})
	}
	return s.closed
}

// done returns the channel that Close closes.
func (s *Server) done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing()
}

// number returns one that was not given before.
func (s *Server) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return s.serial
}

// next takes an operation's next step.
func (s *Server) next(op Op) Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.actors == nil {
		s.actors = make(map[Op]*actor)
	}
	a := s.actors[op]
	if a == nil {
		script := s.Scripts[op]
		a = &actor{script: script, dice: rand.New(rand.NewPCG(script.Seed, 0))}
		s.actors[op] = a
	}
	return a.next()
}

// enter writes a request into the log and returns the entry, which only change
// alters.
func (s *Server) enter(r Request) *Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) == maxLog {
		s.log = slices.Delete(s.log, 0, maxLog/10)
	}
	s.log = append(s.log, &r)
	return &r
}

// change alters an entry of the log.
func (s *Server) change(alter func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	alter()
}

// wait waits; false if the client or the server gave up before.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.done():
	}
	return false
}

// logger returns the server's, or one that says nothing.
func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Check reports every problem of the settings, one a line.
func (s *Server) Check() error {
	var bad []string
	if s.Comparer == nil {
		bad = append(bad, "comparer: is required")
	}
	for op, script := range s.Scripts {
		bad = append(bad, script.problems(op)...)
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return fmt.Errorf("simulator: %s", strings.Join(bad, "\n"))
}

// Handler returns the service that answers at its documented path, from the
// root of the address. It wants HTTP/1.1, where connections can be broken.
func (s *Server) Handler(service Service) http.Handler {
	routes := map[Service]router{
		DeepIDV:     routeDeepIDV,
		Rekognition: routeAWS,
		MXFace:      routeMXFace,
		ARGOS:       routeARGOS,
	}
	route, ok := routes[service]
	if !ok {
		return http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(service, route, w, r) })
}
