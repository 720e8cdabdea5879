//go:build dlib && cgo

// Package turbo decodes the JPEGs that cameras deliver with libjpeg-turbo, which
// go-face links in any case and which takes a quarter of image/jpeg's time.
//
// It is written in C and sees bytes from outside. So it is asked only for what
// the caller has looked at and made room for, and whatever it complains about is
// left to image/jpeg to judge. Pictures that people hand in are never given to it.
package turbo

// #cgo LDFLAGS: -ljpeg
// #include "turbo.h"
import "C"

import (
	"image"
	"unsafe"
)

// Color decodes a baseline JPEG into img and reports whether it could: it is a
// whole one of just that size and subsampling. The planes of img must have room
// for whole blocks: 8 samples in each direction, 16 of luma where two share chroma.
func Color(data []byte, img *image.YCbCr) bool {
	right, down := 0, 0
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	case image.YCbCrSubsampleRatio422:
		right = 1
	case image.YCbCrSubsampleRatio420:
		right, down = 1, 1
	default:
		return false
	}
	return C.facegate_turbo(start(data), C.ulong(len(data)), start(img.Y), start(img.Cb), start(img.Cr),
		C.int(img.YStride), C.int(img.CStride), C.int(img.Rect.Dx()), C.int(img.Rect.Dy()), C.int(right), C.int(down)) != 0
}

// Gray is Color for pictures without chroma.
func Gray(data []byte, img *image.Gray) bool {
	return C.facegate_turbo(start(data), C.ulong(len(data)), start(img.Pix), nil, nil,
		C.int(img.Stride), 0, C.int(img.Rect.Dx()), C.int(img.Rect.Dy()), 0, 0) != 0
}

// start returns the address of the first byte.
func start(b []byte) *C.uchar { return (*C.uchar)(unsafe.SliceData(b)) }
