// Package capture says what a camera is: a [Source] that yields frames one
// at a time, and [Latest], the mailbox of one from which the rest of the
// program takes the newest frame.
//
//	camera ─► Source.Read ─► Latest.Put        Latest.After ─► attempt
//
// A slow reader of Latest misses frames; nothing queues. Drivers live in
// packages below this one (v4l2, replay) and are chosen by the daemon alone.
package capture

import (
	"context"
	"errors"
	"time"
)

// Format names the layout of a frame's bytes.
type Format string

// The formats that the project understands.
const (
	JPEG Format = "jpeg" // one JFIF picture; Stride is 0
	YUYV Format = "yuyv" // packed 4:2:2, two bytes a pixel: Y0 U Y1 V
	NV12 Format = "nv12" // a plane of Y, then one of interleaved U and V at half size, both with Stride
	Grey Format = "grey" // one byte a pixel
)

// ErrGone says that the device has left (unplugged, or failed for good): close
// the source and open another. Sources wrap it with the device's name.
var ErrGone = errors.New("device gone")

// A Frame is one picture as the camera delivered it.
//
// Its zero value is an empty frame. Whoever holds a Frame owns Data.
type Frame struct {
	Seq    uint64    // counts frames of one Source from 1; gaps are frames skipped
	Time   time.Time // when it was dequeued, with a monotonic reading
	Format Format
	Width  int // pixels
	Height int // pixels
	Stride int // bytes from one row to the next of the first plane; 0 for JPEG
	// Narrow says that luma goes from 16 to 235 and chroma from 16 to 240 (ITU-R
	// BT.601), not from 0 to 255 as in a JPEG.
	Narrow bool
	Data   []byte
}

// A Source is an open camera. One goroutine uses it at a time.
type Source interface {
	// Read waits for the next good frame and fills f, reusing f.Data's room
	// where it suffices. Frames that are short or flagged as damaged are
	// skipped and counted by the source. It returns an error that wraps
	// ErrGone when the device is lost, and the cause of ctx when that ends.
	Read(ctx context.Context, f *Frame) error
	// Close frees the device.
	Close() error
}
