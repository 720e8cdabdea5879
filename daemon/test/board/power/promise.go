package power

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/facegate/facegate/daemon/internal/event"
)

// Kept says what a promise is about.
type Kept string

// What is promised.
const (
	Mounted   Kept = "mounted"   // there is a file system
	Opened    Kept = "opened"    // there is a journal called ID
	Recovered Kept = "recovered" // attempts that were under way before have ended
	Begun     Kept = "begun"     // attempt ID will have an outcome
	Appended  Kept = "appended"  // Event is in the journal
	Delivered Kept = "delivered" // to Seq
	NonceUsed Kept = "nonce"     // ID is used
	Failures  Kept = "failures"  // Seq of them are counted
	Reserved  Kept = "reserved"  // Seq calls of a compare service are counted
)

// A Promise is what a call of the journal has made durable by returning.
type Promise struct {
	Kept  Kept         `json:"kept"`
	ID    string       `json:"id,omitempty"`
	Seq   uint64       `json:"seq,omitempty"`
	Event *event.Event `json:"event,omitempty"`
}

// promiseBytes is the room of one promise: JSON, then zeros.
const promiseBytes = 4096

// A Marker writes promises to a disk. It flushes nothing.
type Marker struct {
	disk *os.File
	page []byte
	next int64
}

// NewMarker opens the disk at path, past the page cache. The caller closes it.
func NewMarker(path string) (*Marker, error) {
	page, err := unix.Mmap(-1, 0, promiseBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned, as O_DIRECT wants it
	if err != nil {
		return nil, err
	}
	disk, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	return &Marker{disk: disk, page: page}, nil
}

// Promise returns when the disk has taken p.
func (m *Marker) Promise(p Promise) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if len(data) > promiseBytes {
		return fmt.Errorf("promise of %d bytes, there is room for %d", len(data), promiseBytes)
	}
	clear(m.page[copy(m.page, data):])
	_, err = m.disk.WriteAt(m.page, FileSystemBytes+m.next)
	m.next = (m.next + promiseBytes) % (DiskBytes - FileSystemBytes)
	return err
}

// Close closes the disk.
func (m *Marker) Close() error { return m.disk.Close() }
