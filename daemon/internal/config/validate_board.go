package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/facegate/facegate/hal"
)

// A wire is one Line with its key.
type wire struct {
	key   string
	line  Line
	input bool
}

// wires lists every line that a configuration can name.
func wires(cfg Config) []wire {
	return []wire{
		{"door.output", cfg.Door.Output, false},
		{"door.panel", cfg.Door.Panel, true},
		{"document_camera.button", cfg.Document.Button, true},
		{"lamps.ready", cfg.Lamps.Ready, false},
		{"lamps.busy", cfg.Lamps.Busy, false},
		{"lamps.granted", cfg.Lamps.Granted, false},
		{"lamps.denied", cfg.Lamps.Denied, false},
		{"lamps.attention", cfg.Lamps.Attention, false},
		{"lamps.fault", cfg.Lamps.Fault, false},
	}
}

func (c *checker) board() {
	b := c.cfg.Board
	c.oneOf("board.driver", b.Driver, "none", "gpio", "sim")
	c.path("board.socket", b.Socket, b.Driver != "sim")
	within(c, "lamps.hold", c.cfg.Lamps.Hold, 0, time.Minute)
}

// lines checks each line by itself, against the board, and against the others.
func (c *checker) lines() {
	used := map[string]string{}
	for _, w := range wires(c.cfg) {
		c.oneOf(w.key+".pull", w.line.Pull, "none", "up", "down")
		within(c, w.key+".debounce", w.line.Debounce, 0, time.Second)
		if !w.input && w.line.Pull != "none" {
			c.fail(w.key+".pull", "only inputs have one: remove it")
		}
		if !w.line.Wired() {
			if w.line.Line != -1 {
				c.fail(w.key+".line", "needs %s.chip", w.key)
			}
			continue
		}
		c.place(w)
		name := "name " + w.line.Name
		if w.line.Chip != "" {
			name = fmt.Sprintf("%s line %d", w.line.Chip, w.line.Line)
		}
		if other, ok := used[name]; ok {
			c.fail(w.key, "%s is used by %s too", name, other)
		}
		used[name] = w.key
	}
}

// place checks how a wired line is named, and that the board has such lines.
func (c *checker) place(w wire) {
	switch c.cfg.Board.Driver {
	case "none":
		c.fail(w.key, "is wired but board.driver is none: set it to gpio, or to sim for a trial")
	case "sim":
		// A simulated door must not be mistaken for a real one, nor the
		// other way round.
		if w.line.Chip != "" {
			c.fail(w.key+".chip", "names a real chip but board.driver is sim: use %s.name, or board.driver: gpio", w.key)
			return
		}
	}
	switch {
	case w.line.Chip != "" && w.line.Name != "":
		c.fail(w.key+".name", "give chip and line, or name, not both")
	case w.line.Chip != "" && w.line.Line < 0:
		c.fail(w.key+".chip", "needs %s.line, its number on the chip (0 or above)", w.key)
	case w.line.Chip == "" && w.line.Line != -1:
		c.fail(w.key+".line", "needs %s.chip; a line with a name has no number", w.key)
	case strings.ContainsAny(w.line.Chip, "/ "):
		c.fail(w.key+".chip", "must be a chip as gpiodetect shows it, such as gpiochip0, not %q", short(w.line.Chip))
	}
}

func (c *checker) door() {
	d := c.cfg.Door
	if d.Pulse <= 0 || d.Pulse > hal.MaxPulse {
		c.fail("door.pulse", "must be above 0 and at most %v, not %v", hal.MaxPulse, d.Pulse)
	}
	within(c, "door.wait", d.Wait, 100*time.Millisecond, time.Minute)
	c.oneOf("door.authorise", d.Authorise, "always", "host", "panel")
	c.path("door.grant_key_file", d.GrantKeyFile, true)
	switch {
	case d.Authorise == "host" && d.GrantKeyFile == "":
		c.fail("door.authorise", "host needs door.grant_key_file, the key that grants are signed with")
	case d.Authorise == "panel" && !d.Panel.Wired():
		c.fail("door.authorise", "panel needs a wired door.panel, the input that says yes")
	}
	if d.Output.ActiveLow && !d.AcceptActiveLow {
		c.fail("door.output.active_low", "drives the door open for a moment at every start, because the kernel is asked for "+
			"the line before its level is set: wire it active high, or acknowledge with door.accept_active_low: true")
	}
}
