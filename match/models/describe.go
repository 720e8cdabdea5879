package models

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DescriptionFile is the name of the file that makes a folder a model set.
const DescriptionFile = "set.json"

// maxDescription is the size of the largest description that is read, in bytes.
const maxDescription = 64 << 10

// Networks says how the engine onnx uses the files of a set.
type Networks struct {
	Detector  Detector  `json:"detector"`
	Landmarks Landmarks `json:"landmarks"`
	Embedder  Embedder  `json:"embedder"`
	PAD       []PAD     `json:"pad,omitempty"` // what they say is averaged; none is needed
}

// A Detector finds faces in a picture, which is scaled down to fit Width and
// Height.
type Detector struct {
	Kind   string `json:"kind"` // yunet or rfb320
	File   string `json:"file"`
	Width  int    `json:"width"`  // pixels of the network's input
	Height int    `json:"height"` // the same
}

// Landmarks says where the five points come from by which a face is turned
// upright.
type Landmarks struct {
	Kind string `json:"kind"` // detector: it gives them; fr_landmark: 68 points of a network of its own
	File string `json:"file,omitempty"`
}

// An Embedder computes a template from a face of Size by Size pixels. It is
// shown (value - Mean) / Deviation of values 0 to 255.
type Embedder struct {
	File      string    `json:"file"`
	Size      int       `json:"size"`
	Channels  string    `json:"channels"`  // rgb or bgr
	Mean      []float64 `json:"mean"`      // three, in the order of Channels
	Deviation []float64 `json:"deviation"` // the same
	Output    int       `json:"output"`    // numbers in a template
	Metric    string    `json:"metric"`    // cosine
}

// A PAD tells a person from a picture of one. It is shown the face box Crop
// times as large, moved into the picture and scaled to Size by Size pixels, in
// the manner of an Embedder, and answers with a number for each class, the larger
// the likelier.
type PAD struct {
	File      string    `json:"file"`
	Crop      float64   `json:"crop"`
	Size      int       `json:"size"`
	Channels  string    `json:"channels"`
	Mean      []float64 `json:"mean"`
	Deviation []float64 `json:"deviation"`
	Classes   int       `json:"classes"`
	Person    int       `json:"person"` // the class that is a person, from 0
}

// The kinds of networks that the engine onnx knows.
const (
	YuNet        = "yunet"
	RFB320       = "rfb320"
	OwnLandmarks = "detector"
	FRLandmark   = "fr_landmark"
	RGB          = "rgb"
	BGR          = "bgr"
	Cosine       = "cosine"
)

// A description is the content of a DescriptionFile.
type description struct {
	Name       string `json:"name"`
	What       string `json:"what"`
	Licence    string `json:"licence"`
	Commercial *bool  `json:"commercial"`
	Training   string `json:"training"`
	Networks
	Files []describedFile `json:"files"`
}

type describedFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Describe reads the description of the set in the folder dir.
func Describe(dir string) (Set, error) {
	path := filepath.Join(dir, DescriptionFile)
	f, err := os.Open(path)
	if err != nil {
		return Set{}, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxDescription+1))
	if err != nil {
		return Set{}, err
	}
	s, err := ParseDescription(data)
	if err != nil {
		return Set{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// ParseDescription reads the description of a set for the engine onnx: one
// JSON object with every key of docs/models.md that is not optional there, and no other. The error tells
// all that is wrong with its values, one a line.
func ParseDescription(data []byte) (Set, error) {
	if len(data) > maxDescription {
		return Set{}, fmt.Errorf("larger than %d bytes", maxDescription)
	}
	if err := plainKeys(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return Set{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var d description
	if err := dec.Decode(&d); err != nil {
		return Set{}, fmt.Errorf("not a description: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Set{}, errors.New("not a description: something follows its end")
	}
	if err := d.check(); err != nil {
		return Set{}, err
	}
	return d.set(), nil
}

// plainKeys refuses what encoding/json lets pass: keys that come twice or in
// capitals.
func plainKeys(dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	open, _ := token.(json.Delim)
	if open != '{' && open != '[' {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			token, err := dec.Token()
			if err != nil {
				return fmt.Errorf("not JSON: %w", err)
			}
			key, _ := token.(string)
			if seen[key] || key != strings.ToLower(key) {
				return fmt.Errorf("key %.40q: comes twice, or has capitals", key)
			}
			seen[key] = true
		}
		if err := plainKeys(dec); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return nil
}

func (d description) set() Set {
	s := Set{
		Name: d.Name, What: d.What, Licence: d.Licence, NonCommercial: !*d.Commercial, Training: d.Training,
		Engine: "onnx", Templates: d.Embedder.File, Networks: d.Networks,
	}
	for _, f := range d.Files {
		s.Files = append(s.Files, File{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return s
}

// check reports everything about the values that can be told without the files.
func (d description) check() error {
	var errs []error
	demand := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	text := func(key, v string) {
		ok := v != "" && len(v) <= 1000 && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' })
		demand(ok, key, "must be a text of one line")
	}
	demand(plainName(d.Name), "name", "must be of lower-case letters, digits and - alone")
	text("what", d.What)
	text("licence", d.Licence)
	text("training", d.Training)
	demand(d.Commercial != nil, "commercial", "must be true or false: whether the licence allows commercial use")
	d.Networks.check(demand)

	names := map[string]bool{}
	for i, f := range d.Files {
		key := fmt.Sprintf("files[%d]", i)
		demand(plainFile(f.Name) && !names[f.Name], key, "name must be that of a file in this folder, and come once")
		demand(f.Size > 0 && f.Size <= maxUnpacked, key, "size must be 1 to %d bytes", maxUnpacked)
		sum, err := hex.DecodeString(f.SHA256)
		demand(err == nil && len(sum) == 32 && f.SHA256 == strings.ToLower(f.SHA256), key, "sha256 must be 64 lower-case hexadecimal digits")
		names[f.Name] = true
	}
	used := []string{d.Detector.File, d.Embedder.File}
	if d.Landmarks.File != "" {
		used = append(used, d.Landmarks.File)
	}
	for _, p := range d.PAD {
		used = append(used, p.File)
	}
	for _, name := range used {
		demand(names[name], "files", "lacks %.60q", name)
	}
	for _, f := range d.Files {
		demand(slices.Contains(used, f.Name), "files", "%.60q has no use", f.Name)
	}
	return errors.Join(errs...)
}

func (n Networks) check(demand func(ok bool, key, format string, args ...any)) {
	d, l, e := n.Detector, n.Landmarks, n.Embedder
	const step, most = 32, 1920
	switch d.Kind {
	case YuNet:
		fits := func(side int) bool { return side >= step && side <= most && side%step == 0 }
		demand(fits(d.Width) && fits(d.Height), "detector", "width and height must be multiples of %d, at most %d", step, most)
	case RFB320:
		demand(d.Width == 320 && d.Height == 240, "detector", "width and height of %s must be 320 and 240", RFB320)
	default:
		demand(false, "detector.kind", "must be %s or %s", YuNet, RFB320)
	}
	switch l.Kind {
	case OwnLandmarks:
		demand(d.Kind != RFB320, "landmarks.kind", "%s finds no points: must be %s", RFB320, FRLandmark)
		demand(l.File == "", "landmarks.file", "the detector gives the points: must not be given")
	case FRLandmark:
		demand(l.File != "", "landmarks.file", "must not be empty")
	default:
		demand(false, "landmarks.kind", "must be %s or %s", OwnLandmarks, FRLandmark)
	}
	demand(e.Size >= 64 && e.Size <= 256, "embedder.size", "must be 64 to 256")
	colours := func(key, channels string, mean, deviation []float64) {
		three := func(v []float64, least float64) bool {
			return len(v) == 3 && slices.Min(v) >= least && slices.Max(v) <= 255
		}
		demand(channels == RGB || channels == BGR, key+".channels", "must be %s or %s", RGB, BGR)
		demand(three(mean, 0), key+".mean", "must be three numbers 0 to 255")
		demand(three(deviation, 1), key+".deviation", "must be three numbers 1 to 255")
	}
	colours("embedder", e.Channels, e.Mean, e.Deviation)
	demand(e.Output >= 16 && e.Output <= 4096, "embedder.output", "must be 16 to 4096")
	demand(e.Metric == Cosine, "embedder.metric", "must be %s", Cosine)
	demand(len(n.PAD) <= 4, "pad", "must be at most 4 networks")
	for i, p := range n.PAD {
		key := fmt.Sprintf("pad[%d]", i)
		colours(key, p.Channels, p.Mean, p.Deviation)
		demand(p.Size >= 32 && p.Size <= 256, key+".size", "must be 32 to 256")
		demand(p.Crop >= 1 && p.Crop <= 8, key+".crop", "must be 1 to 8")
		demand(p.Classes >= 2 && p.Classes <= 100, key+".classes", "must be 2 to 100")
		demand(p.Person >= 0 && p.Person < p.Classes, key+".person", "must be below classes (%d), and not negative", p.Classes)
	}
}

// plainName says whether a set may be called so.
func plainName(s string) bool {
	return s != "" && len(s) <= 40 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

// plainFile says whether s is the name of a file and no path.
func plainFile(s string) bool {
	return s != "" && len(s) <= 200 && !strings.HasPrefix(s, ".") && s != DescriptionFile &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r == '\\' })
}
