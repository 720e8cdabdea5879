//go:build !dlib || !cgo

// Package turbo decodes nothing in a build without libjpeg-turbo.
package turbo

import "image"

// Color reports that it could not.
func Color([]byte, *image.YCbCr) bool { return false }

// Gray reports that it could not.
func Gray([]byte, *image.Gray) bool { return false }
