package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes, written with a unit: 512KiB, 256MiB.
type Bytes int64

// A unit is one of those that a size can have.
type unit struct {
	name string
	size Bytes
}

// units returns the units, largest first. B is last because the others end in
// it too.
func units() []unit {
	return []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

// ParseBytes reads a size such as 512KiB.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range units() {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64(math.MaxInt64/u.size) {
			break
		}
		return Bytes(n) * u.size, nil
	}
	return 0, fmt.Errorf("must be a size with a unit, as in 512KiB or 256MiB, not %q", short(s))
}

// String writes the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units() {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
