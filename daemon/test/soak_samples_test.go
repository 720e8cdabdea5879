//go:build dlib && integration && soak

package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	growth = 1.02             // of a mean, from the second quarter to the last
	every  = time.Second      // a sample
	calmed = 95 * time.Second // until nothing is kept for later: connections to services are for 90 s
	rest   = 10 * time.Second // are looked at then
)

// A stretch is the time of which a sample is.
type stretch struct {
	quarter int  // of the time, from 1; 0 is not judged
	rest    bool // nothing has been going on for long
}

// A sample is what the daemon needs at a moment.
type sample struct {
	stretch
	of [len(quantities)]float64
}

// quantities are what is sampled.
var quantities = [...]string{"resident MiB", "descriptors", "goroutines"}

// A sampler looks at a daemon again and again.
type sampler struct {
	t    *testing.T
	pid  int
	c    *http.Client
	stop context.CancelFunc
	wg   sync.WaitGroup

	// mu guards the following
	mu     sync.Mutex
	now    stretch
	all    []sample
	missed int // because a busy daemon did not answer a scrape
}

func (s *soak) sample(pid int) *sampler {
	ctx, stop := context.WithCancel(context.Background())
	w := &sampler{t: s.t, pid: pid, c: s.client(), stop: stop}
	w.wg.Go(func() {
		for tick := time.NewTicker(every); ; {
			select {
			case <-tick.C:
				w.look()
			case <-ctx.Done():
				return
			}
		}
	})
	s.t.Cleanup(func() { w.end() })
	return w
}

// end returns all samples.
func (w *sampler) end() []sample {
	w.stop()
	w.wg.Wait()
	w.c.CloseIdleConnections()
	return w.all
}

// look takes a sample.
func (w *sampler) look() {
	var x sample
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.pid))
	if err == nil {
		var pages float64
		pages, err = strconv.ParseFloat(strings.Fields(string(text))[1], 64)
		x.of[0] = pages * float64(os.Getpagesize()) / (1 << 20)
	}
	open, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.pid))
	x.of[1] = float64(len(open))
	x.of[2], err = w.goroutines(errors.Join(err, err2))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.missed++
		return
	}
	x.stretch = w.now
	w.all = append(w.all, x)
}

// goroutines asks the daemon how many it has, unless there is a fault already.
func (w *sampler) goroutines(fault error) (float64, error) {
	if fault != nil {
		return 0, fault
	}
	resp, err := w.c.Get("http://facegate/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "\ngo_goroutines ")
	number, _, _ := strings.Cut(after, "\n")
	return strconv.ParseFloat(number, 64)
}

// enter says what the samples are of from now on.
func (w *sampler) enter(m stretch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = m
}

// rest lets the daemon rest and takes samples of that.
func (s *soak) rest(quarter int) {
	s.sampler.enter(stretch{})
	s.c.CloseIdleConnections()
	time.Sleep(calmed)
	s.sampler.enter(stretch{quarter, true})
	time.Sleep(rest)
	s.sampler.enter(stretch{})
}

// judge compares the quarters of the time.
func (s *soak) judge(all []sample) {
	s.t.Helper()
	table := fmt.Sprintf("%-30s %8s %8s %8s %8s\n", "", "1st", "2nd", "3rd", "4th")
	for i, name := range quantities {
		for _, rest := range []bool{false, true} {
			var mean, most [4]float64
			for q := range mean {
				n := 0.0
				for _, x := range all {
					if x.stretch == (stretch{q + 1, rest}) {
						n++
						mean[q] += x.of[i]
						most[q] = max(most[q], x.of[i])
					}
				}
				mean[q] /= n
			}
			when := "at work"
			if rest {
				when = "at rest"
			}
			table += fmt.Sprintf("%-30s %8.1f %8.1f %8.1f %8.1f\n", name+" "+when+", mean", mean[0], mean[1], mean[2], mean[3])
			table += fmt.Sprintf("%-30s %8.0f %8.0f %8.0f %8.0f\n", "most", most[0], most[1], most[2], most[3])
			if !(mean[3] <= mean[1]*growth) {
				s.t.Errorf("%s %s grew from %.1f to %.1f, more than %.2f times", name, when, mean[1], mean[3], growth)
			}
		}
	}
	s.t.Logf("%d samples\n%s", len(all), table)
}
