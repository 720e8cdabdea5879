package usbip

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// writeLimit is how long the kernel may take to accept an answer.
const writeLimit = 10 * time.Second

// A Config says what the camera is and sees.
type Config struct {
	Vendor, Product uint16
	Serial          string
	// Take returns picture n, counted from 0 in the camera's life. It is
	// called from one goroutine at a time and must not block for long.
	Take func(m Mode, n int) Shot
}

// A Shot is one picture and what is said of it.
type Shot struct {
	Data []byte // may be less than a whole picture
	Bad  bool   // sent with the error bit
}

// Stats is what a camera has done.
type Stats struct {
	Plugged int  // how often it was imported
	Started int  // how often the kernel has ordered pictures
	Mode    Mode // which it has ordered last
	Frames  int  // sent completely
	Bytes   int  // of payloads, with their headers
}

// A Camera waits on a port of the host's loopback to be plugged in. Its methods
// may be called from any goroutine.
type Camera struct {
	config   Config
	listener net.Listener
	began    time.Time
	wg       sync.WaitGroup

	// mu guards the following, the links, and the order of their answers
	mu      sync.Mutex
	changed *sync.Cond // anything of it
	link    *link      // nil while it is not plugged in
	frozen  bool
	hung    bool
	stalled bool
	next    int // number of the next picture
	stats   Stats
}

// Start makes a camera. The caller closes it.
func Start(c Config) (*Camera, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start usb camera: %w", err)
	}
	camera := &Camera{config: c, listener: listener, began: time.Now()}
	camera.changed = sync.NewCond(&camera.mu)
	camera.wg.Go(camera.accept)
	return camera, nil
}

// Close pulls the camera out and lets nobody plug it in again.
func (c *Camera) Close() error {
	err := c.listener.Close()
	c.Unplug()
	c.wg.Wait()
	return err
}

// Address is host:port where the camera waits.
func (c *Camera) Address() string { return c.listener.Addr().String() }

// PlugIn returns a script of bash that plugs the camera in on a board that
// knows this host by the given name. It needs the module vhci_hcd, and plugs into
// the given port of its hub, 0 to 7.
//
// What tools/usb/usbip/src/usbip_attach.c does is done by bash: the kernel takes
// a socket over by its number in the process that writes it, see attach_store
// in drivers/usb/usbip/vhci_sysfs.c. A port that was used before needs a moment
// to become free.
func (c *Camera) PlugIn(host string, port int) string {
	_, tcp, _ := net.SplitHostPort(c.Address())
	return fmt.Sprintf(`exec 3<>/dev/tcp/%[1]s/%[2]s
{ printf '\x01\x11\x80\x03\0\0\0\0%%s' %[3]s; head -c %[4]d /dev/zero; } >&3
[ "$(head -c %[5]d <&3 | wc -c)" = %[5]d ] || { echo the camera is plugged in already >&2; exit 1; }
for try in {1..50}; do
	if echo %[6]d 3 %[7]d %[8]d 2>/dev/null >/sys/devices/platform/vhci_hcd.0/attach; then break; fi
	[ $try -lt 50 ] || { echo port %[6]d is not free >&2; exit 1; }
	sleep 0.1
done
exec 3>&-
`, host, tcp, busID, 32-len(busID), importedSize, port, deviceID, speedHigh)
}

// Unplug pulls the camera out, if it is plugged in, and returns once it is.
func (c *Camera) Unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		_ = c.link.conn.Close() // its end is what is wanted
	}
	for c.link != nil {
		c.changed.Wait()
	}
}

// Freeze lets the pictures stop, or go on. Requests are still answered.
func (c *Camera) Freeze(on bool) { c.set(&c.frozen, on) }

// Hang lets the camera answer nothing at all, or what comes from now on.
func (c *Camera) Hang(on bool) { c.set(&c.hung, on) }

// Stall refuses each picture from now on until the kernel resets the endpoint.
func (c *Camera) Stall() { c.set(&c.stalled, true) }

func (c *Camera) set(what *bool, value bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what = value
	if c.link != nil {
		_ = c.link.refuse() // a link that breaks is noticed by its reader
	}
	c.changed.Broadcast()
}

// Stats returns what the camera has done so far.
func (c *Camera) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// accept takes connections until the listener is closed.
func (c *Camera) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.serve(conn) })
	}
}

// serve is one connection, from plugging in to pulling out.
func (c *Camera) serve(conn net.Conn) {
	defer conn.Close()
	id, err := readImport(conn)
	if err != nil {
		return
	}
	l := &link{camera: c, conn: conn, gone: make(chan struct{}), choice: choice{format: 1, frame: 1, interval: interval(fastest)}}
	if !c.plug(l, id == busID) {
		return
	}
	c.wg.Go(l.film)
	for {
		command, err := readCommand(conn)
		if err == nil {
			err = l.handle(command)
		}
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(l.gone)
	c.link = nil
	c.changed.Broadcast()
}

// plug answers the wish to import, which only one connection can have.
func (c *Camera) plug(l *link, known bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := known && c.link == nil
	if err := l.write(importReply(c.deviceDescriptor(), free)); err != nil || !free {
		return false
	}
	c.link = l
	c.stats.Plugged++
	return true
}

// A link is a camera that is plugged in. The camera's mutex guards it.
type link struct {
	camera *Camera
	conn   net.Conn
	gone   chan struct{} // closed when it is pulled out

	waiting []command // transfers without an answer, in their order
	newest  uint32    // of the transfers that have come
	early   []uint32  // taken back before they came
	choice  choice
	take    int  // counts what the kernel has ordered
	rolling bool // it wants pictures
}

func (l *link) start() {
	l.take++
	l.rolling = true
	l.camera.stats.Started++
	l.camera.stats.Mode = l.choice.mode()
	l.camera.changed.Broadcast()
}

func (l *link) stop() {
	l.take++
	l.rolling = false
	l.camera.changed.Broadcast()
}

// write sends parts of one message.
func (l *link) write(parts ...[]byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	buffers := net.Buffers(parts)
	_, err := buffers.WriteTo(l.conn)
	return err
}

// handle takes a command in.
func (l *link) handle(c command) error {
	l.camera.mu.Lock()
	defer l.camera.mu.Unlock()
	if c.unlink {
		return l.unlink(c)
	}
	l.newest = c.seq
	if i := slices.Index(l.early, c.seq); i >= 0 {
		l.early = slices.Delete(l.early, i, i+1)
		return nil
	}
	if c.endpoint != 0 || l.camera.hung {
		l.waiting = append(l.waiting, c)
		l.camera.changed.Broadcast()
		return l.refuse()
	}
	data, status := l.answer(parseRequest(c.setup), c.data)
	length := len(data)
	if !c.in && status == statusOK {
		length = len(c.data)
	}
	return l.write(header(retSubmit, c.seq, status, length), data)
}

// unlink takes a transfer back, unless it was answered before: then the kernel
// has seen that answer first, and gets 0. A camera that hangs has no part in it.
//
// The kernel may take back what it has not sent yet, since its sender does all
// of one kind before the other, vhci_tx_loop in drivers/usb/usbip/vhci_tx.c. It
// pulls the camera out if that is answered once more when it comes.
func (l *link) unlink(c command) error {
	status := statusOK
	if c.target > l.newest {
		l.early = append(l.early, c.target)
		status = statusUnlinked
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(w command) bool {
		if w.seq != c.target {
			return false
		}
		status = statusUnlinked
		return true
	})
	return l.write(header(retUnlink, c.seq, status, 0))
}

// refuse answers transfers of pictures while the endpoint is stalled.
func (l *link) refuse() error {
	for l.camera.stalled && !l.camera.hung {
		c, ok := l.pop()
		if !ok {
			break
		}
		if err := l.write(header(retSubmit, c.seq, statusStall, 0)); err != nil {
			return err
		}
	}
	return nil
}

// pop takes the first transfer that waits for a picture.
func (l *link) pop() (command, bool) {
	i := slices.IndexFunc(l.waiting, func(c command) bool { return c.endpoint == streamEndpoint&0x0f && c.in })
	if i < 0 {
		return command{}, false
	}
	c := l.waiting[i]
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return c, true
}

func (l *link) pulled() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}
