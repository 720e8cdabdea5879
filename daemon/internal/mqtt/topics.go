package mqtt

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLevel bounds one level of a topic, in bytes.
const maxLevel = 128

// checkLevel says what is wrong with one level of a topic, under the name of
// the configuration key it comes from. It refuses rather than repairs: two
// kiosks must not come to share a topic.
func checkLevel(key, level string) error {
	switch {
	case level == "":
		return fmt.Errorf("%s: empty, but it is a level of every topic", key)
	case len(level) > maxLevel:
		return fmt.Errorf("%s: %d bytes long, at most %d fit a topic", key, len(level), maxLevel)
	case !utf8.ValidString(level):
		return fmt.Errorf("%s: not valid UTF-8", key)
	case strings.HasPrefix(level, "$"):
		return fmt.Errorf("%s: %q begins with $, which belongs to the broker", key, level)
	case strings.ContainsAny(level, "+#/"):
		return fmt.Errorf("%s: %q holds one of + # /, which have a meaning in topics", key, level)
	case strings.ContainsFunc(level, unicode.IsControl):
		return fmt.Errorf("%s: %q holds a control character", key, level)
	}
	return nil
}

// topic returns one of this kiosk's topics.
func (c *Client) topic(rest string) string {
	return c.Base + "/" + c.Site + "/" + c.Device + "/" + rest
}
