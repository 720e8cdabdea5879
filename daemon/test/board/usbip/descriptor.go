package usbip

import (
	"encoding/binary"
	"unicode/utf16"
)

// Descriptor types and classes, include/uapi/linux/usb/ch9.h and video.h.
const (
	typeDevice        = 0x01
	typeConfiguration = 0x02
	typeString        = 0x03
	typeInterface     = 0x04
	typeEndpoint      = 0x05
	typeAssociation   = 0x0b
	typeVideo         = 0x24 // CS_INTERFACE

	classVideo        = 0x0e
	subclassControl   = 1
	subclassStreaming = 2
	subclassBoth      = 3 // of the association

	interfaceCount  = 2
	streamInterface = 1
	streamEndpoint  = 0x81 // 1, towards the host
	packetSize      = 512  // of a bulk endpoint at high speed

	clockFrequency = 1_000_000 // of the time in the payloads, in Hz
)

// The terminals of the camera: what sees, and what goes out.
const (
	lens = 1
	plug = 2
)

// guidYUY2 names YUYV, UVC_GUID_FORMAT_YUY2 of the kernel.
const guidYUY2 = "YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"

// descriptor puts its length before a descriptor.
func descriptor(parts ...[]byte) []byte {
	d := []byte{0}
	for _, p := range parts {
		d = append(d, p...)
	}
	d[0] = byte(len(d))
	return d
}

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// deviceDescriptor has the three texts of [Camera.text].
func (c *Camera) deviceDescriptor() []byte {
	return descriptor([]byte{typeDevice}, le16(0x0200), // USB 2.0
		[]byte{0xef, 2, 1, 64}, // the interfaces say what it is, USB_CLASS_MISC; packets of endpoint 0
		le16(int(c.config.Vendor)), le16(int(c.config.Product)), le16(0x0100), []byte{1, 2, 3, 1})
}

// text is a string descriptor.
func (c *Camera) text(index byte) ([]byte, bool) {
	switch index {
	case 0:
		return descriptor([]byte{typeString}, le16(0x0409)), true // English
	case 1, 2, 3:
		var d []byte
		for _, u := range utf16.Encode([]rune([]string{"facegate", "camera", c.config.Serial}[index-1])) {
			d = append(d, le16(int(u))...)
		}
		return descriptor([]byte{typeString}, d), true
	}
	return nil, false
}

// configuration is all that the kernel learns of the camera.
func configuration() []byte {
	camera := descriptor([]byte{typeVideo, 2, lens}, le16(0x0201), // UVC_VC_INPUT_TERMINAL, UVC_ITT_CAMERA
		make([]byte, 8), []byte{3, 0, 0, 0}) // neither zoom nor controls
	out := descriptor([]byte{typeVideo, 3, plug}, le16(0x0101), []byte{0, lens, 0}) // UVC_VC_OUTPUT_TERMINAL, UVC_TT_STREAMING
	const headSize = 13
	head := descriptor([]byte{typeVideo, 1}, le16(0x0110), // UVC_VC_HEADER, UVC 1.1
		le16(headSize+len(camera)+len(out)), le32(clockFrequency), []byte{1, streamInterface})
	rest := descriptor([]byte{typeAssociation, 0, interfaceCount, classVideo, subclassBoth, 0, 2})
	rest = append(rest, descriptor([]byte{typeInterface, 0, 0, 0, classVideo, subclassControl, 0, 0})...)
	rest = append(append(append(rest, head...), camera...), out...)
	rest = append(rest, descriptor([]byte{typeInterface, streamInterface, 0, 1, classVideo, subclassStreaming, 0, 0})...)
	rest = append(rest, formats()...)
	rest = append(rest, descriptor([]byte{typeEndpoint, streamEndpoint, 2}, le16(packetSize), []byte{0})...)
	const size, busPowered, power500mA = 9, 0x80, 250
	c := descriptor([]byte{typeConfiguration}, le16(size+len(rest)), []byte{interfaceCount, 1, 0, busPowered, power500mA})
	return append(c, rest...)
}

// formats describes the streaming interface.
func formats() []byte {
	var all []byte
	for i, encoding := range encodings() {
		index := byte(i + 1)
		frame := byte(7) // UVC_VS_FRAME_MJPEG
		if encoding == MJPEG {
			all = append(all, descriptor([]byte{typeVideo, 6, index, byte(len(sizes())), 0, 1, 0, 0, 0, 0})...) // UVC_VS_FORMAT_MJPEG
		} else {
			frame = 5 // UVC_VS_FRAME_UNCOMPRESSED
			all = append(all, descriptor([]byte{typeVideo, 4, index, byte(len(sizes()))}, []byte(guidYUY2),
				[]byte{16, 1, 0, 0, 0, 0})...) // UVC_VS_FORMAT_UNCOMPRESSED
		}
		for j, size := range sizes() {
			m := Mode{Width: size[0], Height: size[1]}
			d := [][]byte{{typeVideo, frame, byte(j + 1), 0}, le16(m.Width), le16(m.Height),
				le32(8 * m.bytes()), le32(8 * m.bytes() * fastest), le32(m.bytes()), le32(interval(fastest)), {byte(len(rates()))}}
			for _, fps := range rates() {
				d = append(d, le32(interval(fps)))
			}
			all = append(all, descriptor(d...)...)
		}
		all = append(all, descriptor([]byte{typeVideo, 13, 1, 1, 4})...) // UVC_VS_COLORFORMAT
	}
	const headSize = 13 + 2
	head := descriptor([]byte{typeVideo, 1, byte(len(encodings()))}, le16(headSize+len(all)), // UVC_VS_INPUT_HEADER
		[]byte{streamEndpoint, 0, plug, 0, 0, 0, 1, 0, 0})
	return append(head, all...)
}
