package mqtt

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	writeTimeout = 5 * time.Second
	lastWordsIn  = time.Second
	// maxPacket is the largest packet from the broker that is read into
	// memory: a command at its limit, with its topic.
	maxPacket = MaxCommandBytes + 4096

	typePublish = 3
	typeSuback  = 9
)

// A guard stands between paho and the network. paho allocates whatever length
// a packet announces, up to 256 MiB, and panics on a SUBACK with more return
// codes than topics; its writes of control packets have no deadline. A guard
// skips publications that are too large, ends the connection on other packets
// that no sound broker sends, bounds each write, and tells at once when the
// connection breaks.
type guard struct {
	net.Conn
	oversize func(bytes int)
	broken   func(error)

	// of Read, which paho calls from one goroutine
	r      *bufio.Reader
	header []byte // of the packet being passed on
	left   int    // bytes of the packet after its header
}

func newGuard(conn net.Conn, oversize func(int), broken func(error)) *guard {
	var once sync.Once
	return &guard{
		Conn: conn, r: bufio.NewReader(conn), oversize: oversize,
		broken: func(err error) { once.Do(func() { broken(err) }) },
	}
}

// Read implements net.Conn.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.read(p)
	if err != nil {
		g.broken(fmt.Errorf("connection lost: %w", err))
	}
	return n, err
}

func (g *guard) read(p []byte) (int, error) {
	for len(g.header) == 0 && g.left == 0 {
		if err := g.begin(); err != nil {
			return 0, err
		}
	}
	if len(g.header) > 0 {
		n := copy(p, g.header)
		g.header = g.header[n:]
		return n, nil
	}
	if len(p) > g.left {
		p = p[:g.left]
	}
	n, err := g.r.Read(p)
	g.left -= n
	return n, err
}

// begin reads the fixed header of the next packet to pass on: one byte of
// type and flags, then the length of the rest, seven bits a byte, at most
// four bytes.
func (g *guard) begin() error {
	first, err := g.r.ReadByte()
	if err != nil {
		return err
	}
	header, length := []byte{first}, 0
	for shift := 0; ; shift += 7 {
		b, err := g.r.ReadByte()
		if err != nil {
			return err
		}
		header = append(header, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
		if shift == 21 {
			return fmt.Errorf("malformed packet from the broker: length of more than four bytes")
		}
	}
	kind := first >> 4
	switch {
	case length > maxPacket && kind == typePublish:
		// We subscribe at QoS 0, so nobody waits for an acknowledgement.
		g.oversize(length)
		_, err := io.CopyN(io.Discard, g.r, int64(length))
		return err
	case length > maxPacket, kind == typeSuback && length != 3:
		return fmt.Errorf("malformed packet from the broker: type %d, %d bytes", kind, length)
	}
	g.header, g.left = header, length
	return nil
}

// Write implements net.Conn.
func (g *guard) Write(p []byte) (int, error) {
	if err := g.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := g.Conn.Write(p)
	if err != nil {
		err = g.lastWords(err)
		g.broken(fmt.Errorf("connection lost: %w", err))
	}
	return n, err
}

// lastWords returns what a broker said before it closed the connection, if
// that is why a write failed: TLS 1.3 tells of a refused certificate only
// after the handshake.
func (g *guard) lastWords(failed error) error {
	if _, ok := g.Conn.(*tls.Conn); !ok {
		return failed
	}
	if err := g.SetReadDeadline(time.Now().Add(lastWordsIn)); err != nil {
		return failed
	}
	var rest [512]byte // of no use any more
	for {
		_, err := g.Conn.Read(rest[:])
		if objection(err) != nil {
			return err
		}
		if err != nil {
			return failed
		}
	}
}
