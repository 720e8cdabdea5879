package calibration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/calibration"
)

// small is a calibration of 50 people, 100 pictures, with a curve of four
// points.
func small() calibration.Calibration {
	point := func(d float64, fmr, fnmr calibration.Rate) calibration.Point {
		return calibration.Point{Distance: d, FMR: fmr, FNMR: fnmr}
	}
	return calibration.Calibration{
		V: calibration.Version, Engine: "dlib", Model: "dlib", SHA256: strings.Repeat("ab", 32),
		Source: "fifty people", Tool: "facegate devel", Date: "2026-03-01",
		People: 50, Counts: calibration.Counts{Pictures: 100, Genuine: 50, Impostor: 4900},
		Bootstrap: calibration.Resampling{Replicates: 1000, Seed: 1},
		Curve: []calibration.Point{
			point(0.30, calibration.Rate{High: 0.003}, calibration.Rate{Value: 0.50, Low: 0.3, High: 0.7}),
			point(0.40, calibration.Rate{Value: 0.001, Low: 0.0002, High: 0.003}, calibration.Rate{Value: 0.2, Low: 0.1, High: 0.3}),
			point(0.50, calibration.Rate{Value: 0.01, Low: 0.006, High: 0.04}, calibration.Rate{Value: 0.036, Low: 0.01, High: 0.11}),
			point(0.80, calibration.Rate{Value: 1, Low: 1, High: 1}, calibration.Rate{High: 0.08}),
		},
	}
}

func encode(t testing.TB, c calibration.Calibration) []byte {
	t.Helper()
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFileIsReadAsWritten(t *testing.T) {
	data := encode(t, small())
	path := filepath.Join(t.TempDir(), "c.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := calibration.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if again := encode(t, got); !bytes.Equal(again, data) {
		t.Errorf("written again:\n%s\nwant\n%s", again, data)
	}
	if n := bytes.Count(data, []byte(`"distance"`)); n != 4 || bytes.Count(data, []byte("\n")) > 40 {
		t.Errorf("%d points in\n%s", n, data)
	}
	if _, err := calibration.Load(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A bound must not become tighter by being written.
func TestBoundsAreRoundedOutward(t *testing.T) {
	for _, r := range []calibration.Rate{
		{Value: 1.23456e-5, Low: 1.00009e-6, High: 9.99991e-4},
		{Value: 0.5, Low: 0.123449, High: 0.999991},
		{High: 7.00001e-7},
	} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got calibration.Rate
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Low > r.Low || got.High < r.High || got.Low < 0.99*r.Low || got.High > 1.01*r.High || math.Abs(got.Value-r.Value) > 1e-3*r.Value {
			t.Errorf("%v became %s", r, text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(encode(t, small()))
	for name, change := range map[string][2]string{
		"unknown key":         {`"v": 1`, `"x": 1, "v": 1`},
		"another version":     {`"v": 1`, `"v": 2`},
		"short sum":           {`"model_sha256": "abab`, `"model_sha256": "ab`},
		"capital sum":         {`"model_sha256": "ab`, `"model_sha256": "AB`},
		"no source":           {`"fifty people"`, `""`},
		"no such day":         {`2026-03-01`, `2026-02-30`},
		"one person":          {`"people": 50`, `"people": 1`},
		"a picture a person":  {`"people": 50`, `"people": 100`},
		"pairs invented":      {`"impostor": 4900`, `"impostor": 4900000`},
		"few replicates":      {`"replicates": 1000`, `"replicates": 10`},
		"less than a pair":    {`[0.001,0.0002,0.003]`, `[0.0001,0.00002,0.003]`},
		"bounds crossed":      {`[0.001,0.0002,0.003]`, `[0.001,0.0002,0.0009]`},
		"sure of nothing":     {`[0,0,0.003]`, `[0,0,0]`},
		"above one":           {`[1,1,1]`, `[1,1,1.1]`},
		"two numbers":         {`[1,1,1]`, `[1,1]`},
		"no rate":             {`[1,1,1]`, `null`},
		"distance twice":      {`"distance":0.4`, `"distance":0.3`},
		"distance above two":  {`"distance":0.8`, `"distance":2.1`},
		"rate falls":          {`[0.01,0.006,0.04]`, `[0.0009,0.0001,0.04]`},
		"bound falls":         {`[0.01,0.006,0.04]`, `[0.01,0.0001,0.04]`},
		"misses rise":         {`[0.036,0.01,0.11]`, `[0.3,0.2,0.4]`},
		"something follows":   {"\n  ]\n}\n", "\n  ]\n}\n{}"},
		"cut off":             {"\n  ]\n}\n", ""},
		"larger than allowed": {"\n  ]\n}\n", "\n  ]\n}" + strings.Repeat(" ", calibration.MaxBytes)},
	} {
		if !strings.Contains(good, change[0]) {
			t.Fatalf("%s: %q does not occur in\n%s", name, change[0], good)
		}
		text := strings.Replace(good, change[0], change[1], 1)
		if _, err := calibration.Parse([]byte(text)); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(f, small()))
	for _, seed := range []string{"", "{}", "null", `{"v":1,"curve":[null,{}]}`, `{"v":1,"curve":[{"fmr":[0,0,1e999]}]}`, "[]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := calibration.Parse(data)
		if err != nil {
			return
		}
		for _, target := range []float64{1e-9, 1e-4, 0.01, 0.5} {
			if p, err := c.Accept(target); err == nil && (p.FMR.Value > target || p.FMR.High > calibration.Slack*target) {
				t.Errorf("an FMR of %v gives %v", target, p)
			}
			accept, reject, err := c.Thresholds(target, target)
			if err == nil && accept.Distance >= reject.Distance {
				t.Errorf("accept %v, reject %v", accept.Distance, reject.Distance)
			}
		}
		last := 0.0
		for d := -0.1; d < 2.2; d += 0.05 {
			rate, _ := c.FMR(d)
			if !(rate >= last) || rate < 1/float64(c.Impostor)*0.999 || rate > 1 {
				t.Fatalf("FMR at %v is %v after %v", d, rate, last)
			}
			last = rate
		}
		if _, err := calibration.Parse(encode(t, c)); err != nil {
			t.Errorf("written again: %v", err)
		}
	})
}

// Between two points a rate is that of the worse one, and below all points it is
// one pair in all.
func TestRatesAreNeverBetterThanMeasured(t *testing.T) {
	c := small()
	for _, tt := range []struct {
		distance, fmr float64
		below         bool
		fnmr          float64
	}{
		{-1, 1.0 / 4900, true, 1},
		{0.29, 1.0 / 4900, true, 1},
		{0.30, 1.0 / 4900, true, 0.5},
		{0.3001, 0.001, false, 0.5},
		{0.40, 0.001, false, 0.2},
		{0.45, 0.01, false, 0.2},
		{0.50, 0.01, false, 0.036},
		{0.51, 1, false, 0.036},
		{0.80, 1, false, 1.0 / 50},
		{5, 1, false, 1.0 / 50},
		{math.Inf(1), 1, false, 1.0 / 50},
		{math.NaN(), 1, false, 1},
	} {
		fmr, below := c.FMR(tt.distance)
		if fnmr := c.FNMR(tt.distance); fmr != tt.fmr || below != tt.below || fnmr != tt.fnmr {
			t.Errorf("at %v: FMR %v, %v, FNMR %v; want %v, %v, %v", tt.distance, fmr, below, fnmr, tt.fmr, tt.below, tt.fnmr)
		}
	}
}

func TestThresholds(t *testing.T) {
	for _, tt := range []struct {
		name           string
		fmr, fnmr      float64
		accept, reject float64
		err            string
	}{
		{"both", 0.001, 0.04, 0.4, 0.5, ""},
		{"between two points", 0.009, 0.19, 0.4, 0.5, ""},
		{"reject is moved up", 0.014, 0.2, 0.5, 0.8, ""},
		{"a bound too high, so nearer", 0.01, 0.04, 0.4, 0.5, ""},
		{"a bound of misses too high, so farther", 0.001, 0.036, 0.4, 0.8, ""},
		{"a rate too small", 1e-4, 0.04, 0, 0,
			"FMR of 0.0001 cannot be told from 50 people: it may be 0.003 at any distance, more than 3 times that (the best they support is 0.001; or calibrate with more people)"},
		{"misses too few", 0.001, 0.001, 0, 0,
			"FNMR of 0.001 cannot be told from 50 people: it may be 0.08 at any distance, more than 3 times that (the best they support is 0.027; or calibrate with more people)"},
	} {
		accept, reject, err := small().Thresholds(tt.fmr, tt.fnmr)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if accept.Distance != tt.accept || reject.Distance != tt.reject || text != tt.err {
			t.Errorf("%s: %v, %v, %q; want %v, %v, %q", tt.name, accept.Distance, reject.Distance, text, tt.accept, tt.reject, tt.err)
		}
	}
}

// A curve that ends at accept has no place for reject, and one of two people
// promises nothing.
func TestThresholdsNeedRoom(t *testing.T) {
	c := small()
	c.Curve = c.Curve[:3]
	if _, _, err := c.Thresholds(0.02, 0.2); err == nil || err.Error() != "FMR of 0.02 is reached by every distance that was measured (ask for a smaller one)" {
		t.Errorf("no room: %v", err)
	}
	for i := range c.Curve {
		c.Curve[i].FMR.High = 1
	}
	if _, err := c.Accept(0.9); err == nil || !strings.Contains(err.Error(), "(the best they support is none; or ") {
		t.Errorf("rates that may be 1: %v", err)
	}
}

// What a refusal names as the best target is not refused, and nothing that is
// better by a tenth is accepted.
func TestBestTargetIsTheBest(t *testing.T) {
	c := small()
	for name, ask := range map[string]func(float64) (calibration.Point, error){"FMR": c.Accept, "FNMR": c.Reject} {
		_, err := ask(1e-7)
		refused, ok := errors.AsType[*calibration.TargetError](err)
		if !ok {
			t.Fatalf("%s of 1e-7: %v", name, err)
		}
		if _, err := ask(refused.Best); err != nil {
			t.Errorf("%s: the best target %v: %v", name, refused.Best, err)
		}
		if _, err := ask(0.9 * refused.Best); err == nil {
			t.Errorf("%s: a better target than the best, %v, passed", name, 0.9*refused.Best)
		}
	}
}
