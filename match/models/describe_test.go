package models

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// described is a good description of a set named mine.
const described = `{
  "name": "mine",
  "what": "YuNet and an embedder of our own",
  "licence": "CC-BY-NC-4.0",
  "commercial": false,
  "training": "faces of people who agreed",
  "detector": {"kind": "yunet", "file": "d.onnx", "width": 640, "height": 480},
  "landmarks": {"kind": "detector"},
  "embedder": {
    "file": "e.onnx", "size": 112, "channels": "bgr",
    "mean": [127.5, 127.5, 127.5], "deviation": [127.5, 127.5, 127.5], "output": 512, "metric": "cosine"
  },
  "files": [
    {"name": "d.onnx", "size": 10, "sha256": "` + zeros + `"},
    {"name": "e.onnx", "size": 20, "sha256": "` + zeros + `"}
  ]
}`

func TestDescriptionIsRead(t *testing.T) {
	s, err := ParseDescription([]byte(described))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "mine" || s.Engine != "onnx" || !s.NonCommercial || len(s.Files) != 2 {
		t.Errorf("got %+v", s)
	}
	if id := s.ModelID(); id.Engine != "onnx" || id.Name != "mine" || id.SHA256 != zeros || id.Licence != "CC-BY-NC-4.0" || id.Training == "" {
		t.Errorf("model %+v", id)
	}
	if n := s.Networks; n.Detector.Height != 480 || n.Embedder.Output != 512 || n.Embedder.Channels != BGR || n.Embedder.Mean[2] != 127.5 {
		t.Errorf("networks %+v", n)
	}
}

// judged is described with a network that tells pictures from people.
func judged() string {
	return strings.Replace(strings.Replace(described, `"files": [`, `"pad": [{
    "file": "p.onnx", "crop": 2.7, "size": 80, "channels": "bgr", "mean": [0, 0, 0], "deviation": [1, 1, 1], "classes": 3, "person": 1
  }],
  "files": [
    {"name": "p.onnx", "size": 30, "sha256": "`+zeros+`"},`, 1), "\n\n", "\n", 1)
}

func TestDescriptionOfPAD(t *testing.T) {
	s, err := ParseDescription([]byte(judged()))
	if err != nil {
		t.Fatal(err)
	}
	want := []PAD{{File: "p.onnx", Crop: 2.7, Size: 80, Channels: BGR, Mean: []float64{0, 0, 0}, Deviation: []float64{1, 1, 1}, Classes: 3, Person: 1}}
	if !reflect.DeepEqual(s.Networks.PAD, want) || len(s.Files) != 3 {
		t.Errorf("got %+v", s)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"crop": 2.7`, `"crop": 0.5`, "pad[0].crop: "},
		{`"size": 80`, `"size": 8`, "pad[0].size: "},
		{`"classes": 3`, `"classes": 1`, "pad[0].classes: "},
		{`"person": 1`, `"person": 3`, "pad[0].person: "},
		{`"person": 1`, `"person": -1`, "pad[0].person: "},
		{`"size": 80, "channels": "bgr"`, `"size": 80, "channels": "grey"`, "pad[0].channels: "},
		{`"mean": [0, 0, 0]`, `"mean": [0, 0]`, "pad[0].mean: "},
		{`"deviation": [1, 1, 1]`, `"deviation": [1, 0, 1]`, "pad[0].deviation: "},
		{`"file": "p.onnx"`, `"file": "x.onnx"`, `files: lacks "x.onnx"`},
		{`"person": 1`, `"person": 1, "real": 1`, `"real"`},
	} {
		text := strings.Replace(judged(), c.old, c.new, 1)
		if _, err := ParseDescription([]byte(text)); text == judged() || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.new, err, c.want)
		}
	}
}

func TestMalformedDescriptions(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"empty", described, "", "not JSON"},
		{"not an object", described, "[1]", "not a description"},
		{"cut short", `"files"`, "", "not JSON"},
		{"something after it", described, described + "{}", "something follows its end"},
		{"unknown key", `"what"`, `"whats": "x", "what"`, `"whats"`},
		{"unknown key inside", `"size": 112`, `"size": 112, "crop": 1`, `"crop"`},
		{"key twice", `"commercial": false`, `"commercial": false, "commercial": true`, `"commercial": comes twice`},
		{"distances of one's own", `"commercial"`, `"accept": 0.4, "commercial"`, `unknown field "accept"`},
		{"key twice inside", `"output": 512`, `"output": 512, "output": 128`, `"output": comes twice`},
		{"capitals", `"what"`, `"What"`, "capitals"},
		{"no name", `"name": "mine",`, "", "name: "},
		{"a path for a name", `"mine"`, `"../mine"`, "name: "},
		{"no licence", `"CC-BY-NC-4.0"`, `""`, "licence: "},
		{"lines in the licence", `"CC-BY-NC-4.0"`, `"a\nb"`, "licence: "},
		{"nothing on commerce", `"commercial": false,`, "", "commercial: "},
		{"no training data", `"training": "faces of people who agreed",`, "", "training: "},
		{"detector", `"yunet"`, `"mtcnn"`, "detector.kind: "},
		{"odd width", `"width": 640`, `"width": 650`, "detector: width"},
		{"huge", `"width": 640`, `"width": 64000`, "detector: width"},
		{"other size of rfb320", `"yunet"`, `"rfb320"`, "must be 320 and 240"},
		{"no landmarks with rfb320", `"yunet"`, `"rfb320"`, "landmarks.kind: "},
		{"landmarks", `{"kind": "detector"}`, `{"kind": "dlib68"}`, "landmarks.kind: "},
		{"file of no use", `{"kind": "detector"}`, `{"kind": "detector", "file": "d.onnx"}`, "landmarks.file: "},
		{"no file of landmarks", `{"kind": "detector"}`, `{"kind": "fr_landmark"}`, "landmarks.file: "},
		{"channels", `"bgr"`, `"gray"`, "embedder.channels: "},
		{"two means", `"mean": [127.5, `, `"mean": [`, "embedder.mean: "},
		{"four means", `"mean": [`, `"mean": [1, `, "embedder.mean: "},
		{"division by zero", `"deviation": [127.5`, `"deviation": [0`, "embedder.deviation: "},
		{"no output", `"output": 512`, `"output": 0`, "embedder.output: "},
		{"metric", `"cosine"`, `"euclidean"`, "embedder.metric: "},
		{"size", `"size": 112`, `"size": 4096`, "embedder.size: "},
		{"file outside", `"e.onnx", "size": 112`, `"../e.onnx", "size": 112`, "files: lacks"},
		{"path of a file", `"name": "e.onnx"`, `"name": "a/e.onnx"`, "files[1]: name"},
		{"hidden file", `"name": "e.onnx"`, `"name": ".e.onnx"`, "files[1]: name"},
		{"file twice", `"name": "e.onnx"`, `"name": "d.onnx"`, "files[1]: name"},
		{"file that nobody uses", `"files": [`, `"files": [{"name": "x.onnx", "size": 1, "sha256": "` + zeros + `"},`, "has no use"},
		{"no size", `"size": 20`, `"size": 0`, "files[1]: size"},
		{"short sum", `"size": 20, "sha256": "00`, `"size": 20, "sha256": "`, "files[1]: sha256"},
		{"capitals in a sum", `"size": 20, "sha256": "00`, `"size": 20, "sha256": "FF`, "files[1]: sha256"},
		{"a number that is none", `"output": 512`, `"output": "512"`, "not a description"},
	} {
		text := strings.Replace(described, c.old, c.new, 1)
		if text == described {
			t.Errorf("%s: nothing was changed", c.name)
		}
		_, err := ParseDescription([]byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := ParseDescription([]byte(described + strings.Repeat(" ", maxDescription))); err == nil {
		t.Error("a description without end was read")
	}
}

// The sets that ship obey the rules for those of others.
func TestManifestObeysItsOwnRules(t *testing.T) {
	for _, s := range List() {
		if s.Engine != "onnx" {
			continue
		}
		commercial := !s.NonCommercial
		d := description{
			Name: s.Name, What: s.What, Licence: s.Licence, Commercial: &commercial, Training: s.Training, Networks: s.Networks,
		}
		for _, f := range s.Files {
			d.Files = append(d.Files, describedFile{f.Name, f.Size, f.SHA256})
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseDescription(text)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if !reflect.DeepEqual(got.Networks, s.Networks) || got.Templates != s.Templates {
			t.Errorf("%s: read as %+v", s.Name, got)
		}
	}
}

func TestOpenFindsTheSetOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, "mine"); err == nil || !strings.Contains(err.Error(), "no such set") {
		t.Errorf("no description: %v", err)
	}
	path := filepath.Join(dir, DescriptionFile)
	write(t, path, described, 0o600)
	if s, err := Open(dir, "mine"); err != nil || s.Name != "mine" {
		t.Errorf("got %v, %v", s.Name, err)
	}
	_, err := Open(dir, "other")
	wantError(t, err, path, `"mine"`, `"other"`)
	if s, err := Open(dir, "dlib"); err != nil || s.Engine != "dlib" {
		t.Errorf("dlib is %q, %v; a folder must not change what the manifest says", s.Engine, err)
	}

	write(t, filepath.Join(dir, "d.onnx"), "0123456789", 0o600)
	err = Verify(dir, "mine")
	wantError(t, err, filepath.Join(dir, "d.onnx")+": 10 bytes with sha256", filepath.Join(dir, "e.onnx")+": missing", DescriptionFile)
	if strings.Contains(err.Error(), "models pull") {
		t.Errorf("error %v: nothing can be pulled", err)
	}

	write(t, path, strings.Replace(described, "yunet", "none", 1), 0o600)
	_, err = Open(dir, "mine")
	wantError(t, err, path, "detector.kind")
}

func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(described))
	f.Add([]byte(described[:len(described)/2]))
	f.Add([]byte(strings.Repeat("[", 50)))
	f.Add([]byte(`{"name": "mine", "embedder": {"mean": null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseDescription(data)
		if err != nil {
			return
		}
		for _, file := range s.Files {
			if file.Name != filepath.Base(file.Name) || file.Name == ".." || strings.ContainsRune(file.Name, os.PathSeparator) {
				t.Errorf("file %q", file.Name)
			}
		}
		if len(s.Networks.Embedder.Deviation) != 3 || s.ModelID().SHA256 == "" {
			t.Errorf("passed: %+v", s)
		}
	})
}

// What docs/models.md shows must be a good description.
func TestDocumentedDescriptionIsRead(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "models.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```json\n")
	text, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/models.md shows none")
	}
	if s, err := ParseDescription([]byte(text)); err != nil || s.Name != "ours" {
		t.Errorf("%q, %v", s.Name, err)
	}
}
