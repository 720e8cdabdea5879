package event

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKernelSynced(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  int
		status int32
		err    error
		want   bool
		why    string
	}{
		{"kept", unix.TIME_OK, unix.STA_PLL, nil, true, ""},
		{"leap second ahead", unix.TIME_INS, unix.STA_PLL, nil, true, ""},
		{"never set", unix.TIME_ERROR, unix.STA_UNSYNC, nil, false, "no time source"},
		{"pulse lost", unix.TIME_ERROR, unix.STA_PPSFREQ, nil, false, "clock error"},
		{"refused", 0, 0, unix.EPERM, false, "operation not permitted"},
	} {
		ok, why := kernelSynced(c.state, c.status, c.err)
		if ok != c.want || !strings.Contains(why, c.why) || (why == "") != ok {
			t.Errorf("%s: %v, %q, want %v, %q", c.name, ok, why, c.want, c.why)
		}
	}
}

func TestSyncedBelievesTheMarker(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "synchronized")
	byKernel, why := Synced(marker)
	if byKernel == (why != "") || !byKernel && !strings.Contains(why, marker) {
		t.Errorf("synced %v without the marker, because %q", byKernel, why)
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, why := Synced(marker); !ok || why != "" {
		t.Errorf("synced with the marker = %v, %q, want true", ok, why)
	}
}

func TestBootID(t *testing.T) {
	const id = "6f1c2a34-9b0d-4c55-8a1e-0d9f3b7c2e11"
	file := filepath.Join(t.TempDir(), "boot_id")
	if _, err := BootID(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("boot id of a missing file: %v, want not exist", err)
	}
	for text, want := range map[string]string{id + "\n": id, "short\n": "", "": ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := BootID(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("boot id of %q = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestClockStamps(t *testing.T) {
	synced := false
	c := Clock{BootID: "b", ClockSynced: func() bool { return synced }}
	first := c.Stamp()
	synced = true
	second := c.Stamp()
	if first.ClockSynced || !second.ClockSynced {
		t.Errorf("synced = %v then %v, want false then true", first.ClockSynced, second.ClockSynced)
	}
	if first.BootID != "b" || first.MonoMS <= 0 || second.MonoMS < first.MonoMS {
		t.Errorf("stamps %+v then %+v", first, second)
	}
	if age := time.Since(first.Time.Time); age < 0 || age > time.Minute || first.Time.Nanosecond()%1e6 != 0 {
		t.Errorf("time %v is %v old, want a fresh one in whole milliseconds", first.Time, age)
	}
}
