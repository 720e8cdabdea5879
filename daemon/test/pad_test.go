//go:build dlib && integration

package test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// tested makes attempts over HTTP with a test for presentation attacks; the
// second failure locks the ID out.
func tested(t *testing.T, pad string) *site {
	t.Helper()
	return newSite(t, append(unhurried(), "sources: {", "sources: {http: {may_open: true}, ",
		"models:", "pad: {"+pad+"}\nlockout: {after: 2, delay: 30s}\nmodels:")...)
}

// To the model a photo that fills the frame is a person, and the head that is
// drawn into a room for the other tests a picture, as it is. Its verdict is in the
// event, opens the door or keeps it shut, and counts toward lockout.
func TestPADModel(t *testing.T) {
	t.Parallel()
	s := tested(t, "model: on")
	photo, err := os.ReadFile(filepath.Join(env(t, "FACEGATE_PICTURES"), "obama3.jpg"))
	must(t, errors.Join(err, os.Mkdir(s.path("photo"), 0o700), os.WriteFile(s.path("photo/0.jpg"), photo, 0o600)))
	s.look("photo")
	d := s.start()
	e := s.asked(event.OK, event.Granted, true)
	if p := e.PAD; p == nil || p.Kind != event.Model || p.Verdict != event.PADPassed || p.Score == nil || *p.Score < 0.5 || *p.Score > 1 {
		t.Errorf("pad %+v", p)
	}
	s.terminate(d)

	s.look("same")
	s.forget()
	d = s.start()
	s.fails(event.Model, event.NotLive)
	s.terminate(d)
	if s.rise("door", 100*time.Millisecond) {
		t.Error("the door opened")
	}
}

// A flat film of the right person does not turn a head.
func TestPADChallenge(t *testing.T) {
	t.Parallel()
	s := tested(t, "challenge: turn, within: 4s")
	d := s.start()
	s.fails(event.Turn, "not_turned")
	s.terminate(d)
	if s.rise("door", 100*time.Millisecond) {
		t.Error("the door opened")
	}
}

// fails checks that a match ends in a failed test, twice, and then in lockout.
func (s *site) fails(kind string, verdict string) {
	s.t.Helper()
	for range 2 {
		e := s.asked("pad_failed", "not_attempted", true)
		if p := e.PAD; p == nil || p.Kind != kind || p.Verdict != verdict || e.Decision != event.DecisionNoMatch {
			s.t.Errorf("%s with pad %+v, want %s by %s", e.Decision, p, verdict, kind)
		}
	}
	s.asked("lockout", "not_attempted", true)
}
