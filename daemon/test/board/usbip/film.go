package usbip

import (
	"encoding/binary"
	"time"
)

// The bits of bmHeaderInfo in a payload's header, video.h: UVC_STREAM_*.
const (
	bitFrame = 1 << 0 // changes with each frame
	bitEnd   = 1 << 1 // the last payload of a frame
	bitTime  = 1 << 2 // a time follows
	bitError = 1 << 6
	bitOver  = 1 << 7 // the header ends here

	payloadHeader = 6
)

// film sends pictures until the camera is pulled out.
func (l *link) film() {
	c := l.camera
	var last time.Time
	for {
		mode, take, n, ok := l.ordered()
		if !ok {
			return
		}
		shot := c.config.Take(mode, n)
		last = last.Add(mode.Interval)
		if now := time.Now(); last.Before(now) {
			last = now
		}
		select {
		case <-time.After(time.Until(last)):
		case <-l.gone:
			return
		}
		if !l.send(shot, take, n) {
			return
		}
	}
}

// ordered waits until the kernel wants pictures.
func (l *link) ordered() (m Mode, take, n int, ok bool) {
	c := l.camera
	c.mu.Lock()
	defer c.mu.Unlock()
	for !l.rolling {
		if l.pulled() {
			return Mode{}, 0, 0, false
		}
		c.changed.Wait()
	}
	c.next++
	return l.choice.mode(), l.take, c.next - 1, true
}

// send brings a picture to the transfers that wait for it, and reports whether
// the camera is still plugged in.
func (l *link) send(shot Shot, take, n int) bool {
	c := l.camera
	c.mu.Lock()
	defer c.mu.Unlock()
	at := uint32(time.Since(c.began) * clockFrequency / time.Second)
	for rest := shot.Data; ; {
		size := min(len(rest), maxPayload-payloadHeader)
		flags := byte(bitTime | bitOver | n&bitFrame)
		if size == len(rest) {
			flags |= bitEnd
		}
		if shot.Bad {
			flags |= bitError
		}
		command, wanted := l.await(take)
		if !wanted {
			return !l.pulled()
		}
		head := binary.LittleEndian.AppendUint32([]byte{payloadHeader, flags}, at)
		if err := l.deliver(command, head, rest[:size]); err != nil {
			return false
		}
		if rest = rest[size:]; len(rest) == 0 {
			c.stats.Frames++
			return true
		}
	}
}

// await returns the next transfer that waits for a part of a picture, false
// when that picture is not wanted any more.
func (l *link) await(take int) (command, bool) {
	c := l.camera
	for {
		if l.take != take || l.pulled() {
			return command{}, false
		}
		if !c.frozen && !c.hung && !c.stalled {
			if command, ok := l.pop(); ok {
				return command, true
			}
		}
		c.changed.Wait()
	}
}

// deliver answers a transfer with a payload.
func (l *link) deliver(c command, head, data []byte) error {
	length := len(head) + len(data)
	if length > c.length {
		return l.write(header(retSubmit, c.seq, statusOverflow, 0))
	}
	l.camera.stats.Bytes += length
	return l.write(header(retSubmit, c.seq, statusOK, length), head, data)
}
