// Package v4l2 is the camera driver for Linux: USB cameras and everything
// else that Video4Linux shows as a single-planar capture device.
//
// A camera is opened, set up and started by [Open]; a fault at any later time
// is final: close it and open another. Pictures of the formats JPEG, YUYV,
// NV12 and grey are passed on as they are; nothing is decoded here.
//
// Not supported are multi-planar devices, as the camera connectors of a
// Raspberry Pi and many boards are. LD_PRELOAD wrappers such as libcamerify
// can't help, since Go makes system calls without the C library; bring such a
// camera to a v4l2loopback device instead.
package v4l2

import "github.com/facegate/facegate/capture"

// A Config says which camera to open and how. The size and rate are wishes:
// the driver takes what comes nearest, and [Camera.Mode] tells.
type Config struct {
	// Device is a path, such as /dev/video0 or a link in /dev/v4l/by-id or
	// /dev/v4l/by-path, or usb:VID:PID or usb:VID:PID:SERIAL.
	Device string
	Format string // auto, jpeg, yuyv, nv12 or grey
	Width  int    // pixels
	Height int    // pixels
	FPS    int    // frames a second; 0 leaves it to the driver
}

// A Mode is what a camera really delivers.
type Mode struct {
	Format        capture.Format
	Width, Height int  // pixels
	Stride        int  // bytes from row to row of a raw format, else 0
	Narrow        bool // see capture.Frame
}

// size returns the least bytes of a whole frame, or 0 for JPEG.
func (m Mode) size() int {
	switch m.Format {
	case capture.YUYV:
		return m.Stride*(m.Height-1) + m.rowBytes()
	case capture.NV12:
		return m.Stride*(m.Height+(m.Height+1)/2-1) + m.rowBytes()
	case capture.Grey:
		return m.Stride*(m.Height-1) + m.rowBytes()
	}
	return 0
}

// rowBytes returns the bytes of a row without padding.
func (m Mode) rowBytes() int {
	switch m.Format {
	case capture.YUYV:
		return 2 * (m.Width + m.Width&1)
	case capture.NV12:
		return m.Width + m.Width&1
	case capture.Grey:
		return m.Width
	}
	return 0
}
