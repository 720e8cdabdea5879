package hal

import "time"

// A Debounce decides when an input counts as activated: after it has been
// inactive, it must be active for Length without a change. Drivers use one
// for each Wait. It starts no timer: the driver samples the line.
type Debounce struct {
	Length time.Duration // 0: a single active sample counts

	armed bool      // the line has been inactive
	since time.Time // when it became active; zero while inactive
}

// Sample takes the line's state at now. changed says that the line changed
// since the last sample, even if it changed back. Sample returns true once the
// line counts; otherwise left is how long it must stay as it is to count, or 0
// if it is not on the way to.
func (d *Debounce) Sample(now time.Time, active, changed bool) (counts bool, left time.Duration) {
	if !active {
		d.armed = true
		d.since = time.Time{}
		return false, 0
	}
	// A change does not arm: it may be an old one that the kernel had queued.
	if !d.armed {
		return false, 0
	}
	if d.since.IsZero() || changed {
		d.since = now
	}
	left = d.Length - now.Sub(d.since)
	return left <= 0, max(left, 0)
}
