//go:build dlib && cgo

package dlib

// #cgo LDFLAGS: -ljpeg
// #include "jpeg.h"
import "C"

import (
	"bytes"
	"errors"
	"image"
	"unsafe"

	"github.com/facegate/facegate/match/picture"
)

// encode writes img as a JPEG of three components with libjpeg-turbo, which
// go-face links in any case and which takes a fifth of image/jpeg's time.
func encode(img image.Image, quality int) ([]byte, error) {
	img = picture.Plain(img)
	b := img.Bounds()
	var in planes
	switch m := img.(type) {
	case *image.RGBA:
		in = planes{luma: m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], stride: m.Stride}
	case *image.Gray:
		neutral := bytes.Repeat([]byte{128}, b.Dx()) // for every row, hence a chroma stride of 0
		in = planes{luma: m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], stride: m.Stride, cb: neutral, cr: neutral}
	case *image.YCbCr:
		at := m.COffset(b.Min.X, b.Min.Y)
		in = planes{m.Y[m.YOffset(b.Min.X, b.Min.Y):], m.Cb[at:], m.Cr[at:], m.YStride, m.CStride, 0, 0}
		in.right, in.down = shifts(m.SubsampleRatio)
	}
	var size C.ulong
	out := C.facegate_jpeg(start(in.luma), start(in.cb), start(in.cr),
		C.int(in.stride), C.int(in.chromaStride), C.int(in.right), C.int(in.down),
		C.int(b.Min.X%(1<<in.right)), C.int(b.Min.Y%(1<<in.down)),
		C.int(b.Dx()), C.int(b.Dy()), C.int(quality), &size)
	if out == nil {
		return nil, errors.New("libjpeg refuses the picture, or there is no memory")
	}
	defer C.free(unsafe.Pointer(out))
	return C.GoBytes(unsafe.Pointer(out), C.int(size)), nil
}

// planes are what facegate_jpeg reads.
type planes struct {
	luma, cb, cr         []byte // each from the first pixel on
	stride, chromaStride int
	right, down          int
}

// start returns the address of the first byte, and nil if there is none.
func start(b []byte) *C.uchar { return (*C.uchar)(unsafe.SliceData(b)) }

// shifts returns by how many bits a place in the luma is shifted for the one
// in the chroma.
func shifts(r image.YCbCrSubsampleRatio) (right, down int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 1, 0
	case image.YCbCrSubsampleRatio420:
		return 1, 1
	case image.YCbCrSubsampleRatio440:
		return 0, 1
	case image.YCbCrSubsampleRatio411:
		return 2, 0
	case image.YCbCrSubsampleRatio410:
		return 2, 1
	}
	return 0, 0
}
