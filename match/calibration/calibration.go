// Package calibration turns distances into error rates: how often two
// different people are as near as that (the false-match rate, FMR), and how
// often two pictures of one person are farther apart (the false non-match
// rate, FNMR), both of one comparison, measured on pictures whose people are
// known. The words are those of ISO/IEC 19795-1.
//
//	pictures ─► Compare ─► Sample ─► Curve ─► Calibration ─► file
//	                                              file ─► Load ─► Accept, Reject, FMR
//
// A rate comes with a 95 % bound, found by drawing people, not pairs: one
// person is in very many pairs, so pairs are far fewer facts than they seem.
// Nothing here says more than its pictures: a calibration on portraits from
// the news holds for such portraits. It holds no picture and no template.
package calibration

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// Version is the value of "v" in a file.
const Version = 1

// MaxBytes is the size of the largest file that Load reads.
const MaxBytes = 1 << 20

// MaxDistance is the largest distance of a curve. Those of the engines here
// are Euclidean, or cosine, of templates of length 1, and end at 2.
const MaxDistance = 2

// A Calibration is what was measured of one model.
type Calibration struct {
	V         int        `json:"v"`
	Engine    string     `json:"engine"`
	Model     string     `json:"model"`        // the model set's name
	SHA256    string     `json:"model_sha256"` // of the file that computes templates, lower-case hex
	Source    string     `json:"source"`       // which pictures, for people
	Tool      string     `json:"tool"`         // program and version
	Date      string     `json:"date"`         // 2006-01-02
	People    int        `json:"people"`       // with at least one face
	Counts               // of pictures and pairs
	Bootstrap Resampling `json:"bootstrap"` // how the bounds were found
	Curve     []Point    `json:"curve"`     // by ascending distance
}

// Counts say how much was compared.
type Counts struct {
	Pictures int `json:"pictures"`     // with a face
	Faceless int `json:"without_face"` // pictures without one, which were left out
	Genuine  int `json:"genuine"`      // pairs of two pictures of one person
	Impostor int `json:"impostor"`     // pairs of two people's pictures
}

// A Point is the rates of one comparison at a distance: what they would be if
// that were the threshold.
type Point struct {
	Distance float64 `json:"distance"`
	FMR      Rate    `json:"fmr"`  // share of impostor pairs at or below
	FNMR     Rate    `json:"fnmr"` // share of genuine pairs above
}

// A Rate is a share, 0 to 1, with a 95 % bound on each side.
type Rate struct{ Value, Low, High float64 }

// MarshalJSON writes [value, low, high] with four digits, bounds rounded
// outward.
func (r Rate) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%.4g, %.4g, %.4g]", r.Value, outward(r.Low, math.Floor), outward(r.High, math.Ceil)), nil
}

// outward rounds v to four digits, the last one by round.
func outward(v float64, round func(float64) float64) float64 {
	if v <= 0 || v >= 1 {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(v)))
	return math.Min(1, round(v*scale)/scale)
}

// UnmarshalJSON reads [value, low, high].
func (r *Rate) UnmarshalJSON(data []byte) error {
	var list []float64
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) != 3 {
		return fmt.Errorf("a rate is [value, low, high], not %d numbers", len(list))
	}
	*r = Rate{list[0], list[1], list[2]}
	return nil
}

// Load reads the file at path, as Parse does.
func Load(path string) (Calibration, error) {
	f, err := os.Open(path)
	if err != nil {
		return Calibration{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	_ = f.Close()
	if err != nil {
		return Calibration{}, err
	}
	c, err := Parse(data)
	if err != nil {
		return Calibration{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads a calibration strictly: what it does not know, or what cannot
// have been measured, is an error.
func Parse(data []byte) (Calibration, error) {
	if len(data) > MaxBytes {
		return Calibration{}, fmt.Errorf("larger than %d KiB", MaxBytes>>10)
	}
	var c Calibration
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Calibration{}, fmt.Errorf("not a calibration: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Calibration{}, errors.New("not a calibration: more follows the object")
	}
	if err := c.check(); err != nil {
		return Calibration{}, err
	}
	return c, nil
}

// Encode returns the bytes of a file, one point of the curve a line.
func (c Calibration) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	points := c.Curve
	c.Curve = nil
	head, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(head, []byte("null\n}")))
	for i, p := range points {
		line, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		b.WriteString(map[bool]string{true: "[\n    ", false: ",\n    "}[i == 0])
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes(), nil
}

// check reports what cannot have been measured.
func (c Calibration) check() error {
	sum, err := hex.DecodeString(c.SHA256)
	switch {
	case c.V != Version:
		return fmt.Errorf("v is %d, this program reads %d (calibrate again)", c.V, Version)
	case err != nil || len(sum) != 32 || strings.ToLower(c.SHA256) != c.SHA256:
		return errors.New("model_sha256 is not a SHA-256 in lower-case hex")
	case c.Engine == "" || c.Model == "" || c.Source == "" || c.Tool == "":
		return errors.New("engine, model, source and tool must not be empty")
	case c.People < 2 || c.Pictures <= c.People || c.Faceless < 0:
		return fmt.Errorf("%d people with %d pictures cannot be compared", c.People, c.Pictures)
	case c.Genuine < 1 || c.Impostor < 1 || c.Genuine+c.Impostor != c.Pictures*(c.Pictures-1)/2:
		return fmt.Errorf("%d genuine and %d impostor pairs are not those of %d pictures", c.Genuine, c.Impostor, c.Pictures)
	case c.Bootstrap.Replicates < MinReplicates:
		return fmt.Errorf("bootstrap has %d replicates, at least %d are needed", c.Bootstrap.Replicates, MinReplicates)
	}
	if _, err := time.Parse(time.DateOnly, c.Date); err != nil {
		return fmt.Errorf("date: %w", err)
	}
	return c.checkCurve()
}

// checkCurve demands a curve that is monotone and claims no rate below one pair
// in all.
func (c Calibration) checkCurve() error {
	if len(c.Curve) < 2 || len(c.Curve) > maxPoints {
		return fmt.Errorf("curve has %d points, 2 to %d are needed", len(c.Curve), maxPoints)
	}
	least := func(pairs int) float64 { return 0.999 / float64(pairs) } // of a rate that is not 0; they have four digits
	for i, p := range c.Curve {
		switch {
		case !(p.Distance >= 0 && p.Distance <= MaxDistance):
			return fmt.Errorf("curve: distance %v is not 0 to %d", p.Distance, MaxDistance)
		case !p.FMR.possible(least(c.Impostor)) || !p.FNMR.possible(least(c.Genuine)):
			return fmt.Errorf("curve: the rates at distance %v are not possible", p.Distance)
		}
		if i == 0 {
			continue
		}
		before := c.Curve[i-1]
		if p.Distance <= before.Distance || !before.FMR.below(p.FMR) || !p.FNMR.below(before.FNMR) {
			return fmt.Errorf("curve: is not monotone at distance %v", p.Distance)
		}
	}
	return nil
}

func (r Rate) possible(least float64) bool {
	return 0 <= r.Low && r.Low <= r.Value && r.Value <= r.High && r.High <= 1 && r.High > 0 && (r.Value == 0 || r.Value >= least)
}

// below says whether no part of r is above that of q.
func (r Rate) below(q Rate) bool { return r.Value <= q.Value && r.Low <= q.Low && r.High <= q.High }
