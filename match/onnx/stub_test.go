//go:build !cgo || !linux || !(amd64 || arm64)

package onnx

import (
	"strings"
	"testing"
)

func TestStubSaysWhatToDo(t *testing.T) {
	_, err := Open(Options{Set: testSet()})
	if err == nil || !strings.Contains(err.Error(), "match.engine: dlib") {
		t.Errorf("got %v", err)
	}
}
