package capture

import (
	"context"
	"sync"
	"time"
)

// Latest holds the newest frame of one camera. The zero value is empty and
// ready for use; all methods may be called from any goroutine.
type Latest struct {
	// mu guards the following
	mu    sync.Mutex
	frame Frame
	wake  chan struct{} // closed at the next Put; nil while nobody waits
}

// Put makes f the newest frame and takes ownership of f.Data.
func (l *Latest) Put(f Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frame = f
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Newest returns the newest frame, and false if there was none yet. The
// frame's Data is shared with other readers: it must not be written to.
func (l *Latest) Newest() (Frame, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frame, !l.frame.Time.IsZero()
}

// After waits for a frame taken after t and returns it, or the cause of ctx
// when that ends first. The frame's Data is shared with other readers: it
// must not be written to.
func (l *Latest) After(ctx context.Context, t time.Time) (Frame, error) {
	for {
		l.mu.Lock()
		if l.frame.Time.After(t) {
			defer l.mu.Unlock()
			return l.frame, nil
		}
		if l.wake == nil {
			l.wake = make(chan struct{})
		}
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return Frame{}, context.Cause(ctx)
		}
	}
}
