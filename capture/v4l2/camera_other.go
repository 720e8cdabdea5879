//go:build !linux

package v4l2

import (
	"context"
	"errors"

	"github.com/facegate/facegate/capture"
)

var errSystem = errors.New("v4l2 cameras need linux (use the replay driver)")

// A Camera can't exist on this system.
type Camera struct{}

// Open returns an error on this system.
func Open(context.Context, Config) (*Camera, error) { return nil, errSystem }

// Read returns an error on this system.
func (*Camera) Read(context.Context, *capture.Frame) error { return errSystem }

// Mode returns the zero Mode on this system.
func (*Camera) Mode() Mode { return Mode{} }

// Skipped returns 0 on this system.
func (*Camera) Skipped() uint64 { return 0 }

// Close does nothing on this system.
func (*Camera) Close() error { return nil }
