package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/hal/sim"
)

// runSimBoard runs a simulated board until it is told to stop. It is a
// process of its own, so that its lines outlive a daemon that is killed.
func runSimBoard(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("sim-board", "--socket PATH [--timeline FILE]")
	socket := f.String("socket", "", "`PATH` to listen on, that of board.socket")
	timeline := f.String("timeline", "", "`FILE` that each change of a line is added to")
	if err := f.parse(args); err != nil {
		return err
	}
	if *socket == "" || f.NArg() > 0 {
		return usageError("sim-board: give --socket PATH and optionally --timeline FILE")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var to io.Writer = io.Discard
	if *timeline != "" {
		file, err := os.OpenFile(*timeline, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return fail(exitConfig, fmt.Errorf("open timeline: %w", err))
		}
		defer func() { _ = file.Close() }()
		to = file
	}
	l, err := sim.Listen(*socket)
	if err != nil {
		return fail(exitConfig, err)
	}
	if _, err := fmt.Fprintln(out, "simulated board on", *socket); err != nil {
		return err
	}
	b := sim.Board{Timeline: to, Log: newLog(config.Default().Log)}
	return b.Serve(ctx, l)
}
