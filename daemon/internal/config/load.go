package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the size of the largest file that is read.
const MaxBytes Bytes = 1 << 20

// Load reads the configuration in the file at path. The error is [Problems]
// unless the file cannot be read; with Problems the configuration is as
// [Parse] returns it.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(MaxBytes)+1))
	_ = f.Close()
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a configuration; name stands for the file in messages. Keys
// that data lacks keep their defaults, so no data gives [Default]. The error
// is [Problems]. With Problems the configuration is what could be read and
// serves one use only: to make outputs safe, those without [Config.Doubts].
func Parse(name string, data []byte) (Config, error) {
	d := decoder{source: source{file: name, lines: map[string]int{}}}
	if len(data) > int(MaxBytes) {
		d.fail(0, "", "larger than %v", MaxBytes)
		return Config{doubts: d.problems}, d.problems
	}
	root, err := document(data)
	if err != nil {
		line, text := syntaxError(err)
		d.fail(line, "", "%s", text)
		return Config{doubts: d.problems}, d.problems
	}
	cfg := defaults()
	d.root(&cfg, root)
	cfg.source, cfg.doubts = d.source, d.problems
	cfg.settle(runtime.GOARCH)
	cfg.Match.choose(d.source)
	problems := sorted(append(d.problems, validate(cfg)...))
	if len(problems) > 0 {
		return cfg, problems
	}
	return cfg, nil
}

// choose lets distances in the file take the place of the rates that are the
// default.
func (m *Match) choose(file source) {
	if m.Accept == 0 && m.Reject == 0 {
		return
	}
	for key, rate := range map[string]*float64{"match.accept_fmr": &m.AcceptFMR, "match.reject_fnmr": &m.RejectFNMR} {
		if _, given := file.lines[key]; !given {
			*rate = 0
		}
	}
}

// Doubts returns the problems for which it is not known what the file means by
// the section or value called key. A value that is understood but not allowed
// is none.
func (c Config) Doubts(key string) Problems { return c.doubts.concern(key) }

// Hash returns the SHA-256, in lower-case hex, of the configuration in force:
// equal for two files that mean the same, whatever their order and comments.
func Hash(cfg Config) string {
	text, _ := yaml.Marshal(cfg) // fails only for kinds of fields that Config lacks
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// errSecond is a second YAML document, at a line.
type errSecond int

func (e errSecond) Error() string { return "a second document: a file holds one" }

// document returns the root node of the only document in data, nil if there
// is none.
func document(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := dec.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&second); err == nil {
		return nil, errSecond(second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return first.Content[0], nil
}

// syntaxError takes the line out of an error of document: the YAML library
// has it in the text only.
func syntaxError(err error) (line int, text string) {
	if second, ok := errors.AsType[errSecond](err); ok {
		return int(second), second.Error()
	}
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return line, "not YAML: " + text
}
