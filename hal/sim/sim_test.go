package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/hal"
)

var door = hal.Line{Name: "door"}

// open opens an output or ends the test.
func open(t *testing.T, c *Client, spec hal.Line) hal.Output {
	t.Helper()
	o, err := c.Output(spec)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTimelineOfAnOutput(t *testing.T) {
	for _, tt := range []struct {
		activeLow bool
		want      string // level@seconds, of two rounds of opening and closing the line
	}{
		{false, "1@1 0@4 1@6 0@9"},
		// The hazard that docs/wiring.md warns of: low, which is on, at the
		// second start.
		{true, "1@0 0@1 1@4 0@5 1@5 0@6 1@9"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := begin(t)
			spec := door
			spec.ActiveLow = tt.activeLow
			for range 2 {
				c := b.client(t, "facegate")
				o := open(t, c, spec)
				time.Sleep(time.Second)
				if err := o.Set(true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if err := o.Set(false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, c := range b.timeline.changes(t) {
				if c.Line != 0 || c.Name != "door" {
					t.Errorf("change of %d, %s", c.Line, c.Name)
				}
				got = append(got, fmt.Sprintf("%d@%v", c.Level, c.Millis/1000))
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("active low %t: timeline %s, want %s", tt.activeLow, got, tt.want)
			}
		})
	}
}

func TestCloseTurnsOffAndFrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		c := b.client(t, "facegate")
		o := open(t, c, door)
		if err := errors.Join(o.Set(true), o.Close(), o.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if l := b.level(t, "door"); l.Level != 0 || l.Holder != "" {
			t.Errorf("after Close: %+v, want low and free", l)
		}
		if err := o.Set(true); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Set after Close = %v, want ErrClosed", err)
		}
	})
}

func TestLevelOutlivesItsHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		if err := o.Set(true); err != nil {
			t.Fatal(err)
		}
		_ = o.(*output).link.wire.Close() // as the kernel does for a killed process
		synctest.Wait()
		if l := b.level(t, "door"); l.Level != 1 || l.Holder != "" {
			t.Errorf("after the holder's death: %+v, want high and free", l)
		}
		open(t, b.client(t, "safe"), door)
		if l := b.level(t, "door"); l.Level != 0 || l.Holder != "safe@0" {
			t.Errorf("after a new holder: %+v, want low and held by safe@0", l)
		}
	})
}

func TestLineInUseNamesTheHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		open(t, b.client(t, "facegate"), door)
		other := b.client(t, "other")
		_, outErr := other.Output(hal.Line{Chip: Chip, Number: 0})
		_, inErr := other.Input(door)
		for _, err := range []error{outErr, inErr} {
			if !errors.Is(err, hal.ErrInUse) || !strings.Contains(err.Error(), `"facegate@0"`) {
				t.Errorf("got %v, want ErrInUse by facegate@0", err)
			}
		}
	})
}

// The new process of a restarted daemon may ask before the board has noticed
// that the old one died.
func TestLineIsWaitedForWhileItsHolderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		time.AfterFunc(100*time.Millisecond, func() { _ = o.(*output).link.wire.Close() })
		open(t, b.client(t, "facegate"), door)
	})
}

func TestLinesThatDoNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		c := b.client(t, "facegate")
		for _, tt := range []struct {
			spec hal.Line
			want string
		}{
			{hal.Line{}, "no line named"},
			{hal.Line{Chip: "gpiochip0", Number: 1}, `gpiochip0 line 1: no such chip: a simulated board has the chip "sim" alone`},
			{hal.Line{Chip: Chip, Number: 9}, "sim line 9: line 9: no such line (the board has lines 0 to 8)"},
			{hal.Line{Chip: Chip, Number: -1}, "sim line -1: line -1: no such line (the board has lines 0 to 8)"},
			{hal.Line{Name: "gate"}, `line "gate": no such line (the board has door, lamp-ready,`},
		} {
			if _, err := c.Output(tt.spec); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Output(%v) = %v, want %s", tt.spec, err, tt.want)
			}
		}
		if _, err := c.Input(hal.Line{Name: "button", Pull: "sideways"}); err == nil || !strings.Contains(err.Error(), "sideways") {
			t.Errorf("Input = %v, want an error that names the pull", err)
		}
	})
}

func TestLostBoardIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		c := b.client(t, "facegate")
		o := open(t, c, door)
		_, end := waiting(t, t.Context(), c, hal.Line{Name: "button"})
		b.stop()
		for range 2 {
			if err := o.Set(true); err == nil || !strings.Contains(err.Error(), `set line "door"`) {
				t.Errorf("Set = %v, want an error that names the line", err)
			}
		}
		if _, err := end(); err == nil {
			t.Error("Wait = nil, want an error")
		}
		if err := c.Close(); err == nil {
			t.Error("Close = nil, want an error: the door was not turned off")
		}
	})
}

func TestSilentBoardIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{pipeListener: &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}}
		start := time.Now()
		if _, err := b.client(t, "facegate").Output(door); err == nil || time.Since(start) != patience {
			t.Errorf("Output = %v after %v, want an error after %v", err, time.Since(start), patience)
		}
	})
}

func TestUnwrittenTimelineFailsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		b.timeline.fail(errors.New("no space left on device"))
		if err := o.Set(true); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("Set = %v, want the timeline's error", err)
		}
		b.timeline.fail(nil)
		if l := b.level(t, "door"); l.Level != 0 {
			t.Error("the level changed without a line in the timeline")
		}
	})
}

func TestWatchSeesEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		if err := o.Set(true); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var first []Level
		var seen []Change
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			err := b.operator().Watch(ctx, func(l []Level) { first = l }, func(c Change) { seen = append(seen, c) })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch = %v, want Canceled", err)
			}
		})
		synctest.Wait()
		for n := range 100 {
			if err := o.Set(n%2 == 1); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if len(first) != 9 || first[0].Level != 1 || first[0].Holder != "facegate@0" {
			t.Errorf("watch began with %+v", first)
		}
		if want := b.timeline.changes(t)[1:]; !slices.Equal(seen, want) {
			t.Errorf("watch saw %d changes, want the %d of the timeline in order", len(seen), len(want))
		}
	})
}

func TestSlowWatcherIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		gate := make(chan struct{})
		var watchErr error
		var wg sync.WaitGroup
		wg.Go(func() {
			watchErr = b.operator().Watch(t.Context(), func([]Level) { <-gate }, func(Change) {})
		})
		synctest.Wait()
		start := time.Now()
		for n := range 2 * maxQueue {
			if err := o.Set(n%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("the board waited %v for the watcher", took)
		}
		close(gate)
		if wg.Wait(); watchErr == nil {
			t.Error("Watch = nil, want an error")
		}
	})
}

func TestOutputsCannotBePressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		for _, dead := range []bool{false, true} {
			if err := b.operator().Press(t.Context(), "door", time.Second); err == nil || !strings.Contains(err.Error(), "is an output") {
				t.Errorf("holder dead %t: Press = %v, want an error", dead, err)
			}
			_ = o.Close()
			synctest.Wait()
		}
		if got := b.timeline.changes(t); len(got) > 0 {
			t.Errorf("changes = %v, want none", got)
		}
	})
}

func TestRequestsOutOfPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		for _, tt := range []struct {
			first, then request
			want        string
		}{
			{request{Op: opLevels}, request{Op: opSet, Level: 1}, "holds no output"},
			{request{Op: opLevels}, request{Op: opLevel}, "holds no input"},
			{request{Op: opInput, Name: "panel"}, request{Op: opSet, Level: 1}, "holds no output"},
			{request{Op: opOutput, Name: "door"}, request{Op: opOutput, Name: "lamp-ready"}, "holds a line already"},
			{request{Op: opLevels}, request{Op: opPress, Name: "gate"}, "no such line"},
		} {
			conn, err := b.dial()
			if err != nil {
				t.Fatal(err)
			}
			l := newLink("", conn)
			if _, err := l.call(tt.first); err != nil {
				t.Errorf("%+v: %v", tt.first, err)
			}
			if _, err := l.call(tt.then); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v after %+v: %v, want %s", tt.then, tt.first, err, tt.want)
			}
			_ = conn.Close()
		}
	})
}

func TestRubbishEndsTheConnectionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t)
		o := open(t, b.client(t, "facegate"), door)
		for _, text := range []string{"hello\n", "{}\n", `{"op":"levels","more":1}` + "\n", strings.Repeat("x", maxRequest+2048)} {
			conn, err := b.dial()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte(text)) // the end of a long text meets a closed connection
			if _, err := newLink("", conn).next(time.Now().Add(time.Second)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%.20q: %v, want a closed connection", text, err)
			}
			_ = conn.Close()
		}
		if err := o.Set(true); err != nil {
			t.Errorf("Set of another client: %v", err)
		}
	})
}
