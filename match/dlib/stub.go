//go:build !dlib || !cgo

package dlib

import "errors"

// load stands in for go-face in a build without C++.
func load(string, int) (recognizer, error) {
	return nil, errors.New("this facegate was built without dlib (build with make build)")
}
