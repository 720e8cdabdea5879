package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/event/eventtest"
	"github.com/facegate/facegate/daemon/internal/journal"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
)

func TestLedgerCommandLine(t *testing.T) {
	dir := t.TempDir()
	path, foreign := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "foreign")
	write(t, path, "data: "+dir+"/none\n", 0o600)
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(foreign, "journal.db"), "not a journal", 0o600)
	other := filepath.Join(dir, "other.yaml")
	write(t, other, "data: "+foreign+"\n", 0o600)
	for _, tt := range []struct {
		args   []string
		status int
		errs   string
	}{
		{nil, exitUsage, "ledger: give --config FILE"},
		{[]string{"--config", path, "extra"}, exitUsage, "ledger: give --config FILE"},
		{[]string{"--config", path, "--csv"}, exitUsage, "-csv"},
		{[]string{"--config", dir + "/none.yaml"}, exitConfig, "none.yaml"},
		{[]string{"--config", path}, exitConfig, dir + "/none/journal.db"},
		{[]string{"--config", other}, exitConfig, foreign + "/journal.db"},
	} {
		status, out, errs := facegate(t, append([]string{"ledger"}, tt.args...)...)
		if status != tt.status || out != "" || !strings.Contains(errs, tt.errs) || strings.Count(errs, "\n") != 1 {
			t.Errorf("ledger %q: got %d, %q, %q, want %d and %q", tt.args, status, out, errs, tt.status, tt.errs)
		}
	}
}

// The sums are printed while the journal is open, for people and for programs.
func TestLedger(t *testing.T) {
	j, path := newJournal(t)
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	config := filepath.Join(t.TempDir(), "c.yaml")
	write(t, config, "data: "+filepath.Dir(path)+"\n", 0o600)

	status, out, errs := facegate(t, "ledger", "--config", config)
	if status != exitOK || errs != "" || !strings.Contains(out, "0 calls, cost 0; cloud changed 0 of 0 decisions\n") {
		t.Errorf("empty: got %d, %q, %q", status, out, errs)
	}

	ask := func(n int, provider string, e cloud.End) {
		t.Helper()
		id, err := j.Reserve(t.Context(), cloud.Call{AttemptID: eventtest.AttemptID(n), Provider: provider, Why: cloud.Unsure, Local: "unsure", Cost: 0.5}, cloud.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Settle(t.Context(), id, e); err != nil {
			t.Fatal(err)
		}
	}
	ask(1, "deepidv", cloud.End{Sent: 2048, Status: 429, Failure: cloud.Throttled, Took: 100 * time.Millisecond})
	ask(1, "mxface", cloud.End{Sent: 4096, Status: 200, Verdict: match.NoMatch, Took: 200 * time.Millisecond})
	ask(2, "deepidv", cloud.End{Sent: 2048, Status: 200, Verdict: match.Unsure, Took: 300 * time.Millisecond})
	ask(2, "mxface", cloud.End{Failure: cloud.Cancelled, Took: 200 * time.Millisecond})
	for n, decision := range []event.Decision{event.DecisionNoMatch, event.DecisionUnsure} {
		e := eventtest.NoMatch(eventtest.AttemptID(n + 1))
		e.Decision = decision
		if _, err := j.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errs = facegate(t, "ledger", "--config", config)
	if status != exitOK || errs != "" {
		t.Errorf("got %d and %q", status, errs)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	want := [][]string{
		{"day", "provider", "calls", "failed", "cut", "off", "KiB", "sent", "mean", "ms", "cost"},
		{today, "deepidv", "2", "1", "0", "4", "200", "1"}, {today, "mxface", "2", "0", "1", "4", "200", "1"},
		strings.Fields("4 calls, cost 2; cloud changed 1 of 2 decisions"),
	}
	var got [][]string
	for line := range strings.Lines(out) {
		got = append(got, strings.Fields(line))
	}
	if len(got) != len(want) {
		t.Fatalf("got\n%s", out)
	}
	for i := range want {
		if strings.Join(got[i], " ") != strings.Join(want[i], " ") {
			t.Errorf("line %d: got %q, want %q", i+1, got[i], want[i])
		}
	}

	status, out, errs = facegate(t, "ledger", "--json", "--config", config)
	var l journal.Ledger
	if err := json.Unmarshal([]byte(out), &l); err != nil || status != exitOK || errs != "" {
		t.Fatalf("--json: got %d, %q, %q, %v", status, out, errs, err)
	}
	if len(l.Lines) != 2 || l.Decisions != 2 || l.Changed != 1 || l.Lines[0] != (journal.LedgerLine{Day: today, Provider: "deepidv", Calls: 2, Failed: 1, Sent: 4096, MeanMS: 200, Cost: 1}) {
		t.Errorf("--json: got %+v", l)
	}
}
