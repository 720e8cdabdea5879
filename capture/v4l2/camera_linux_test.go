package v4l2

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/capture"
)

// fakeDevice plays the camera library. Its one buffer is overwritten when it
// is released, as a real driver's is.
type fakeDevice struct {
	formats   map[webcam.PixelFormat]string
	sizes     map[webcam.PixelFormat][]webcam.FrameSize
	setErr    error
	startErr  error
	waits     []error // results of WaitForFrame; nil once they are used up
	frames    []any   // []byte or error
	calls     []string
	buffers   uint32
	fps       float32
	buffer    []byte
	releases  int
	closed    int
	afterWait func()
}

func (d *fakeDevice) GetSupportedFormats() map[webcam.PixelFormat]string { return d.formats }

func (d *fakeDevice) GetSupportedFrameSizes(f webcam.PixelFormat) []webcam.FrameSize {
	return d.sizes[f]
}

func (d *fakeDevice) SetImageFormat(f webcam.PixelFormat, w, h uint32) (webcam.PixelFormat, uint32, uint32, error) {
	d.calls = append(d.calls, "set "+fourCC(f).String())
	return f, w, h, d.setErr
}

func (d *fakeDevice) SetFramerate(fps float32) error {
	d.fps = fps
	return errors.New("one rate only")
}

func (d *fakeDevice) SetBufferCount(n uint32) error {
	d.buffers = n
	return nil
}

func (d *fakeDevice) StartStreaming() error {
	d.calls = append(d.calls, "start")
	return d.startErr
}

func (d *fakeDevice) WaitForFrame(seconds uint32) error {
	if d.afterWait != nil {
		defer d.afterWait()
	}
	if len(d.waits) == 0 {
		return nil
	}
	err := d.waits[0]
	d.waits = d.waits[1:]
	return err
}

func (d *fakeDevice) GetFrame() ([]byte, uint32, error) {
	if len(d.frames) == 0 {
		return nil, 0, unix.ENODEV
	}
	next := d.frames[0]
	d.frames = d.frames[1:]
	if err, ok := next.(error); ok {
		return nil, 0, err
	}
	d.buffer = bytes.Clone(next.([]byte))
	return d.buffer, 3, nil
}

func (d *fakeDevice) ReleaseFrame(index uint32) error {
	if index != 3 {
		return unix.EINVAL
	}
	d.releases++
	for i := range d.buffer {
		d.buffer[i] = 0xee
	}
	return nil
}

func (d *fakeDevice) Close() error {
	d.closed++
	return nil
}

func formats(codes ...fourCC) map[webcam.PixelFormat]string {
	out := map[webcam.PixelFormat]string{}
	for _, c := range codes {
		out[webcam.PixelFormat(c)] = c.String()
	}
	return out
}

func read(p pixFormat) func() (pixFormat, error) {
	return func() (pixFormat, error) { return p, nil }
}

func TestStartReadsTheRealSizeBack(t *testing.T) {
	dev := &fakeDevice{formats: formats(codeYUYV)}
	c, err := start(dev, Config{Format: "auto", Width: 640, Height: 480, FPS: 15},
		read(pixFormat{width: 352, height: 288, pixelFormat: uint32(codeYUYV), bytesPerLine: 768, sizeImage: 768 * 288}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Mode{capture.YUYV, 352, 288, 768, true}); c.Mode() != want {
		t.Errorf("mode %+v, want %+v", c.Mode(), want)
	}
	if dev.buffers != 4 || dev.fps != 15 {
		t.Errorf("%d buffers, %v frames a second", dev.buffers, dev.fps)
	}
}

func TestStartPrefersTheFormatWithTheSize(t *testing.T) {
	dev := &fakeDevice{
		formats: formats(codeYUYV, codeMJPG),
		sizes: map[webcam.PixelFormat][]webcam.FrameSize{
			webcam.PixelFormat(codeYUYV): {{MinWidth: 320, MaxWidth: 320, MinHeight: 240, MaxHeight: 240}},
			webcam.PixelFormat(codeMJPG): {{MinWidth: 160, MaxWidth: 1280, StepWidth: 16, MinHeight: 120, MaxHeight: 960, StepHeight: 8}},
		},
	}
	c, err := start(dev, Config{Format: "auto", Width: 640, Height: 480},
		read(pixFormat{width: 640, height: 480, pixelFormat: uint32(codeMJPG), bytesPerLine: 0, sizeImage: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Mode{capture.JPEG, 640, 480, 0, false}); c.Mode() != want || dev.fps != 0 {
		t.Errorf("mode %+v, want %+v; %v frames a second", c.Mode(), want, dev.fps)
	}
}

func TestNarrowIsWhatTheDriverSays(t *testing.T) {
	const limited = 2 // V4L2_QUANTIZATION_LIM_RANGE
	for _, test := range []struct {
		colorspace, quantization uint32
		want                     bool
	}{
		{0, 0, true}, {7, 0, false}, {8, 0, true}, {0, 1, false}, {7, 1, false}, {0, limited, true}, {7, limited, true},
	} {
		if got := (pixFormat{colorspace: test.colorspace, quantization: test.quantization}).narrow(); got != test.want {
			t.Errorf("colour space %d, quantization %d: %v, want %v", test.colorspace, test.quantization, got, test.want)
		}
	}
}

func TestStartRefusesWhatTheDriverMadeOfIt(t *testing.T) {
	good := pixFormat{width: 640, height: 480, pixelFormat: uint32(codeYUYV), bytesPerLine: 1280}
	with := func(change func(*pixFormat)) pixFormat {
		p := good
		change(&p)
		return p
	}
	for _, test := range []struct {
		got  pixFormat
		want string
	}{
		{with(func(p *pixFormat) { p.pixelFormat = uint32(codeMJPG) }), "delivers MJPG instead of YUYV"},
		{with(func(p *pixFormat) { p.width = 0 }), "delivers 0x480 pixels"},
		{with(func(p *pixFormat) { p.height = 1 << 31 }), "pixels"},
		{with(func(p *pixFormat) { p.bytesPerLine = 1278 }), "rows of 1278 bytes for 640 pixels"},
		{with(func(p *pixFormat) { p.bytesPerLine = 1 << 31 }), "rows of"},
	} {
		_, err := start(&fakeDevice{formats: formats(codeYUYV)}, Config{Format: "yuyv", Width: 640, Height: 480}, read(test.got))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestStartStopsAtTheFirstFault(t *testing.T) {
	good := read(pixFormat{width: 640, height: 480, pixelFormat: uint32(codeYUYV)})
	busy := &fakeDevice{formats: formats(codeYUYV), setErr: unix.EBUSY}
	_, err := start(busy, Config{Format: "auto", Width: 640, Height: 480}, good)
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("busy: %v", err)
	}
	if text := explain("/dev/video0", err).Error(); !strings.Contains(text, "another program holds it (see fuser -v /dev/video0)") {
		t.Errorf("busy: %s", text)
	}
	silent := &fakeDevice{formats: formats(codeYUYV), startErr: errors.New("no space left on device")}
	_, err = start(silent, Config{Format: "auto", Width: 640, Height: 480}, good)
	if err == nil || !strings.Contains(err.Error(), "no space left on device") || len(silent.calls) != 2 {
		t.Errorf("start: %v, calls %q", err, silent.calls)
	}
	failing := func() (pixFormat, error) { return pixFormat{}, unix.EINVAL }
	if _, err := start(&fakeDevice{formats: formats(codeYUYV)}, Config{Format: "auto", Width: 640, Height: 480}, failing); !errors.Is(err, unix.EINVAL) {
		t.Errorf("read back: %v", err)
	}
}

func TestCheckCaps(t *testing.T) {
	for _, test := range []struct {
		name string
		caps capability
		want string // empty: a camera
	}{
		{"USB camera", capability{capabilities: 0x84a00001, deviceCaps: 0x04200001}, ""},
		{"its metadata", capability{capabilities: 0x84a00001, deviceCaps: 0x04a00000}, "metadata"},
		{"old driver", capability{capabilities: capCapture | capStreaming}, ""},
		{"read only", capability{capabilities: capCapture}, "can't stream"},
		{"board camera", capability{capabilities: capDeviceCaps, deviceCaps: capMultiPlanar | capStreaming}, "multi-planar"},
		{"codec", capability{capabilities: capDeviceCaps, deviceCaps: 0x04008000}, "not a camera"},
	} {
		err := checkCaps(test.caps.node())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func yuyv(dev *fakeDevice) *Camera {
	return &Camera{name: "/dev/video0", dev: dev, mode: Mode{capture.YUYV, 2, 2, 6, false}}
}

func TestReadCopiesBeforeReleasing(t *testing.T) {
	whole := []byte{1, 2, 3, 4, 0, 0, 5, 6, 7, 8}
	dev := &fakeDevice{frames: []any{append(whole, 9, 9)}}
	var f capture.Frame
	if err := yuyv(dev).Read(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Data, whole) || dev.releases != 1 {
		t.Errorf("data %v, want %v; %d releases", f.Data, whole, dev.releases)
	}
	if f.Seq != 1 || f.Time.IsZero() || f.Format != capture.YUYV || f.Width != 2 || f.Height != 2 || f.Stride != 6 {
		t.Errorf("frame %+v", f)
	}
}

func TestReadReusesRoom(t *testing.T) {
	c := yuyv(&fakeDevice{frames: []any{make([]byte, 10)}})
	f := capture.Frame{Data: make([]byte, 3, 64)}
	room := &f.Data[0]
	if err := c.Read(t.Context(), &f); err != nil || &f.Data[0] != room {
		t.Errorf("%v; reused %v", err, &f.Data[0] == room)
	}
}

func TestReadSkipsDamagedFrames(t *testing.T) {
	dev := &fakeDevice{frames: []any{[]byte{}, make([]byte, 9), make([]byte, 10)}}
	c := yuyv(dev)
	var f capture.Frame
	if err := c.Read(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	if f.Seq != 3 || c.Skipped() != 2 || dev.releases != 3 {
		t.Errorf("seq %d, %d skipped, %d releases", f.Seq, c.Skipped(), dev.releases)
	}
	dev = &fakeDevice{frames: []any{
		[]byte{0, 0xd8, 1, 2, 0xff, 0xd9},       // no beginning
		[]byte{0xff, 0xd8, 1, 2, 3},             // no end
		[]byte{0xff, 0xd8, 1, 0xff, 0xd9, 0, 0}, // padded
	}}
	c = &Camera{dev: dev, mode: Mode{Format: capture.JPEG, Width: 640, Height: 480}}
	if err := c.Read(t.Context(), &f); err != nil || f.Seq != 3 || c.Skipped() != 2 {
		t.Errorf("%v: seq %d, %d skipped", err, f.Seq, c.Skipped())
	}
}

// What the driver flags may look whole: a JPEG that lacks a part in the middle.
func TestReadSkipsFlaggedFrames(t *testing.T) {
	whole := []byte{0xff, 0xd8, 1, 0xff, 0xd9}
	dev := &fakeDevice{frames: []any{whole, whole, whole}}
	asked := 0
	c := &Camera{dev: dev, mode: Mode{Format: capture.JPEG, Width: 640, Height: 480}, flagged: func() []uint32 {
		asked++
		return [][]uint32{{1, 3}, {3}, {0, 2}}[asked-1] // the buffer that comes is 3
	}}
	var f capture.Frame
	if err := c.Read(t.Context(), &f); err != nil || f.Seq != 3 || c.Skipped() != 2 || dev.releases != 3 {
		t.Errorf("%v: seq %d, %d skipped, %d releases", err, f.Seq, c.Skipped(), dev.releases)
	}
}

func TestFrameSizes(t *testing.T) {
	for _, test := range []struct {
		mode Mode
		want int
	}{
		{Mode{capture.YUYV, 640, 480, 1280, false}, 614400},
		{Mode{capture.YUYV, 3, 2, 10, false}, 18},
		{Mode{capture.NV12, 640, 480, 640, false}, 460800},
		{Mode{capture.NV12, 3, 3, 6, false}, 28},
		{Mode{capture.Grey, 640, 480, 640, false}, 307200},
		{Mode{capture.JPEG, 640, 480, 0, false}, 0},
	} {
		if got := test.mode.size(); got != test.want {
			t.Errorf("%+v: %d bytes, want %d", test.mode, got, test.want)
		}
	}
}

func TestReadReportsLostDevice(t *testing.T) {
	for name, dev := range map[string]*fakeDevice{
		"unplugged":  {frames: []any{unix.ENODEV}},
		"broken":     {frames: []any{unix.EIO}},
		"in trouble": {frames: []any{unix.EINVAL}},
		"poll":       {waits: []error{unix.EBADF}},
	} {
		err := yuyv(dev).Read(t.Context(), new(capture.Frame))
		if !errors.Is(err, capture.ErrGone) || !strings.Contains(err.Error(), "/dev/video0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Poll wakes at once when a device is in trouble, without a frame.
func TestReadDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &fakeDevice{}
		for range 2 * maxEmpty {
			dev.frames = append(dev.frames, unix.EAGAIN)
		}
		begin := time.Now()
		err := yuyv(dev).Read(t.Context(), new(capture.Frame))
		if !errors.Is(err, capture.ErrGone) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != maxEmpty*emptyPause {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestReadEndsWithContext(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	dev := &fakeDevice{waits: []error{new(webcam.Timeout), new(webcam.Timeout), new(webcam.Timeout)}}
	dev.afterWait = func() {
		if len(dev.waits) == 1 {
			cancel(stop)
		}
	}
	if err := yuyv(dev).Read(ctx, new(capture.Frame)); err != stop {
		t.Errorf("error %v, want the cause", err)
	}
	if len(dev.waits) != 1 {
		t.Errorf("%d waits left, want 1", len(dev.waits))
	}
}

func TestCloseTwice(t *testing.T) {
	dev := &fakeDevice{}
	c := yuyv(dev)
	if err := errors.Join(c.Close(), c.Close()); err != nil || dev.closed != 1 {
		t.Errorf("%v, closed %d times", err, dev.closed)
	}
	if err := c.Read(t.Context(), new(capture.Frame)); err == nil {
		t.Error("read from a closed camera")
	}
}

func TestOpenNamesTheDevice(t *testing.T) {
	_, err := Open(t.Context(), Config{Device: "/nonexistent/video9", Format: "auto", Width: 640, Height: 480})
	if err == nil || !strings.HasPrefix(err.Error(), "open camera /nonexistent/video9: no such device") {
		t.Errorf("error %v", err)
	}
	_, err = Open(t.Context(), Config{Device: "/dev/null", Format: "auto", Width: 640, Height: 480})
	if err == nil || !strings.HasPrefix(err.Error(), "open camera /dev/null: not a video device") {
		t.Errorf("error %v", err)
	}
}
