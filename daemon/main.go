// Facegate is a daemon for kiosks and turnstiles: it compares the person in
// front of a camera with the photo on the ID they present, drives lamps and a
// door, and reports one outcome per attempt.
//
//	ID photo ─► attempt ◄── newest frame ◄── camera
//	              │
//	           outcome ─► journal ─► door and lamps
//	                         └─► MQTT, HTTP, metrics
//
// This package has the commands and the wiring. It is the only one that
// knows every driver.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Exit statuses. Those from 64 on are the ones of sysexits.h.
const (
	exitOK       = 0
	exitNoMatch  = 1  // verify: other persons
	exitUnsure   = 10 // verify: between the thresholds
	exitUnusable = 11 // verify: a picture that cannot be used
	exitUsage    = 64 // the command line is wrong
	exitInternal = 70 // something failed that should not
	exitConfig   = 78 // the configuration, or something it names, is wrong
)

// A failure is an error with the status to exit with.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(status int, err error) error { return &failure{status, err} }

// usageError is a command line that says something else than it may.
func usageError(format string, a ...any) error {
	return fail(exitUsage, fmt.Errorf(format+` (try "facegate help")`, a...))
}

// A command is one word after "facegate".
type command struct {
	name, args, what string
	run              func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "--config FILE", "run the daemon", runDaemon},
		{"check", "--config FILE", "report every problem of a configuration", runCheck},
		{"verify", "[--json] ID.jpg LIVE.jpg ...", "compare the face on an ID with live pictures", runVerify},
		{"models", "list | pull | verify", "list, fetch or check model files", runModels},
		{"ledger", "[--json] --config FILE", "sum up the calls of compare services", runLedger},
		{"safe", "--config FILE", "drive every output to its safe level", runSafe},
		{"sim-board", "--socket PATH", "run a simulated board", runSimBoard},
		{"cloudsim", "--dir DIR", "imitate the compare services", runCloudSim},
		{"version", "", "print the version", runVersion},
	}
}

func main() {
	os.Exit(dispatch(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch runs the command that args name and returns the exit status.
func dispatch(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		help(errs)
		return exitUsage
	}
	if slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		help(out)
		return exitOK
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		_, _ = fmt.Fprintf(errs, "facegate: unknown command %q\n", args[0])
		help(errs)
		return exitUsage
	}
	err := all[i].run(ctx, args[1:], out)
	if err == nil {
		return exitOK
	}
	status := exitInternal
	if f, ok := errors.AsType[*failure](err); ok {
		status = f.status
	}
	if err.Error() != "" {
		_, _ = fmt.Fprintf(errs, "facegate: %v\n", err)
	}
	return status
}

func help(w io.Writer) {
	_, _ = fmt.Fprintln(w, "usage: facegate COMMAND")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-10s %-30s %s\n", c.name, c.args, c.what)
	}
	_, _ = fmt.Fprintln(w, "exit status: 0 ok; verify: 1 no match, 10 unsure, 11 a picture cannot be used; 64 usage, 70 internal, 78 configuration")
}

func runVersion(_ context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return usageError("version takes no arguments")
	}
	_, err := fmt.Fprintln(out, "facegate", version())
	return err
}
