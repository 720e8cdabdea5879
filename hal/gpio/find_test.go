package gpio

import (
	"strings"
	"testing"

	"github.com/facegate/facegate/hal"
)

func TestFind(t *testing.T) {
	pins := func(names ...string) (p []pin) {
		for _, n := range names {
			p = append(p, pin{name: n})
		}
		return p
	}
	chips := []chip{
		{name: "gpiochip0", label: "pinctrl-bcm2711", path: "/dev/gpiochip0", pins: pins("ID_SDA", "GPIO17", "", "WAKE")},
		{name: "gpiochip1", label: "raspberrypi-exp-gpio", path: "/dev/gpiochip1", pins: pins("BT_ON", "gpiochip1-WAKE")},
	}
	for _, tt := range []struct {
		spec   hal.Line
		chip   string
		number int
		err    string
	}{
		{hal.Line{Chip: "gpiochip0", Number: 2}, "gpiochip0", 2, ""},
		{hal.Line{Chip: "/dev/gpiochip1", Number: 0}, "gpiochip1", 0, ""},
		{hal.Line{Name: "GPIO17"}, "gpiochip0", 1, ""},
		{hal.Line{Name: "BT_ON", Number: 7}, "gpiochip1", 0, ""},
		{hal.Line{Chip: "gpiochip1", Name: "WAKE"}, "gpiochip1", 1, ""},
		{hal.Line{Number: 3}, "", 0, "no line named"},
		{hal.Line{Chip: "gpiochip7"}, "", 0,
			"gpiochip7: no such chip (found gpiochip0 (pinctrl-bcm2711, 4 lines), gpiochip1 (raspberrypi-exp-gpio, 2 lines); see gpioinfo)"},
		{hal.Line{Chip: "gpiochip0", Number: 4}, "", 0,
			"gpiochip0 line 4: no such line (gpiochip0, pinctrl-bcm2711, has lines 0 to 3; see gpioinfo)"},
		{hal.Line{Chip: "gpiochip0", Number: -1}, "", 0,
			"gpiochip0 line -1: no such line (gpiochip0, pinctrl-bcm2711, has lines 0 to 3; see gpioinfo)"},
		{hal.Line{Chip: "gpiochip0", Name: "GPIO99"}, "", 0,
			`gpiochip0 line "GPIO99": no such line (named lines: ID_SDA, GPIO17, WAKE; see gpioinfo)`},
		{hal.Line{Name: "WAKE"}, "", 0,
			`line "WAKE": more than one line has this name (gpiochip0 line 3, gpiochip1 line 1): say which by chip and line`},
	} {
		c, n, err := find(chips, tt.spec)
		var text string
		if err != nil {
			text = err.Error()
		}
		if c.name != tt.chip || n != tt.number || text != tt.err {
			t.Errorf("find(%v) = %q, %d, %q\nwant %q, %d, %q", tt.spec, c.name, n, text, tt.chip, tt.number, tt.err)
		}
	}
}

func TestLongListsAreCut(t *testing.T) {
	names := strings.Split(strings.Repeat("N ", 59)+"N", " ")
	if got := list(names); !strings.HasSuffix(got, "N and 20 more") {
		t.Errorf("list of 60 names ends %q", got[len(got)-20:])
	}
	if got := list(nil); got != "none" {
		t.Errorf("list of no names = %q, want none", got)
	}
}
