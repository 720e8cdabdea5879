package main

import (
	"runtime/debug"
	"slices"
	"testing"
)

func TestBrokenTags(t *testing.T) {
	for tags, want := range map[string][]string{
		"":                            nil,
		"dlib":                        nil,
		"dlib,integration":            nil,
		"unbroken":                    nil,
		"dlib,brokensync":             {"brokensync"},
		"brokenorder,dlib,brokensync": {"brokenorder", "brokensync"},
	} {
		settings := []debug.BuildSetting{{Key: "-compiler", Value: "gc"}, {Key: "-tags", Value: tags}, {Key: "-x", Value: "brokensync"}}
		if got := brokenTags(settings); !slices.Equal(got, want) {
			t.Errorf("brokenTags(%q) = %v, want %v", tags, got, want)
		}
	}
}
