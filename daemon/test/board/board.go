//go:build linux

// Package board runs an emulated ARM64 board: a Debian kernel with a V4L2
// driver (vivid), a GPIO chip (PL061) and systemd, in QEMU. It looks at the
// board from outside, where no program on the board can fool it.
//
// prepare.sh makes what is booted; docs/board.md says more.
package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	bootLimit = 3 * time.Minute // a board takes some 15 s, longer on a busy machine
	tryLimit  = 3 * time.Second
	offLimit  = 5 * time.Second
	// HostAddress is the host's loopback, as the board sees it.
	HostAddress = "10.0.2.2"
)

// A Config says what to boot.
type Config struct {
	Dir     string    // what prepare.sh has made
	Share   string    // folder of the host that the board sees in /mnt, read only
	Console io.Writer // what the board prints on its serial line; nil: nowhere
	Prompt  bool      // the serial line is this terminal, with a shell on it
	Devices []string  // more arguments for QEMU
}

// A Board is a running board. Its methods may be called from any goroutine.
type Board struct {
	Monitor *Monitor

	dir  string // of the monitor's socket
	hand string // host:port of the shell on the board
	cmd  *exec.Cmd
	gone chan struct{} // closed when QEMU has ended; then err is final
	err  error
}

// Boot starts a board from a fresh copy of its root file system, and returns
// when its shell answers. The caller closes it.
func Boot(ctx context.Context, c Config) (*Board, error) {
	b, err := power(c)
	if err != nil {
		return nil, fmt.Errorf("start board: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("no answer within %v", bootLimit))
	defer cancel()
	if err := b.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("boot board: %w", err), b.Close())
	}
	return b, nil
}

// power starts QEMU.
func power(c Config) (*Board, error) {
	hand, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "board") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	b := &Board{dir: dir, hand: hand, gone: make(chan struct{})}
	b.cmd = exec.Command("qemu-system-aarch64", arguments(c, b.socket(), hand)...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing behind
	b.cmd.Stdout, b.cmd.Stderr = c.Console, os.Stderr
	if c.Prompt {
		b.cmd.Stdin, b.cmd.Stdout = os.Stdin, os.Stdout
	}
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		defer close(b.gone)
		b.err = b.cmd.Wait()
	}()
	return b, nil
}

func (b *Board) socket() string { return filepath.Join(b.dir, "qmp") }

// arguments are those of QEMU. Writes to the disk go to a temporary file.
func arguments(c Config, monitor, hand string) []string {
	kernel := "console=ttyAMA0 quiet panic=-1 net.ifnames=0 systemd.show_status=0"
	serial := "stdio"
	if c.Prompt {
		kernel += " board.prompt"
		serial = "mon:stdio"
	}
	return append([]string{
		"-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-no-reboot", "-display", "none",
		"-kernel", filepath.Join(c.Dir, "vmlinuz"), "-initrd", filepath.Join(c.Dir, "initrd.gz"), "-append", kernel,
		"-serial", serial, "-monitor", "none", "-qmp", "unix:" + monitor + ",server=on,wait=off",
		"-drive", "if=virtio,format=raw,snapshot=on,cache=unsafe,file=" + filepath.Join(c.Dir, "root.ext4"),
		"-netdev", "user,id=net,hostfwd=tcp:" + hand + "-:7", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "virtio-rng-pci",
		"-virtfs", "local,mount_tag=host,security_model=none,readonly=on,path=" + c.Share,
	}, c.Devices...)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// wait returns when the shell on the board answers.
func (b *Board) wait(ctx context.Context) error {
	for tick := time.Tick(200 * time.Millisecond); ; {
		if b.answers(ctx) {
			break
		}
		select {
		case <-tick:
		case <-b.gone:
			return fmt.Errorf("qemu ended: %w", b.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var err error
	b.Monitor, err = dialMonitor(ctx, b.socket())
	return err
}

// answers tries the shell. A try from before the board had a network never ends.
func (b *Board) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	_, err := b.Run(ctx, "true")
	return err == nil
}

// Wait returns when the board was switched off.
func (b *Board) Wait() { <-b.gone }

// Run runs a script of bash on the board as root, without input, and returns
// what it has written to stdout and stderr. Its end with another status than 0
// is an error, with the output in it.
func (b *Board) Run(ctx context.Context, script string) (string, error) {
	const answer = "\nhand: " // before the status
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", b.hand)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := fmt.Fprintf(conn, "{\n%s\n} </dev/null\nprintf '\\nhand: %%d' $?\nexit\n", script); err != nil {
		return "", err
	}
	all, err := io.ReadAll(conn)
	if ctx.Err() != nil {
		return string(all), context.Cause(ctx)
	}
	out, status, answered := strings.Cut(string(all), answer)
	switch {
	case !answered:
		return out, fmt.Errorf("no answer of the board's shell: %w", errors.Join(err, io.ErrUnexpectedEOF))
	case status != "0":
		return out, fmt.Errorf("status %s: %s", status, strings.TrimSpace(out))
	}
	return out, nil
}

// Close switches the board off as a power cut does.
func (b *Board) Close() error {
	var errs []error
	if b.Monitor != nil {
		errs = append(errs, b.Monitor.close())
	}
	_ = b.cmd.Process.Kill() // it may have ended
	select {
	case <-b.gone:
	case <-time.After(offLimit):
		errs = append(errs, errors.New("qemu does not end"))
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}
