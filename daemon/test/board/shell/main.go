//go:build linux

// Command shell boots the emulated board with a shell on this terminal, for
// make board-shell. The board is switched off when the shell ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/facegate/facegate/daemon/test/board"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "board:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "board")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	share := board.Share{
		Release: os.Getenv("FACEGATE_RELEASE"), Models: os.Getenv("FACEGATE_MODELS"), Pictures: os.Getenv("FACEGATE_PICTURES"),
		Script: "daemon/test/board/install.sh", Broker: "embedded",
	}
	if err := share.Lay(dir); err != nil {
		return fmt.Errorf("lay out what the board gets: %w", err)
	}
	fmt.Println("Booting. Then: bash /mnt/install.sh; systemctl start film@same facegate. Ctrl-A X switches off.")
	b, err := board.Boot(ctx, board.Config{Dir: os.Getenv("FACEGATE_BOARD"), Share: dir, Prompt: true})
	if err != nil {
		return err
	}
	b.Wait()
	return b.Close()
}
