//go:build !dlib || !cgo

package dlib

import (
	"strings"
	"testing"
)

func TestStubSaysHowToBuildWithDlib(t *testing.T) {
	_, err := Open(Options{Dir: modelFolder(t)})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got %v", err)
	}
}
