package journal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
)

// report adds the median and the 99th percentile of took to b.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.50), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAppend measures decision to journal: one outcome, fsynced.
func BenchmarkAppend(b *testing.B) {
	j, _, _ := begin(b)
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		start := time.Now()
		add(b, j, eventtest.Match(eventtest.AttemptID(n)))
		took = append(took, time.Since(start))
	}
	report(b, took)
}

// BenchmarkStartPulse measures what stands between the journal and the pin,
// within whole attempts whose events are delivered as they come.
func BenchmarkStartPulse(b *testing.B) {
	j, _, _ := begin(b)
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		id := eventtest.AttemptID(n)
		must(b, j.Begin(b.Context(), id, "http"))
		add(b, j, eventtest.Match(id))
		start := time.Now()
		must(b, j.StartPulse(b.Context(), id))
		took = append(took, time.Since(start))
		e := add(b, j, eventtest.Access(id, event.PulseEnded))
		must(b, j.Delivered(b.Context(), e.Seq))
	}
	report(b, took)
}
