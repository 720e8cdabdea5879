package v4l2

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capability flags, videodev2.h: V4L2_CAP_*.
const (
	capCapture     = 0x00000001 // V4L2_CAP_VIDEO_CAPTURE
	capMultiPlanar = 0x00001000 // V4L2_CAP_VIDEO_CAPTURE_MPLANE
	capMetadata    = 0x00800000 // V4L2_CAP_META_CAPTURE
	capStreaming   = 0x04000000 // V4L2_CAP_STREAMING
	capDeviceCaps  = 0x80000000 // V4L2_CAP_DEVICE_CAPS
)

// capability is struct v4l2_capability of videodev2.h.
type capability struct {
	driver       [16]byte
	card         [32]byte
	busInfo      [32]byte
	version      uint32
	capabilities uint32 // of the whole device
	deviceCaps   uint32 // of this node, if capDeviceCaps is among the above
	reserved     [3]uint32
}

// node returns the capabilities of the node that was asked.
func (c capability) node() uint32 {
	if c.capabilities&capDeviceCaps != 0 {
		return c.deviceCaps
	}
	return c.capabilities
}

// pixFormat is struct v4l2_pix_format of videodev2.h.
type pixFormat struct {
	width        uint32
	height       uint32
	pixelFormat  uint32
	field        uint32
	bytesPerLine uint32
	sizeImage    uint32
	colorspace   uint32
	priv         uint32
	flags        uint32
	encoding     uint32
	quantization uint32
	transfer     uint32
}

// narrow says whether luma and chroma leave room at both ends. A driver that
// says nothing of it means so, but for the colours of JPEG:
// V4L2_MAP_QUANTIZATION_DEFAULT of videodev2.h.
func (p pixFormat) narrow() bool {
	const (
		colorspaceJPEG = 7 // V4L2_COLORSPACE_JPEG
		byDefault      = 0 // V4L2_QUANTIZATION_DEFAULT
		fullRange      = 1 // V4L2_QUANTIZATION_FULL_RANGE
	)
	return p.quantization != fullRange && (p.quantization != byDefault || p.colorspace != colorspaceJPEG)
}

// Of buffers, videodev2.h.
const (
	bufTypeCapture = 1      // V4L2_BUF_TYPE_VIDEO_CAPTURE
	memoryMapped   = 1      // V4L2_MEMORY_MMAP
	flagError      = 0x0040 // V4L2_BUF_FLAG_ERROR
	maxBuffers     = 32     // VIDEO_MAX_FRAME
)

// buffer is struct v4l2_buffer of videodev2.h, with the times that a machine of
// 32 bits had before 2038 was thought of.
type buffer struct {
	index     uint32
	kind      uint32
	bytesUsed uint32
	flags     uint32
	field     uint32
	timestamp [2]uintptr // struct timeval
	timecode  [16]byte
	sequence  uint32
	memory    uint32
	place     uintptr // a union of an offset and pointers
	length    uint32
	_         uint32
	request   int32
}

// format is struct v4l2_format of videodev2.h: a type and a union of 200
// bytes. Another member of the union holds pointers, so that the union is
// aligned like one: 4 bytes of padding stand before it on 64-bit machines and
// none on 32-bit ones.
type format struct {
	kind uint32
	_    [0]uintptr
	pix  pixFormat
	_    [200 - unsafe.Sizeof(pixFormat{})]byte
}

// The direction bits of an ioctl number, asm-generic/ioctl.h. MIPS, PowerPC
// and SPARC differ; the project builds for none of them.
const (
	iocWrite = 1
	iocRead  = 2
)

// request builds the number of V4L2's ioctl nr.
func request(direction, nr, size uintptr) uintptr {
	return direction<<30 | size<<16 | 'V'<<8 | nr
}

func requestQueryCap() uintptr { return request(iocRead, 0, unsafe.Sizeof(capability{})) }
func requestGetFormat() uintptr {
	return request(iocRead|iocWrite, 4, unsafe.Sizeof(format{}))
}

func requestQueryBuffer() uintptr {
	return request(iocRead|iocWrite, 9, unsafe.Sizeof(buffer{}))
}

// A control is a second descriptor on a device, for what the camera library
// doesn't tell. The format belongs to the device, not to the descriptor.
type control struct{ fd int }

func openControl(path string) (control, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return control{fd}, err
		}
	}
}

// lock keeps others of this program from opening the device, until close.
func (c control) lock() error { return unix.Flock(c.fd, unix.LOCK_EX|unix.LOCK_NB) }

func (c control) close() { _ = unix.Close(c.fd) }

// capability asks VIDIOC_QUERYCAP.
func (c control) capability() (capability, error) {
	var out capability
	err := ioctl(c.fd, requestQueryCap(), unsafe.Pointer(&out))
	return out, err
}

// format asks VIDIOC_G_FMT what was really set.
func (c control) format() (pixFormat, error) {
	out := format{kind: bufTypeCapture}
	err := ioctl(c.fd, requestGetFormat(), unsafe.Pointer(&out))
	return out.pix, err
}

// flagged lists the buffers of the stream on a descriptor that are ready to be
// taken and that the driver calls damaged, VIDIOC_QUERYBUF. The flag is gone
// once a buffer is taken: vb2_core_dqbuf of videobuf2-core.c.
func flagged(fd int) []uint32 {
	var all []uint32
	for i := range uint32(maxBuffers) {
		b := buffer{index: i, kind: bufTypeCapture, memory: memoryMapped}
		if err := ioctl(fd, requestQueryBuffer(), unsafe.Pointer(&b)); err != nil {
			break // there are no more, or it is lost, which the frame's reader will learn
		}
		if b.flags&flagError != 0 {
			all = append(all, i)
		}
	}
	return all
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}
