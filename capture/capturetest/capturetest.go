// Package capturetest has a camera for tests.
package capturetest

import (
	"context"
	"sync"
	"time"

	"github.com/facegate/facegate/capture"
)

var _ capture.Source = (*Source)(nil)

// A Shot is one answer of a [Source]: after a time, a frame or an error.
type Shot struct {
	After time.Duration
	Frame capture.Frame // Seq and Time are filled in if they are zero
	Err   error         // given instead of the frame
}

// A Source plays its shots in order, then delivers nothing more. Its Read
// waits in real time, or in the virtual time of testing/synctest.
type Source struct {
	Shots []Shot

	// mu guards the following
	mu     sync.Mutex
	next   int
	seq    uint64
	closes int
}

// Read implements [capture.Source].
func (s *Source) Read(ctx context.Context, f *capture.Frame) error {
	shot, ok := s.take()
	if !ok {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	timer := time.NewTimer(shot.After)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if shot.Err != nil {
		return shot.Err
	}
	room := f.Data[:0]
	*f = shot.Frame
	f.Data = append(room, shot.Frame.Data...)
	if f.Time.IsZero() {
		f.Time = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	if f.Seq == 0 {
		f.Seq = s.seq
	}
	return nil
}

func (s *Source) take() (Shot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == len(s.Shots) {
		return Shot{}, false
	}
	s.next++
	return s.Shots[s.next-1], true
}

// Close implements [capture.Source].
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

// Closes returns how often the source was closed.
func (s *Source) Closes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closes
}
