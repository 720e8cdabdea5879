package models

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// content is the true text of the one file in testSet.
const content = "true content\n"

// contentBZ2 is content through bzip2, in base64.
const contentBZ2 = "QlpoOTFBWSZTWS/XR6EAAAXRgAAQQAAKAZYAIAAiB6hkIMmIWDBcKE/F3JFOFCQL9dHoQA=="

func testSet() Set {
	sum := sha256.Sum256([]byte(content))
	return Set{
		Name:      "test",
		Licence:   "CC0-1.0",
		Training:  "nothing",
		Templates: "a.dat",
		Package:   Package{Name: "pkg", Version: "1.0", SHA256: "aa"},
		Files: []File{{
			Name: "a.dat", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Member: "pkg-1.0/models/a.dat",
		}},
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// wantError fails unless err holds every one of the texts.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q lacks %q", err, s)
		}
	}
}

// wantEmpty fails if dir holds anything, hidden temporary files included.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

func TestManifestIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range List() {
		if s.Name == "" || s.What == "" || s.Licence == "" || s.Package.Manager == "pip" && len(s.Package.SHA256) != 64 {
			t.Errorf("set %+v lacks a fact", s)
		}
		if (s.Engine != "") != (s.Templates != "") {
			t.Errorf("set %s: engine %q, templates %q", s.Name, s.Engine, s.Templates)
		}
		if s.Templates != "" && (s.Training == "" || s.ModelID().SHA256 == "") {
			t.Errorf("set %s: no training data, or no file %s", s.Name, s.Templates)
		}
		for _, f := range s.Files {
			if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || f.Size <= 0 {
				t.Errorf("%s: bad sum or size", f.Name)
			}
			if f.Name != filepath.Base(f.Name) || f.Member != "" && filepath.Base(f.Member) != f.Name {
				t.Errorf("%s: name or member %s is not a plain file", f.Name, f.Member)
			}
			if (f.Member == "") != (s.Package.Name == "") || f.private() && !s.forPAD(f) {
				t.Errorf("%s comes from nowhere", f.Name)
			}
			if seen[f.Name] {
				t.Errorf("%s is in two sets, which could not share a folder", f.Name)
			}
			seen[f.Name] = true
		}
	}
}

func TestFindNamesTheKnownSets(t *testing.T) {
	_, err := Find("edgy")
	wantError(t, err, `"edgy"`, "dlib", "demo-pictures")
}

func TestVerifyNamesEveryBadFileAndTheRemedy(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mmod_human_face_detector.dat"), "altered", 0o644)

	err := Verify(dir, "dlib")
	wantError(t, err,
		filepath.Join(dir, "shape_predictor_5_face_landmarks.dat")+": missing",
		filepath.Join(dir, "dlib_face_recognition_resnet_model_v1.dat")+": missing",
		"7 bytes with sha256 4aa009153649a0a7c1425387f3da9c72330ad069ea9f69ce1640abe46f92a83b",
		"want 729940 bytes with 4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
		"facegate models pull --dir "+dir+" dlib")
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("%d line breaks, want one line for each of three files", n)
	}
}

func TestVerifyTellsAlteredFromTrue(t *testing.T) {
	f := testSet().Files[0]
	for name, text := range map[string]string{
		"one bit":   "Frue content\n",
		"truncated": content[:4],
		"empty":     "",
		"longer":    content + "x",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, f.Name), text, 0o644)
		if f.verify(dir) == nil {
			t.Errorf("%s: verified", name)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, f.Name), content, 0o644)
	if err := f.verify(dir); err != nil {
		t.Errorf("true file: %v", err)
	}
}

func TestPullFromFolder(t *testing.T) {
	from, dir := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder")
	write(t, filepath.Join(from, "a.dat"), content, 0o600)

	wrote, err := testSet().Pull(t.Context(), dir, Folder(from))
	if err != nil || !slices.Equal(wrote, []string{"a.dat"}) {
		t.Fatalf("pull wrote %v, %v", wrote, err)
	}
	info, err := os.Stat(filepath.Join(dir, "a.dat"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want one that the service's user can read", info.Mode())
	}
	wrote, err = testSet().Pull(t.Context(), dir, Folder("/does/not/exist"))
	if err != nil || wrote != nil {
		t.Errorf("second pull wrote %v, %v; want nothing to do", wrote, err)
	}
}

func TestPullRepairsAnAlteredFile(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "a.dat"), content, 0o644)
	write(t, filepath.Join(dir, "a.dat"), "altered", 0o644)

	if _, err := testSet().Pull(t.Context(), dir, Folder(from)); err != nil {
		t.Fatal(err)
	}
	if err := testSet().Files[0].verify(dir); err != nil {
		t.Error(err)
	}
}

func TestPullLeavesNothingOfATamperedFile(t *testing.T) {
	for _, text := range []string{"evil", strings.Repeat("evil", 100)} {
		from, dir := t.TempDir(), t.TempDir()
		write(t, filepath.Join(from, "a.dat"), text, 0o644)
		_, err := testSet().Pull(t.Context(), dir, Folder(from))
		wantError(t, err, "a.dat", "test")
		wantEmpty(t, dir)
	}
}

func TestPullKeepsTheOldFileWhenTheNewOneIsTampered(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "a.dat"), "evil", 0o644)
	write(t, filepath.Join(dir, "a.dat"), "old", 0o644)

	if _, err := testSet().Pull(t.Context(), dir, Folder(from)); err == nil {
		t.Fatal("tampered file pulled")
	}
	got, err := os.ReadFile(filepath.Join(dir, "a.dat"))
	if err != nil || string(got) != "old" {
		t.Errorf("file holds %q, %v; want it untouched", got, err)
	}
}

func TestPullStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	for name, from := range map[string]Source{
		"folder":   Folder(t.TempDir()),
		"pip":      Pip{},
		"upstream": Upstream{},
	} {
		s := testSet()
		s.Files[0].URL = "https://127.0.0.1:1/a.dat.bz2"
		if _, err := s.Pull(ctx, t.TempDir(), from); !errors.Is(err, stop) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the cause", name, err)
		}
	}
}

func TestPullFromUpstream(t *testing.T) {
	packed, err := base64.StdEncoding.DecodeString(contentBZ2)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status int
		body   []byte
		want   string // empty: success
	}{
		"true":      {http.StatusOK, packed, ""},
		"plain":     {http.StatusOK, []byte(content), ""},
		"missing":   {http.StatusNotFound, nil, "404"},
		"not bzip2": {http.StatusOK, []byte("<html>log in first</html>"), "bzip2"},
		"truncated": {http.StatusOK, packed[:20], "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write(c.body)
			}))
			defer server.Close()
			s, dir := testSet(), t.TempDir()
			s.Files[0].URL = server.URL + "/a.dat.bz2"
			if name == "plain" {
				s.Files[0].URL = server.URL + "/a.dat"
			}

			_, err := s.Pull(t.Context(), dir, Upstream{Client: server.Client()})
			if c.want != "" {
				wantError(t, err, c.want)
				wantEmpty(t, dir)
				return
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUpstreamWithoutAddressSaysWhatToDo(t *testing.T) {
	_, err := testSet().Pull(t.Context(), t.TempDir(), Upstream{})
	wantError(t, err, "a.dat", "--from DIR")
}

// member is an entry of a test archive.
type member struct {
	name, text string
	link       bool
}

func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	w := tar.NewWriter(zip)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.text))}
		if m.link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, m.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if m.link {
			continue
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func FuzzUnpack(f *testing.F) {
	good := archive(f, member{name: "pkg-1.0/models/a.dat", text: content})
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(archive(f, member{name: "../../etc/a.dat", text: content}))
	f.Add([]byte("not an archive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		file := testSet().Files[0]
		err := unpack(bytes.NewReader(data), testSet().Files, func(f File, r io.Reader) error { return f.store(dir, r) })
		entries, readErr := os.ReadDir(dir)
		if readErr != nil {
			t.Fatal(readErr)
		}
		for _, e := range entries {
			if e.Name() != file.Name {
				t.Errorf("unpacked %s (error %v)", e.Name(), err)
			}
		}
		if len(entries) > 0 && file.verify(dir) != nil {
			t.Error("a file with a wrong sum got its name")
		}
	})
}

// fakePip puts a program named name in front of an otherwise empty PATH. It
// plays pip: it keeps its arguments and requirements in a log beside it and
// copies archive, if there is one, to where pip would have left it.
func fakePip(t *testing.T, name string, archive []byte) (log string) {
	t.Helper()
	bin := t.TempDir()
	log = filepath.Join(bin, "log")
	sdist := filepath.Join(bin, "sdist")
	if archive != nil {
		write(t, sdist, string(archive), 0o644)
	}
	write(t, filepath.Join(bin, name), fmt.Sprintf(`#!/bin/sh
case "$*" in *--version) exit 0;; esac
echo "$0 $*" >>%[1]s
while [ $# -gt 0 ]; do
	case $1 in
	--dest) dest=$2 ;;
	--requirement) while read -r l; do echo "$l" >>%[1]s; done <"$2" ;;
	esac
	shift
done
[ -e %[2]s ] || { echo "ERROR: no matching distribution" >&2; exit 1; }
exec /bin/cp %[2]s "$dest/pkg-1.0.tar.gz"
`, log, sdist), 0o755)
	t.Setenv("PATH", bin)
	return log
}

func TestPullFromPip(t *testing.T) {
	for _, name := range []string{"python3", "pip3", "pip"} {
		t.Run(name, func(t *testing.T) {
			log := fakePip(t, name, archive(t,
				member{name: "../../a.dat", text: "evil"},
				member{name: "pkg-1.0/models/b.dat", text: "not wanted"},
				member{name: "pkg-1.0/models/a.dat", text: content}))
			dir := t.TempDir()

			if _, err := testSet().Pull(t.Context(), dir, Pip{}); err != nil {
				t.Fatal(err)
			}
			if err := testSet().Files[0].verify(dir); err != nil {
				t.Error(err)
			}
			got, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"--no-deps", "--no-binary pkg", "--require-hashes", "pkg==1.0 --hash=sha256:aa"} {
				if !strings.Contains(string(got), want) {
					t.Errorf("pip was called with %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestPullFromPipRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"failing pip":     {nil, "no matching distribution"},
		"not an archive":  {[]byte("<html>"), "unpack"},
		"no such member":  {archive(t, member{name: "other", text: content}), "has no a.dat"},
		"tampered member": {archive(t, member{name: "pkg-1.0/models/a.dat", text: "evil"}), "sha256"},
		"a link":          {archive(t, member{name: "pkg-1.0/models/a.dat", text: "/etc/passwd", link: true}), "has no a.dat"},
	} {
		t.Run(name, func(t *testing.T) {
			fakePip(t, "pip3", c.archive)
			dir := t.TempDir()
			_, err := testSet().Pull(t.Context(), dir, Pip{})
			wantError(t, err, c.want)
			wantEmpty(t, dir)
		})
	}
}

func TestPullWithoutPipSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := testSet().Pull(t.Context(), t.TempDir(), Pip{})
	wantError(t, err, "pip", "python3-pip", "--from DIR")
}
