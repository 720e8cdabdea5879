//go:build linux && board

package v4l2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image/jpeg"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/capture/v4l2"
)

// A report is what was seen of a camera.
type report struct {
	Mode    v4l2.Mode
	Skipped uint64
	Opening time.Duration  // until it was open
	First   time.Duration  // from then to the first frame
	Rate    float64        // frames a second after that
	CPU     time.Duration  // of this process, without looking at the frames
	Sums    map[uint32]int // how many frames with which CRC-32
}

// TestCamera reads COUNT frames of the camera CAMERA, a [v4l2.Config] in JSON,
// and prints a [report]. It is run on a board by daemon/test/board.
func TestCamera(t *testing.T) {
	var config v4l2.Config
	must(t, json.Unmarshal([]byte(os.Getenv("CAMERA")), &config))
	count, err := strconv.Atoi(os.Getenv("COUNT"))
	must(t, err)
	began := time.Now()
	camera, err := v4l2.Open(t.Context(), config)
	must(t, err)
	r := report{Mode: camera.Mode(), Opening: time.Since(began), Sums: map[uint32]int{}}
	began = time.Now()
	frames := make([]capture.Frame, count)
	before := cpu(t)
	for i := range frames {
		must(t, camera.Read(t.Context(), &frames[i]))
		if i == 0 {
			r.First, began = time.Since(began), time.Now()
		}
	}
	r.Rate = float64(count-1) / time.Since(began).Seconds()
	r.CPU = cpu(t) - before
	r.Skipped = camera.Skipped()
	must(t, camera.Close())
	for i, f := range frames {
		r.Sums[crc32.ChecksumIEEE(f.Data)]++
		if f.Format != r.Mode.Format || f.Width != r.Mode.Width || f.Height != r.Mode.Height {
			t.Errorf("frame %d is %s %dx%d", i, f.Format, f.Width, f.Height)
		}
		if f.Format != capture.JPEG {
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		must(t, err)
		if size := img.Bounds().Size(); size.X != f.Width || size.Y != f.Height {
			t.Errorf("frame %d has a picture of %v", i, size)
		}
	}
	text, err := json.Marshal(r)
	must(t, err)
	fmt.Printf("report: %s\n", text)
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
