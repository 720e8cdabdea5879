package main

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
)

// version is the module's version, or the commit it was built from. A program
// that was broken on purpose says so wherever it says its version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if tags := brokenTags(info.Settings); len(tags) > 0 {
		return fmt.Sprintf("%s (BROKEN ON PURPOSE: %s)", versionOf(info), strings.Join(tags, ", "))
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// brokenTags returns the build tags that break a program on purpose, so that
// the kill tests can be shown to notice. All begin with the same word.
func brokenTags(settings []debug.BuildSetting) []string {
	var broken []string
	for _, s := range settings {
		if s.Key != "-tags" {
			continue
		}
		for tag := range strings.SplitSeq(s.Value, ",") {
			if strings.HasPrefix(tag, "broken") {
				broken = append(broken, tag)
			}
		}
	}
	return broken
}

// checkBuild warns of a program that was broken on purpose, and keeps it from
// the outputs of a real board.
func checkBuild(b config.Board, log *slog.Logger) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	tags := brokenTags(info.Settings)
	if len(tags) == 0 {
		return nil
	}
	log.Error("program broken on purpose", "tags", tags)
	if b.Driver == "gpio" {
		return fmt.Errorf("board.driver: a program built with %s drives no real board (build it without)", strings.Join(tags, ", "))
	}
	return nil
}
