package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Reading holds figures that other packages keep, at the time of a scrape.
type Reading struct {
	Cameras map[string]Camera // by use: live, document
	Journal Journal
	MQTT    MQTT
	Paused  map[string]bool // by compare service: whether it is left alone because it failed
}

// A Camera is the state of one camera.
type Camera struct {
	Up      bool      // it delivers
	Frames  uint64    // frames delivered since the start
	Skipped uint64    // frames dropped as damaged since the start
	Newest  time.Time // when the newest frame was taken; zero before the first
}

// A Journal is the state of the record of events.
type Journal struct {
	Seq     uint64 // of the newest event
	Pending int    // events that no broker has taken yet
	Bytes   int64  // on disk
}

// MQTT is the state of the connection to the broker.
type MQTT struct {
	Connected bool
	Published uint64 // events that the broker took since the start
}

// A reader asks for a Reading at each scrape.
type reader struct {
	read func() Reading

	up, frames, skipped, age *prometheus.Desc
	seq, pending, bytes      *prometheus.Desc
	connected, published     *prometheus.Desc
	paused                   *prometheus.Desc
}

func newReader(read func() Reading) *reader {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("facegate_"+name, help, labels, nil)
	}
	return &reader{
		read:      read,
		up:        desc("camera_up", "1 while the camera delivers, 0 while it is at fault.", "camera"),
		frames:    desc("camera_frames_total", "Frames that the camera delivered.", "camera"),
		skipped:   desc("camera_skipped_frames_total", "Frames dropped as damaged.", "camera"),
		age:       desc("camera_frame_age_seconds", "Age of the newest frame. Absent before the first.", "camera"),
		seq:       desc("journal_seq", "Number of the newest event."),
		pending:   desc("journal_pending_events", "Events that no broker has taken yet."),
		bytes:     desc("journal_size_bytes", "Size of the journal on disk."),
		connected: desc("mqtt_connected", "1 while connected to the broker."),
		published: desc("mqtt_published_total", "Events that the broker took."),
		paused:    desc("cloud_paused", "1 while a compare service is left alone because it failed.", "provider"),
	}
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.up, r.frames, r.skipped, r.age, r.seq, r.pending, r.bytes, r.connected, r.published, r.paused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	now := r.read()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for name, c := range now.Cameras {
		send(r.up, prometheus.GaugeValue, truth(c.Up), name)
		send(r.frames, prometheus.CounterValue, float64(c.Frames), name)
		send(r.skipped, prometheus.CounterValue, float64(c.Skipped), name)
		if !c.Newest.IsZero() {
			send(r.age, prometheus.GaugeValue, time.Since(c.Newest).Seconds(), name)
		}
	}
	send(r.seq, prometheus.GaugeValue, float64(now.Journal.Seq))
	send(r.pending, prometheus.GaugeValue, float64(now.Journal.Pending))
	send(r.bytes, prometheus.GaugeValue, float64(now.Journal.Bytes))
	send(r.connected, prometheus.GaugeValue, truth(now.MQTT.Connected))
	send(r.published, prometheus.CounterValue, float64(now.MQTT.Published))
	for name, paused := range now.Paused {
		send(r.paused, prometheus.GaugeValue, truth(paused), name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
