package mqtttest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The packets of MQTT 3.1.1, by the upper half of their first byte.
const (
	Connect    = 1
	Connack    = 2
	Publish    = 3
	Puback     = 4
	Subscribe  = 8
	Suback     = 9
	Pingreq    = 12
	Pingresp   = 13
	Disconnect = 14
)

// A Packet is one MQTT control packet, not looked into.
type Packet struct {
	Type  byte
	Flags byte // lower half of the first byte
	Body  []byte
}

// ReadPacket reads one packet.
func ReadPacket(r *bufio.Reader) (Packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	length, err := binary.ReadUvarint(r) // the same encoding, for the lengths that occur
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Type: first >> 4, Flags: first & 15, Body: make([]byte, length)}
	_, err = io.ReadFull(r, p.Body)
	return p, err
}

// Bytes is the packet as sent.
func (p Packet) Bytes() []byte {
	b := binary.AppendUvarint([]byte{p.Type<<4 | p.Flags}, uint64(len(p.Body)))
	return append(b, p.Body...)
}

// A Message is what a PUBLISH packet carries.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retained bool
	ID       uint16 // of the packet, with QoS 1
}

// Packet is the message as a PUBLISH packet.
func (m Message) Packet() Packet {
	p := Packet{Type: Publish, Flags: m.QoS << 1, Body: text(m.Topic)}
	if m.Retained {
		p.Flags |= 1
	}
	if m.QoS > 0 {
		p.Body = binary.BigEndian.AppendUint16(p.Body, m.ID)
	}
	p.Body = append(p.Body, m.Payload...)
	return p
}

// ParseMessage looks into a PUBLISH packet.
func ParseMessage(p Packet) (Message, error) {
	m := Message{QoS: p.Flags >> 1 & 3, Retained: p.Flags&1 == 1}
	b := p.Body
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return m, io.ErrUnexpectedEOF
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	m.Topic, b = string(b[2:n]), b[n:]
	if m.QoS > 0 {
		if len(b) < 2 {
			return m, io.ErrUnexpectedEOF
		}
		m.ID, b = binary.BigEndian.Uint16(b), b[2:]
	}
	m.Payload = b
	return m, nil
}

// Ack is the PUBACK for a packet.
func Ack(id uint16) Packet {
	return Packet{Type: Puback, Body: binary.BigEndian.AppendUint16(nil, id)}
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// A Login is how a [Peer] introduces itself.
type Login struct {
	ID, User, Password string
	Lasting            bool // the broker is to keep messages while we are away
}

// A Peer is another client of a broker: it watches and sends commands. It is
// for one goroutine.
type Peer struct {
	conn   net.Conn
	r      *bufio.Reader
	nextID uint16
	early  []Message // came while waiting for something else
}

// A RefusedError is the return code of a refused login.
type RefusedError byte

func (e RefusedError) Error() string { return fmt.Sprintf("login refused with code %d", byte(e)) }

// NewPeer logs in over conn, which it then owns.
func NewPeer(conn net.Conn, l Login) (*Peer, error) {
	p := &Peer{conn: conn, r: bufio.NewReader(conn)}
	flags := byte(2)
	if l.Lasting {
		flags = 0
	}
	body := append(text("MQTT"), 4, 0, 0, 60)
	body = append(body, text(l.ID)...)
	if l.User != "" {
		flags |= 0xc0
		body = append(append(body, text(l.User)...), text(l.Password)...)
	}
	body[7] = flags
	if err := p.send(Packet{Type: Connect, Body: body}); err != nil {
		return nil, err
	}
	got, err := p.await(Connack)
	if err != nil {
		return nil, err
	}
	if len(got.Body) != 2 || got.Body[1] != 0 {
		return nil, errors.Join(RefusedError(got.Body[1]), conn.Close())
	}
	return p, nil
}

// Subscribe waits until the broker has agreed.
func (p *Peer) Subscribe(filter string, qos byte) error {
	p.nextID++
	body := append(binary.BigEndian.AppendUint16(nil, p.nextID), text(filter)...)
	if err := p.send(Packet{Type: Subscribe, Flags: 2, Body: append(body, qos)}); err != nil {
		return err
	}
	got, err := p.await(Suback)
	if err == nil && (len(got.Body) != 3 || got.Body[2] > 2) {
		err = fmt.Errorf("subscription to %s refused", filter)
	}
	if err != nil {
		return err
	}
	// A broker may be sending retained messages still; let it come to an end,
	// or one that is published next may arrive twice.
	if err := p.send(Packet{Type: Pingreq}); err != nil {
		return err
	}
	_, err = p.await(Pingresp)
	return err
}

// Publish sends a message, at QoS 1 waiting for the broker to take it.
func (p *Peer) Publish(m Message) error {
	p.nextID++
	m.ID = p.nextID
	if err := p.send(m.Packet()); err != nil || m.QoS == 0 {
		return err
	}
	_, err := p.await(Puback)
	return err
}

// Next returns the next message, acknowledged. It waits ten seconds at most.
func (p *Peer) Next() (Message, error) {
	if len(p.early) > 0 {
		m := p.early[0]
		p.early = p.early[1:]
		return m, nil
	}
	got, err := p.await(Publish)
	if err != nil {
		return Message{}, err
	}
	return p.take(got)
}

// Close leaves without a word, so that a broker publishes a will.
func (p *Peer) Close() error { return p.conn.Close() }

func (p *Peer) take(got Packet) (Message, error) {
	m, err := ParseMessage(got)
	if err == nil && m.QoS == 1 {
		err = p.send(Ack(m.ID))
	}
	return m, err
}

func (p *Peer) await(kind byte) (Packet, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return Packet{}, err
	}
	for {
		got, err := ReadPacket(p.r)
		if err != nil || got.Type == kind {
			return got, err
		}
		if got.Type == Publish {
			m, err := p.take(got)
			if err != nil {
				return Packet{}, err
			}
			p.early = append(p.early, m)
		}
	}
}

func (p *Peer) send(out Packet) error {
	_, err := p.conn.Write(out.Bytes())
	return err
}
