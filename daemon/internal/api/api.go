// Package api is the local HTTP interface: ID photos come in, outcomes go out.
//
//	POST /v1/attempts ─► strict parser ─► Line ─► outcome ─► the waiting client
//	                                                    └──► GET /v1/events, GET /v1/attempts/{id}
//
// docs/api.md is the contract. The interface listens on a Unix socket, on
// loopback, or with TLS and a token; see [Listen]. It keeps pictures in memory
// alone and writes none to a log.
package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
)

// MaxPicture is the largest ID photo, in bytes.
const MaxPicture = 15 << 20

// Bounds that keep one client from holding up the others.
const (
	headerWait = 5 * time.Second
	readWait   = 30 * time.Second // for a whole request, the picture included
	writeWait  = 10 * time.Second
	idleWait   = time.Minute
	answerWait = 5 * time.Second // for the attempt's owner, or for a turn to send a picture
	stopWait   = 2 * time.Second

	maxHeader      = 16 << 10
	maxConnections = 64
	maxBodies      = 2 // pictures being received at once
)

// A Starter runs attempts; *attempt.Line is one.
type Starter interface {
	Start(ctx context.Context, r attempt.Request) (attempt.Ticket, error)
	Cancel(ctx context.Context, id string) error
}

// Missing is a part that keeps the kiosk from being ready. It is shown to
// anyone who can reach /readyz.
type Missing struct {
	Part string `json:"part"` // camera, models, journal
	Why  string `json:"why"`
}

// Parts is what a Server works with. All are required.
type Parts struct {
	Line    Starter
	Enabled bool // whether attempts may be started over HTTP
	MayOpen bool // whether a match of such an attempt may open the door
	Uploads *Uploads
	Ready   func(context.Context) []Missing // empty: ready
	Metrics http.Handler
	Refused func(code string) // an ID photo did not become an attempt; must not block
	Log     *slog.Logger
}

// A Server answers HTTP requests. Its methods may be called from any
// goroutine.
type Server struct {
	Parts
	recent   *recent
	feed     *feed
	bodies   chan struct{} // holds a token for each picture being received
	stopping chan struct{} // closed when Serve begins to stop
	stopped  chan struct{} // closed when no request is served any more

	// mu guards the following
	mu       sync.Mutex
	closed   bool
	watchers sync.WaitGroup // one for each attempt started here and not ended
}

// New returns a server.
func New(p Parts) *Server {
	return &Server{
		Parts:    p,
		recent:   newRecent(),
		feed:     newFeed(p.Log),
		bodies:   make(chan struct{}, maxBodies),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
}

// Outcome passes an event on to whoever follows; one that the journal did not
// take has seq 0. It never blocks.
func (s *Server) Outcome(e event.Event) {
	if e.Kind == event.KindAttempt && !s.recent.end(e) {
		return
	}
	s.feed.publish(string(e.Kind), e)
}

// Hint passes a hint for the person in front of the camera on. It never
// blocks.
func (s *Server) Hint(attemptID string, h attempt.Hint) {
	s.recent.begin(attemptID)
	s.feed.publish("hint", hint{V: event.Version, AttemptID: attemptID, Hint: h, Time: event.Time{Time: time.Now()}})
}

// Phase passes on what the line is doing; who begins to follow is told the
// last phase first. It never blocks.
func (s *Server) Phase(p attempt.Phase) {
	s.feed.publish("phase", phase{V: event.Version, Phase: p})
}

// Serve answers requests on l until ctx ends, and closes l. It then lets
// requests under way end for at most two seconds, while event streams end at
// once. It may be called once.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	var open atomic.Int32
	srv := &http.Server{
		Handler:           l.guard(s.routes()),
		ReadHeaderTimeout: headerWait,
		ReadTimeout:       readWait,
		IdleTimeout:       idleWait,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ConnState:         func(c net.Conn, state http.ConnState) { limit(&open, c, state) },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l.Listener) }()
	s.Log.Info("http ready", "address", l.Addr().String())
	select {
	case err := <-failed:
		s.stop(srv)
		return err
	case <-ctx.Done():
		s.stop(srv)
		<-failed // says that srv is closed
		return nil
	}
}

func (s *Server) stop(srv *http.Server) {
	close(s.stopping)
	grace, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		s.Log.Warn("http requests cut off", "err", err)
		_ = srv.Close()
	}
	close(s.stopped)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.watchers.Wait()
}

// limit closes connections beyond maxConnections.
func limit(open *atomic.Int32, c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if open.Add(1) > maxConnections {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		open.Add(-1)
	}
}

// A methods serves one path by method.
type methods map[string]http.HandlerFunc

// ServeHTTP implements http.Handler.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := m[r.Method]; ok {
		h(w, r)
		return
	}
	for allowed := range m {
		w.Header().Add("Allow", allowed)
	}
	refuse(methodNotAllowed, "%s is not possible here", short(r.Method)).write(w)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/attempts", methods{http.MethodPost: s.postAttempt})
	mux.Handle("/v1/attempts/{id}", methods{http.MethodGet: s.getAttempt})
	mux.Handle("/v1/attempts/{id}/cancel", methods{http.MethodPost: s.cancelAttempt})
	mux.Handle("/v1/uploads", methods{http.MethodPost: s.postUpload})
	mux.Handle("/v1/events", methods{http.MethodGet: s.getEvents})
	mux.Handle("/healthz", methods{http.MethodGet: alive, http.MethodHead: alive})
	mux.Handle("/readyz", methods{http.MethodGet: s.ready, http.MethodHead: s.ready})
	mux.Handle("/metrics", methods{http.MethodGet: s.Metrics.ServeHTTP})
	mux.HandleFunc("/", noSuchPath)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would answer a path that is not written plainly with a page that
		// leads to the plain one.
		if written := r.URL.EscapedPath(); path.Clean("/"+written) != written {
			noSuchPath(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func noSuchPath(w http.ResponseWriter, _ *http.Request) {
	refuse(notFound, "no such path").write(w)
}

func alive(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, map[string]bool{"alive": true})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWait)
	defer cancel()
	answer := struct {
		Ready   bool      `json:"ready"`
		Missing []Missing `json:"missing,omitempty"`
	}{Missing: s.Ready(ctx)}
	answer.Ready = len(answer.Missing) == 0
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	respond(w, status, answer)
}
