//go:build linux

// Command guest works with a journal on a disk of the emulated board, and looks
// at what a power cut has left of it. It runs on the board.
//
//	guest work NAME ATTEMPTS          make a file system, and attempts in it
//	guest again NAME ATTEMPTS         make more attempts in one that is there
//	guest check NAME FILE COUNT       hold the journal to the first COUNT promises in FILE
//
// NAME is the serial number of the disk.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/daemon/test/board/power"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("what, disk and number are wanted")
	}
	disk, err := find(args[1])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[len(args)-1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "work":
		if err := format(disk); err != nil {
			return err
		}
		return work(ctx, disk, n)
	case "again":
		if err := errors.Join(forget(disk), repair(disk)); err != nil {
			return err
		}
		return work(ctx, disk, n)
	case "check":
		return check(ctx, disk, args[2], n)
	}
	return fmt.Errorf("%s: unknown", args[0])
}

// find returns the device with a serial number.
func find(serial string) (string, error) {
	files, err := filepath.Glob("/sys/block/*/serial")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", fmt.Errorf("no disk %s", serial)
}

// format makes a file system with the pages of a larger one, as the disk of a
// kiosk has it.
func format(disk string) error {
	out, err := exec.Command("mkfs.ext4", "-q", "-b", "4096", disk, strconv.Itoa(power.FileSystemBytes/4096)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}

// repair does what Debian does before it mounts a disk at boot. The kernel alone
// refuses a file system whose log ends in a commit that was written in part.
func repair(disk string) error {
	const corrected = 1 // of e2fsck's exit statuses, see e2fsck(8)
	out, err := exec.Command("e2fsck", "-p", disk).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == corrected {
		return nil
	}
	if err != nil {
		return fmt.Errorf("e2fsck: %w: %s", err, out)
	}
	return nil
}

// within mounts the disk and has do use it.
func within(disk string, do func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("/run", "power")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := unix.Mount(disk, dir, "ext4", 0, "data=ordered,barrier=1,errors=remount-ro"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return errors.Join(do(dir), unmount(dir))
}

// unmount gives a journal that does not wait for the disk the time to come to
// its end.
func unmount(dir string) error {
	const tries = 50
	err := unix.Unmount(dir, 0)
	for try := 0; errors.Is(err, unix.EBUSY) && try < tries; try++ {
		time.Sleep(20 * time.Millisecond)
		err = unix.Unmount(dir, 0)
	}
	if err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	return nil
}

func work(ctx context.Context, disk string, attempts int) error {
	marker, err := power.NewMarker(disk)
	if err != nil {
		return err
	}
	defer marker.Close()
	return within(disk, func(dir string) error {
		unix.Sync()
		if err := marker.Promise(power.Promise{Kept: power.Mounted}); err != nil {
			return err
		}
		return power.Work(ctx, filepath.Join(dir, "journal.db"), attempts, marker.Promise)
	})
}

func check(ctx context.Context, disk, file string, n int) error {
	promises, err := read(file, n)
	if err != nil {
		return err
	}
	if err := errors.Join(forget(disk), repair(disk)); err != nil {
		return err
	}
	var report power.Report
	err = within(disk, func(dir string) error {
		report = power.Check(ctx, filepath.Join(dir, "journal.db"), promises)
		return healthy(disk)
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// read reads the first n promises in file.
func read(file string, n int) ([]power.Promise, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := make([]power.Promise, n)
	for i, d := 0, json.NewDecoder(bufio.NewReader(f)); i < n; i++ {
		if err := d.Decode(&all[i]); err != nil {
			return nil, fmt.Errorf("promise %d: %w", i, err)
		}
	}
	return all, nil
}

// forget makes the kernel forget what it has read of the disk, which the host
// has written to since.
func forget(disk string) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0)
}

// healthy fails if the kernel found fault with the file system.
func healthy(disk string) error {
	data, err := os.ReadFile(filepath.Join("/sys/fs/ext4", filepath.Base(disk), "errors_count"))
	if err != nil {
		return err
	}
	if n := strings.TrimSpace(string(data)); n != "0" {
		return fmt.Errorf("%s errors of the file system", n)
	}
	return nil
}
