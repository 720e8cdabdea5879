package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/facegate/facegate/daemon/internal/config"
)

// runSafe drives every output that the configuration names to its safe level,
// for ExecStopPost and after a kill. One line that cannot be had does not
// keep the others from being made safe. A configuration with problems
// elsewhere is good enough; a line of which the file does not say what it is
// is left alone, for its safe level is in doubt.
func runSafe(_ context.Context, args []string, out io.Writer) error {
	path, err := configFlag("safe", args)
	if err != nil {
		return err
	}
	cfg, err := config.Load(path)
	if _, some := errors.AsType[config.Problems](err); err != nil && !some {
		return fail(exitConfig, err)
	}
	if doubts := cfg.Doubts("board"); len(doubts) > 0 {
		return fail(exitConfig, doubts)
	}
	b, err := openBoard(cfg.Board)
	if err != nil {
		return fail(exitConfig, err)
	}
	h := &hardware{board: b}
	var errs []error
	lines := append([]lampLine{{key: "door.output", line: cfg.Door.Output}}, lampLines(cfg.Lamps)...)
	for _, l := range lines {
		if doubts := cfg.Doubts(l.key); len(doubts) > 0 {
			errs = append(errs, doubts)
			continue
		}
		o, err := h.output(l.key, l.line)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if o != nil {
			_, _ = fmt.Fprintf(out, "%s: %v: off\n", l.key, halLine(l.line))
		}
	}
	if err := errors.Join(append(errs, h.Close())...); err != nil {
		return fail(exitInternal, err)
	}
	return nil
}
