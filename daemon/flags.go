package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
)

// flags are those of a command.
type flags struct {
	*flag.FlagSet
	form string // what follows the command's name on the command line
}

// newFlags returns flags to be filled in and parsed.
func newFlags(name, form string) *flags {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return &flags{f, form}
}

// parse reads a command line. When asked for help it returns that as an error with
// the status of success. A flag behind another word would be taken for a file.
func (f *flags) parse(args []string) error {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return fail(exitOK, errors.New(f.usage()))
	case err != nil:
		return usageError("%s: %v", f.Name(), err)
	}
	if i := slices.IndexFunc(f.Args(), func(word string) bool { return strings.HasPrefix(word, "-") }); i >= 0 {
		return usageError("%s: %s: flags stand before other words", f.Name(), f.Arg(i))
	}
	return nil
}

// usage tells how a command is called, with one line for each flag.
func (f *flags) usage() string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace("usage: facegate " + f.Name() + " " + f.form))
	f.VisitAll(func(o *flag.Flag) {
		value, what := flag.UnquoteUsage(o)
		if o.DefValue != "" && o.DefValue != "false" {
			what += " (default " + o.DefValue + ")"
		}
		fmt.Fprintf(&b, "\n  %-20s %s", strings.TrimSpace("--"+o.Name+" "+value), what)
	})
	return b.String()
}

// configFlag parses a command line that consists of --config FILE.
func configFlag(name string, args []string) (string, error) {
	f := newFlags(name, "--config FILE")
	path := f.String("config", "", "`FILE` with the configuration")
	if err := f.parse(args); err != nil {
		return "", err
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
