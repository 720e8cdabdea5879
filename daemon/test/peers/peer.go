package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// warm is how many pictures are shown, after the frames, before any is timed:
// what compiles while it runs takes that long to be as fast as it gets.
const warm = 20

// A peer is a program that takes part.
type peer struct {
	name   string
	args   []string // to start it
	env    []string // besides ours
	log    string   // of its installation
	absent string   // why it does not take part
}

// A look is what a peer made of one picture.
type look struct {
	MS         float64   // processor time
	Descriptor []float64 // nil without a face
	clock      float64   // milliseconds until the answer was here
}

// A result is what one peer made of all pictures.
type result struct {
	peer
	version string
	looks   []look
	frame   float64 // median ms of a frame
	peak    int     // MiB

	// Of looks:
	verification, clock float64   // median ms of the pairs of which both faces were found
	failed              int       // pictures without a face
	tar                 [2]string // at each of targets
}

// measure shows all pictures to the peer, each once.
func (p peer) measure(ctx context.Context, cpu int, people []person, frames []string) result {
	r := result{peer: p}
	if p.absent != "" {
		return r
	}
	c, err := p.start(ctx, cpu)
	if err == nil {
		err = c.measure(&r, flat(people), frames)
		err = errors.Join(err, c.end())
	}
	if err != nil {
		r.absent = p.reason(c, err)
	}
	return r
}

func (c *child) measure(r *result, pictures, frames []string) error {
	if err := c.answer(&struct{ Version *string }{&r.version}); err != nil {
		return err
	}
	if _, err := c.look(slices.Concat(frames, pictures[:min(warm, len(pictures))])); err != nil {
		return err
	}
	looks, err := c.look(frames)
	if err != nil {
		return err
	}
	var times []float64
	for _, l := range looks {
		times = append(times, l.MS)
	}
	r.frame = median(times)
	if r.looks, err = c.look(pictures); err != nil {
		return err
	}
	r.peak, err = peak(c.cmd.Process.Pid)
	return err
}

// A child is a peer that runs.
type child struct {
	cmd    *exec.Cmd
	to     io.WriteCloser
	from   *bufio.Reader
	stderr bytes.Buffer
}

// start runs the peer on one processor, with one thread where it asks.
func (p peer) start(ctx context.Context, cpu int) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, p.args...)...)}
	c.cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "UV_THREADPOOL_SIZE=1")
	c.cmd.Env = append(c.cmd.Env, p.env...)
	c.cmd.Stderr = &c.stderr
	to, err := c.cmd.StdinPipe()
	if err != nil {
		return c, err
	}
	from, err := c.cmd.StdoutPipe()
	if err != nil {
		return c, err
	}
	c.to, c.from = to, bufio.NewReaderSize(from, 1<<20)
	return c, c.cmd.Start()
}

// look shows pictures to the child, one after the other.
func (c *child) look(pictures []string) ([]look, error) {
	looks := make([]look, len(pictures))
	for i, file := range pictures {
		began := time.Now()
		_, _ = fmt.Fprintln(c.to, file) // to one that has ended, which gives no answer either
		if err := c.answer(&looks[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		looks[i].clock = float64(time.Since(began)) / float64(time.Millisecond)
	}
	return looks, nil
}

// answer reads one line into v.
func (c *child) answer(v any) error {
	line, err := c.from.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("answer %.60q: %w", line, err)
	}
	return nil
}

// end closes the child's input, upon which it ends.
func (c *child) end() error {
	err := c.to.Close()
	_, _ = io.Copy(io.Discard, c.from)
	return errors.Join(err, c.cmd.Wait())
}

// peak returns the most memory that a process had resident so far, in MiB.
// Linux counts it from the start of the program, not of whoever started it.
func peak(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")))
			return kib >> 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}

// reason says in a line why a peer was not measured: what its installer said
// went wrong, else what it said itself, else err.
func (p peer) reason(c *child, err error) string {
	log, _ := os.ReadFile(p.log) // facegate's own have none
	said := cmp.Or(complaint(string(log)), complaint(c.stderr.String()), err.Error())
	said, _, _ = strings.Cut(said, "\n")
	return said
}

// complaint returns the last line that calls itself an error, as those of pip,
// npm, Python, Node and this program do.
func complaint(text string) string {
	lines := regexp.MustCompile(`(?mi)^.*\b(\w*error|npm ERR!|peers):? .*$`).FindAllString(text, -1)
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// median of numbers, 0 of none.
func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[len(of)/2]
}
