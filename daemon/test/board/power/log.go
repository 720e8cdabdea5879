// Package power cuts the power of a disk after the fact: what a disk was asked
// to write is recorded, and what a cut at a given moment would have left of it
// is made from the record, again and again.
//
//	board                                host
//	Work ── journal ── ext4 ── disk ──►  log of requests ── ReadLog, Disk.Cuts
//	Check ◄─ journal ◄─ ext4 ◄─ disk ◄─  Disk.Image of each cut
//
// [Work] marks what it was promised, by writing it to the end of the same disk,
// behind the file system. So the order of promises and writes is that of the
// disk itself. [Check] holds a journal to what was promised before a cut.
package power

import (
	"encoding/binary"
	"fmt"
)

// A Request is one that a disk has carried out.
type Request struct {
	Offset, Length int64  // in bytes
	Data           []byte // what was written; nil with a discard or a mere flush
	Flush          bool   // what was written before is safe
	FUA            bool   // what is written is safe
	Discard        bool   // the range reads as zeros
}

// What the Linux driver dm-log-writes calls log_write_super and
// log_write_entry, see drivers/md/dm-log-writes.c.
const (
	logMagic     = 0x6a736677736872
	logVersion   = 1
	superBytes   = 28
	entryBytes   = 32
	flagFlush    = 1 << 0
	flagFUA      = 1 << 1
	flagDiscard  = 1 << 2
	flagMark     = 1 << 3
	minLogSector = 512
	maxLogSector = 1 << 16
)

// ReadLog reads what QEMU's driver blklogwrites has recorded of a disk of the
// given size in bytes. The requests share the log's memory.
func ReadLog(log []byte, size int64) ([]Request, error) {
	if len(log) < superBytes {
		return nil, fmt.Errorf("log of writes: %d bytes, want a super block", len(log))
	}
	le := binary.LittleEndian
	if magic, version := le.Uint64(log), le.Uint64(log[8:]); magic != logMagic || version != logVersion {
		return nil, fmt.Errorf("log of writes: magic %#x, version %d, want %#x, %d", magic, version, uint64(logMagic), logVersion)
	}
	entries, sector := le.Uint64(log[16:]), int64(le.Uint32(log[24:]))
	if sector < minLogSector || sector > maxLogSector || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("log of writes: sectors of %d bytes", sector)
	}

	var requests []Request
	at := sector
	for n := range entries {
		if int64(len(log))-at < sector {
			return nil, fmt.Errorf("log of writes: ends in entry %d of %d", n, entries)
		}
		r, err := readEntry(log[at:], sector, size)
		if err != nil {
			return nil, fmt.Errorf("log of writes: entry %d: %w", n, err)
		}
		requests = append(requests, r)
		at += sector + int64(len(r.Data))
	}
	return requests, nil
}

// readEntry reads the entry that log begins with, which has one sector at least.
func readEntry(log []byte, sector, size int64) (Request, error) {
	le := binary.LittleEndian
	first, sectors, flags := le.Uint64(log), le.Uint64(log[8:]), le.Uint64(log[16:])
	if all := uint64(size / sector); first > all || sectors > all-first {
		return Request{}, fmt.Errorf("%d sectors from %d, the disk has %d", sectors, first, all)
	}
	if flags&^(flagFlush|flagFUA|flagDiscard|flagMark) != 0 {
		return Request{}, fmt.Errorf("flags %#x", flags)
	}
	r := Request{
		Offset: int64(first) * sector, Length: int64(sectors) * sector,
		Flush: flags&flagFlush != 0, FUA: flags&flagFUA != 0, Discard: flags&flagDiscard != 0,
	}
	if r.Discard || r.Length == 0 {
		return r, nil
	}
	if int64(len(log))-sector < r.Length {
		return Request{}, fmt.Errorf("%d bytes of data, want %d", int64(len(log))-sector, r.Length)
	}
	r.Data = log[sector : sector+r.Length]
	return r, nil
}
