package hal_test

import (
	"testing"
	"time"

	"github.com/facegate/facegate/hal"
)

func TestDebounce(t *testing.T) {
	const ms = time.Millisecond
	type sample struct {
		at              time.Duration
		active, changed bool
		counts          bool
		left            time.Duration
	}
	for _, tt := range []struct {
		name    string
		length  time.Duration
		samples []sample
	}{
		{"steady press", 20 * ms, []sample{
			{0, false, false, false, 0}, {5 * ms, true, true, false, 20 * ms},
			{15 * ms, true, false, false, 10 * ms}, {25 * ms, true, false, true, 0}}},
		{"bounce begins anew", 20 * ms, []sample{
			{0, false, false, false, 0}, {5 * ms, true, true, false, 20 * ms},
			{15 * ms, true, true, false, 20 * ms}, {30 * ms, true, false, false, 5 * ms}, {35 * ms, true, false, true, 0}}},
		{"short press", 20 * ms, []sample{
			{0, false, false, false, 0}, {5 * ms, true, true, false, 20 * ms}, {15 * ms, false, true, false, 0},
			{30 * ms, false, false, false, 0}}},
		{"held from the start", 20 * ms, []sample{
			{0, true, false, false, 0}, {50 * ms, true, false, false, 0}, {60 * ms, true, true, false, 0},
			{70 * ms, false, true, false, 0}, {80 * ms, true, true, false, 20 * ms}, {100 * ms, true, false, true, 0}}},
		{"no debounce", 0, []sample{{0, true, false, false, 0}, {1 * ms, false, true, false, 0}, {2 * ms, true, true, true, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := hal.Debounce{Length: tt.length}
			start := time.Now()
			for _, s := range tt.samples {
				counts, left := d.Sample(start.Add(s.at), s.active, s.changed)
				if counts != s.counts || left != s.left {
					t.Errorf("at %v: Sample = %t, %v, want %t, %v", s.at, counts, left, s.counts, s.left)
				}
			}
		})
	}
}
