//go:build fleet

package fleet

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// figures are what a run has measured.
type figures struct {
	kiosks      int
	storm       time.Duration // from nothing to all connected
	loginCPU    time.Duration // of the engine, for each connection of the storm
	rate        float64       // events a second in the burst, at the subscriber
	brokerCPU   time.Duration // of the engine, for each event of the burst
	kioskCPU    time.Duration // of kiosks and subscriber, likewise
	kioskBytes  int64         // of resident memory, journal included
	brokerBytes int64         // of the engine, for each kiosk
	silence     time.Duration // the longest without any event, after the fault
	back        time.Duration // from the fault to all connected, the time of its absence included
	complete    time.Duration // from the return of the broker or node to the last event
	again, late int           // events that came twice, and behind newer ones
	logins      int           // of the subscriber
	sessions    int           // connections made by all kiosks
}

// String is a row of the table in docs/fleet.md.
func (f figures) String() string {
	return fmt.Sprintf("\n| kiosks | storm | broker CPU/login | events/s | broker CPU/event | kiosk CPU/event | memory/kiosk | broker memory/kiosk | silence | all back | complete | again | late | subscriber logins | sessions |\n"+
		"| %d | %.1f s | %v | %.0f | %v | %v | %d KiB | %d KiB | %.1f s | %.1f s | %.1f s | %d | %d | %d | %d |",
		f.kiosks, f.storm.Seconds(), f.loginCPU.Round(10*time.Microsecond), f.rate, f.brokerCPU.Round(10*time.Microsecond), f.kioskCPU.Round(10*time.Microsecond), f.kioskBytes>>10, f.brokerBytes>>10,
		f.silence.Seconds(), f.back.Seconds(), f.complete.Seconds(), f.again, f.late, f.logins, f.sessions)
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	must(t, err)
	pages, err := strconv.ParseInt(string(bytes.Fields(status)[1]), 10, 64)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

// processorTime is what a process has used so far. The kernel counts in
// hundredths of a second, proc(5).
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on
	var ticks int64
	for _, i := range []int{14 - 3, 15 - 3} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		must(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
