package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A decoder fills a Config from YAML nodes and collects what is wrong. It
// goes only as deep as the types do and follows no alias, so a hostile file
// costs no more than its size.
type decoder struct {
	source
	problems Problems
}

func (d *decoder) fail(line int, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// root reads the whole document.
func (d *decoder) root(cfg *Config, n *yaml.Node) {
	if n == nil {
		return
	}
	d.value(reflect.ValueOf(cfg).Elem(), n, "")
}

// value reads n into v, whose key is path.
func (d *decoder) value(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.fail(n.Line, path, "anchors and aliases are not understood here: write the value out")
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.fail(n.Line, path, "tags are not understood here: remove %s", quoted(n.Tag))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.section(v, n, path)
	case reflect.Slice:
		d.list(v, n, path)
	default:
		if err := scalar(v, n); err != nil {
			d.fail(n.Line, path, "%v", err)
		}
	}
}

// section reads the mapping n into the struct v. A section without keys keeps
// its defaults.
func (d *decoder) section(v reflect.Value, n *yaml.Node, path string) {
	if n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, path, "must be a section of keys, not %s", kind(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 {
			d.fail(key.Line, path, "a key must be a plain word")
			continue
		}
		full := join(path, quoted(key.Value))
		if first, again := seen[key.Value]; again {
			d.fail(key.Line, full, "duplicate key (first on line %d)", first)
			continue
		}
		seen[key.Value] = key.Line
		field := slices.IndexFunc(fields, func(f reflect.StructField) bool { return tag(f) == key.Value })
		if key.Value == "" || field < 0 {
			d.fail(key.Line, full, "unknown key%s", suggestion(key.Value, tags(v.Type())))
			continue
		}
		d.lines[full] = key.Line
		d.value(v.FieldByIndex(fields[field].Index), value, full)
	}
}

// list reads the sequence n into v, a list of texts, if every one is good.
func (d *decoder) list(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, path, "must be a list, not %s", kind(n))
		return
	}
	before := len(d.problems)
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(list.Index(i), item, fmt.Sprintf("%s[%d]", path, i))
	}
	if len(d.problems) == before {
		v.Set(list)
	}
}

// scalar reads n into v: a text, number, truth value, duration or size.
func scalar(v reflect.Value, n *yaml.Node) error {
	if n.ShortTag() == "!!null" {
		return fmt.Errorf("has no value: give one or remove the key")
	}
	tag := n.ShortTag()
	switch p := v.Addr().Interface().(type) {
	case *string:
		if tag != "!!str" {
			return fmt.Errorf("must be a text, not %s (put it in quotes)", kind(n))
		}
		*p = n.Value
	case *bool:
		if tag != "!!bool" {
			return fmt.Errorf("must be true or false, not %s", kind(n))
		}
		*p = strings.EqualFold(n.Value, "true")
	case *int:
		i, err := strconv.Atoi(n.Value)
		if tag != "!!int" || err != nil {
			return fmt.Errorf("must be a whole number, not %s", kind(n))
		}
		*p = i
	case *float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if tag != "!!int" && tag != "!!float" || err != nil {
			return fmt.Errorf("must be a number, not %s", kind(n))
		}
		*p = f
	case *time.Duration:
		t, err := time.ParseDuration(n.Value)
		if tag != "!!str" || err != nil {
			return fmt.Errorf("must be a time with a unit, as in 500ms, 3s or 24h, not %s", kind(n))
		}
		*p = t
	case *Bytes:
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("must be a size with a unit, as in 512KiB or 256MiB, not %s", kind(n))
		}
		size, err := ParseBytes(n.Value)
		if err != nil {
			return err
		}
		*p = size
	}
	return nil
}

// kind says what n is, for messages.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(short(n.Value))
}

// fieldsOf returns the fields of t, those of embedded structs among them.
func fieldsOf(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Anonymous })
}

// tag returns the key of a field, "" for one that has none.
func tag(f reflect.StructField) string { return f.Tag.Get("yaml") }

// tags returns the keys of the fields of t, in order.
func tags(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, tag(f))
	}
	return names
}

// join appends a key to the path of its section.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// quoted returns s, quoted if it is not made of the letters that keys and
// tags have, so that a file cannot forge lines of the report.
func quoted(s string) string {
	s = short(s)
	odd := strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-<!:/", r))
	})
	if odd || s == "" {
		return strconv.Quote(s)
	}
	return s
}

// short returns s, cut where a message would become unreadable.
func short(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
