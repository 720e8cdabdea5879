//go:build dlib && integration

package test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// inTime is how long a stop may take.
const inTime = 3 * time.Second

// TestStopInEveryState tells the daemon to stop in those of its states that
// TestStop leaves out. It ends well and in time, every output is off, and the
// journal has one outcome for what was under way.
func TestStopInEveryState(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edits []string
		reach func(s *site, d *daemon)
		want  []string
		looks func(t *testing.T, s *site) // optional, at what was left
	}{
		{"idle", nil, func(*site, *daemon) {}, nil, nil},
		{"comparing", computing(), func(s *site, _ *daemon) {
			f := s.follow()
			s.drop()
			f.until("hint", "look_at_camera")
			time.Sleep(300 * time.Millisecond) // some frames; the outcome says that there were
		}, []string{"inbox interrupted not_attempted"}, func(t *testing.T, s *site) {
			if e := ended(s.history())[0]; e.StageMS["probes"] == 0 {
				t.Errorf("no frames were compared: %v", e.StageMS)
			}
		}},
		{"waiting for a grant", []string{"deadline: 3s", "deadline: 20s", "door: {", "door: {authorise: host, grant_key_file: DIR/grant.key, wait: 20s, "}, func(s *site, _ *daemon) {
			f := s.follow()
			s.drop()
			f.until("hint", "awaiting_grant")
		}, []string{"inbox interrupted denied"}, nil},
		{"waiting for the panel", []string{"deadline: 3s", "deadline: 20s", "pulse: 300ms}", "pulse: 300ms, authorise: panel, wait: 20s, panel: {name: panel}}"}, func(s *site, _ *daemon) {
			f := s.follow()
			s.drop()
			f.until("hint", "awaiting_grant")
		}, []string{"inbox interrupted denied"}, nil},
		{"stopping", []string{"pulse: 300ms", "pulse: 5s", "deadline: 3s", "deadline: 20s"}, func(s *site, d *daemon) {
			s.forget()
			s.drop()
			if !s.rise("door", patient) {
				s.t.Fatal("the door did not open")
			}
			must(s.t, d.cmd.Process.Signal(syscall.SIGTERM))
			d.says(s.t, "msg=stopping")
		}, []string{"inbox ok granted"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.edits...)
			must(t, os.WriteFile(s.path("grant.key"), []byte(strings.Repeat("k", 32)+"\n"), 0o600))
			d := s.start()
			tt.reach(s, d)
			s.terminate(d)
			s.leaves(d, tt.want...)
			if tt.looks != nil {
				tt.looks(t, s)
			}
		})
	}
}

// leaves checks what a daemon that has ended has left: these outcomes and no
// other, and nothing for the next one to recover.
func (s *site) leaves(d *daemon, want ...string) {
	s.t.Helper()
	r := record{events: s.history(), board: s.timeline(), said: d.said, pulse: mostOpen}
	for _, f := range r.faults() {
		s.t.Error(f)
	}
	expect(s.t, ended(r.events), want...)
	j := s.open(s.path("journal.db"))
	recovered, err := j.Recover(s.t.Context())
	must(s.t, errors.Join(err, j.Close()))
	if len(recovered) > 0 {
		s.t.Errorf("left for the next daemon to end: %+v", recovered)
	}
	if s.t.Failed() {
		s.t.Logf("the daemon wrote\n%s", d.log.String())
	}
}

// TestStopWhileServicesAreAsked stops the daemon while a compare service lets it
// wait.
func TestStopWhileServicesAreAsked(t *testing.T) {
	s := newStreet(t, `{"deepidv": {"steps": [{"do": "half_open"}]}}`)
	s.ask("[deepidv]", "faces", "30s")
	d := s.start()
	s.drop()
	s.calls(1)
	s.terminate(d)
	s.leaves(d, "inbox interrupted not_attempted")
	if l, _ := s.ledger(); line(l, "deepidv").Calls != 1 {
		t.Errorf("the ledger has %+v", l)
	}
}

// TestStopWhileABacklogIsDelivered stops the daemon while it sends what has
// waited for the broker. What the broker has not got is sent by the next one.
func TestStopWhileABacklogIsDelivered(t *testing.T) {
	const backlog = 2000
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true", "max_queued_messages 0")
	p := mqtttest.NewProxy(t, broker.Address)
	s := newSite(t, at(p.URL())...)
	j := s.open(s.path("journal.db"))
	for n := range backlog {
		_, err := j.Append(t.Context(), eventtest.NoMatch(eventtest.AttemptID(n)))
		must(t, err)
	}
	must(t, j.Close())
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer"})
	d := s.start()
	c.Until(1) // it is at it
	p.Stall(true, true)
	s.terminate(d)
	p.Stall(false, false)
	j = s.open(s.path("journal.db"))
	was, err := j.Stats(t.Context())
	must(t, errors.Join(err, j.Close()))
	t.Logf("stopped with %d of %d events delivered", was.Delivered, backlog)
	if was.Pending == 0 {
		t.Error("everything was delivered before: it was not stopped on its way")
	}
	d = s.start()
	s.delivered()
	c.Until(backlog)
	s.terminate(d)
	c.Check(backlog)
	s.leaves(d, slices.Repeat([]string{"http below_threshold not_attempted"}, backlog)...)
}

// TestStopBeforeItIsReady stops the daemon at moments of its start.
func TestStopBeforeItIsReady(t *testing.T) {
	s := newSite(t)
	s.terminate(s.start()) // the journal is there
	for _, after := range []string{"", "msg=starting", `msg="journal open"`, `msg="engine ready"`, `msg="camera delivers"`} {
		said := s.systemd()
		d := s.launch()
		if after != "" {
			d.says(t, after)
		}
		must(t, d.cmd.Process.Signal(syscall.SIGTERM))
		told := time.Now()
		await(t, "the daemon's end", d.gone)
		err := d.cmd.Wait()
		took := time.Since(told)
		t.Logf("told to stop after %q: ended after %v, %v", after, took.Round(time.Millisecond), d.cmd.ProcessState)
		status := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
		early := status.Signaled() && status.Signal() == syscall.SIGTERM && !strings.Contains(d.log.String(), "journal") // it had done nothing
		if err != nil && !early || took > inTime {
			t.Errorf("told to stop after %q: ended after %v: %v\n%s", after, took, err, d.log.String())
		}
		if after == `msg="journal open"` && len(said) > 0 && strings.Contains(<-said, "READY=1") {
			t.Error("it was ready before it stopped")
		}
		s.dark("after the stop")
		must(t, os.Remove(s.path("notify")))
		s.env = nil
		s.leaves(d)
	}
}

// launch starts a daemon and waits for nothing.
func (s *site) launch() *daemon {
	s.t.Helper()
	d := &daemon{ready: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{})}
	d.cmd = exec.Command(env(s.t, "FACEGATE_BINARY"), "run", "--config", s.path("facegate.yaml"))
	d.cmd.Env = append(os.Environ(), s.env...)
	errs, err := d.cmd.StderrPipe()
	must(s.t, err)
	must(s.t, d.cmd.Start())
	s.t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	go d.read(bufio.NewScanner(errs))
	return d
}
