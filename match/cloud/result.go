package cloud

import (
	"time"

	"github.com/facegate/facegate/match"
)

// A Result is what came of an asking. Its zero value is no answer.
type Result struct {
	Verdict  match.Verdict // Match and NoMatch only by explicit answers
	Missing  Side          // where the decider found no face
	Provider string        // who decided: "deepidv", two of a quorum as "deepidv+mxface"; empty if nobody

	// The decider's, of two the first in the configured order. Score means
	// nothing when a face is missing.
	Score, Accept, Reject float64

	Answered bool          // somebody decided; with a quorum on their own only by ruling an agreement out
	Failure  Kind          // why nobody did: what ended the asking, else the last failure of a call, else of a skip
	Calls    int           // made, including those that were cut off
	Sent     int64         // bytes, of the calls that had ended by then
	Took     time.Duration //
}
