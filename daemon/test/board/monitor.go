//go:build linux

package board

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// answerLimit is how long QEMU may take to answer.
const answerLimit = 10 * time.Second

// A Monitor talks to QEMU. Its methods may be called from any goroutine.
type Monitor struct {
	conn net.Conn

	// mu guards the following
	mu sync.Mutex
	in *bufio.Scanner
}

func dialMonitor(ctx context.Context, path string) (*Monitor, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	m := &Monitor{conn: conn, in: bufio.NewScanner(conn)}
	if _, err := m.execute("qmp_capabilities", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

func (m *Monitor) close() error { return m.conn.Close() }

// execute runs one command of QMP, QEMU's machine protocol.
func (m *Monitor) execute(command string, arguments any) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	if err := m.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(append(data, '\n')); err != nil {
		return nil, err
	}
	for m.in.Scan() {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := json.Unmarshal(m.in.Bytes(), &answer); err != nil {
			return nil, fmt.Errorf("qemu: %s: %w", m.in.Bytes(), err)
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("qemu: %s: %s", command, answer.Error.Desc)
		}
		if answer.Return != nil { // the others are news and the greeting
			return answer.Return, nil
		}
	}
	return nil, fmt.Errorf("qemu: %s: %w", command, errors.Join(m.in.Err(), net.ErrClosed))
}

// Lines returns the levels of the eight lines of the GPIO chip, line 0 in the
// lowest bit: the PL061's register GPIODATA, with all bits of its mask set.
func (m *Monitor) Lines() (byte, error) {
	data, err := m.execute("human-monitor-command", map[string]string{"command-line": "xp /1xb 0x090303fc"})
	if err != nil {
		return 0, err
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return 0, err
	}
	_, value, _ := strings.Cut(text, ": ")
	levels, err := strconv.ParseUint(strings.TrimSpace(value), 0, 8)
	if err != nil {
		return 0, fmt.Errorf("qemu: levels of the lines: %q", text)
	}
	return byte(levels), nil
}
