package sim

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds what is read of a request, in bytes: two pictures of 15 MiB
// in base64, and more.
const maxBody = 64 << 20

// Content types of answers.
const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
	typeXML  = "application/xml"
)

// An answer is what is sent unless the script wants a fault.
type answer struct {
	status int
	kind   string // content type; empty without a body
	body   []byte
	header map[string]string
}

// literal returns an answer whose body is spelled out.
func literal(status int, kind, body string) answer {
	return answer{status: status, kind: kind, body: []byte(body)}
}

// marshalled returns an answer in JSON.
func marshalled(status int, kind string, v any) answer {
	body, err := json.Marshal(v)
	if err != nil { // a number that a Comparer must not return
		return literal(http.StatusInternalServerError, typeText, err.Error())
	}
	return answer{status: status, kind: kind, body: body}
}

// pick returns a form, counted round.
func pick[T any](form int, forms ...T) T { return forms[form%len(forms)] }

// An operation is what a router found for a request.
type operation struct {
	op    Op
	run   func(*exchange) answer // checks, and answers truly
	fail  func(Step) answer      // the documented error for the step's Do
	wrong []string               // bodies that are no answer
	bad   func(text string) answer
}

// A router looks at method and path only. It refuses what it doesn't know.
type router func(*exchange) operation

// An exchange is one request and what becomes of it.
type exchange struct {
	s          *Server
	r          *http.Request
	operation  operation
	step       Step
	body       []byte
	violations []string
	refusal    *answer // the first
	broken     *answer // the simulator itself is at fault
}

// refuse records a violation. The answer to the first one is sent.
func (x *exchange) refuse(a answer, format string, args ...any) {
	x.violations = append(x.violations, fmt.Sprintf(format, args...))
	if x.refusal == nil {
		x.refusal = &a
	}
}

// serve answers one request.
func (s *Server) serve(service Service, route router, w http.ResponseWriter, r *http.Request) {
	x := &exchange{s: s, r: r}
	x.operation = route(x)
	began := time.Now()
	entry := s.enter(Request{Service: service, Op: x.operation.op, At: began, Method: r.Method, Path: r.URL.Path})
	if x.operation.op != "" {
		x.step = s.next(x.operation.op)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil { // the client gave up
		s.change(func() { entry.Sent = len(body) })
		abort(w, false)
		return
	}
	x.body = body
	a := x.answer()
	s.change(func() {
		entry.Sent, entry.Did = len(body), x.step.Do
		entry.Violations, entry.Refused = x.violations, x.refusal != nil
	})
	if len(x.violations) > 0 {
		s.logger().Warn("request refused", "provider", string(service), "op", string(x.operation.op), "err", strings.Join(x.violations, "; "))
	}
	status, sent := x.send(w, a)
	s.change(func() { entry.Status, entry.Answered, entry.Took = status, sent, time.Since(began) })
}

// answer checks the request and says what is to be sent.
func (x *exchange) answer() answer {
	var a answer
	if x.refusal == nil {
		x.common()
		a = x.operation.run(x)
	}
	if x.refusal != nil {
		return *x.refusal
	}
	if x.broken != nil {
		return *x.broken
	}
	return x.operation.scripted(x.step, a)
}

// scripted returns what the step wants instead of the true answer.
func (o operation) scripted(step Step, truth answer) answer {
	a := truth
	switch step.Do {
	case Throttle, Unauthorised, Quota, ServerError, Rejected:
		a = o.fail(step)
		if step.RetryAfter > 0 {
			seconds := int(math.Ceil(step.RetryAfter.Seconds()))
			a.header = map[string]string{"Retry-After": strconv.Itoa(seconds)}
		}
	case WrongJSON:
		a = literal(http.StatusOK, typeJSON, pick(step.Form, o.wrong...))
	case HTML:
		page := "<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Checking your browser</h1></body></html>"
		a = literal(pick(step.Form, http.StatusOK, http.StatusServiceUnavailable), typeHTML, page)
	case Empty:
		a = answer{status: http.StatusOK}
	case Redirect:
		a = literal(http.StatusTemporaryRedirect, typeText, "moved")
		a.header = map[string]string{"Location": "/moved"}
	case Huge:
		room := step.Bytes
		if room == 0 {
			room = 8 << 20
		}
		a.body = append([]byte(strings.Repeat(" ", room)), a.body...)
	}
	return a
}

// send writes the answer, with the faults that the step wants, and returns
// the status and the bytes of the body that went out.
func (x *exchange) send(w http.ResponseWriter, a answer) (status, sent int) {
	alive := x.s.wait(x.r.Context(), x.step.Latency)
	switch {
	case !alive:
		abort(w, false)
		return 0, 0
	case x.step.Do == HalfOpen:
		select {
		case <-x.r.Context().Done():
		case <-x.s.done():
		}
		abort(w, false)
		return 0, 0
	case x.step.Do == Reset:
		abort(w, true)
		return 0, 0
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	switch x.step.Do {
	case Truncated: // the server closes the connection, as less is written than was declared
		sent, _ = w.Write(a.body[:len(a.body)/2])
	case SlowBody:
		sent = x.drip(w, a.body)
	default:
		sent, _ = w.Write(a.body)
	}
	return a.status, sent
}

// drip writes a body slowly.
func (x *exchange) drip(w http.ResponseWriter, body []byte) int {
	pause := x.step.Drip
	if pause == 0 {
		pause = 100 * time.Millisecond
	}
	out := http.NewResponseController(w)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || out.Flush() != nil || !x.s.wait(x.r.Context(), pause) {
			return i
		}
	}
	return len(body)
}

// abort closes the connection without an answer, by a reset if wanted.
func abort(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2 has no connection to break
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	plain := conn
	if t, ok := conn.(*tls.Conn); ok {
		plain = t.NetConn()
	}
	if t, ok := plain.(*net.TCPConn); ok && reset {
		_ = t.SetLinger(0)
		_ = t.Close()
		return
	}
	_ = conn.Close()
}

// truth asks the Comparer, if the step wants to know. The pictures are known
// to be sound; false if one of them was refused or there is no truth.
func (x *exchange) truth(source, target []byte) (Comparison, bool) {
	if x.refusal != nil || !x.step.Do.truth() {
		return Comparison{}, false
	}
	c, err := x.s.Comparer.Compare(x.r.Context(), source, target)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		x.s.logger().Error("comparison failed", "err", err)
		a := x.operation.fail(Step{Do: ServerError})
		x.broken = &a
		return Comparison{}, false
	}
	if x.step.Do == NoSource || x.step.Do == NoFaces {
		c.Source = nil
	}
	if x.step.Do == NoTarget || x.step.Do == NoFaces {
		c.Target = nil
	}
	return c, true
}

// check reports a Comparer's mistake.
func (c Comparison) check() error {
	if len(c.Source) == 0 {
		return nil
	}
	if c.Chosen < 0 || c.Chosen >= len(c.Source) {
		return fmt.Errorf("chosen face %d of %d", c.Chosen, len(c.Source))
	}
	if len(c.Similarity) != len(c.Target) {
		return fmt.Errorf("%d similarities for %d faces", len(c.Similarity), len(c.Target))
	}
	for _, v := range c.Similarity {
		if !(v >= 0 && v <= 100) {
			return fmt.Errorf("similarity %v is not in 0 to 100", v)
		}
	}
	return nil
}

// found reports whether there is a pair to compare.
func (c Comparison) found() bool { return len(c.Source) > 0 && len(c.Target) > 0 }

// best returns the index of the target face that is most alike.
func (c Comparison) best() int {
	best := 0
	for i, v := range c.Similarity {
		if v > c.Similarity[best] {
			best = i
		}
	}
	return best
}
