package mqtt_test

import (
	"context"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/broker"
)

// BenchmarkForward sends a backlog of events, each acknowledged, to the
// embedded broker over loopback TCP. The journal costs nothing here.
func BenchmarkForward(b *testing.B) {
	e := startBroker(b, broker.Config{})
	c, j := newClient()
	c.Broker = "tcp://" + e.Addr().String()
	for range b.N {
		j.Append()
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ResetTimer()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for tick := time.Tick(time.Millisecond); j.Through() < uint64(b.N); {
		<-tick
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
