package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// A code says in an answer why a request was refused.
type code string

// The codes, a closed list.
const (
	badRequest       code = "bad_request" // see field and message
	unauthorised     code = "unauthorised"
	forbidden        code = "forbidden" // by configuration, or a web page of elsewhere
	notFound         code = "not_found"
	methodNotAllowed code = "method_not_allowed"
	busy             code = "busy"  // another attempt runs; none was created
	ended            code = "ended" // the attempt to cancel has ended already
	tooLarge         code = "too_large"
	unsupportedMedia code = "unsupported_media_type"
	internal         code = "internal"
	overloaded       code = "overloaded" // too much at once; try again
	stopping         code = "stopping"   // the daemon is stopping
)

// codes returns every code with its HTTP status.
func codes() map[code]int {
	return map[code]int{
		badRequest:       http.StatusBadRequest,
		unauthorised:     http.StatusUnauthorized,
		forbidden:        http.StatusForbidden,
		notFound:         http.StatusNotFound,
		methodNotAllowed: http.StatusMethodNotAllowed,
		busy:             http.StatusConflict,
		ended:            http.StatusConflict,
		tooLarge:         http.StatusRequestEntityTooLarge,
		unsupportedMedia: http.StatusUnsupportedMediaType,
		internal:         http.StatusInternalServerError,
		overloaded:       http.StatusServiceUnavailable,
		stopping:         http.StatusServiceUnavailable,
	}
}

// A problem is why a request was refused, in the one shape that errors have.
type problem struct {
	Code    code   `json:"code"`
	Message string `json:"message"`         // for people; repeats nothing of a picture
	Field   string `json:"field,omitempty"` // which field of the body, if it is one
}

func refuse(c code, format string, args ...any) *problem {
	return &problem{Code: c, Message: fmt.Sprintf(format, args...)}
}

// in names the field that is wrong.
func (p *problem) in(field string) *problem {
	p.Field = field
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	switch p.Code {
	case busy, overloaded:
		w.Header().Set("Retry-After", "1")
	case unauthorised:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	respond(w, codes()[p.Code], map[string]*problem{"error": p})
}

// respond writes an answer. A client that is gone is nobody's concern.
func respond(w http.ResponseWriter, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWait))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// short cuts what a client sent to what fits into a message.
func short(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}
