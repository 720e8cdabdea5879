package usbip

import (
	"encoding/binary"
	"slices"
	"time"
)

// An Encoding is how a picture is stored.
type Encoding string

// What the camera offers.
const (
	MJPEG Encoding = "MJPEG"
	YUYV  Encoding = "YUYV"
)

// A Mode is what the kernel has chosen.
type Mode struct {
	Encoding      Encoding
	Width, Height int           // pixels
	Interval      time.Duration // from frame to frame
}

// bytes returns the most that a picture takes, and what one of YUYV takes.
func (m Mode) bytes() int { return 2 * m.Width * m.Height }

// What is on offer: each encoding in each size and rate, the best first.
func encodings() []Encoding { return []Encoding{MJPEG, YUYV} }
func sizes() [][2]int       { return [][2]int{{640, 480}, {320, 240}} }
func rates() []int          { return []int{fastest, 15, 5} }

const fastest = 30 // frames a second

// interval returns the time between frames in the unit of UVC, 100 ns.
func interval(fps int) int { return 10_000_000 / fps }

// maxPayload is what the camera sends at a time. It is as much as uvcvideo
// asks for in one transfer, UVC_MAX_PACKETS of 512 bytes in
// drivers/media/usb/uvc/uvcvideo.h, so that a transfer is a payload.
const maxPayload = 32 * packetSize

// A choice is what is settled with struct uvc_streaming_control.
type choice struct {
	format, frame int // counted from 1, as in the descriptors
	interval      int // in 100 ns
}

func (c choice) mode() Mode {
	size := sizes()[c.frame-1]
	return Mode{
		Encoding: encodings()[c.format-1], Width: size[0], Height: size[1],
		Interval: time.Duration(c.interval) * 100 * time.Nanosecond,
	}
}

// bytes is struct uvc_streaming_control of video.h, as UVC 1.1 has it.
func (c choice) bytes() []byte {
	const size = 34
	m := make([]byte, size)
	m[2], m[3] = byte(c.format), byte(c.frame)
	binary.LittleEndian.PutUint32(m[4:], uint32(c.interval))
	binary.LittleEndian.PutUint32(m[18:], uint32(c.mode().bytes()))
	binary.LittleEndian.PutUint32(m[22:], maxPayload)
	binary.LittleEndian.PutUint32(m[26:], clockFrequency)
	m[30] = 3 // payloads carry the frame's number and its end
	return m
}

// choose reads what the kernel wants, and takes what comes nearest.
func choose(m []byte) (choice, bool) {
	if len(m) < 26 { // of UVC 1.0
		return choice{}, false
	}
	c := choice{
		format: min(max(int(m[2]), 1), len(encodings())),
		frame:  min(max(int(m[3]), 1), len(sizes())),
	}
	want := int(binary.LittleEndian.Uint32(m[4:]))
	c.interval = interval(slices.MinFunc(rates(), func(a, b int) int {
		return abs(interval(a)-want) - abs(interval(b)-want)
	}))
	return c, true
}

func abs(v int) int { return max(v, -v) }

// A request is the setup packet of a control transfer, ch9.h: struct
// usb_ctrlrequest.
type request struct {
	kind   byte // bRequestType
	code   byte // bRequest
	value  int
	index  int
	length int
}

func parseRequest(m [8]byte) request {
	field := func(at int) int { return int(binary.LittleEndian.Uint16(m[at:])) }
	return request{kind: m[0], code: m[1], value: field(2), index: field(4), length: field(6)}
}

// The requests that are answered: kind, then code.
const (
	clearEndpoint    = 0x02<<8 | 0x01
	setConfiguration = 0x00<<8 | 0x09
	setInterface     = 0x01<<8 | 0x0b
	getStatus        = 0x80 << 8
	getDescriptor    = 0x80<<8 | 0x06

	// Of the video class: UVC_SET_CUR and others, to an interface.
	setCurrent = 0x21<<8 | 0x01
	getCurrent = 0xa1<<8 | 0x81
	getMinimum = 0xa1<<8 | 0x82
	getMaximum = 0xa1<<8 | 0x83
	getDefault = 0xa1<<8 | 0x87

	probeControl  = 1 << 8 // UVC_VS_PROBE_CONTROL, the wish
	commitControl = 2 << 8 // UVC_VS_COMMIT_CONTROL, the order
)

// answer carries a control transfer out. What is not known is refused, as a
// device does.
func (l *link) answer(r request, data []byte) ([]byte, int) {
	switch what := int(r.kind)<<8 | int(r.code); what {
	case getDescriptor:
		if d, ok := l.camera.descriptor(r.value); ok {
			return d[:min(len(d), r.length)], statusOK
		}
	case getStatus:
		return make([]byte, min(2, r.length)), statusOK
	case setConfiguration, setInterface:
		l.stop()
		return nil, statusOK
	case clearEndpoint: // tells a bulk camera to stop, uvc_video_stop_streaming in uvc_video.c
		l.camera.stalled = false
		l.stop()
		return nil, statusOK
	case setCurrent, getCurrent, getMinimum, getMaximum, getDefault:
		if r.index == streamInterface && (r.value == probeControl || r.value == commitControl) {
			return l.settle(r, what == setCurrent, data)
		}
	}
	return nil, statusStall
}

// settle carries on what format is sent.
func (l *link) settle(r request, set bool, data []byte) ([]byte, int) {
	if !set {
		if r.code == getCurrent&0xff {
			return l.choice.bytes()[:min(len(l.choice.bytes()), r.length)], statusOK
		}
		m := choice{format: 1, frame: 1, interval: interval(fastest)}.bytes()
		return m[:min(len(m), r.length)], statusOK
	}
	c, ok := choose(data)
	if !ok {
		return nil, statusStall
	}
	l.choice = c
	if r.value == commitControl {
		l.start()
	}
	return nil, statusOK
}

// descriptor returns the one of a kind, in the upper byte, and index.
func (c *Camera) descriptor(value int) ([]byte, bool) {
	switch value >> 8 {
	case typeDevice:
		return c.deviceDescriptor(), true
	case typeConfiguration:
		return configuration(), true
	case typeString:
		return c.text(byte(value))
	}
	return nil, false
}
