package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/facegate/facegate/daemon/internal/config"
)

func configs() string { return filepath.Join("..", "..", "..", "configs") }

func TestShippedConfigsParse(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(configs(), "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"facegate.yaml", "minimal.yaml", "turnstile.yaml"} {
		if !slices.Contains(paths, filepath.Join(configs(), name)) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, path := range paths {
		if _, err := config.Load(path); err != nil {
			t.Error(err)
		}
	}
}

func TestFullConfigEqualsDefaults(t *testing.T) {
	got, err := config.Load(filepath.Join(configs(), "facegate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Camera.Replay, want.Document.Replay, want.Cloud.Providers = []string{}, []string{}, []string{}
	if diff := cmp.Diff(want, got, values()); diff != "" {
		t.Errorf("configs/facegate.yaml and Default differ (-default +file):\n%s", diff)
	}
}

func TestFullConfigExplainsEveryKey(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(configs(), "facegate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	found := map[string]bool{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			found[key] = true
			if _, comment, _ := strings.Cut(lines[n.Content[i].Line-1], " # "); len(comment) < 3 {
				t.Errorf("%s has no comment on its line", key)
			}
			if n.Content[i+1].Kind == yaml.MappingNode {
				walk(n.Content[i+1], key)
			}
		}
	}
	walk(file.Content[0], "")
	for _, key := range keys(reflect.TypeFor[config.Config](), "") {
		if !found[key] {
			t.Errorf("%s is missing", key)
		}
	}
}

// keys lists every key below a section type.
func keys(t reflect.Type, path string) []string {
	var all []string
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		if f.Anonymous {
			all = append(all, keys(f.Type, path)...)
		}
		if tag == "" {
			continue
		}
		key := strings.TrimPrefix(path+"."+tag, ".")
		all = append(all, key)
		if f.Type.Kind() == reflect.Struct {
			all = append(all, keys(f.Type, key)...)
		}
	}
	return all
}

// A field without a tag or of a kind that the decoder does not read would be
// a setting that silently does nothing.
func TestEveryFieldCanBeSet(t *testing.T) {
	var check func(typ reflect.Type)
	check = func(typ reflect.Type) {
		for f := range typ.Fields() {
			if !f.IsExported() {
				continue
			}
			if f.Anonymous {
				check(f.Type)
				continue
			}
			if f.Tag.Get("yaml") == "" {
				t.Errorf("%v.%s has no yaml tag", typ, f.Name)
			}
			switch f.Type {
			case reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[float64](), reflect.TypeFor[bool](),
				reflect.TypeFor[[]string](), reflect.TypeFor[time.Duration](), reflect.TypeFor[config.Bytes]():
			default:
				if f.Type.Kind() != reflect.Struct {
					t.Errorf("%v.%s is a %v, which cannot be read", typ, f.Name, f.Type)
					continue
				}
				check(f.Type)
			}
		}
	}
	check(reflect.TypeFor[config.Config]())
}
