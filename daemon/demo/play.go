package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/hal/sim"
)

// An act is one person at the kiosk.
type act struct {
	title, camera, card string
	decision            event.Decision
	reason              event.Reason
	opens               bool
}

func acts() []act {
	return []act{
		{"the person on the ID", "same", "card.jpg", event.DecisionMatch, event.OK, true},
		{"another person with that ID", "other", "card.jpg", event.DecisionNoMatch, event.BelowThreshold, false},
		{"nobody in front of the camera", "nobody", "card.jpg", event.DecisionError, event.NoFaceLive, false},
		{"an ID scan without a face", "same", "blank.jpg", event.DecisionError, event.NoFaceID, false},
	}
}

// A row is one line of the summary.
type row struct {
	act
	got   event.Event
	pulse time.Duration
	right bool
}

// play runs the acts and prints the summary; right is whether all came out as
// they should.
func (s *stage) play(ctx context.Context) (right bool, err error) {
	var rows []row
	for i, a := range acts() {
		fmt.Printf("--- %d. %s\n", i+1, a.title)
		r, err := s.perform(ctx, a)
		if err != nil {
			return false, err
		}
		rows = append(rows, r)
		fmt.Println()
	}
	return summary(rows), nil
}

// perform shows the scene to the camera and puts the ID scan into the inbox
// as scanner software does: written under another name, then renamed.
func (s *stage) perform(ctx context.Context, a act) (row, error) {
	link := s.path("camera")
	if err := os.Symlink(a.camera, link+".new"); err != nil {
		return row{}, err
	}
	if err := os.Rename(link+".new", link); err != nil {
		return row{}, err
	}
	if err := copyFile(s.path(a.card), s.path("inbox/.scan")); err != nil {
		return row{}, err
	}
	s.show.begin()
	if err := os.Rename(s.path("inbox/.scan"), s.path("inbox/scan.jpg")); err != nil {
		return row{}, err
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got, pulse, err := s.show.outcome(limit, a.opens)
	if err != nil {
		return row{}, fmt.Errorf("%s: no outcome: %w", a.title, err)
	}
	right := got.Decision == a.decision && got.Reason == a.reason && (pulse > 0) == a.opens
	return row{act: a, got: got, pulse: pulse, right: right}, nil
}

func summary(rows []row) bool {
	all := true
	fmt.Printf("%-32s %-9s %-16s %8s %10s\n", "who", "decision", "reason", "distance", "door open")
	for _, r := range rows {
		distance, open, verdict := "-", "-", "right"
		if r.got.Score != nil {
			distance = fmt.Sprintf("%.3f", *r.got.Score)
		}
		if r.pulse > 0 {
			open = fmt.Sprintf("%d ms", r.pulse.Milliseconds())
		}
		if !r.right {
			verdict, all = "WRONG", false
		}
		fmt.Printf("%-32s %-9s %-16s %8s %10s  %s\n", r.title, r.got.Decision, r.got.Reason, distance, open, verdict)
	}
	return all
}

// watchBoard prints every change of the board's lines.
func (s *stage) watchBoard(ctx context.Context) error {
	c, err := sim.Dial(s.path("board.sock"))
	if err != nil {
		return err
	}
	s.follow.Go(func() {
		_ = c.Watch(ctx, func([]sim.Level) {}, s.show.line) // ends when the board does
	})
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(filepath.Clean(from))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// invite says how to go on by hand.
func (s *stage) invite() {
	fmt.Printf(`
The daemon keeps running until Ctrl-C. Try:
  mosquitto_sub -p %[2]d -v -t 'facegate/#'
  curl --unix-socket %[1]s/http.sock -F id_photo=@%[1]s/card.jpg 'http://facegate/v1/attempts?wait=1'
  curl --unix-socket %[1]s/http.sock http://facegate/metrics
  ln -sfn other %[1]s/camera      # who stands there: same, other, nobody
  cp %[1]s/card.jpg %[1]s/inbox/  # a scan; may open the door
  tail -f %[1]s/timeline.jsonl    # the board's lines
`, s.dir, s.port)
}
