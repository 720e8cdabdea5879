package models

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// padSet is testSet with a network that tells pictures from people, which nobody
// publishes; its bytes are those of the other file.
func padSet() Set {
	s := testSet()
	f := s.Files[0]
	f.Name, f.Member = "pad.onnx", ""
	s.Files = append(s.Files, f)
	s.Networks.PAD = []PAD{{File: "pad.onnx"}}
	return s
}

// A set does its work without what tells pictures from people: whoever does not
// want that need not have it.
func TestPADFilesMayBeMissing(t *testing.T) {
	s, dir, from := padSet(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "a.dat"), content, 0o644)
	if wrote, err := s.Pull(t.Context(), dir, Folder(from)); err != nil || len(wrote) != 1 {
		t.Errorf("from a folder without it: wrote %v, %v", wrote, err)
	}
	if err := s.Verify(dir); err != nil {
		t.Error(err)
	}
	wantError(t, s.VerifyPAD(dir), "pad.onnx: missing (")
	if wrote, err := s.Pull(t.Context(), dir, Upstream{}); err != nil || len(wrote) != 0 {
		t.Errorf("from its publisher: wrote %v, %v", wrote, err)
	}

	write(t, filepath.Join(from, "pad.onnx"), content, 0o644)
	if wrote, err := s.Pull(t.Context(), dir, Folder(from)); err != nil || len(wrote) != 1 {
		t.Errorf("from a folder with it: wrote %v, %v", wrote, err)
	}
	if err := s.VerifyPAD(dir); err != nil {
		t.Error(err)
	}

	// What is there must be right.
	write(t, filepath.Join(dir, "pad.onnx"), strings.ToUpper(content), 0o644)
	wantError(t, s.Verify(dir), "pad.onnx: 13 bytes with sha256")
	wantError(t, s.VerifyPAD(dir), "pad.onnx: 13 bytes with sha256")
	if err := os.Remove(filepath.Join(dir, "a.dat")); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Verify(dir), "a.dat: missing")
}

// The remedy for what nobody publishes is no command that cannot work.
func TestRemedyForPADFiles(t *testing.T) {
	dir := t.TempDir()
	for set, want := range map[string]string{
		"edge":       "MiniFASNetV2.onnx: missing (copy it with: facegate models pull --dir " + dir + " --from DIR edge)",
		"faceplugin": "fr_liveness.onnx: missing (get it with: facegate models pull --dir " + dir + " faceplugin)",
	} {
		s, err := Find(set)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, s.VerifyPAD(dir), want)
	}
}
