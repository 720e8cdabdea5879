//go:build dlib && integration && soak

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A consumer takes events as docs/events.md tells it to.
type consumer struct {
	// mu guards the following
	mu    sync.Mutex
	seen  map[uint64]bool
	last  uint64   // the newest
	late  []uint64 // came for the first time, marked historical, after newer ones
	again int
	fault error
}

// consume consumes in a goroutine until the end of the test.
func consume(t *testing.T, address string) *consumer {
	c := &consumer{seen: map[uint64]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ready := make(chan struct{})
	begun := sync.OnceFunc(func() { close(ready) })
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := c.connection(ctx, address, begun); err != nil {
				time.Sleep(100 * time.Millisecond) // the broker is away
			}
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	await(t, "the consumer", ready)
	return c
}

// connection consumes until the connection is lost.
func (c *consumer) connection(ctx context.Context, address string, begun func()) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	p, err := mqtttest.NewPeer(conn, mqtttest.Login{ID: "consumer", Lasting: true})
	if err != nil {
		return err
	}
	if err := p.Subscribe(root+"event/#", 1); err != nil {
		return err
	}
	begun()
	for {
		m, err := p.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // nothing has happened for a while
		}
		if err != nil {
			return err
		}
		c.take(m.Payload)
	}
}

func (c *consumer) take(payload []byte) {
	var e event.Event
	err := errors.Join(eventtest.Err("event", payload), json.Unmarshal(payload, &e))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.fault = errors.Join(c.fault, err)
	case c.seen[e.Seq]:
		c.again++
	case e.Seq < c.last && !e.Historical:
		c.fault = errors.Join(c.fault, fmt.Errorf("event %d came after %d", e.Seq, c.last))
	case e.Seq < c.last:
		c.late = append(c.late, e.Seq)
	}
	c.seen[e.Seq] = true
	c.last = max(c.last, e.Seq)
}

// missing returns the first range that has not come, up to last.
func (c *consumer) missing(last int) (from, to int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := 1; seq <= last; seq++ {
		if !c.seen[uint64(seq)] {
			if from == 0 {
				from = seq
			}
			to = seq
		} else if from > 0 {
			break
		}
	}
	return from, to
}
