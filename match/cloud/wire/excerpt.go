package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of what is shown of a server's text, in characters.
const (
	maxExcerpt = 200
	maxWord    = 40 // longer is a picture, a signature or a key, not a word
)

// Excerpt makes a server's text fit to be shown: one line of at most 200
// printable characters, without the secrets and without words of more than 40
// characters, which may be a picture or a signature sent back. Of what is no
// text nothing is left.
func Excerpt(text string, secrets ...string) string {
	if !utf8.ValidString(text) {
		return ""
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	var words []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		if utf8.RuneCountInString(word) > maxWord {
			word = "…"
		}
		words = append(words, word)
	}
	short := []rune(strings.Join(words, " "))
	if len(short) > maxExcerpt {
		return string(short[:maxExcerpt-1]) + "…"
	}
	return string(short)
}
