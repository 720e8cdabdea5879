//go:build peers && dlib && cgo

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	face "github.com/Kagami/go-face"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/models"
	"github.com/facegate/facegate/match/onnx"
	"github.com/facegate/facegate/match/picture"
)

// A looker computes the template of the largest face in a file, nil without one.
type looker func(ctx context.Context, file string) (match.Template, error)

// serve answers lines as peer name does: go-face, or facegate with a model set.
func serve(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	open := facegate
	if name == "go-face" {
		open = bare
	}
	version, look, err := open(name)
	if err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(map[string]string{"version": version}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		began := used()
		template, err := look(ctx, lines.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		if err := answers.Encode(map[string]any{"ms": used() - began, "descriptor": template}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// used returns the processor time of this process in milliseconds.
func used() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// facegate decodes and looks as the daemon does at a picture that it is sent.
func facegate(name string) (string, looker, error) {
	dir := os.Getenv("FACEGATE_MODELS")
	files := dir
	if name == "edge" {
		files = os.Getenv("FACEGATE_EDGE")
	}
	set, err := models.Open(files, name)
	if err != nil {
		return "", nil, err
	}
	if err := set.Verify(files); err != nil {
		return "", nil, err
	}
	var e match.Engine
	if set.Engine == "onnx" {
		e, err = onnx.Open(onnx.Options{Dir: files, Set: set, Runtime: filepath.Join(dir, models.RuntimeFile), Threads: 1})
	} else {
		e, err = dlib.Open(dlib.Options{Dir: files, Model: set.ModelID(), Threads: 1})
	}
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("commit %.12s, engine %s, model %s", built(""), set.Engine, e.Model()), func(ctx context.Context, file string) (match.Template, error) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		img, err := picture.Decode(data)
		if err != nil {
			return nil, err
		}
		faces, err := e.Faces(ctx, img, match.Templates)
		if err != nil || len(faces) == 0 {
			return nil, err
		}
		return faces[0].Template, nil
	}, nil
}

// bare is go-face without anything of facegate.
func bare(string) (string, looker, error) {
	rec, err := face.NewRecognizer(os.Getenv("FACEGATE_MODELS"))
	if err != nil {
		return "", nil, err
	}
	return built("github.com/Kagami/go-face") + ", the models of facegate's dlib", func(_ context.Context, file string) (match.Template, error) {
		faces, err := rec.RecognizeFile(file)
		var best match.Template
		area := 0
		for _, f := range faces {
			if a := f.Rectangle.Dx() * f.Rectangle.Dy(); a > area {
				best, area = f.Descriptor[:], a
			}
		}
		return best, err
	}, nil
}

// built returns the version of a module in this program, or of the program.
func built(module string) string {
	info, _ := debug.ReadBuildInfo() // there always is with modules
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
