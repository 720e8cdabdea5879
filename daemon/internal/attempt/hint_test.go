package attempt_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/docs/schema"
)

// Every hint is in the published schema and in the documents, and no other.
func TestHintsArePublished(t *testing.T) {
	source, err := os.ReadFile("attempt.go")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Hint += "(\w+)"`).FindAllSubmatch(source, -1) {
		ours = append(ours, string(m[1]))
	}
	text, err := schema.File("progress")
	if err != nil {
		t.Fatal(err)
	}
	var published struct {
		Properties struct{ Hint struct{ Enum []string } }
	}
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(ours)), slices.Sorted(slices.Values(published.Properties.Hint.Enum))); diff != "" || len(ours) == 0 {
		t.Errorf("hints (-program +schema):\n%s", diff)
	}
	doc, err := os.ReadFile("../../../docs/mqtt.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, hint := range ours {
		if !strings.Contains(string(doc), "`"+hint+"`") {
			t.Errorf("docs/mqtt.md does not name %s", hint)
		}
	}
}
