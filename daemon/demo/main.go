// Demo runs the whole of facegate on real pictures: the daemon with its
// embedded broker, a replayed camera and a simulated board, each a process of
// its own, and an MQTT subscriber beside them. Four people present an ID; the
// program prints what the subscriber hears and what the board's lines do, and
// ends with status 0 only if all four outcomes are right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	o := options{}
	flag.StringVar(&o.program, "facegate", "build/facegate", "the program to show")
	flag.StringVar(&o.models, "models", "build/models", "folder of the model files")
	flag.StringVar(&o.pictures, "pictures", "build/pictures", "folder of the portraits")
	flag.BoolVar(&o.keep, "keep", false, "stay after the four attempts, to be tried by hand")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	program, models, pictures string
	keep                      bool
}

var errWrong = errors.New("not all four outcomes were right")

func run(ctx context.Context, o options) error {
	fmt.Println("drawing the ID cards and filming the people ...")
	s, err := newStage(o)
	if err != nil {
		return err
	}
	defer s.clear()
	if err := s.start(ctx); err != nil {
		return err
	}
	right, err := s.play(ctx)
	if err != nil {
		return err
	}
	if o.keep {
		s.invite()
		<-ctx.Done()
		return nil
	}
	if !right {
		return errWrong
	}
	return nil
}
