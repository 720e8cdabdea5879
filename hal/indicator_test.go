package hal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/hal"
	"github.com/facegate/facegate/hal/haltest"
)

// A panel is an indicator whose lamps are all wired to recorders.
type panel struct {
	hal.Indicator
	ready, busy, granted, denied, attention, fault haltest.Output
}

// run runs the indicator until the test calls stop, which returns Run's error.
func (p *panel) run(t *testing.T) (stop func() error) {
	t.Helper()
	p.Lamps = hal.Lamps{
		Ready: &p.ready, Busy: &p.busy, Granted: &p.granted, Denied: &p.denied, Attention: &p.attention, Fault: &p.fault,
	}
	if p.Log == nil {
		p.Log = quiet()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = p.Run(ctx) })
	synctest.Wait()
	return func() error {
		cancel()
		wg.Wait()
		return err
	}
}

// lit names the lamps that are on.
func (p *panel) lit() string {
	synctest.Wait()
	var names []string
	for _, l := range []struct {
		name string
		out  *haltest.Output
	}{
		{"ready", &p.ready}, {"busy", &p.busy}, {"granted", &p.granted},
		{"denied", &p.denied}, {"attention", &p.attention}, {"fault", &p.fault},
	} {
		if l.out.On() {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, " ")
}

func TestStatesLightTheirLamps(t *testing.T) {
	for _, tt := range []struct {
		state hal.State
		fault bool
		want  string
	}{
		{hal.Off, false, ""},
		{hal.Idle, false, "ready"},
		{hal.Busy, false, "busy"},
		{hal.Granted, false, "granted"},
		{hal.Denied, false, "denied"},
		{hal.Attention, false, "attention"},
		{hal.Off, true, "fault"},
		{hal.Idle, true, "fault"},
		{hal.Denied, true, "denied fault"},
	} {
		t.Run(fmt.Sprint(tt.state, tt.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p panel
				stop := p.run(t)
				p.Show(tt.state)
				p.Fault(tt.fault)
				if got := p.lit(); got != tt.want {
					t.Errorf("lit: %q, want %q", got, tt.want)
				}
				if err := stop(); err != nil || p.lit() != "" {
					t.Errorf("Run = %v, lit after it: %q, want nil, none", err, p.lit())
				}
			})
		})
	}
}

func TestOutcomeIsHeldThenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := panel{Indicator: hal.Indicator{Hold: 3 * time.Second}}
		defer p.run(t)()
		p.Show(hal.Granted)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{{2999 * time.Millisecond, "granted"}, {time.Millisecond, "ready"}, {time.Hour, "ready"}} {
			time.Sleep(step.wait)
			if got := p.lit(); got != step.want {
				t.Errorf("lit after %v more: %q, want %q", step.wait, got, step.want)
			}
		}
	})
}

func TestNextAttemptReplacesAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := panel{Indicator: hal.Indicator{Hold: 3 * time.Second}}
		defer p.run(t)()
		p.Show(hal.Denied)
		time.Sleep(time.Second)
		p.Show(hal.Busy)
		time.Sleep(10 * time.Second)
		if got := p.lit(); got != "busy" {
			t.Errorf("lit: %q, want busy until the outcome", got)
		}
	})
}

func TestFaultOutlivesAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := panel{Indicator: hal.Indicator{Hold: 3 * time.Second}}
		defer p.run(t)()
		p.Show(hal.Attention)
		p.Fault(true)
		time.Sleep(3 * time.Second)
		if got := p.lit(); got != "fault" {
			t.Errorf("lit after the outcome: %q, want fault", got)
		}
		p.Fault(false)
		if got := p.lit(); got != "ready" {
			t.Errorf("lit after the fault: %q, want ready", got)
		}
	})
}

func TestLampsBlink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p panel
		defer p.run(t)()
		start := time.Now()
		p.Show(hal.Busy)
		p.Fault(true)
		time.Sleep(2*time.Second - time.Millisecond)
		for _, tt := range []struct {
			name string
			out  *haltest.Output
			half time.Duration
			want int
		}{{"busy", &p.busy, 500 * time.Millisecond, 4}, {"fault", &p.fault, 125 * time.Millisecond, 16}} {
			changes := tt.out.Changes()[1:] // the first is off, at the start of Run
			if len(changes) != tt.want {
				t.Errorf("%s changed %d times in 2s, want %d", tt.name, len(changes), tt.want)
				continue
			}
			for n, c := range changes {
				if at := c.At.Sub(start); at != time.Duration(n)*tt.half || c.On != (n%2 == 0) {
					t.Errorf("%s change %d: %t after %v", tt.name, n, c.On, at)
				}
			}
		}
	})
}

func TestLampsAreDrivenOnChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p panel
		defer p.run(t)()
		for range 5 {
			p.Show(hal.Idle)
			time.Sleep(time.Second)
		}
		if got := len(p.ready.Changes()); got != 2 {
			t.Errorf("ready was driven %d times, want 2: off at first, then on", got)
		}
		if got := len(p.denied.Changes()); got != 1 {
			t.Errorf("denied was driven %d times, want once: off at first", got)
		}
	})
}

func TestFailingLampIsLoggedOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := panel{Indicator: hal.Indicator{Log: slog.New(slog.NewTextHandler(&log, nil))}}
		p.busy.Fail(fails(3)...)
		defer p.run(t)()
		p.Show(hal.Idle)
		if got := p.lit(); got != "ready" {
			t.Errorf("lit: %q, want ready beside the failing lamp", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "lamp failed"); n != 1 {
			t.Errorf("failure logged %d times, want once:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "lamp works again"); n != 1 {
			t.Errorf("recovery logged %d times, want once:\n%s", n, &log)
		}
	})
}

func TestRunReportsLampsLeftOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p panel
		stop := p.run(t)
		p.Show(hal.Idle)
		p.lit()
		p.ready.Fail(errWire)
		if err := stop(); !errors.Is(err, errWire) || !strings.Contains(err.Error(), "ready") {
			t.Errorf("Run = %v, want the ready lamp and %v", err, errWire)
		}
		if p.busy.On() {
			t.Error("busy still on")
		}
	})
}

func TestIndicatorWithoutLamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := hal.Indicator{Hold: time.Second, Log: quiet()}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		i.Show(hal.Denied)
		i.Fault(true)
		if err := i.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
