package wire_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/facegate/facegate/match/cloud/wire"
)

func TestExcerpt(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"Too Many Requests":                  "Too Many Requests",
		" two\r\n lines\t\x1b[31m ":          "two lines [31m",
		"zero\u200bwidth \u202eevil":         "zero width evil",
		"key sk_test_1 is invalid":           "key … is invalid",
		"got " + strings.Repeat("/9j/", 100): "got …",
		strings.Repeat("a", 40):              strings.Repeat("a", 40),
		strings.Repeat("a", 41):              "…",
		"\xff\xd8\xff\xe0 JFIF":              "",
		"Zürich 顔":                           "Zürich 顔",
		strings.Repeat("word ", 100):         strings.Repeat("word ", 39) + "word…",
	} {
		if got := wire.Excerpt(text, "sk_test_1", ""); got != want {
			t.Errorf("Excerpt(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("Invalid or missing API key", "key", uint8(0))
	f.Add("\x1b[31m\u202e", "", uint8(1))
	f.Add("é ", "é", uint8(200))
	f.Fuzz(func(t *testing.T, text, secret string, more uint8) {
		// A long text would be tried in every shorter form, in square time.
		text = strings.Repeat(text, 1+int(more))
		got := wire.Excerpt(text, secret)
		if n := utf8.RuneCountInString(got); n > 200 || !utf8.ValidString(got) {
			t.Errorf("Excerpt(%q) = %q, %d characters", text, got, n)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) {
				t.Errorf("Excerpt(%q) holds %q", text, r)
			}
		}
	})
}
