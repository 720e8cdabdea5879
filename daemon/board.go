package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/gpio"
	"github.com/facegate/facegate/hal/sim"
)

// A board gives out lines. Opening an output drives it to its safe level.
type board interface {
	Output(hal.Line) (hal.Output, error)
	Input(hal.Line) (hal.Input, error)
	Close() error
}

// hardware is every line that the configuration names, open and safe.
type hardware struct {
	board     board     // nil without one
	door      *hal.Door // nil when not wired
	lamps     hal.Lamps
	panel     hal.Input // nil when not wired
	button    hal.Input // nil when not wired
	outputs   []hal.Output
	indicator *hal.Indicator
}

// openBoard opens the board that the configuration names, nil for none.
func openBoard(c config.Board) (board, error) {
	switch c.Driver {
	case "gpio":
		b, err := gpio.Open()
		if err != nil {
			return nil, fmt.Errorf("board: %w", err)
		}
		return b, nil
	case "sim":
		b, err := sim.Open(c.Socket, "facegate")
		if err != nil {
			return nil, fmt.Errorf("board.socket: %w", err)
		}
		return b, nil
	case "none":
		return nil, nil
	}
	return nil, fmt.Errorf("board.driver: unknown board %q", c.Driver)
}

// openHardware makes every output safe, the door first, before anything else
// starts. On an error it leaves nothing open; a line that cannot be had now may be
// there when the daemon is started again.
func openHardware(cfg config.Config, log *slog.Logger) (*hardware, error) {
	b, err := openBoard(cfg.Board)
	if err != nil {
		return nil, fail(exitUnavailable, err)
	}
	h := &hardware{board: b}
	if err := h.open(cfg, log); err != nil {
		return nil, fail(exitUnavailable, errors.Join(err, h.Close()))
	}
	h.indicator = &hal.Indicator{Lamps: h.lamps, Hold: cfg.Lamps.Hold, Log: log}
	return h, nil
}

// open opens every line that can be had, so that those are safe whatever is
// wrong with others, and reports all that cannot.
func (h *hardware) open(cfg config.Config, log *slog.Logger) error {
	door, err := h.output("door.output", cfg.Door.Output)
	errs := []error{err}
	if door != nil {
		h.door = &hal.Door{Output: door, Log: log}
	}
	for _, lamp := range lampLines(cfg.Lamps) {
		o, err := h.output(lamp.key, lamp.line)
		*lamp.role(&h.lamps) = o
		errs = append(errs, err)
	}
	h.panel, err = h.input("door.panel", cfg.Door.Panel)
	errs = append(errs, err)
	h.button, err = h.input("document_camera.button", cfg.Document.Button)
	return errors.Join(append(errs, err)...)
}

// A lampLine is one lamp's key, line and place.
type lampLine struct {
	key  string
	line config.Line
	role func(*hal.Lamps) *hal.Output
}

func lampLines(c config.Lamps) []lampLine {
	return []lampLine{
		{"lamps.ready", c.Ready, func(l *hal.Lamps) *hal.Output { return &l.Ready }},
		{"lamps.busy", c.Busy, func(l *hal.Lamps) *hal.Output { return &l.Busy }},
		{"lamps.granted", c.Granted, func(l *hal.Lamps) *hal.Output { return &l.Granted }},
		{"lamps.denied", c.Denied, func(l *hal.Lamps) *hal.Output { return &l.Denied }},
		{"lamps.attention", c.Attention, func(l *hal.Lamps) *hal.Output { return &l.Attention }},
		{"lamps.fault", c.Fault, func(l *hal.Lamps) *hal.Output { return &l.Fault }},
	}
}

// output opens a line, nil if it is not wired.
func (h *hardware) output(key string, c config.Line) (hal.Output, error) {
	line := halLine(c)
	if h.board == nil || !line.Wired() {
		return nil, nil
	}
	o, err := h.board.Output(line)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	h.outputs = append(h.outputs, o)
	return o, nil
}

func (h *hardware) input(key string, c config.Line) (hal.Input, error) {
	line := halLine(c)
	if h.board == nil || !line.Wired() {
		return nil, nil
	}
	i, err := h.board.Input(line)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return i, nil
}

func halLine(c config.Line) hal.Line {
	return hal.Line{Chip: c.Chip, Number: c.Line, Name: c.Name, ActiveLow: c.ActiveLow, Pull: c.Pull, Debounce: c.Debounce}
}

// Close leaves every output safe and frees all lines.
func (h *hardware) Close() error {
	var errs []error
	if h.door != nil {
		errs = append(errs, h.door.Lock())
	}
	for _, o := range slices.Backward(h.outputs) {
		errs = append(errs, o.Close())
	}
	for _, i := range []hal.Input{h.panel, h.button} {
		if i != nil {
			errs = append(errs, i.Close())
		}
	}
	if h.board != nil {
		errs = append(errs, h.board.Close())
	}
	return errors.Join(errs...)
}
