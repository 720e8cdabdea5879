// Package toolchain has no code in Go; this tests the compiler's wrapper.
package toolchain

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// usual is where sh, basename, dirname and readlink are.
const usual = ":/usr/bin:/bin"

// folders returns one with the wrapper as g++, and one with a g++ that prints
// what it is asked for.
func folders(t *testing.T) (wrapper, real string) {
	t.Helper()
	script, err := filepath.Abs("cxx.sh")
	if err != nil {
		t.Fatal(err)
	}
	wrapper, real = t.TempDir(), t.TempDir()
	if err := os.Symlink(script, filepath.Join(wrapper, "g++")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "g++"), []byte("#!/bin/sh\necho \"$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return wrapper, real
}

// compile runs the wrapper; one that calls itself is killed.
func compile(t *testing.T, wrapper, path string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(wrapper, "g++"), "-O2", "-march=native", "-march=armv8-a", "two words")
	cmd.Env = []string{"PATH=" + path}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestBaselineInsteadOfNative(t *testing.T) {
	wrapper, real := folders(t)
	out, err := compile(t, wrapper, real+usual)
	if want := "-O2 -march=armv8-a two words"; err != nil || out != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// With its folder in PATH the wrapper once called itself for ever.
func TestItselfInPath(t *testing.T) {
	wrapper, real := folders(t)
	out, err := compile(t, wrapper, wrapper+":"+real+usual)
	if err == nil || !strings.Contains(out, "take "+wrapper+" out of PATH") {
		t.Errorf("got %q, %v, want the remedy", out, err)
	}
}
