package gpio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/facegate/facegate/hal"
)

func TestOutputIsSafeAtOpenAndAtClose(t *testing.T) {
	for _, tt := range []struct {
		activeLow bool
		want      []string
	}{
		{false, []string{"out Low", "out High", "out Low", "out Low", "close"}},
		{true, []string{"out High", "out Low", "out High", "out High", "close"}},
	} {
		l := newLine()
		b, _ := newBoard(l)
		o, err := b.Output(hal.Line{Chip: "gpiochip0", ActiveLow: tt.activeLow})
		if err != nil {
			t.Fatal(err)
		}
		for _, on := range []bool{true, false} {
			if err := o.Set(on); err != nil {
				t.Errorf("Set(%t): %v", on, err)
			}
		}
		if err := errors.Join(o.Close(), o.Close(), b.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := o.Set(true); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Set after Close = %v, want ErrClosed", err)
		}
		// The whole list: an output is never read, nor made an input.
		if got := l.told("out", "in", "read", "wait", "close"); !slices.Equal(got, tt.want) {
			t.Errorf("active low %t: line was told %q, want %q", tt.activeLow, got, tt.want)
		}
	}
}

func TestBoardCloseTurnsOutputsOff(t *testing.T) {
	l := newLine()
	b, _ := newBoard(l)
	o, err := b.Output(hal.Line{Name: "LINE0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.Set(true), b.Close()); err != nil {
		t.Fatal(err)
	}
	if got := l.told("out", "close"); !slices.Equal(got, []string{"out Low", "out High", "out Low", "close"}) {
		t.Errorf("line was told %q", got)
	}
}

func TestFailingOutputIsReportedWithItsName(t *testing.T) {
	l := newLine()
	b, _ := newBoard(l)
	o, err := b.Output(hal.Line{Chip: "gpiochip0"})
	if err != nil {
		t.Fatal(err)
	}
	l.err = errors.New("no such device")
	for _, err := range []error{o.Set(true), b.Close()} {
		if !errors.Is(err, l.err) || !strings.Contains(err.Error(), "gpiochip0 line 0") {
			t.Errorf("got %v, want the line's name and %v", err, l.err)
		}
	}
}

func TestLineInUseNamesTheHolder(t *testing.T) {
	taken := use{used: true, consumer: "other@123"}
	for _, tt := range []struct {
		name string
		use  use
		want string
	}{
		{"program", taken, `open output gpiochip0 line 0: line is in use by "other@123" (stop that program, or choose another line; see gpioinfo)`},
		{"kernel", use{used: true}, "open output gpiochip0 line 0: line is in use by the kernel or a program without a name (see gpioinfo)"},
		{"self", use{used: true, consumer: fmt.Sprintf("facegate@%d", os.Getpid())},
			"open output gpiochip0 line 0: line is in use by this program already (each role needs a line of its own)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLine()
			b, k := newBoard(l)
			k.set(0, tt.use, nil)
			_, err := b.Output(hal.Line{Chip: "gpiochip0"})
			if !errors.Is(err, hal.ErrInUse) || err.Error() != tt.want {
				t.Errorf("Output = %v\nwant     %s", err, tt.want)
			}
			if got := l.told("out", "in"); len(got) > 0 {
				t.Errorf("a line in use was told %q", got)
			}
		})
	}
}

// periph believes a line requested whose request failed, and would then send
// its ioctls to file descriptor 0.
func TestFailedRequestIsForgotten(t *testing.T) {
	l := newLine()
	l.err = errors.New("device or resource busy")
	b, k := newBoard(l)
	calls := 0
	b.inspect = func(path string, n int) (use, error) {
		if calls++; calls == 2 {
			k.set(0, use{used: true, consumer: "late@9"}, nil)
		}
		return k.inspect(path, n)
	}
	if _, err := b.Input(hal.Line{Chip: "gpiochip0"}); !errors.Is(err, hal.ErrInUse) || !strings.Contains(err.Error(), "late@9") {
		t.Errorf("Input = %v, want ErrInUse by late@9", err)
	}
	if got := l.told("close"); len(got) != 1 {
		t.Errorf("line was closed %d times, want once", len(got))
	}
}

func TestInputConfiguresItsPull(t *testing.T) {
	for _, tt := range []struct{ pull, want string }{
		{"", "in PullNoChange BothEdges"}, {"none", "in PullNoChange BothEdges"},
		{"up", "in PullUp BothEdges"}, {"down", "in PullDown BothEdges"},
	} {
		l := newLine()
		b, _ := newBoard(l)
		if _, err := b.Input(hal.Line{Chip: "gpiochip0", Pull: tt.pull}); err != nil {
			t.Fatal(err)
		}
		if got := l.told("in"); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("pull %q: line was told %q, want %q", tt.pull, got, tt.want)
		}
	}
	b, _ := newBoard(newLine())
	if _, err := b.Input(hal.Line{Chip: "gpiochip0", Pull: "sideways"}); err == nil || !strings.Contains(err.Error(), "sideways") {
		t.Errorf("Input = %v, want an error that names the pull", err)
	}
}

func TestWhyNone(t *testing.T) {
	dir := t.TempDir()
	if err := whyNone(filepath.Join(dir, "gpiochip*")); err == nil || !strings.Contains(err.Error(), "no GPIO chip") {
		t.Errorf("no device: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "gpiochip0")); err != nil {
		t.Fatal(err)
	}
	if err := whyNone(filepath.Join(dir, "gpiochip*")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("device that cannot be opened: %v", err)
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	if _, err := inspect(filepath.Join(t.TempDir(), "gpiochip0"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
	if _, err := inspect("/dev/null", 3); err == nil || !strings.Contains(err.Error(), "read line 3 of /dev/null") {
		t.Errorf("a device that is no chip: %v", err)
	}
}
