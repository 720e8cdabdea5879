package models

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Npm takes files from the set's package, fetched by the user's own npm with
// whatever mirror, proxy and cache it is set up for. Nothing is installed, and
// no script of the package runs.
type Npm struct{}

func (Npm) each(ctx context.Context, s Set, want []File, put func(File, io.Reader) error) (err error) {
	tmp, err := os.MkdirTemp("", "facegate-npm-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	if err := s.Package.pack(ctx, tmp); err != nil {
		return err
	}
	path := filepath.Join(tmp, fmt.Sprintf("%s-%s.tgz", s.Package.Name, s.Package.Version))
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("npm left no archive: %w", err)
	}
	defer func() { _ = archive.Close() }()
	return unpack(archive, want, put)
}

// pack leaves the package's archive in dir.
func (p Package) pack(ctx context.Context, dir string) error {
	spec := p.Name + "@" + p.Version
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, spec)
	cmd.Dir = dir // away from settings of a project that happens to be here
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("npm: not found (install npm, or copy the files from another machine with --from DIR)")
	case err != nil:
		return fmt.Errorf("npm pack %s: %w: %s", spec, err, lastLines(out, 3))
	}
	return nil
}
