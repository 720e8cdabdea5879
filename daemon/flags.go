package main

import (
	"flag"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
)

// newFlags returns a flag set that reports its errors through usageError.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// configFlag parses a command line that consists of --config FILE.
func configFlag(name string, args []string) (string, error) {
	f := newFlags(name)
	path := f.String("config", "", "")
	if err := f.Parse(args); err != nil {
		return "", usageError("%s: %v", name, err)
	}
	if *path == "" || f.NArg() > 0 {
		return "", usageError("%s: give --config FILE and nothing else", name)
	}
	return *path, nil
}

// newLog returns the program's log. Under systemd the journal knows the time.
func newLog(c config.Log) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration was validated
	options := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// takeLibraryLog makes lines of our log of what libraries write with package
// log: periph tells some errors of a GPIO line in no other way.
func takeLibraryLog(log *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{log})
}

// A libraryLog is where libraries write a line at a time.
type libraryLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l libraryLog) Write(line []byte) (int, error) {
	l.log.Warn("library complains", "err", strings.TrimSpace(string(line)))
	return len(line), nil
}
