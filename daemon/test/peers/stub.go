//go:build !peers || !dlib || !cgo

package main

import (
	"context"
	"errors"
	"io"
)

// serve stands in for the peers in Go in a build without them.
func serve(context.Context, string, io.Reader, io.Writer) error {
	return errors.New("built without go-face and facegate's engines (build with make bench-peers)")
}
