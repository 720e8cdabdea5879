package usbip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const (
	soon  = 10 * time.Second       // for what comes
	quiet = 100 * time.Millisecond // for what must not come
)

// A kernel is the other end of a camera: as much of vhci_hcd and uvcvideo as the
// tests need.
type kernel struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// An answer is USBIP_RET_SUBMIT or USBIP_RET_UNLINK.
type answer struct {
	code, seq uint32
	status    int
	data      []byte
}

func start(t *testing.T, take func(Mode, int) Shot) *Camera {
	t.Helper()
	c, err := Start(Config{Vendor: 0x1209, Product: 0xfacc, Serial: "A1", Take: take})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial asks for a device and returns the whole answer.
func dial(t *testing.T, c *Camera, id string) (*kernel, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", c.Address())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = conn.Write(append([]byte{1, 0x11, 0x80, 3, 0, 0, 0, 0}, pad(id, 32)...))
	must(t, err)
	reply := make([]byte, 8)
	_, err = io.ReadFull(conn, reply)
	must(t, err)
	if binary.BigEndian.Uint32(reply[4:]) == 0 {
		rest := make([]byte, importedSize-len(reply))
		_, err = io.ReadFull(conn, rest)
		must(t, err)
		reply = append(reply, rest...)
	}
	return &kernel{t: t, conn: conn}, reply
}

func plugIn(t *testing.T, c *Camera) *kernel {
	t.Helper()
	k, reply := dial(t, c, busID)
	if len(reply) != importedSize {
		t.Fatalf("refused: %x", reply)
	}
	return k
}

// send sends a command with the next number, and returns that.
func (k *kernel) send(code uint32, fields map[int]uint32, setup, data []byte) uint32 {
	k.t.Helper()
	k.seq++
	k.sendAs(k.seq, code, fields, setup, data)
	return k.seq
}

func (k *kernel) sendAs(seq, code uint32, fields map[int]uint32, setup, data []byte) {
	k.t.Helper()
	m := make([]byte, headerSize)
	binary.BigEndian.PutUint32(m, code)
	binary.BigEndian.PutUint32(m[4:], seq)
	for at, v := range fields {
		binary.BigEndian.PutUint32(m[at:], v)
	}
	copy(m[0x28:], setup)
	must(k.t, k.conn.SetDeadline(time.Now().Add(soon)))
	_, err := k.conn.Write(append(m, data...))
	must(k.t, err)
}

func (k *kernel) receive() answer {
	k.t.Helper()
	must(k.t, k.conn.SetDeadline(time.Now().Add(soon)))
	m := make([]byte, headerSize)
	_, err := io.ReadFull(k.conn, m)
	must(k.t, err)
	field := func(at int) uint32 { return binary.BigEndian.Uint32(m[at:]) }
	a := answer{code: field(0), seq: field(4), status: int(int32(field(0x14)))}
	if a.code == retSubmit && a.status == statusOK {
		a.data = make([]byte, field(0x18))
	}
	return a
}

// in receives the answer to a transfer towards the host.
func (k *kernel) in() answer {
	k.t.Helper()
	a := k.receive()
	_, err := io.ReadFull(k.conn, a.data)
	must(k.t, err)
	return a
}

// silent checks that nothing comes.
func (k *kernel) silent() {
	k.t.Helper()
	must(k.t, k.conn.SetDeadline(time.Now().Add(quiet)))
	if n, err := k.conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		k.t.Fatalf("%d bytes, %v: want silence", n, err)
	}
}

// get is a control transfer towards the host.
func (k *kernel) get(setup ...byte) answer {
	k.t.Helper()
	k.send(cmdSubmit, map[int]uint32{0xc: 1, 0x18: uint32(setup[6]) | uint32(setup[7])<<8}, setup, nil)
	return k.in()
}

// set is one towards the camera. Its answer has a length and no data.
func (k *kernel) set(setup, data []byte) int {
	k.t.Helper()
	k.send(cmdSubmit, map[int]uint32{0x18: uint32(len(data))}, setup, data)
	return k.receive().status
}

// bulk asks for a payload.
func (k *kernel) bulk(size int) uint32 {
	k.t.Helper()
	return k.send(cmdSubmit, map[int]uint32{0xc: 1, 0x10: 1, 0x18: uint32(size)}, nil, nil)
}

func (k *kernel) unlink(seq uint32) int {
	k.t.Helper()
	own := k.send(cmdUnlink, map[int]uint32{0x14: seq}, nil, nil)
	a := k.receive()
	if a.code != retUnlink || a.seq != own {
		k.t.Fatalf("%+v, want the answer to unlink %d", a, own)
	}
	return a.status
}

// commit orders pictures.
func (k *kernel) commit(format, frame byte, fps int) {
	k.t.Helper()
	m := choice{format: int(format), frame: int(frame), interval: interval(fps)}.bytes()
	for _, control := range []byte{1, 2} {
		if status := k.set([]byte{0x21, 1, 0, control, streamInterface, 0, byte(len(m)), 0}, m); status != statusOK {
			k.t.Fatalf("control %d: status %d", control, status)
		}
	}
}

// picture collects the payloads of a picture, and returns the first header.
func (k *kernel) picture() (head, data []byte) {
	k.t.Helper()
	for {
		seq := k.bulk(maxPayload)
		a := k.in()
		if a.seq != seq || a.status != statusOK || len(a.data) < payloadHeader || int(a.data[0]) != payloadHeader {
			k.t.Fatalf("answer %+v to %d", a, seq)
		}
		if head == nil {
			head = a.data[:payloadHeader]
		}
		if a.data[1]&^bitEnd != head[1]&^bitEnd || !bytes.Equal(a.data[2:payloadHeader], head[2:]) {
			k.t.Fatalf("header %x after %x in one picture", a.data[:payloadHeader], head)
		}
		data = append(data, a.data[payloadHeader:]...)
		if a.data[1]&bitEnd != 0 {
			return head, data
		}
	}
}

func TestOneAtATime(t *testing.T) {
	c := start(t, nil)
	if _, reply := dial(t, c, "1-2"); len(reply) != 8 {
		t.Error("another device is there")
	}
	k := plugIn(t, c)
	if _, reply := dial(t, c, busID); len(reply) != 8 {
		t.Error("plugged in twice")
	}
	c.Unplug()
	must(t, k.conn.SetDeadline(time.Now().Add(soon)))
	if _, err := k.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v: still plugged in", err)
	}
	_, reply := dial(t, c, busID)
	if want := []byte{0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x12, 0x09, 0xfa, 0xcc, 1, 0, 0xef, 2, 1, 0, 1, 2}; !bytes.Equal(reply[8+256+32+2:], want) {
		t.Errorf("device % x, want % x", reply[8+256+32+2:], want)
	}
	if s := c.Stats(); s.Plugged != 2 {
		t.Errorf("%+v, want 2 plugged", s)
	}
}

// The kernel walks the descriptors by their lengths and refuses the rest when
// one is wrong.
func TestDescriptors(t *testing.T) {
	k := plugIn(t, start(t, nil))
	if a := k.get(0x80, 6, 0, typeDevice, 0, 0, 64, 0); len(a.data) != 18 || a.data[0] != 18 {
		t.Errorf("device % x", a.data)
	}
	head := k.get(0x80, 6, 0, typeConfiguration, 0, 0, 9, 0).data
	all := k.get(0x80, 6, 0, typeConfiguration, 0, 0, head[2], head[3]).data
	if len(all) != int(head[2])|int(head[3])<<8 || !bytes.Equal(all[:9], head) {
		t.Fatalf("%d bytes after % x", len(all), head)
	}
	var types []byte
	total, from := 0, 0 // bytes of a group of the video class, as its header says, and where it begins
	for at := 0; at < len(all); at += int(all[at]) {
		d := all[at:]
		if len(d) < 3 || d[0] < 3 || int(d[0]) > len(d) {
			t.Fatalf("descriptor % x at %d", d[:min(len(d), 8)], at)
		}
		types = append(types, d[1])
		if d[1] != typeVideo && total > 0 {
			if at-from != total {
				t.Errorf("group at %d has %d bytes, says %d", from, at-from, total)
			}
			total = 0
		}
		if d[1] == typeVideo && total == 0 {
			size := d[4:] // UVC_VS_INPUT_HEADER
			if from == 0 {
				size = d[5:] // UVC_VC_HEADER
			}
			from, total = at, int(binary.LittleEndian.Uint16(size))
		}
	}
	want := []byte{
		typeConfiguration, typeAssociation,
		typeInterface, typeVideo, typeVideo, typeVideo,
		typeInterface, typeVideo, typeVideo, typeVideo, typeVideo, typeVideo, typeVideo, typeVideo, typeVideo, typeVideo, typeEndpoint,
	}
	if !bytes.Equal(types, want) {
		t.Errorf("descriptors % x, want % x", types, want)
	}
	if a := k.get(0x80, 6, 3, typeString, 9, 4, 255, 0); !bytes.Equal(a.data, []byte{6, 3, 'A', 0, '1', 0}) {
		t.Errorf("serial number % x", a.data)
	}
	for _, setup := range [][]byte{
		{0x80, 6, 0, 6, 0, 0, 10, 0},           // DEVICE_QUALIFIER: it knows no other speed
		{0x80, 6, 4, typeString, 9, 4, 255, 0}, // a text that is not there
		{0xa1, 0x81, 0, 2, 0, 0, 1, 0},         // UVC_VC_REQUEST_ERROR_CODE_CONTROL
	} {
		if a := k.get(setup...); a.status != statusStall {
			t.Errorf("request % x: %+v, want a stall", setup, a)
		}
	}
}

func TestPictures(t *testing.T) {
	const room = maxPayload - payloadHeader
	lengths := []int{0, 1, room - 1, room, room + 1, 2 * room, 3*room + 17}
	pictures := make([][]byte, len(lengths))
	for i, n := range lengths {
		pictures[i] = bytes.Repeat([]byte{byte(i + 1)}, n)
	}
	mode := Mode{MJPEG, 320, 240, 33_333_300 * time.Nanosecond}
	c := start(t, func(m Mode, n int) Shot {
		if m != mode {
			t.Errorf("asked for %+v, want %+v", m, mode)
		}
		return Shot{Data: pictures[n%len(pictures)], Bad: n == 2}
	})
	k := plugIn(t, c)
	k.commit(1, 2, 30)
	for n, want := range pictures {
		head, data := k.picture()
		if !bytes.Equal(data, want) {
			t.Errorf("picture %d has %d bytes, want %d", n, len(data), len(want))
		}
		if bit := int(head[1] & bitFrame); bit != n%2 {
			t.Errorf("picture %d has the frame bit %d", n, bit)
		}
		if bad := head[1]&bitError != 0; bad != (n == 2) {
			t.Errorf("picture %d: error bit %v", n, bad)
		}
	}
	if got := c.Stats().Mode; got != mode {
		t.Errorf("mode %+v, want %+v", got, mode)
	}
}

func TestRate(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	k.commit(2, 1, 15)
	k.picture()
	began := time.Now()
	for range 3 {
		k.picture()
	}
	if took := time.Since(began); took < 2*time.Second/15 { // three, less the wait for the first
		t.Errorf("three pictures at 15 a second in %v", took)
	}
}

func TestStopsWhenTold(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	k.bulk(maxPayload)
	k.silent() // nothing is ordered
	k.commit(1, 1, 30)
	k.in()
	if status := k.set([]byte{2, 1, 0, 0, streamEndpoint, 0, 0, 0}, nil); status != statusOK {
		t.Fatalf("status %d", status)
	}
	k.bulk(maxPayload)
	k.silent()
}

func TestUnlink(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	first, second := k.bulk(maxPayload), k.bulk(maxPayload)
	if status := k.unlink(first); status != statusUnlinked {
		t.Errorf("status %d of one that waits", status)
	}
	k.commit(1, 1, 30)
	if a := k.in(); a.seq != second {
		t.Errorf("%+v, want an answer to %d", a, second)
	}
	if status := k.unlink(second); status != statusOK {
		t.Errorf("status %d of one that was answered", status)
	}
}

// The kernel sent an unlink ahead of what it takes back, and pulled the camera
// out when that was answered as well.
func TestUnlinkAhead(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	k.commit(1, 1, 30)
	k.seq++
	late := k.seq
	if status := k.unlink(late); status != statusUnlinked {
		t.Errorf("status %d of one that has not come", status)
	}
	k.sendAs(late, cmdSubmit, map[int]uint32{0xc: 1, 0x10: 1, 0x18: maxPayload}, nil, nil)
	k.silent()
	next := k.bulk(maxPayload)
	if a := k.in(); a.seq != next {
		t.Errorf("%+v, want an answer to %d", a, next)
	}
}

func TestStall(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	waiting := k.bulk(maxPayload)
	k.get(0x80, 0, 0, 0, 0, 0, 2, 0) // once this is answered, the other has come
	c.Stall()
	if a := k.receive(); a.seq != waiting || a.status != statusStall {
		t.Errorf("%+v, want a stall of %d", a, waiting)
	}
	k.commit(1, 1, 30)
	k.bulk(maxPayload)
	if a := k.receive(); a.status != statusStall {
		t.Errorf("%+v, want a stall", a)
	}
	k.set([]byte{2, 1, 0, 0, streamEndpoint, 0, 0, 0}, nil)
	k.commit(1, 1, 30)
	k.picture()
}

func TestFreeze(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	c.Freeze(true)
	k.commit(1, 1, 30) // requests are answered
	seq := k.bulk(maxPayload)
	k.silent()
	c.Freeze(false)
	if a := k.in(); a.seq != seq {
		t.Errorf("%+v, want an answer to %d", a, seq)
	}
}

func TestHang(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: []byte{1}} })
	k := plugIn(t, c)
	c.Hang(true)
	seq := k.send(cmdSubmit, map[int]uint32{0xc: 1, 0x18: 2}, []byte{0x80, 0, 0, 0, 0, 0, 2, 0}, nil)
	k.silent()
	if status := k.unlink(seq); status != statusUnlinked {
		t.Errorf("status %d: the kernel cannot give it up", status)
	}
	c.Hang(false)
	if a := k.get(0x80, 0, 0, 0, 0, 0, 2, 0); a.status != statusOK || len(a.data) != 2 {
		t.Errorf("%+v, want an answer", a)
	}
}

func TestOverflow(t *testing.T) {
	c := start(t, func(Mode, int) Shot { return Shot{Data: make([]byte, 100)} })
	k := plugIn(t, c)
	k.commit(1, 1, 30)
	k.bulk(50)
	if a := k.receive(); a.status != statusOverflow {
		t.Errorf("%+v, want an overflow", a)
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		format, frame byte
		interval      uint32
		want          choice
	}{
		{1, 1, 333333, choice{1, 1, 333333}},
		{2, 2, 2000000, choice{2, 2, 2000000}},
		{2, 2, 700000, choice{2, 2, 666666}},
		{0, 0, 0, choice{1, 1, 333333}},
		{9, 9, 1 << 31, choice{2, 2, 2000000}},
	} {
		m := make([]byte, 26)
		m[2], m[3] = test.format, test.frame
		binary.LittleEndian.PutUint32(m[4:], test.interval)
		if got, ok := choose(m); !ok || got != test.want {
			t.Errorf("choose(%d, %d, %d) = %+v, %v, want %+v", test.format, test.frame, test.interval, got, ok, test.want)
		}
	}
	if _, ok := choose(make([]byte, 25)); ok {
		t.Error("takes a control that is too short")
	}
}

func FuzzReadCommand(f *testing.F) {
	submit := make([]byte, headerSize)
	submit[3], submit[0x1b] = cmdSubmit, 4
	f.Add(append(submit, 1, 2, 3, 4))
	unlink := make([]byte, headerSize)
	unlink[3], unlink[0x17] = cmdUnlink, 7
	f.Add(unlink)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readCommand(bytes.NewReader(data))
		if err != nil {
			return
		}
		if c.length > maxTransfer || len(c.data) > len(data)-headerSize || !c.in && !c.unlink && len(c.data) != c.length {
			t.Errorf("%+v of %d bytes", c, len(data))
		}
	})
}
