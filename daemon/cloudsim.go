package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud/sim"
	"github.com/facegate/facegate/match/picture"
)

// The keys that the simulated services take. They are no secret.
const (
	simKey    = "facegate-cloudsim"
	simRegion = "eu-central-1"
	simBucket = "facegate-cloudsim"
)

// runCloudSim imitates the compare services until it is told to stop, with the
// real engine behind them.
func runCloudSim(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("cloudsim", "--dir DIR [--models DIR] [--listen HOST:PORT] [--scripts FILE] [--callback-insecure]")
	cfg := config.Default()
	f.StringVar(&cfg.Models.Dir, "models", cfg.Models.Dir, "`DIR` of the model files")
	dir := f.String("dir", "", "`DIR` that the key for all services is put into")
	listen := f.String("listen", "127.0.0.1:9001", "`HOST:PORT` of the first service, the others follow; port 0: free ones")
	scripts := f.String("scripts", "", "`FILE` that says how the services misbehave")
	insecure := f.Bool("callback-insecure", false, "believe any certificate that callbacks are answered with")
	if err := f.parse(args); err != nil {
		return err
	}
	if *dir == "" || f.NArg() > 0 {
		return usageError("cloudsim: give --dir DIR, where its keys are put, and perhaps --models DIR, --listen HOST:PORT, --scripts FILE, --callback-insecure")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	listeners, err := listenAll(*listen)
	if err != nil {
		return err
	}
	defer func() { // Serve has closed them already, if it came to that
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	if err := checkModels(cfg); err != nil {
		return fail(exitConfig, err)
	}
	s := &sim.Server{
		Keys: sim.Keys{DeepIDV: simKey, MXFace: simKey, ARGOS: simKey}, Insecure: *insecure, Log: newLog(cfg.Log),
		AWS: sim.AWS{AccessKey: simKey, SecretKey: simKey, Region: simRegion, Bucket: simBucket},
	}
	if err := readScripts(s, *scripts); err != nil {
		return fail(exitConfig, err)
	}
	key, err := writeSimKey(*dir)
	if err != nil {
		return fail(exitConfig, err)
	}
	engine, err := openEngine(cfg)
	if err != nil {
		return fail(exitConfig, err)
	}
	s.Comparer = &truth{engine: engine}
	err = announceServices(out, listeners, key)
	if err == nil {
		err = s.Serve(ctx, listeners, nil)
	}
	return errors.Join(err, engine.Close())
}

// writeSimKey puts the key for all services into a folder and returns its
// absolute path, which is what a configuration needs.
func writeSimKey(dir string) (string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("cloudsim: --dir: %s: no such folder (make it first)", dir)
	}
	key, err := filepath.Abs(filepath.Join(dir, "key"))
	if err == nil {
		err = os.WriteFile(key, []byte(simKey+"\n"), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("cloudsim: --dir: %w", err)
	}
	return key, nil
}

func readScripts(s *sim.Server, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cloudsim: --scripts: %w", err)
	}
	defer func() { _ = f.Close() }()
	if s.Scripts, err = sim.ReadScripts(f); err != nil {
		return fmt.Errorf("cloudsim: --scripts: %s: %w", path, err)
	}
	return nil
}

// listenAll opens a port for each service, from the given one on.
func listenAll(address string) (map[sim.Service]net.Listener, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError("cloudsim: --listen: %v", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usageError("cloudsim: --listen: %q is not this machine, which is all that http:// is for: 127.0.0.1:9001", host)
	}
	services := simServices()
	first, err := strconv.ParseUint(text, 10, 16)
	if err != nil || int(first) > 65536-len(services) {
		return nil, usageError("cloudsim: --listen: port %q is not a number from 0 to %d", text, 65536-len(services))
	}
	all := map[sim.Service]net.Listener{}
	for i, service := range services {
		port := int(first)
		if first > 0 {
			port += i
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			for _, other := range all {
				_ = other.Close()
			}
			return nil, fail(exitConfig, fmt.Errorf("cloudsim: --listen: %w (choose another port, or 0 for free ones)", err))
		}
		all[service] = l
	}
	return all, nil
}

func simServices() []sim.Service {
	return []sim.Service{sim.DeepIDV, sim.Rekognition, sim.MXFace, sim.ARGOS}
}

// announceServices prints the section that a configuration needs.
func announceServices(out io.Writer, listeners map[sim.Service]net.Listener, key string) error {
	at := func(s sim.Service) string { return "http://" + listeners[s].Addr().String() }
	_, err := fmt.Fprintf(out, `cloud:
  providers: [deepidv, rekognition, mxface, argos]
  consent: faces
  deepidv: {base_url: %q, key_file: %q}
  rekognition: {endpoint: %q, region: %s, access_key_id_file: %q, secret_access_key_file: %q}
  mxface: {base_url: %q, key_file: %q}
  argos: {base_url: %q, key_file: %q}
`, at(sim.DeepIDV), key, at(sim.Rekognition), simRegion, key, key, at(sim.MXFace), key, at(sim.ARGOS), key)
	return err
}

// truth compares with the local engine, for the simulated services.
type truth struct {
	mu sync.Mutex
	// mu guards the following
	engine match.Engine
}

var _ sim.Comparer = (*truth)(nil)

// Compare implements sim.Comparer. The largest source face is compared.
func (t *truth) Compare(ctx context.Context, source, target []byte) (sim.Comparison, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, a, err := t.faces(ctx, source)
	if err != nil {
		return sim.Comparison{}, err
	}
	to, b, err := t.faces(ctx, target)
	if err != nil {
		return sim.Comparison{}, err
	}
	c := sim.Comparison{Source: a, Target: b}
	if len(from) == 0 {
		return c, nil
	}
	for _, face := range to {
		c.Similarity = append(c.Similarity, similarity(t.engine.Score(from[0].Template, face.Template)))
	}
	return c, nil
}

func (t *truth) faces(ctx context.Context, data []byte) ([]match.Face, []sim.Face, error) {
	img, err := picture.Decode(data)
	if err != nil {
		return nil, nil, err
	}
	found, err := t.engine.Faces(ctx, img, match.Templates)
	if err != nil {
		return nil, nil, err
	}
	var all []sim.Face
	for _, f := range found {
		all = append(all, sim.Face{Box: share(f.Box, img.Bounds()), Confidence: 99.9, Quality: 90})
	}
	return found, all, nil
}

// share gives a box as shares of the picture.
func share(b, of image.Rectangle) sim.Box {
	w, h := float64(of.Dx()), float64(of.Dy())
	return sim.Box{
		Left: float64(b.Min.X-of.Min.X) / w, Top: float64(b.Min.Y-of.Min.Y) / h,
		Width: float64(b.Dx()) / w, Height: float64(b.Dy()) / h,
	}
}

// similarity turns a distance into a figure like the services': 99 at the
// distance of 0.45, well within what the device accepts of dlib, 50 at 0.55, 9 at 0.60.
func similarity(d match.Score) float64 { return 100 / (1 + math.Exp(46*(float64(d)-0.55))) }
