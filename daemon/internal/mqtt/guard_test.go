package mqtt

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// A reader is a connection that can only be read.
type reader struct {
	net.Conn
	r io.Reader
}

func (r *reader) Read(p []byte) (int, error) { return r.r.Read(p) }

func TestGuardSkipsOnlyWhatIsTooLarge(t *testing.T) {
	packet := func(first byte, n int) []byte {
		return append(binary.AppendUvarint([]byte{first}, uint64(n)), bytes.Repeat([]byte{'x'}, n)...)
	}
	small, largest, tooLarge := packet(0x30, 10), packet(0x31, maxPacket), packet(0x30, maxPacket+1)
	stream := bytes.Join([][]byte{small, tooLarge, largest, tooLarge, small}, nil)
	var skipped []int
	g := newGuard(&reader{r: bytes.NewReader(stream)}, func(n int) { skipped = append(skipped, n) }, func(error) {})
	got, err := io.ReadAll(g)
	if want := bytes.Join([][]byte{small, largest, small}, nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
	}
	if len(skipped) != 2 || skipped[0] != maxPacket+1 {
		t.Errorf("skipped %v", skipped)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	at := time.Now()
	allowed := 0
	for i := range 25 {
		if n, ok := l.allow(at.Add(time.Duration(i) * time.Second)); ok {
			if allowed++; allowed > 1 && n != 9 {
				t.Errorf("%d suppressed, want 9", n)
			}
		}
	}
	if allowed != 3 {
		t.Errorf("allowed %d times in 25 s", allowed)
	}
}
