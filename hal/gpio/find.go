package gpio

import (
	"fmt"
	"strings"

	"github.com/facegate/facegate/hal"
)

// maxNamed bounds how many names an error lists.
const maxNamed = 40

// find returns the chip and the number of the line that spec names. If there
// is none, or more than one, the error lists what there is.
func find(chips []chip, spec hal.Line) (chip, int, error) {
	if !spec.Wired() {
		return chip{}, 0, fmt.Errorf("no line named")
	}
	if spec.Chip != "" {
		c, err := findChip(chips, spec.Chip)
		if err != nil {
			return chip{}, 0, err
		}
		if spec.Name == "" {
			return findNumber(c, spec)
		}
		chips = []chip{c}
	}
	return findName(chips, spec)
}

func findChip(chips []chip, name string) (chip, error) {
	var have []string
	for _, c := range chips {
		if c.name == name || c.path == name {
			return c, nil
		}
		have = append(have, fmt.Sprintf("%s (%s, %d lines)", c.name, c.label, len(c.pins)))
	}
	return chip{}, fmt.Errorf("%s: no such chip (found %s; see gpioinfo)", name, list(have))
}

func findNumber(c chip, spec hal.Line) (chip, int, error) {
	if spec.Number < 0 || spec.Number >= len(c.pins) {
		return chip{}, 0, fmt.Errorf("%v: no such line (%s, %s, has lines 0 to %d; see gpioinfo)",
			spec, c.name, c.label, len(c.pins)-1)
	}
	return c, spec.Number, nil
}

func findName(chips []chip, spec hal.Line) (chip, int, error) {
	var (
		have, where []string
		found       chip
		number      int
	)
	for _, c := range chips {
		for n, p := range c.pins {
			// periph puts the chip's name before a line name that it has met
			// already, so the second of two equal names looks different.
			if p.name == spec.Name || p.name == c.name+"-"+spec.Name {
				found, number = c, n
				where = append(where, fmt.Sprintf("%s line %d", c.name, n))
			}
			if p.name != "" {
				have = append(have, p.name)
			}
		}
	}
	switch len(where) {
	case 0:
		return chip{}, 0, fmt.Errorf("%v: no such line (named lines: %s; see gpioinfo)", spec, list(have))
	case 1:
		return found, number, nil
	}
	return chip{}, 0, fmt.Errorf("%v: more than one line has this name (%s): say which by chip and line", spec, list(where))
}

// list joins names, leaving out what would fill the screen.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	if len(names) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}
