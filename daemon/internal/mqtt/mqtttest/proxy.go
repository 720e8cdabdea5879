package mqtttest

import (
	"net"
	"sync"
	"testing"
)

// A Proxy stands between a client and a broker, and can be cut or stalled.
type Proxy struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	// mu guards the following
	mu   sync.Mutex
	down bool
	open map[net.Conn]bool
	flow [2]chan struct{} // by direction; closed while data flows
}

// The directions of a proxy's data.
const (
	toBroker = iota
	toClient
)

// NewProxy runs a proxy to the given address until the end of the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln, to: to, open: map[net.Conn]bool{}}
	for i := range p.flow {
		p.flow[i] = make(chan struct{})
		close(p.flow[i])
	}
	p.wg.Go(p.serve)
	t.Cleanup(func() { _ = ln.Close(); p.Cut(true); p.Stall(false, false); p.wg.Wait() })
	return p
}

// URL is the address to connect to.
func (p *Proxy) URL() string { return "tcp://" + p.ln.Addr().String() }

// Cut breaks every connection, without a goodbye, and says whether new ones
// are to be refused. What is held up by a stall is lost.
func (p *Proxy) Cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.open {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	clear(p.open)
}

// Stall says whether data is held up on its way from the client to the broker,
// and on its way back, as by a network that drops packets.
func (p *Proxy) Stall(there, back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, stalled := range [...]bool{toBroker: there, toClient: back} {
		select {
		case <-p.flow[i]:
			if stalled {
				p.flow[i] = make(chan struct{})
			}
		default:
			if !stalled {
				close(p.flow[i])
			}
		}
	}
}

func (p *Proxy) serve() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil || !p.admit(near, far) {
			_ = near.Close()
			continue
		}
		p.wg.Go(func() { p.pass(far, near, toBroker); p.end(near, far) })
		p.wg.Go(func() { p.pass(near, far, toClient); p.end(near, far) })
	}
}

// pass copies what comes until either connection ends.
func (p *Proxy) pass(to, from net.Conn, direction int) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		flow := p.flow[direction]
		p.mu.Unlock()
		<-flow
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) admit(near, far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = far.Close()
		return false
	}
	p.open[near], p.open[far] = true, true
	return true
}

func (p *Proxy) end(near, far net.Conn) {
	_, _ = near.Close(), far.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, near)
	delete(p.open, far)
}
