package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Bounds of the way out.
const (
	wayOut    = 2700 * time.Millisecond // for all of it
	lineEnds  = 1500 * time.Millisecond // for the attempt under way to be journalled
	tidyUp    = time.Second             // for calls of compare services to be settled, and pictures removed
	lastWords = 700 * time.Millisecond  // for the broker to be told
)

// run runs every part until ctx ends, and stops them in the order that loses
// nothing: the door, the attempt, then those that carry news outside.
func (k *kiosk) run(ctx context.Context, stop context.CancelCauseFunc) error {
	k.stop = stop
	inward, outward := &group{stop: stop}, &group{stop: stop}
	after, silence := context.WithCancel(context.WithoutCancel(ctx))
	defer silence()
	last, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	exchange := &group{stop: stop} // outlives the client, which says goodbye through it

	if k.broker != nil {
		exchange.start("broker", func() error { return k.broker.Run(last) })
	}
	outward.start("lamps", func() error { return k.hw.indicator.Run(after) })
	inward.start("camera", func() error { return k.live.feed.Run(ctx) })
	if k.document != nil {
		inward.start("document camera", func() error { return k.document.feed.Run(ctx) })
	}
	go func() { _ = k.matcher.Run(ctx) }() // not waited for: a call into C cannot be ended

	select {
	case <-k.live.known:
	case <-ctx.Done():
	}
	if k.services != nil {
		inward.start("compare services", func() error { return k.services.run(ctx) })
	}
	inward.start("line", func() error { return k.line.Run(ctx) })
	outward.start("mqtt", func() error { return k.client.Run(after) })
	outward.start("http", func() error { return k.server.Serve(after, k.listener) })
	k.startSources(ctx, inward)
	inward.start("watchdog", func() error {
		w := watchdog{camera: k.live, ping: k.line.Ping, engine: k.matcher.Hung, log: k.log}
		return w.run(ctx)
	})
	inward.start("upkeep", func() error { return k.upkeep(ctx) })
	k.client.SetInfo(k.info())
	_, _ = sd.SdNotify(false, sd.SdNotifyReady)
	k.log.Info("ready", "camera", k.live.Fault() == nil)

	<-ctx.Done()
	end := time.Now().Add(wayOut)
	err := k.end(ctx, end, inward, outward, silence)
	hangUp()
	exchange.wait(until(end, lastWords))
	return errors.Join(err, k.journal.Close())
}

// until returns how long a part of the way out may take: at most the given
// time, and none but a moment once the whole is over.
func until(end time.Time, most time.Duration) time.Duration {
	return max(min(most, time.Until(end)), 20*time.Millisecond)
}

// end is the way out.
func (k *kiosk) end(ctx context.Context, end time.Time, inward, outward *group, silence func()) error {
	var errs []error
	if cause := context.Cause(ctx); !errors.Is(cause, errSignal) && !errors.Is(cause, context.Canceled) {
		errs = append(errs, cause)
	}
	if k.hw.door != nil {
		errs = append(errs, k.hw.door.Lock())
	}
	inward.wait(until(end, lineEnds))
	asked := &group{stop: k.stop}
	if k.services != nil {
		asked.start("compare services", k.services.Close)
	}
	k.flush(until(end, lastWords))
	if !asked.wait(until(end, tidyUp)) {
		k.log.Warn("compare services not left in order", "hint", "pictures may be left in the bucket, and the end of a call out of the ledger")
	}
	silence()
	outward.wait(until(end, lastWords))
	return errors.Join(errs...)
}

// flush gives the broker a moment to take what the journal still holds.
func (k *kiosk) flush(most time.Duration) {
	if !k.client.Stats().Connected {
		return
	}
	limit := time.Now().Add(most)
	for time.Now().Before(limit) {
		if s, err := k.journal.Stats(context.Background()); err != nil || s.Pending == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// startSources opens the ways for an ID photo to arrive.
func (k *kiosk) startSources(ctx context.Context, g *group) {
	if k.inbox != nil {
		g.start("inbox", func() error { return k.inbox.Run(ctx) })
	}
	if k.cfg.Sources.Button.Enabled && k.hw.button != nil {
		g.start("button", func() error { return k.intake.watchButton(ctx, k.hw.button) })
	}
}

// upkeep bounds the journal and looks at what nobody reports.
func (k *kiosk) upkeep(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		k.keep(ctx)
		k.announce()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// keep bounds the journal, or finds out whether a disk that failed is well.
func (k *kiosk) keep(ctx context.Context) {
	fault := k.journal.Fault()
	if fault != nil && k.journal.Retry(ctx) == nil {
		k.log.Info("journal is written again", "was", fault)
	}
	if k.journal.Fault() != nil {
		return // nobody gets in until it is written again; Prune would say the same
	}
	if err := k.journal.Prune(ctx); err != nil && ctx.Err() == nil {
		k.log.Error("journal not pruned", "err", err)
	}
}

// A group is the goroutines that are waited for together. One that fails ends
// the daemon.
type group struct {
	stop context.CancelCauseFunc
	wg   sync.WaitGroup
}

func (g *group) start(name string, f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.stop(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// wait waits for all of them, at most for the given time, and reports whether
// they have ended.
func (g *group) wait(limit time.Duration) bool {
	ended := make(chan struct{})
	go func() { g.wg.Wait(); close(ended) }()
	select {
	case <-ended:
		return true
	case <-time.After(limit):
		return false
	}
}
