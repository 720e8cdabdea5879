//go:build integration

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const unitFile = "../systemd/facegate.service"

// The unit keeps its protections: systemd's own exposure figure, out of 100.
func TestUnitExposure(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", unitFile).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// systemd does not try again what no new try mends, and keeps no memory of faces.
func TestUnitEndings(t *testing.T) {
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("\nRestartPreventExitStatus=%d %d\n", exitUsage, exitConfig), "\nRestart=always\n", "\nLimitCORE=0\n", "\nExecStopPost=/usr/bin/facegate safe ",
	} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit has no line %q", want)
		}
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

// The install script puts each file of a release in its place, also over an
// older one.
func TestInstallScript(t *testing.T) {
	release, root := t.TempDir(), t.TempDir()
	if err := os.CopyFS(filepath.Join(release, "systemd"), os.DirFS("../systemd")); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"old", "new"} {
		write(t, filepath.Join(release, "facegate"), program, 0o755)
		script := exec.Command("sh", filepath.Join(release, "systemd", "install.sh"))
		script.Env = append(os.Environ(), "DESTDIR="+root)
		if out, err := script.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("install the %s program: %v:\n%s", program, err, out)
		}
	}
	want := map[string]string{
		"/etc/facegate": "drwxr-xr-x", "/etc/facegate/secrets": "drwx------", "/usr/bin/facegate": "-rwxr-xr-x",
		"/usr/lib/systemd/system/facegate.service": "-rw-r--r--", "/usr/lib/udev/rules.d/60-facegate.rules": "-rw-r--r--",
		"/usr/lib/sysusers.d/facegate.conf": "-rw-r--r--", "/usr/lib/tmpfiles.d/facegate.conf": "-rw-r--r--",
	}
	if diff := cmp.Diff(want, installed(t, root)); diff != "" {
		t.Errorf("installed (-want +got):\n%s", diff)
	}
	if got, err := os.ReadFile(filepath.Join(root, "usr/bin/facegate")); err != nil || string(got) != "new" {
		t.Errorf("the program is %q (%v), want the new one", got, err)
	}
}

// installed returns the modes of all files below root and of facegate's folders.
func installed(t *testing.T, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		place := strings.TrimPrefix(path, root)
		if err != nil || d.IsDir() && !strings.HasPrefix(place, "/etc/facegate") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			got[place] = info.Mode().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
