package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A stop does not wait for models that are being loaded, which nothing can end.
func TestAStopDoesNotWaitForTheStart(t *testing.T) {
	errFake := errors.New("scripted")
	whole := new(kiosk)
	for name, tt := range map[string]struct {
		takes time.Duration
		err   error
		want  *kiosk
		after time.Duration
	}{
		"before the stop":          {time.Second, nil, whole, time.Second},
		"fails before the stop":    {time.Second, errFake, nil, time.Second},
		"soon after the stop":      {3 * time.Second, nil, whole, 3 * time.Second},
		"long after the stop":      {time.Minute, nil, nil, 2*time.Second + lineEnds},
		"fails long after it":      {time.Minute, errFake, nil, 2*time.Second + lineEnds},
		"fails soon after the end": {3 * time.Second, errFake, nil, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(2*time.Second, stop)
				began := time.Now()
				k, err := assembled(ctx, func(context.Context) (*kiosk, error) {
					time.Sleep(tt.takes)
					if tt.err != nil {
						return nil, tt.err
					}
					return whole, nil
				})
				took := time.Since(began)
				time.Sleep(time.Minute) // until it has ended, too
				wantErr := tt.err
				if tt.after < tt.takes {
					wantErr = nil
				}
				if k != tt.want || !errors.Is(err, wantErr) || took != tt.after {
					t.Errorf("got %v, %v after %v, want %v, %v after %v", k != nil, err, took, tt.want != nil, wantErr, tt.after)
				}
			})
		})
	}
}
