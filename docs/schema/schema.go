// Package schema holds the published JSON Schemas (draft 2020-12) of what
// facegate sends and takes, as files for consumers and as bytes for programs.
package schema

import "embed"

//go:embed *.schema.json
var files embed.FS

// Base is the address below which the schemas refer to each other.
const Base = "https://github.com/facegate/facegate/docs/schema/"

// File returns the schema called name: event, status, info, health, last,
// error, progress, command or response.
func File(name string) ([]byte, error) {
	return files.ReadFile(name + ".schema.json")
}
