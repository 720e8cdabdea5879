package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/facegate/facegate/match/picture"
)

// tooLong is when something on the way out must hang: a disk, or a call into C.
const tooLong = 10 * time.Second

// goMemory is what Go's share of the memory is kept to, in bytes: the largest
// picture, its file, and as much again as the rest takes. C++ has its own share.
const goMemory = picture.MaxMemory + 56<<20

// errSignal is why a daemon that was told to stop stops.
var errSignal = errors.New("told to stop")

// runDaemon runs the kiosk until it is told to stop or something it cannot do
// without fails. Outputs are made safe before anything else, and on every way
// out.
func runDaemon(ctx context.Context, args []string, _ io.Writer) error {
	path, err := configFlag("run", args)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(path)
	if err != nil {
		_ = runSafe(ctx, args, io.Discard) // a wrong key elsewhere must not leave a door open
		return err
	}
	debug.SetMemoryLimit(goMemory)
	log := newLog(cfg.Log)
	takeLibraryLog(log)
	log.Info("starting", "version", version())
	if err := checkBuild(cfg.Board, log); err != nil {
		return fail(exitConfig, err)
	}
	hw, err := openHardware(cfg, log)
	if err != nil {
		return fail(exitConfig, err)
	}
	err = serve(ctx, func(ctx context.Context) (*kiosk, error) { return assemble(ctx, cfg, hw, log) }, log)
	if closeErr := hw.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("make outputs safe: %w", closeErr))
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// serve assembles the kiosk and runs it. Further signals change nothing: the way
// out is bounded, and leaving before it is through would leave the door as it is.
func serve(ctx context.Context, assemble func(context.Context) (*kiosk, error), log *slog.Logger) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case s := <-signals:
			log.Info("stopping", "signal", s.String())
			_, _ = sd.SdNotify(false, sd.SdNotifyStopping)
			stop(errSignal)
		case <-over:
			return
		}
		select {
		case <-time.After(tooLong):
			log.Error("not stopped in time") // ExecStopPost makes the outputs safe
			os.Exit(exitInternal)
		case <-over:
		}
	}()
	k, err := assembled(ctx, assemble)
	if k == nil && ctx.Err() != nil { // what broke off because of that is no failure
		log.Info("stopped while starting", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	return k.run(ctx, stop)
}

// assembled assembles the kiosk. If ctx ends meanwhile and what is being done,
// such as loading models in C, does not end soon, it returns nil: nothing is
// under way yet, and the outputs are safe.
func assembled(ctx context.Context, assemble func(context.Context) (*kiosk, error)) (*kiosk, error) {
	type result struct {
		k   *kiosk
		err error
	}
	done := make(chan result, 1)
	go func() {
		k, err := assemble(ctx)
		done <- result{k, err}
	}()
	select {
	case r := <-done:
		return r.k, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.k, r.err
	case <-time.After(lineEnds):
		return nil, nil
	}
}
