//go:build !brokenorder

package attempt

import "context"

// finish ends the attempt: first the journal has the outcome and the pulse,
// then the door moves. The build tag brokenorder swaps this on purpose, so
// that the kill tests can be shown to notice.
func (a *run) finish(ctx context.Context) {
	if recorded, opens := a.conclude(ctx); opens {
		a.pulse(ctx, recorded)
	}
}
