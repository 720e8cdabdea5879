// Package cloud asks compare services over the network when the device itself
// is unsure about two faces.
//
//	question ─► Asker: ordered providers, one deadline ─► verdict
//	               │ budget, breaker, hedge, quorum
//	               ▼
//	             Ledger: every call, counted before it is made
//
// A [Provider] knows one service and its wire; each has a package below this
// one. Scores of different providers are not comparable, so every provider
// comes with thresholds in its own scale. Nothing but an explicit answer at or
// above a provider's Accept is a match.
//
// This package knows no wire and no disk.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/facegate/facegate/match"
)

// A Question is the two pictures that are to be compared: baseline JPEG
// without metadata. Providers neither keep nor change them.
type Question struct {
	Live []byte // the probe: the person at the kiosk
	ID   []byte // the reference: the portrait on the ID
}

// A Side says in which picture of a Question a provider found no face.
type Side int

// The sides. The zero value says that both faces were found.
const (
	Neither Side = iota
	Live
	ID
	Both
	Unknown // one or both: the service does not say which
)

// String returns "", "live", "id", "both" or "unknown".
func (s Side) String() string {
	switch s {
	case Live:
		return "live"
	case ID:
		return "id"
	case Both:
		return "both"
	case Unknown:
		return "unknown"
	}
	return ""
}

// An Answer is what a provider said.
type Answer struct {
	Score   float64 // in the provider's own scale, more is more alike; means nothing unless Missing is Neither
	Missing Side    // where no face was found

	// What the call took, filled in whether it failed or not.
	Sent   int64 // bytes of request bodies
	Status int   // of HTTP, of the last response; 0 without one
}

// A Provider asks one service. Its methods may be called concurrently.
type Provider interface {
	// Name is the service's: deepidv, rekognition, mxface, argos.
	Name() string
	// Compare asks the service. No face is an answer, not an error. An error
	// is a *Failure, and Answer then holds only what the call took. Compare
	// returns soon after ctx ends.
	Compare(ctx context.Context, q Question) (Answer, error)
}

// A Kind is why a provider gave no answer, as far as it matters for what to
// do next.
type Kind string

// The kinds of failure.
const (
	Throttled    Kind = "throttled"    // too many calls
	Unauthorised Kind = "unauthorised" // key or signature refused, or not readable here
	Quota        Kind = "quota"        // the account has nothing left
	Network      Kind = "network"      // no answer: not reached, cut off, too late
	Server       Kind = "server"       // the service is at fault, or its answer is unreadable
	Rejected     Kind = "rejected"     // the service does not take these pictures or this request

	// These come from the Asker, never from a Provider.
	Overdue   Kind = "deadline"  // the time for all providers is over
	Cancelled Kind = "cancelled" // no longer needed: another one answered, or the asking was given up
	Broken    Kind = "breaker"   // not asked: it failed too often just now
	Spent     Kind = "budget"    // not asked: its calls of the day or month are used up
	Unkept    Kind = "ledger"    // not asked: the call could not be recorded
)

// Next reports whether another provider may be asked after this failure. Not
// after Rejected: a picture that one service refuses goes to no other. Not after
// Overdue or Cancelled: nobody waits any more.
func (k Kind) Next() bool { return k != Rejected && k != Overdue && k != Cancelled }

// A Failure is why a provider gave no answer. Its text holds no secret and no
// part of a picture.
type Failure struct {
	Kind       Kind
	Provider   string
	Status     int           // of HTTP; 0 without a response
	RetryAfter time.Duration // how long the service asks to be left alone; 0: it does not say
	Err        error
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Status != 0 {
		return fmt.Sprintf("%s: %s (HTTP %d): %v", f.Provider, f.Kind, f.Status, f.Err)
	}
	return fmt.Sprintf("%s: %s: %v", f.Provider, f.Kind, f.Err)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// A Budget bounds the calls of one provider; 0 means no bound.
type Budget struct {
	Daily, Monthly int // by the calendar in UTC
}

// ErrBudget is returned by a Ledger when a provider's calls are used up.
var ErrBudget = errors.New("calls of the day or month are used up")

// A Why says what a provider is asked for.
type Why string

// The reasons to ask.
const (
	Unsure     Why = "unsure"      // the score lies between the thresholds
	EngineDown Why = "engine_down" // the local engine does not answer
)

// A Call is one call of a provider as the ledger knows it before it is made.
type Call struct {
	AttemptID string
	Provider  string
	Why       Why
	Local     string  // what the device alone decided: unsure, or error with EngineDown
	Cost      float64 // units, as configured for the provider
}

// An End is how a call ended.
type End struct {
	Sent    int64
	Status  int           // of HTTP
	Failure Kind          // empty with an answer
	Took    time.Duration //
	Verdict match.Verdict // by the provider's thresholds; Unsure without an answer
	Missing Side
}

// A Ledger keeps account of the calls. The journal is one.
type Ledger interface {
	// Reserve counts a call before it is made, or returns ErrBudget. What it
	// has counted survives a power cut, so that a budget is never exceeded.
	Reserve(ctx context.Context, c Call, b Budget) (id int64, err error)
	// Settle records how a reserved call ended.
	Settle(ctx context.Context, id int64, e End) error
}
