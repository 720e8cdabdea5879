package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Pip takes files from the source distribution of the set's package, fetched
// by the user's own pip with whatever mirror, proxy and cache it is set up
// for. The archive's sum is given to pip, which checks it before it runs the
// package's setup.py to read its name; nothing is installed.
type Pip struct{}

func (Pip) each(ctx context.Context, s Set, want []File, put func(File, io.Reader) error) (err error) {
	pip, err := findPip(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "facegate-pip-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	if err := s.Package.download(ctx, pip, tmp); err != nil {
		return err
	}
	path := filepath.Join(tmp, fmt.Sprintf("%s-%s.tar.gz", s.Package.Name, s.Package.Version))
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s left no archive: %w", strings.Join(pip, " "), err)
	}
	defer func() { _ = archive.Close() }()
	return unpack(archive, want, put)
}

// findPip returns the command that runs the user's pip.
func findPip(ctx context.Context) ([]string, error) {
	for _, cmd := range [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}} {
		probe := exec.CommandContext(ctx, cmd[0], append(cmd[1:], "--version")...)
		if probe.Run() == nil {
			return cmd, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, errors.New("pip: not found as python3 -m pip, pip3 or pip " +
		"(install python3-pip, or copy the files from another machine with --from DIR)")
}

// download leaves the package's source archive in dir.
func (p Package) download(ctx context.Context, pip []string, dir string) error {
	list := filepath.Join(dir, "requirements.txt")
	line := fmt.Sprintf("%s==%s --hash=sha256:%s\n", p.Name, p.Version, p.SHA256)
	if err := os.WriteFile(list, []byte(line), 0o600); err != nil {
		return err
	}

	args := append(pip[1:len(pip):len(pip)], "download",
		"--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes",
		"--no-binary", p.Name, "--dest", dir, "--requirement", list)
	cmd := exec.CommandContext(ctx, pip[0], args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s download %s==%s: %w: %s", strings.Join(pip, " "), p.Name, p.Version, err, lastLines(out, 3))
	}
	return nil
}

// lastLines returns the end of a program's output as one line.
func lastLines(out []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	lines = lines[max(0, len(lines)-n):]
	return string(bytes.Join(lines, []byte("; ")))
}
