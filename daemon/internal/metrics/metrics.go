// Package metrics counts what the daemon does, for Prometheus.
//
//	event, refusal, engine fault ─► counters and histograms ─┐
//	camera, journal, broker      ─► Reading, at each scrape ─┴─► Handler
//
// It keeps a registry of its own, so that a library cannot add to it, and is
// the only package that knows the Prometheus client. docs/metrics.md lists
// every metric. No label holds a name of a person, a reference or a picture.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/facegate/facegate/daemon/internal/event"
)

// Metrics holds what has been counted. Its methods may be called from any
// goroutine and never block.
type Metrics struct {
	registry *prometheus.Registry

	attempts *prometheus.CounterVec
	refused  *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	access   *prometheus.CounterVec
	facts    *prometheus.CounterVec
	pulses   prometheus.Histogram
	dropped  prometheus.Counter
	faults   prometheus.Counter
	asked    *prometheus.CounterVec
	calls    prometheus.Counter
	sent     prometheus.Counter
}

// New returns metrics of a program of the given version. At each scrape read
// is called once for the figures that others keep; it must not block.
func New(version string, read func() Reading) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: counters("attempts_total", "Attempts that ended, by outcome.", "decision", "reason", "source"),
		refused:  counters("attempts_refused_total", "ID photos turned away before an attempt began.", "source", "cause"),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "facegate_attempt_stage_seconds", Help: "Time spent in each stage of an attempt.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16},
		}, []string{"stage"}),
		access: counters("attempt_access_total", "Attempts that ended, by what became of the door.", "access"),
		facts:  counters("door_facts_total", "Facts about the door.", "fact"),
		pulses: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "facegate_door_pulse_seconds", Help: "Measured length of the door's pulses.",
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10},
		}),
		dropped: counter("events_dropped_total", "Events that the journal had to drop before a broker took them."),
		faults:  counter("engine_faults_total", "Failures of the face engine, calls that took too long included."),
		asked:   counters("cloud_attempts_total", "Attempts for which compare services were to be asked, by their verdict or why there is none.", "why", "result"),
		calls:   counter("cloud_calls_total", "Calls of compare services."),
		sent:    counter("cloud_sent_bytes_total", "Bytes sent to compare services."),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "facegate_build_info", Help: "1, with the version of the program."}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.attempts, m.refused, m.stages, m.access, m.facts, m.pulses, m.dropped, m.faults, m.asked, m.calls, m.sent, build,
		newReader(read), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// Series that an alert rests on exist from the start, as zeros.
	for _, a := range event.Accesses() {
		m.access.WithLabelValues(string(a))
	}
	for _, f := range event.AccessFacts() {
		m.facts.WithLabelValues(string(f))
	}
	return m
}

// Event counts an event of any kind, whether or not the journal took it.
func (m *Metrics) Event(e event.Event) {
	switch {
	case e.Attempt != nil:
		m.attempt(e.Attempt)
	case e.AccessEvent != nil:
		m.facts.WithLabelValues(string(e.Fact)).Inc()
		if e.MeasuredMS > 0 {
			m.pulses.Observe(e.MeasuredMS / 1000)
		}
	case e.Gap != nil:
		m.dropped.Add(float64(e.Undelivered))
	}
}

func (m *Metrics) attempt(a *event.Attempt) {
	m.attempts.WithLabelValues(string(a.Decision), string(a.Reason), a.Source).Inc()
	m.access.WithLabelValues(string(a.Access)).Inc()
	for stage, ms := range a.StageMS {
		m.stages.WithLabelValues(stage).Observe(ms / 1000)
	}
	if c := a.Cloud; c != nil {
		result := c.Verdict
		if c.Failure != "" {
			result = c.Failure
		}
		m.asked.WithLabelValues(c.Why, result).Inc()
		m.calls.Add(float64(c.Calls))
		m.sent.Add(float64(c.SentBytes))
	}
}

// Refused counts an ID photo from source that did not become an attempt.
// Source and cause come from closed lists.
func (m *Metrics) Refused(source, cause string) {
	m.refused.WithLabelValues(source, cause).Inc()
}

// EngineFault counts a failure of the face engine.
func (m *Metrics) EngineFault() { m.faults.Inc() }

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 5 * time.Second})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "facegate_" + name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "facegate_" + name, Help: help}, labels)
}
