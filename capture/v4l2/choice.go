package v4l2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/facegate/facegate/capture"
)

// A fourCC is a pixel format of videodev2.h: four letters, the first in the
// lowest byte.
type fourCC uint32

// The pixel formats understood, videodev2.h: V4L2_PIX_FMT_*.
const (
	codeMJPG = fourCC('M' | 'J'<<8 | 'P'<<16 | 'G'<<24)
	codeJPEG = fourCC('J' | 'P'<<8 | 'E'<<16 | 'G'<<24)
	codeYUYV = fourCC('Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24)
	codeNV12 = fourCC('N' | 'V'<<8 | '1'<<16 | '2'<<24)
	codeGREY = fourCC('G' | 'R'<<8 | 'E'<<16 | 'Y'<<24)
)

// String returns the four letters.
func (c fourCC) String() string {
	return strings.TrimRight(string([]byte{byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24)}), " ")
}

// codes returns the pixel formats that deliver f, best first.
func codes(f capture.Format) []fourCC {
	switch f {
	case capture.JPEG:
		return []fourCC{codeMJPG, codeJPEG}
	case capture.YUYV:
		return []fourCC{codeYUYV}
	case capture.NV12:
		return []fourCC{codeNV12}
	case capture.Grey:
		return []fourCC{codeGREY}
	}
	return nil
}

// An offer is a pixel format that a camera has, and whether it has it in the
// wanted size.
type offer struct {
	code  fourCC
	sized bool
}

// choose picks the pixel format for a wish.
func choose(want string, width, height int, offers []offer) (capture.Format, fourCC, error) {
	if want != "auto" {
		format := capture.Format(want)
		for _, code := range codes(format) {
			if slices.ContainsFunc(offers, func(o offer) bool { return o.code == code }) {
				return format, code, nil
			}
		}
		return "", 0, fmt.Errorf("format %s is not offered, only %s", want, list(offers))
	}
	order := []capture.Format{capture.YUYV, capture.JPEG, capture.NV12, capture.Grey}
	if width*height > 640*480 {
		// USB 2 carries raw frames of this size only slowly.
		order = []capture.Format{capture.JPEG, capture.YUYV, capture.NV12, capture.Grey}
	}
	for _, sized := range []bool{true, false} {
		for _, format := range order {
			for _, code := range codes(format) {
				if slices.ContainsFunc(offers, func(o offer) bool { return o.code == code && (o.sized || !sized) }) {
					return format, code, nil
				}
			}
		}
	}
	return "", 0, fmt.Errorf("it offers none of jpeg, yuyv, nv12 and grey, only %s (use a camera that does)", list(offers))
}

func list(offers []offer) string {
	if len(offers) == 0 {
		return "nothing"
	}
	var out []string
	for _, o := range offers {
		out = append(out, o.code.String())
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
