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
	growth = 1.02        // of a mean, from the second quarter to the last
	every  = time.Second // a sample
)

// A sample is what the daemon needs at a moment.
type sample struct {
	at   time.Time
	rest bool // when nothing was going on
	of   [len(quantities)]float64
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
				w.look(false)
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
func (w *sampler) look(rest bool) {
	x := sample{at: time.Now(), rest: rest}
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

// rest takes samples while nothing goes on.
func (w *sampler) rest(c *http.Client) {
	c.CloseIdleConnections()
	for range 3 {
		time.Sleep(200 * time.Millisecond) // connections end meanwhile
		w.look(true)
	}
}

// judge compares the quarters of the time.
func (s *soak) judge(all []sample, began, ended time.Time) {
	s.t.Helper()
	quarter := ended.Sub(began) / 4
	table := fmt.Sprintf("%-30s %8s %8s %8s %8s\n", "", "1st", "2nd", "3rd", "4th")
	for i, name := range quantities {
		for _, rest := range []bool{false, true} {
			var mean, most [4]float64
			for q := range 4 {
				n := 0.0
				for _, x := range all {
					if x.rest == rest && !x.at.Before(began.Add(time.Duration(q)*quarter)) && x.at.Before(began.Add(time.Duration(q+1)*quarter)) {
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
