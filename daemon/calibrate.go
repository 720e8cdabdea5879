package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
)

// resampling is how bounds are found. The seed is fixed: the same pictures give
// the same file.
func resampling() calibration.Resampling { return calibration.Resampling{Replicates: 1000, Seed: 1} }

// engineFlags choose the engine of a command that runs beside the daemon.
type engineFlags struct{ path, engine, set, dir *string }

// newEngineFlags adds the flags to f; what tells what the configuration is for.
func newEngineFlags(f *flags, what string) engineFlags {
	return engineFlags{
		path:   f.String("config", "", "`FILE` "+what+"; else the defaults"),
		engine: f.String("engine", "", "`ENGINE`, dlib or onnx, with its usual set of models, over that of the configuration"),
		set:    f.String("set", "", "`SET` of models, with the engine that runs it, over those of the configuration"),
		dir:    f.String("models", "", "`DIR` of the model files, over that of the configuration"),
	}
}

// config returns the configuration with the models in it checked.
func (e engineFlags) config() (config.Config, error) {
	cfg := config.Default()
	if *e.path != "" {
		var err error
		if cfg, err = config.Load(*e.path); err != nil {
			return cfg, fail(exitConfig, err)
		}
	}
	cfg.Models.Dir = cmp.Or(*e.dir, cfg.Models.Dir)
	set := *e.set
	if engine := *e.engine; engine != "" && set == "" && engine != cfg.Match.Engine {
		if set = map[string]string{"dlib": "dlib", "onnx": "faceplugin"}[engine]; set == "" {
			return cfg, usageError("--engine: must be dlib or onnx, not %q", engine)
		}
	}
	if set != "" {
		use(&cfg, set)
	}
	if *e.engine != "" && *e.engine != cfg.Match.Engine {
		return cfg, usageError("--engine: %s does not run the model set %s, %s does", *e.engine, cfg.Models.Set, cfg.Match.Engine)
	}
	if err := checkModels(cfg); err != nil {
		return cfg, fail(exitConfig, err)
	}
	return cfg, nil
}

// opener returns how another engine of the configuration is opened, one for each
// processor.
func opener(cfg config.Config) func() (match.Engine, error) {
	cfg.Match.Threads = 1
	return func() (match.Engine, error) { return openEngine(cfg) }
}

// runCalibrate measures an engine on pictures of known people and writes the
// error rates of its distances as a calibration.
func runCalibrate(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("calibrate", "[--config FILE] [--models DIR] [--engine ENGINE] [--set SET] [--source TEXT] [--out FILE] --pictures DIR")
	flags := newEngineFlags(f, "that names engine and models")
	dir := f.String("pictures", "", "`DIR` with one folder of pictures per person")
	source := f.String("source", "", "`TEXT` that says which pictures these are; else the folder's name")
	path := f.String("out", "", "`FILE` to write; else the calibration is printed")
	if err := f.parse(args); err != nil {
		return err
	}
	if *dir == "" || f.NArg() > 0 {
		return usageError("calibrate: give --pictures DIR and no other words")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := flags.config()
	if err != nil {
		return err
	}
	people, err := readPeople(*dir)
	if err != nil {
		return fail(exitConfig, err)
	}
	file, err := newOutput(*path, out)
	if err != nil {
		return fail(exitConfig, err)
	}
	defer file.drop()
	c, err := calibrate(ctx, opener(cfg), people, os.Stderr)
	if err != nil {
		return err
	}
	c.Source = cmp.Or(strings.TrimSpace(*source), filepath.Base(filepath.Clean(*dir)))
	data, err := c.Encode()
	if err != nil {
		return fail(exitInternal, err)
	}
	if err := file.write(data); err != nil {
		return fail(exitUnavailable, err)
	}
	return summary(os.Stderr, c)
}

// calibrate computes a template of each picture and the rates of all pairs. The
// calibration lacks its source.
func calibrate(ctx context.Context, open func() (match.Engine, error), people []person, progress io.Writer) (calibration.Calibration, error) {
	g, err := look(ctx, open, people, progress)
	if err != nil {
		return calibration.Calibration{}, err
	}
	g.complain(progress)
	if err := g.enough(); err != nil {
		return calibration.Calibration{}, fail(exitConfig, err)
	}
	sample, err := calibration.Compare(ctx, g.person, g.distance)
	if err != nil {
		return calibration.Calibration{}, fail(exitInternal, err)
	}
	curve, err := sample.Curve(ctx, resampling())
	if err != nil {
		return calibration.Calibration{}, fail(exitInternal, err)
	}
	c := calibration.Calibration{
		V: calibration.Version, Engine: g.model.Engine, Model: g.model.Name, SHA256: g.model.SHA256,
		Tool: "facegate " + version(), Date: time.Now().UTC().Format(time.DateOnly), Bootstrap: resampling(), Curve: curve,
	}
	c.People, c.Counts = sample.Counts()
	c.Faceless = len(g.faceless)
	return c, nil
}

// summary tells what was measured, and which thresholds it supports.
func summary(w io.Writer, c calibration.Calibration) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s@%.12s: %d people, %d pictures (%d more without a face), %d genuine and %d impostor pairs\n",
		c.Engine, c.Model, c.SHA256, c.People, c.Pictures, c.Faceless, c.Genuine, c.Impostor)
	b.WriteString("with 95 % bounds:\n")
	for _, target := range targets() {
		p, err := c.Accept(target)
		if err != nil {
			fmt.Fprintf(&b, "  accept_fmr: %-6s refused: %v\n", calibration.Share(target), err)
			continue
		}
		fmt.Fprintf(&b, "  accept_fmr: %-6s distance %.4f  FMR %s  FNMR %s\n", calibration.Share(target), p.Distance, rate(p.FMR), rate(p.FNMR))
	}
	for _, target := range []float64{0.05, 0.02, 0.01, 0.005, 0.002} {
		p, err := c.Reject(target)
		if err != nil {
			fmt.Fprintf(&b, "  reject_fnmr: %-5s refused: %v\n", calibration.Share(target), err)
			continue
		}
		fmt.Fprintf(&b, "  reject_fnmr: %-5s distance %.4f  FNMR %s  FMR %s\n", calibration.Share(target), p.Distance, rate(p.FNMR), rate(p.FMR))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// targets are the false-match rates that tables have a row for.
func targets() []float64 { return []float64{1e-2, 1e-3, 1e-4, 1e-5} }

// rate writes a rate with its bounds.
func rate(r calibration.Rate) string {
	return fmt.Sprintf("%s (%s to %s)", calibration.Share(r.Value), calibration.Share(r.Low), calibration.Share(r.High))
}

// An output is a file that gets its name only once it is complete, or standard
// output.
type output struct {
	path string
	tmp  *os.File
	out  io.Writer
}

// newOutput finds out now, not after minutes of work, that path cannot be
// written.
func newOutput(path string, out io.Writer) (*output, error) {
	if path == "" {
		return &output{out: out}, nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w (give the path of a file in a folder that this user may write to)", path, err)
	}
	return &output{path: path, tmp: tmp}, nil
}

func (o *output) write(data []byte) error {
	if o.tmp == nil {
		_, err := o.out.Write(data)
		return err
	}
	_, err := o.tmp.Write(data)
	if err := errors.Join(err, o.tmp.Chmod(0o644), o.tmp.Sync(), o.tmp.Close()); err != nil {
		return err
	}
	return os.Rename(o.tmp.Name(), o.path)
}

// drop removes what write did not finish.
func (o *output) drop() {
	if o.tmp != nil {
		_ = o.tmp.Close()
		_ = os.Remove(o.tmp.Name()) // not there any more after write
	}
}
