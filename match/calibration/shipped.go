package calibration

import (
	"embed"
	"fmt"
	"io/fs"
)

// The figures that ship, one file a model. docs/accuracy.md says how they were
// measured and what they do not show.
//
//go:embed shipped/*.json
var shipped embed.FS

// Shipped returns the calibration that ships for the model set of that name
// whose templates come from the file with that SHA-256, false if there is none.
// The file alone would not do: what finds faces and turns them upright was
// measured with it.
func Shipped(model, sha256 string) (Calibration, bool) {
	for _, c := range All() {
		if c.Model == model && c.SHA256 == sha256 {
			return c, true
		}
	}
	return Calibration{}, false
}

// All returns every calibration that ships.
func All() []Calibration {
	names, err := fs.Glob(shipped, "shipped/*.json")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	var all []Calibration
	for _, name := range names {
		data, err := shipped.ReadFile(name)
		if err != nil {
			panic(err) // it was listed
		}
		c, err := Parse(data)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err)) // a test reads them all
		}
		all = append(all, c)
	}
	return all
}
