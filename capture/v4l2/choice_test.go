package v4l2

import (
	"strings"
	"testing"

	"github.com/facegate/facegate/capture"
)

func TestChoose(t *testing.T) {
	const h264 = fourCC('H' | '2'<<8 | '6'<<16 | '4'<<24)
	usual := []offer{{codeMJPG, true}, {codeYUYV, true}, {h264, true}}
	for _, test := range []struct {
		name          string
		want          string
		width, height int
		offers        []offer
		format        capture.Format
		code          fourCC
		problem       string
	}{
		{"small is raw", "auto", 640, 480, usual, capture.YUYV, codeYUYV, ""},
		{"big is compressed", "auto", 1920, 1080, usual, capture.JPEG, codeMJPG, ""},
		{"the size goes first", "auto", 640, 480, []offer{{codeMJPG, true}, {codeYUYV, false}}, capture.JPEG, codeMJPG, ""},
		{"a near size is better than none", "auto", 640, 480, []offer{{codeMJPG, false}, {codeYUYV, false}}, capture.YUYV, codeYUYV, ""},
		{"infrared", "auto", 640, 480, []offer{{codeGREY, true}}, capture.Grey, codeGREY, ""},
		{"nv12 before grey", "auto", 640, 480, []offer{{codeGREY, true}, {codeNV12, true}}, capture.NV12, codeNV12, ""},
		{"the other JPEG", "jpeg", 640, 480, []offer{{codeJPEG, true}}, capture.JPEG, codeJPEG, ""},
		{"named", "jpeg", 640, 480, usual, capture.JPEG, codeMJPG, ""},
		{"named in another size", "nv12", 640, 480, []offer{{codeNV12, false}}, capture.NV12, codeNV12, ""},
		{"named but absent", "grey", 640, 480, usual, "", 0, "format grey is not offered, only H264, MJPG, YUYV"},
		{"unknown name", "h264", 640, 480, usual, "", 0, "format h264 is not offered"},
		{"nothing of use", "auto", 640, 480, []offer{{h264, true}}, "", 0, "only H264 (use a camera that does)"},
		{"nothing at all", "auto", 640, 480, nil, "", 0, "only nothing"},
	} {
		format, code, err := choose(test.want, test.width, test.height, test.offers)
		if format != test.format || code != test.code {
			t.Errorf("%s: %s, %s", test.name, format, code)
		}
		if (err != nil) != (test.problem != "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.problem)
		}
	}
}
