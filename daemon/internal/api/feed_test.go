package api

import (
	"log/slog"
	"testing"
)

func TestFollowerTooFarBehindIsDropped(t *testing.T) {
	f := newFeed(slog.New(slog.DiscardHandler))
	slow, _ := f.join()
	quick, _ := f.join()
	for range maxBehind + 1 {
		f.publish("hint", hint{})
		<-quick
	}
	for range maxBehind {
		if _, open := <-slow; !open {
			t.Fatal("dropped before it was too far behind")
		}
	}
	if _, open := <-slow; open {
		t.Error("still followed")
	}
	f.publish("hint", hint{})
	if _, open := <-quick; !open {
		t.Error("the quick follower was dropped with the slow one")
	}
	f.leave(slow) // what a handler does at its end
	f.leave(quick)
	if len(f.followers) > 0 {
		t.Error("followers that left are kept")
	}
}

func TestFollowerIsToldTheLastPhaseFirst(t *testing.T) {
	f := newFeed(slog.New(slog.DiscardHandler))
	f.publish("phase", phase{V: 1, Phase: "idle"})
	f.publish("phase", phase{V: 1, Phase: "busy"})
	f.publish("hint", hint{})
	c, _ := f.join()
	if got, want := string(<-c), "event: phase\ndata: {\"v\":1,\"phase\":\"busy\"}\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c) > 0 {
		t.Errorf("and then %q", <-c)
	}
}
