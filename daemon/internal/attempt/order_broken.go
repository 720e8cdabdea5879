//go:build brokenorder

package attempt

import (
	"context"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// finish is wrong: the door moves while the journal is still being written. A
// program that dies in between leaves an opening of which nothing tells.
func (a *run) finish(ctx context.Context) {
	if a.out.Access == event.Granted {
		defer func(door Door) { a.Door = door }(a.Door)
		a.Door = hurry(ctx, a.Door, a.PulseLength)
	}
	if recorded, opens := a.conclude(ctx); opens {
		a.pulse(ctx, recorded)
	}
}

// A hurried door has been told to open.
type hurried struct {
	ended    chan struct{} // closed when the following are set
	measured time.Duration
	err      error
}

func hurry(ctx context.Context, d Door, length time.Duration) *hurried {
	h := &hurried{ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		h.measured, h.err = d.Pulse(ctx, length)
	}()
	return h
}

// Pulse returns how the pulse under way ended.
func (h *hurried) Pulse(context.Context, time.Duration) (time.Duration, error) {
	<-h.ended
	return h.measured, h.err
}
