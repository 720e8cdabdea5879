package inbox

import (
	"os"
	"strings"
	"testing"
)

func TestDocsListEveryCause(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## The inbox folder")
	if !found {
		t.Fatal("docs/api.md has no section on the inbox")
	}
	for _, c := range []Cause{Busy, LeftOver, Abandoned, Empty, TooLarge, NotAFile, Unreadable, NotRemoved, Stopping} {
		if !strings.Contains(section, "`"+string(c)+"`") {
			t.Errorf("docs/api.md does not explain %s", c)
		}
	}
}
