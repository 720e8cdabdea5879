package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder lays out empty pictures: each name is PERSON/FILE.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPairs(t *testing.T) {
	dir := folder(t, "a/1.jpg", "b/1.jpg", "b/2.jpg", "b/notes.txt", "c/1.jpg", "d/1.jpg", "d/2.jpg", "d/3.jpg", "e/1.jpg", "e/2.jpg", "README.jpg")
	people, err := readPeople(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		most              int
		want              string
		genuine, impostor int
	}{
		{0, "a1 b1 b2 c1 d1 d2 d3 e1 e2", 5, 31},
		{5, "a1 b1 b2 c1 d1 d2 d3 e1 e2", 5, 31},
		{4, "b1 b2 d1 d2 d3 a1 c1", 4, 17},
		{2, "b1 b2 a1", 1, 2},
	} {
		var got []string
		some := first(people, tt.most)
		for _, file := range flat(some) {
			got = append(got, filepath.Base(filepath.Dir(file))+strings.TrimSuffix(filepath.Base(file), ".jpg"))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("first %d: %s, want %s", tt.most, s, tt.want)
		}
		if genuine, impostor := count(some); genuine != tt.genuine || impostor != tt.impostor {
			t.Errorf("first %d: %d genuine and %d impostor pairs, want %d and %d", tt.most, genuine, impostor, tt.genuine, tt.impostor)
		}
	}
}

func TestFirstWithoutSingles(t *testing.T) {
	people := []person{{"a", "a"}, {"b"}, {"c", "c"}, {"d", "d"}}
	if got := first(people, 3); !slices.EqualFunc(got, []person{{"a", "a"}, {"c", "c"}, {"b"}}, slices.Equal) {
		t.Errorf("first 3: %v", got)
	}
}

func TestNoPairs(t *testing.T) {
	for _, dir := range []string{"", "/does/not/exist", folder(t, "a/1.jpg", "a/2.jpg"), folder(t, "a/1.jpg", "b/1.jpg")} {
		if people, err := readPeople(dir); err == nil || !strings.Contains(err.Error(), "one folder of .jpg files per person") {
			t.Errorf("%q: %v, %v", dir, people, err)
		}
	}
}

// A shell script plays the peer, which needs no picture to be one.
func script(t *testing.T, text string) peer {
	t.Helper()
	return peer{name: "played", args: []string{"sh", "-c", text}, log: filepath.Join(t.TempDir(), "install.log")}
}

func TestMeasure(t *testing.T) {
	p := script(t, `
		echo '{"version":"played 1.0"}'
		while read -r file; do
			case $file in
			*a*) echo '{"ms":10,"descriptor":[1,0]}' ;;
			*b2*) echo '{"ms":2,"descriptor":null}' ;;
			*b*) echo '{"ms":30,"descriptor":[0,1]}' ;;
			*) echo '{"ms":7.5,"descriptor":[1,1]}' ;;
			esac
		done`)
	people := []person{{"a1", "a2"}, {"b1", "b2"}}
	r := p.measure(t.Context(), 0, people, []string{"640x480"})
	if r.absent != "" {
		t.Fatal(r.absent)
	}
	r.rate(t.Context(), people)
	if r.version != "played 1.0" || r.frame != 7.5 || r.verification != 20 || r.failed != 1 {
		t.Errorf("version %q, frame %v ms, verification %v ms, %d failed", r.version, r.frame, r.verification, r.failed)
	}
	if r.clock <= 0 {
		t.Errorf("%v ms by the clock", r.clock)
	}
}

func TestNotMeasured(t *testing.T) {
	const traceback = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'cv2'\n"
	for _, tt := range []struct{ name, log, script, want string }{
		{"not there", "", "printf \"" + traceback + "\" >&2; exit 1", "ModuleNotFoundError: No module named 'cv2'"},
		{"not installed", "ERROR: Failed building wheel for dlib\n", "printf \"" + traceback + "\" >&2; exit 1", "ERROR: Failed building wheel for dlib"},
		{"warned when installed", "WARNING: old pip\n", "echo TypeError: none >&2", "TypeError: none"},
		{"Node", "", "printf 'loader:1\n  throw err;\n\nError: no module\n  at x\n\nNode.js v20\n' >&2", "Error: no module"},
		{"silent", "", "exit 3", "no answer: EOF"},
		{"stops", "", `echo '{"version":"1"}'; read -r f; echo '{"ms":1,"descriptor":[1]}'`, "a2: no answer: EOF"},
		{"babbles", "", "echo hello", `answer "hello\n": invalid character 'h' looking for beginning of value`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := script(t, tt.script)
			if err := os.WriteFile(p.log, []byte(tt.log), 0o644); err != nil {
				t.Fatal(err)
			}
			r := p.measure(t.Context(), 0, []person{{"a1", "a2"}}, nil)
			if r.absent != tt.want {
				t.Errorf("absent: %q, want %q", r.absent, tt.want)
			}
		})
	}
}

func TestTAR(t *testing.T) {
	// 40 people, two pictures each: 3120 impostor pairs, of which 1e-3 lets 3 match.
	var people []person
	var looks []look
	at := func(angle float64) look {
		return look{Descriptor: []float64{100 * math.Cos(angle), 100 * math.Sin(angle)}}
	}
	for i := range 40 {
		people = append(people, person{"", ""})
		looks = append(looks, at(float64(i)/10), at(float64(i)/10+0.01))
	}
	looks[0].Descriptor = nil     // no face: a pair that does not match
	looks[3] = at(float64(1) + 2) // far from its own
	r := result{looks: looks}
	r.rate(t.Context(), people)
	if !strings.HasPrefix(r.tar[0], "95.0 % (") {
		t.Errorf("TAR at an FMR of 1e-3: %s, want 38 of 40", r.tar[0])
	}
	if r.tar[1] != "too few pairs" {
		t.Errorf("TAR at an FMR of 1e-4: %s", r.tar[1])
	}
	if r.failed != 1 {
		t.Errorf("%d without a face", r.failed)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	err := write(&out, "Here.", []result{
		{peer: peer{name: "one"}, version: "1.2", looks: make([]look, 9), verification: 8.25, clock: 99.6, frame: 250.4, peak: 42, failed: 2, tar: [2]string{"1 %", "too few pairs"}},
		{peer: peer{name: "two", absent: "a|b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Here.\n\n",
		"\n| one | 8.2 | 100 | 250 | 42 | 1 % | too few pairs | 2 of 9 |\n",
		"\n| two | not measured: a\\|b | | | | | | |\n",
		"\n- one: 1.2\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}
