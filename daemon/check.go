package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match/models"
)

// runCheck prints every problem of a configuration, one a line.
func runCheck(_ context.Context, args []string, out io.Writer) error {
	path, err := configFlag("check", args)
	if err != nil {
		return err
	}
	if _, err := loadConfig(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: no problems\n", path)
	return err
}

// loadConfig reads a configuration and looks at the files it names.
func loadConfig(path string) (config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return config.Config{}, fail(exitConfig, err)
	}
	var errs []error
	if problems := config.Check(cfg); len(problems) > 0 {
		errs = append(errs, problems)
	}
	if err := checkServices(cfg.Cloud); err != nil {
		errs = append(errs, err)
	}
	if err := models.Verify(cfg.Models.Dir, cfg.Models.Set); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return config.Config{}, fail(exitConfig, errors.Join(errs...))
	}
	return cfg, nil
}
