package gpio

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	conngpio "periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

var _ line = (*gpioioctl.GPIOLine)(nil)

// A fakeLine stands for periph's GPIOLine. It writes down what it is told.
type fakeLine struct {
	edges chan struct{}

	// mu guards the following
	mu    sync.Mutex
	level conngpio.Level
	calls []string
	err   error // returned by Out and In
	gone  bool  // waits end at once, as they do when the chip was unplugged
}

func newLine() *fakeLine { return &fakeLine{edges: make(chan struct{}, 16)} }

func (l *fakeLine) note(format string, args ...any) {
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
}

func (l *fakeLine) Out(v conngpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note("out %v", v)
	if l.err == nil {
		l.level = v
	}
	return l.err
}

func (l *fakeLine) In(p conngpio.Pull, e conngpio.Edge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note("in %v %v", p, e)
	return l.err
}

func (l *fakeLine) Read() conngpio.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note("read")
	return l.level && !conngpio.Level(l.gone)
}

func (l *fakeLine) WaitForEdge(timeout time.Duration) bool {
	l.mu.Lock()
	l.note("wait %v", timeout)
	gone := l.gone
	l.mu.Unlock()
	if gone {
		return false
	}
	select {
	case <-l.edges:
		return true
	case <-time.After(timeout):
		return false
	}
}

func (l *fakeLine) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note("close")
}

// turn gives the line another level from outside.
func (l *fakeLine) turn(v conngpio.Level) {
	l.mu.Lock()
	l.level = v
	l.mu.Unlock()
	l.edges <- struct{}{}
}

func (l *fakeLine) unplug() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

// told returns the calls of the kinds named.
func (l *fakeLine) told(kinds ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.calls), func(c string) bool {
		kind, _, _ := strings.Cut(c, " ")
		return !slices.Contains(kinds, kind)
	})
}

// newBoard returns a board of one chip, and what the kernel says of its lines.
func newBoard(lines ...*fakeLine) (*Board, *fakeKernel) {
	k := &fakeKernel{uses: make(map[int]use)}
	c := chip{name: "gpiochip0", label: "pl061", path: "/dev/gpiochip0"}
	for n, l := range lines {
		c.pins = append(c.pins, pin{name: fmt.Sprintf("LINE%d", n), line: l})
	}
	return &Board{chips: []chip{c}, inspect: k.inspect}, k
}

type fakeKernel struct {
	// mu guards the following
	mu   sync.Mutex
	uses map[int]use
	err  error
}

func (k *fakeKernel) inspect(_ string, number int) (use, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.uses[number], k.err
}

func (k *fakeKernel) set(number int, u use, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses[number], k.err = u, err
}
