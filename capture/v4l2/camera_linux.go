package v4l2

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/capture"
)

var (
	_ capture.Source = (*Camera)(nil)
	_ device         = (*webcam.Webcam)(nil)
)

// A device is what this driver needs of the camera library.
type device interface {
	GetSupportedFormats() map[webcam.PixelFormat]string
	GetSupportedFrameSizes(f webcam.PixelFormat) []webcam.FrameSize
	SetImageFormat(f webcam.PixelFormat, width, height uint32) (webcam.PixelFormat, uint32, uint32, error)
	SetFramerate(fps float32) error
	SetBufferCount(count uint32) error
	StartStreaming() error
	WaitForFrame(seconds uint32) error
	GetFrame() ([]byte, uint32, error)
	ReleaseFrame(index uint32) error
	Close() error
}

const (
	// buffers is how many frames the driver may hold. The library's own 256
	// exhaust the contiguous memory of small boards.
	buffers = 4
	// maxEmpty bounds wake-ups without a frame, each followed by emptyPause.
	maxEmpty   = 100
	emptyPause = 10 * time.Millisecond
)

// A Camera is an open, streaming device. One goroutine uses it; Skipped may
// be called from any.
type Camera struct {
	name    string
	dev     device // nil once closed
	mode    Mode
	seq     uint64
	skipped atomic.Uint64

	// flagged lists the buffers ready to be taken that the driver calls
	// damaged; nil if it can't be asked.
	flagged func() []uint32
}

// Open finds the device, sets it up and starts it. The kernel's part can't be
// interrupted, so that ctx counts only before it begins.
func Open(ctx context.Context, c Config) (*Camera, error) {
	camera, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open camera %s: %w", c.Device, err)
	}
	return camera, nil
}

func open(ctx context.Context, c Config) (*Camera, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	path, err := system{sys: "/sys", dev: "/dev", check: checkNode}.find(c.Device)
	if err != nil {
		return nil, err
	}
	// The library reports the size that was asked for as the one it got.
	control, err := openControl(path)
	if err != nil {
		return nil, explain(path, err)
	}
	defer control.close()
	if err := control.lock(); err != nil {
		return nil, errors.New("it is being opened already (use another device for each camera)")
	}
	// What is mapped once start has failed is a leak only if nothing was
	// mapped before: a camera in use must never lose its buffers.
	if mapped, err := deviceMappings(path); err != nil || len(mapped) > 0 {
		return nil, cmp.Or(err, errors.New("it is open in this program already (use another device for each camera)"))
	}
	dev, err := webcam.Open(path)
	if err != nil {
		return nil, explain(path, err)
	}
	camera, err := start(dev, c, control.format)
	if err != nil {
		_ = dev.Close()
		return nil, errors.Join(explain(path, err), unmapLeaked(path))
	}
	fd := descriptor(dev)
	camera.flagged = func() []uint32 { return flagged(fd) }
	return camera, nil
}

// descriptor returns the one that w streams through, which alone may ask for
// its buffers: uvc_ioctl_querybuf of uvc_v4l2.c. The library has no method that
// tells it.
func descriptor(w *webcam.Webcam) int {
	return int(reflect.ValueOf(w).Elem().FieldByName("fd").Uint())
}

// checkNode refuses nodes that deliver no pictures in a way that is read here.
func checkNode(path string) error {
	control, err := openControl(path)
	if err != nil {
		return explain(path, err)
	}
	defer control.close()
	capability, err := control.capability()
	if err != nil {
		return fmt.Errorf("not a video device: %w", err)
	}
	return checkCaps(capability.node())
}

func checkCaps(caps uint32) error {
	switch {
	case caps&capCapture != 0 && caps&capStreaming != 0:
		return nil
	case caps&capCapture != 0:
		return errors.New("it can't stream (use another camera)")
	case caps&capMultiPlanar != 0:
		return errors.New("a multi-planar camera, which is not supported (use a USB camera, or bring it to a v4l2loopback device)")
	case caps&capMetadata != 0:
		return errors.New("it carries metadata, no pictures (use the camera's first device, see v4l2-ctl --list-devices)")
	}
	return errors.New("not a camera (see v4l2-ctl --list-devices)")
}

// explain adds the remedy to errors of the kernel that have one.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("another program holds it (see fuser -v %s): %w", path, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (let the user into the group video)", err)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("no such device: %w", err)
	}
	return err
}

// start sets dev up and starts it. When it fails, the caller closes dev:
// blackjack/webcam#70, a second try on the same handle never works.
func start(dev device, c Config, read func() (pixFormat, error)) (*Camera, error) {
	format, code, err := choose(c.Format, c.Width, c.Height, offers(dev, c.Width, c.Height))
	if err != nil {
		return nil, err
	}
	if _, _, _, err := dev.SetImageFormat(webcam.PixelFormat(code), uint32(c.Width), uint32(c.Height)); err != nil {
		return nil, fmt.Errorf("set format %s %dx%d: %w", code, c.Width, c.Height, err)
	}
	got, err := read()
	if err != nil {
		return nil, fmt.Errorf("read the format back: %w", err)
	}
	mode, err := modeOf(format, code, got)
	if err != nil {
		return nil, err
	}
	if c.FPS > 0 {
		// Many drivers have one rate only and refuse; that is no reason
		// to go without a camera.
		_ = dev.SetFramerate(float32(c.FPS))
	}
	if err := dev.SetBufferCount(buffers); err != nil {
		return nil, err
	}
	if err := dev.StartStreaming(); err != nil {
		return nil, fmt.Errorf("start: %w (another program may hold it, or cameras share one USB bus: lower the size or use format jpeg)", err)
	}
	return &Camera{name: c.Device, dev: dev, mode: mode}, nil
}

// offers lists what dev has.
func offers(dev device, width, height int) []offer {
	var out []offer
	for code := range dev.GetSupportedFormats() {
		sizes := dev.GetSupportedFrameSizes(code)
		sized := len(sizes) == 0 // not told: assume the best
		for _, s := range sizes {
			sized = sized || within(width, s.MinWidth, s.MaxWidth, s.StepWidth) && within(height, s.MinHeight, s.MaxHeight, s.StepHeight)
		}
		out = append(out, offer{fourCC(code), sized})
	}
	return out
}

// within tells whether a side is among those offered. The library leaves all
// zero for devices that scale to any size.
func within(side int, least, most, step uint32) bool {
	if most == 0 {
		return true
	}
	v := uint32(side)
	return v >= least && v <= most && (step == 0 || (v-least)%step == 0)
}

// modeOf checks what the driver made of the wish.
func modeOf(format capture.Format, code fourCC, got pixFormat) (Mode, error) {
	const maxSide = 1 << 14
	if fourCC(got.pixelFormat) != code {
		return Mode{}, fmt.Errorf("the driver delivers %s instead of %s (set another format)", fourCC(got.pixelFormat), code)
	}
	if got.width == 0 || got.height == 0 || got.width > maxSide || got.height > maxSide {
		return Mode{}, fmt.Errorf("the driver delivers %dx%d pixels", got.width, got.height)
	}
	mode := Mode{Format: format, Width: int(got.width), Height: int(got.height)}
	if format == capture.JPEG {
		return mode, nil
	}
	mode.Narrow = got.narrow()
	mode.Stride = int(got.bytesPerLine)
	if mode.Stride == 0 {
		mode.Stride = mode.rowBytes()
	}
	if mode.Stride < mode.rowBytes() || mode.Stride > 1<<17 {
		return Mode{}, fmt.Errorf("the driver delivers rows of %d bytes for %d pixels of %s", mode.Stride, mode.Width, code)
	}
	return mode, nil
}

// Mode returns what the camera delivers.
func (c *Camera) Mode() Mode { return c.mode }

// Skipped returns how many frames were dropped because they were damaged.
//
// That is an empty or short frame, which is how most lost USB packets show, a
// JPEG without its beginning or end, and what the driver calls damaged. Drivers
// may keep such frames to themselves: uvcvideo does so unless its parameter nodrop
// is set, as it is by default in newer kernels.
func (c *Camera) Skipped() uint64 { return c.skipped.Load() }

// Read implements [capture.Source]. It notices the end of ctx within a
// second.
func (c *Camera) Read(ctx context.Context, f *capture.Frame) error {
	if c.dev == nil {
		return fmt.Errorf("camera %s: %w", c.name, fs.ErrClosed)
	}
	for empty := 0; empty < maxEmpty; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := c.dev.WaitForFrame(1)
		if _, ok := errors.AsType[*webcam.Timeout](err); ok {
			if over, ok := ctx.Deadline(); ok && time.Until(over) < emptyPause {
				<-ctx.Done() // the next wait would be a whole second
			}
			continue
		}
		if err != nil {
			return c.gone(err)
		}
		err = c.dequeue(f)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errDamaged):
			c.skipped.Add(1)
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			// The library doesn't look at what poll found: a device in
			// trouble wakes it at once, again and again.
			empty++
			pause(ctx)
		default:
			return c.gone(err)
		}
	}
	return c.gone(errors.New("woken without a frame"))
}

var errDamaged = errors.New("damaged frame")

// dequeue takes one frame, copies it and gives the buffer back. The copy
// comes first: once released, the driver writes into it.
func (c *Camera) dequeue(f *capture.Frame) error {
	var damaged []uint32
	if c.flagged != nil {
		damaged = c.flagged()
	}
	data, index, err := c.dev.GetFrame()
	if err != nil {
		return err
	}
	now := time.Now()
	c.seq++
	data, whole := c.mode.frame(data)
	whole = whole && !slices.Contains(damaged, index)
	if whole {
		*f = capture.Frame{
			Seq: c.seq, Time: now, Format: c.mode.Format,
			Width: c.mode.Width, Height: c.mode.Height, Stride: c.mode.Stride, Narrow: c.mode.Narrow,
			Data: append(f.Data[:0], data...),
		}
	}
	if err := c.dev.ReleaseFrame(index); err != nil {
		return err
	}
	if !whole {
		return errDamaged
	}
	return nil
}

// frame returns the part of a buffer that is the picture, and whether it is
// whole.
func (m Mode) frame(data []byte) ([]byte, bool) {
	if m.Format == capture.JPEG {
		begins := bytes.HasPrefix(data, []byte{0xff, 0xd8})
		return data, begins && bytes.LastIndex(data, []byte{0xff, 0xd9}) > 0
	}
	if len(data) < m.size() {
		return nil, false
	}
	return data[:m.size()], true
}

// gone reports a device that is lost: ENODEV or EIO when it was unplugged,
// and whatever else the driver refuses to go on with.
func (c *Camera) gone(err error) error {
	return fmt.Errorf("camera %s: %w: %w", c.name, capture.ErrGone, err)
}

func pause(ctx context.Context) {
	timer := time.NewTimer(emptyPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Close stops the camera and frees the device. Closing twice does nothing.
func (c *Camera) Close() error {
	if c.dev == nil {
		return nil
	}
	dev := c.dev
	c.dev = nil
	if err := dev.Close(); err != nil {
		return fmt.Errorf("close camera %s: %w", c.name, err)
	}
	return nil
}
