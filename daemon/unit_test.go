//go:build integration

package main

import (
	"os/exec"
	"strings"
	"testing"
)

const unitFile = "../systemd/facegate.service"

// The unit keeps its protections: systemd's own exposure figure, out of 100.
func TestUnitExposure(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", unitFile).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// systemd understands every line of the unit. It also looks for the program,
// which a machine that tests need not have installed.
func TestUnitVerifies(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unitFile).CombinedOutput()
	complaints := 0
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "Command /usr/bin/facegate is not executable") {
			t.Error(strings.TrimSpace(line))
		}
		complaints++
	}
	if err != nil && complaints == 0 {
		t.Errorf("systemd-analyze verify: %v", err)
	}
}
