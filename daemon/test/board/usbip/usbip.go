// Package usbip is a USB webcam without the hardware: a device that the
// kernel's vhci_hcd plugs in over TCP and uvcvideo drives like any other. It
// offers MJPEG and YUYV, and can freeze, hang, stall, send damaged pictures
// and be pulled out.
//
//	board                                   │ host
//	v4l2 ◄─ uvcvideo ◄─ usbcore ◄─ vhci_hcd │◄─ tcp ─ Camera ◄─ Config.Take
//
// The video goes over a bulk endpoint, since a USB/IP connection knows no time
// slots that isochronous transfers would have to keep. For the messages see
// Documentation/usb/usbip_protocol.rst of the kernel, for the camera the USB
// Device Class Definition for Video Devices 1.1, whose names the kernel has in
// include/uapi/linux/usb/video.h.
package usbip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The messages of Documentation/usb/usbip_protocol.rst. All numbers are big
// endian.
const (
	version   = 0x0111
	opRequest = 0x8003 // OP_REQ_IMPORT
	opReply   = 0x0003 // OP_REP_IMPORT

	cmdSubmit = 1 // USBIP_CMD_SUBMIT
	cmdUnlink = 2 // USBIP_CMD_UNLINK
	retSubmit = 3 // USBIP_RET_SUBMIT
	retUnlink = 4 // USBIP_RET_UNLINK

	importSize = 40
	headerSize = 48 // of the four commands alike
)

// Results of a transfer: the kernel's numbers, negative.
const (
	statusOK       = 0
	statusStall    = -32  // EPIPE: the endpoint refuses
	statusOverflow = -75  // EOVERFLOW: more than there is room for
	statusUnlinked = -104 // ECONNRESET: it was taken back
)

// maxTransfer bounds what a transfer may carry. uvcvideo asks for 16 KiB.
const maxTransfer = 1 << 20

// busID is the name of the only device.
const busID = "1-1"

// readImport reads what a connection begins with, and returns which device is
// wanted.
func readImport(r io.Reader) (string, error) {
	var m [importSize]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return "", err
	}
	if v, code := binary.BigEndian.Uint16(m[0:]), binary.BigEndian.Uint16(m[2:]); v != version || code != opRequest {
		return "", fmt.Errorf("request %#04x of version %#04x, want an import", code, v)
	}
	id := m[8:]
	for i, b := range id {
		if b == 0 {
			return string(id[:i]), nil
		}
	}
	return "", errors.New("name of a device without an end")
}

// importReply is OP_REP_IMPORT: the device with its descriptor, or a refusal.
func importReply(device []byte, ok bool) []byte {
	m := binary.BigEndian.AppendUint16(nil, version)
	m = binary.BigEndian.AppendUint16(m, opReply)
	if !ok {
		return binary.BigEndian.AppendUint32(m, 1)
	}

	m = binary.BigEndian.AppendUint32(m, 0)
	m = append(m, pad("/sys/devices/camera", 256)...)
	m = append(m, pad(busID, 32)...)
	m = binary.BigEndian.AppendUint32(m, deviceID>>16)
	m = binary.BigEndian.AppendUint32(m, deviceID&0xffff)
	m = binary.BigEndian.AppendUint32(m, speedHigh)
	for _, at := range []int{8, 10, 12} { // idVendor, idProduct, bcdDevice, which are little endian there
		m = binary.BigEndian.AppendUint16(m, binary.LittleEndian.Uint16(device[at:]))
	}
	m = append(m, device[4:7]...)                   // class, subclass, protocol
	return append(m, 0, device[17], interfaceCount) // no configuration set yet, how many there are, interfaces
}

const (
	deviceID     = 1<<16 | 2 // how the kernel names the device: bus 1, device 2
	speedHigh    = 3         // USB_SPEED_HIGH of include/uapi/linux/usb/ch9.h
	importedSize = 320       // of an OP_REP_IMPORT that grants
)

func pad(text string, size int) []byte {
	m := make([]byte, size)
	copy(m, text)
	return m
}

// A command is USBIP_CMD_SUBMIT or USBIP_CMD_UNLINK.
type command struct {
	seq      uint32
	unlink   bool
	target   uint32 // which one to unlink
	in       bool   // towards the host
	endpoint uint32
	length   int     // bytes at most
	setup    [8]byte // of a control transfer
	data     []byte  // that goes out
}

// readCommand reads the next command.
func readCommand(r io.Reader) (command, error) {
	var m [headerSize]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return command{}, err
	}
	field := func(at int) uint32 { return binary.BigEndian.Uint32(m[at:]) }
	c := command{seq: field(4)}
	switch field(0) {
	case cmdUnlink:
		c.unlink, c.target = true, field(0x14)
		return c, nil
	case cmdSubmit:
	default:
		return command{}, fmt.Errorf("unknown command %d", field(0))
	}
	length, packets := field(0x18), field(0x20)
	if length > maxTransfer {
		return command{}, fmt.Errorf("transfer of %d bytes, at most %d are taken", length, maxTransfer)
	}
	if packets != 0 && packets != 0xffffffff { // the kernel sends 0, the document has 0xffffffff
		return command{}, fmt.Errorf("isochronous transfer of %d packets", packets)
	}
	c.in, c.endpoint, c.length = field(0xc) != 0, field(0x10), int(length)
	copy(c.setup[:], m[0x28:])
	if c.in {
		return c, nil
	}
	c.data = make([]byte, length)
	_, err := io.ReadFull(r, c.data)
	return c, err
}

// header is the beginning of an answer. Length counts what has gone over the
// wire in either direction.
func header(code, seq uint32, status, length int) []byte {
	m := make([]byte, headerSize)
	binary.BigEndian.PutUint32(m[0:], code)
	binary.BigEndian.PutUint32(m[4:], seq)
	binary.BigEndian.PutUint32(m[0x14:], uint32(int32(status)))
	if code == retSubmit {
		binary.BigEndian.PutUint32(m[0x18:], uint32(length))
		binary.BigEndian.PutUint32(m[0x20:], 0xffffffff)
	}
	return m
}
