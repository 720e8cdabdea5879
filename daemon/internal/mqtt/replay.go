package mqtt

import (
	"context"
	"fmt"
	"time"
)

const (
	replayRate  = 200 // events a second
	replayChunk = 20  // events sent together
)

// replays serves one replay command after another. New events keep flowing
// beside it, through forward, in their own order.
func (s *session) replays(ctx context.Context) error {
	for {
		select {
		case r := <-s.replay:
			err := s.replayRange(ctx, r)
			s.replaying.Store(false)
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// replayRange sends a range again. Its error is the connection's.
func (s *session) replayRange(ctx context.Context, r Replay) error {
	pace := time.NewTicker(replayChunk * time.Second / replayRate)
	defer pace.Stop()
	for next := r.From; next <= r.To; {
		events, err := s.History.Range(ctx, next, r.To, replayChunk)
		if err != nil {
			s.journalError("read events to replay", err)
			s.stopReplay(next, r.To)
			return nil
		}
		if len(events) == 0 {
			break
		}
		if _, err := s.send(ctx, events, always); err != nil {
			s.stopReplay(next, r.To)
			return err
		}
		next = events[len(events)-1].Seq + 1
		select {
		case <-pace.C:
		case <-ctx.Done():
			s.stopReplay(next, r.To)
			return nil
		}
	}
	s.Log.Info("replay finished", "from", r.From, "to", r.To)
	return nil
}

func (s *session) stopReplay(next, to uint64) {
	s.Report(Fault{Code: "replay_interrupted", Component: "mqtt", Detail: fmt.Sprintf("ask again for %d to %d", next, to)})
}
