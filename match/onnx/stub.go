//go:build !cgo || !linux || !(amd64 || arm64)

package onnx

import "errors"

// loader stands in for ONNX Runtime in a build without it.
func loader(string, int) (func(string, signature) (*network, error), error) {
	return nil, errors.New("this facegate was built without it: it needs a 64-bit processor and cgo " +
		"(use match.engine: dlib, or a release for amd64 or arm64)")
}
