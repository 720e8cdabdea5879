package event

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootIDFile is where a Linux system names its boot.
const BootIDFile = "/proc/sys/kernel/random/boot_id"

// A Clock makes stamps. Both fields are required.
type Clock struct {
	BootID      string
	ClockSynced func() bool // whether the wall clock can be trusted now
}

// Stamp returns the time now. The fields agree with each other to within the
// time of two system calls.
func (c Clock) Stamp() Stamp {
	return Stamp{
		BootID:      c.BootID,
		Time:        Time{time.Now().UTC().Truncate(time.Millisecond)},
		MonoMS:      SinceBoot().Milliseconds(),
		ClockSynced: c.ClockSynced(),
	}
}

// BootID reads the kernel's identifier of this boot from file, see
// [BootIDFile].
func BootID(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if len(id) != 36 {
		return "", fmt.Errorf("read boot id: %s holds %d characters, want 36", file, len(id))
	}
	return id, nil
}

// Synced reports whether the wall clock is kept right by somebody: the kernel
// says so, or there is a file called marker, which whoever sets the clock
// leaves once it has. If not, why says what the kernel answered, and the
// remedy. A kernel that won't answer counts as not synchronised.
func Synced(marker string) (ok bool, why string) {
	var t unix.Timex // no modes: this only asks
	state, err := unix.Adjtimex(&t)
	ok, why = kernelSynced(state, t.Status, err)
	if ok {
		return true, ""
	}
	if _, err := os.Stat(marker); err == nil {
		return true, ""
	}
	return false, fmt.Sprintf("%s, and there is no %s (see clock.marker)", why, marker)
}

// kernelSynced reads the answer of adjtimex(2).
func kernelSynced(state int, status int32, err error) (ok bool, why string) {
	switch {
	case err != nil:
		return false, fmt.Sprintf("the kernel does not say: adjtimex: %v", err)
	case status&unix.STA_UNSYNC != 0:
		return false, "no time source has set the clock since boot, or not for too long"
	case state == unix.TIME_ERROR:
		return false, "the kernel reports a clock error"
	}
	return true, ""
}

// SinceBoot returns CLOCK_BOOTTIME, which counts on while the machine sleeps and
// which nobody sets.
func SinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // Linux has had this clock since 2.6.39
	}
	return time.Duration(t.Nano())
}
