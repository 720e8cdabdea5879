package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/facegate/facegate/daemon/internal/api"
	"github.com/facegate/facegate/daemon/internal/broker"
	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/inbox"
	"github.com/facegate/facegate/daemon/internal/mqtt"
	"github.com/facegate/facegate/match/models"
)

// runCheck prints every problem of a configuration, one a line.
func runCheck(_ context.Context, args []string, out io.Writer) error {
	path, err := configFlag("check", args)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	set, err := models.Open(cfg.Models.Dir, cfg.Models.Set)
	if err != nil {
		return fail(exitConfig, err)
	}
	r, err := ratesOf(cfg, set.ModelID())
	if err != nil {
		return fail(exitConfig, err)
	}
	_, err = fmt.Fprintf(out, "%[1]s: no problems\n%[1]s: %v\n", path, r)
	return err
}

// loadConfig reads a configuration and looks at the files and folders it names,
// in the words of those who will use them. An error is config.Problems if the
// file could be read at all.
func loadConfig(path string) (config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return config.Config{}, fail(exitConfig, err)
	}
	problems := config.Check(cfg)
	_, keyErr := grantKey(cfg.Door)
	for _, err := range []error{
		checkServices(cfg.Cloud), checkModels(cfg), checkData(cfg.Data), api.Check(cfg.HTTP), checkMQTT(cfg), checkInbox(cfg.Sources.Inbox), keyErr, derive(&cfg),
	} {
		problems = cfg.Extend(problems, err)
	}
	if len(problems) > 0 {
		return config.Config{}, fail(exitConfig, problems)
	}
	return cfg, nil
}

// checkData says why the folder of the journal could not be made, or written to.
func checkData(dir string) error {
	const writeAndSearch = 3 // W_OK|X_OK of unistd.h
	at := dir
	info, err := os.Stat(at)
	for err != nil && at != "/" {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	switch {
	case err != nil:
		return fmt.Errorf("data: %w", err)
	case !info.IsDir():
		return fmt.Errorf("data: %s: %s is not a folder (correct the path)", dir, at)
	case syscall.Access(at, writeAndSearch) != nil:
		return fmt.Errorf("data: %s: this user may not write to %s (chown or chmod it, or let systemd with StateDirectory=)", dir, at)
	}
	return nil
}

func checkMQTT(cfg config.Config) error {
	m := cfg.MQTT
	if m.Broker == "embedded" {
		return broker.CheckUsers(m.Embedded.UsersFile)
	}
	c := mqtt.Client{
		Broker: m.Broker, ClientID: cmp.Or(m.ClientID, "facegate"), Credentials: credentials(m),
		Base: cfg.Device.Base, Site: cfg.Device.Site, Device: cmp.Or(cfg.Device.Name, "facegate"),
	}
	return c.Check()
}

func checkInbox(c config.Inbox) error {
	if !c.Enabled {
		return nil
	}
	return inbox.Check(c.Dir)
}
