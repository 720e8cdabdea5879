package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
	"github.com/facegate/facegate/match/matchtest"
)

// Thresholds come from one half of the people, and the other half is judged.
func TestEvaluatePaintedPeople(t *testing.T) {
	dir := paintPeople(t, 64)
	all := people(t, dir)
	var csv strings.Builder
	first := 0
	for i, p := range all {
		if firstHalf(p.name) {
			first++
		}
		csv.WriteString(p.name + "," + []string{"west", "east"}[i%2] + "\n")
	}
	write(t, filepath.Join(dir, groupsFile), csv.String(), 0o600)
	groups, err := readGroups(filepath.Join(dir, groupsFile), all)
	if err != nil {
		t.Fatal(err)
	}
	e := evaluation{open: openPainted, rival: openPainted, people: all, groups: groups, simulate: true, progress: io.Discard}
	r, err := e.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, s := range r.sections {
		titles = append(titles, s.title)
	}
	for i, want := range []string{"live picture against", "group east", "group west", "look-alikes: impostors are the nearest 1 % by painted@5a5a5a5a5a5a", "SIMULATED ID photo"} {
		if i >= len(titles) || !strings.HasPrefix(titles[i], want) {
			t.Fatalf("sections %q, want %q", titles, want)
		}
	}
	judged := r.sections[0]
	if judged.people != 64-first || first == 0 || judged.counts.Genuine != 64-first {
		t.Errorf("%d people judged, %d of 64 gave thresholds", judged.people, first)
	}
	if east := r.sections[1]; east.people >= judged.people || east.counts.Impostor >= judged.counts.Impostor {
		t.Errorf("a group of %d in %d", east.people, judged.people)
	}
	// All of the nearest pairs are nearer than any threshold of a hundredth.
	near := r.sections[3]
	if near.counts.Impostor > judged.counts.Impostor/20 || near.at[len(near.at)-1].FMR.Value <= judged.at[len(judged.at)-1].FMR.Value {
		t.Errorf("look-alikes: %+v of %+v", near.at, judged.at)
	}
	for _, want := range []string{"thresholds from", "half of those in the folder, none of whom is judged", "FMR 0.01", "simulated ID photos gave no portrait", "DET curve"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	checkXML(t, r.svg())
}

func checkXML(t *testing.T, data []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(data))
	paths := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, data)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths < 10 || bytes.Contains(data, []byte("NaN")) {
		t.Errorf("%d paths in\n%s", paths, data)
	}
}

// Figures of another model, or of the same people, would prove nothing.
func TestEvaluateRefusesACalibrationOfAnotherModel(t *testing.T) {
	c, _ := calibration.Shipped("dlib", dlibModel(t).SHA256)
	e := evaluation{open: openPainted, people: people(t, paintPeople(t, 6)), calibration: &c, progress: io.Discard}
	if _, err := e.run(t.Context()); err == nil || !strings.Contains(err.Error(), "--calibration: is of model dlib@55533b28a958, the engine's is painted@5a5a5a5a5a5a") {
		t.Errorf("got %v", err)
	}
	e.calibration = nil
	if _, err := e.run(t.Context()); err == nil || !strings.Contains(err.Error(), "more people are needed") {
		t.Errorf("six people: %v", err)
	}
}

func TestGroupsAreRefused(t *testing.T) {
	all := []person{{name: "ann"}, {name: "bob"}}
	path := filepath.Join(t.TempDir(), groupsFile)
	if groups, err := readGroups(path, all); groups != nil || err != nil {
		t.Errorf("no file: %v, %v", groups, err)
	}
	for name, text := range map[string]string{
		"unknown": "eve,x\n", "twice": "ann,x\nann,y\n", "no group": "ann,\n", "one field": "ann\n", "three fields": "ann,x,y\n", "quotes": "\"ann,x\n",
	} {
		write(t, path, text, 0o600)
		if _, err := readGroups(path, all); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A simulated ID photo is the same for the same seed, smaller, and still shows
// its person.
func TestWorsePictures(t *testing.T) {
	page := matchtest.Page(500, 400)
	matchtest.Paint(page, page.Rect.Inset(50), 60)
	grey := 0
	for seed := range uint64(40) {
		a, err := worse(page, rand.New(rand.NewPCG(1, seed)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := worse(page, rand.New(rand.NewPCG(1, seed)))
		if err != nil {
			t.Fatal(err)
		}
		size := a.Bounds().Size()
		if size.X < 180 || size.X > 300 || a.At(7, 9) != b.At(7, 9) || a.At(100, 90) != b.At(100, 90) {
			t.Fatalf("seed %d: %v, %v and %v", seed, size, a.At(100, 90), b.At(100, 90))
		}
		faces, err := new(matchtest.Engine).Faces(t.Context(), a, match.Templates)
		if err != nil {
			t.Fatal(err)
		}
		if len(faces) == 0 { // paint is known by its colour
			grey++
		}
	}
	if grey < 8 || grey > 24 {
		t.Errorf("%d of 40 are grey, want about 16", grey)
	}
}
