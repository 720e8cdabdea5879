package power

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

const (
	// FileSystemBytes is the size of the file system on a recorded disk.
	FileSystemBytes = 32 << 20
	// DiskBytes is the size of the disk. Promises are written to what is left.
	DiskBytes = FileSystemBytes + 4<<20

	tornBytes = 512 // what a disk writes whole or not at all
)

// A Disk is the record of one: what it held, and what it was asked to do.
type Disk struct {
	Base     []byte   // of [DiskBytes]; nil: zeros
	Earlier  [][]byte // what was promised of Base
	Requests []Request
}

// Kind says what a cut leaves of the requests since the last flush.
type Kind int

// The kinds of cuts.
const (
	Flushed Kind = iota // nothing
	Between             // all of them
	Torn                // any of their sectors
	Heads               // the first sector of each: of a page, what is read first
	Kinds
)

// String returns the kind in plain words.
func (k Kind) String() string {
	return [Kinds]string{"at a flush", "between flushes", "any sectors since the flush", "the first sector of each write since the flush"}[k]
}

// A Cut is one moment at which a disk could have lost its power.
type Cut struct {
	Kind Kind
	At   int    // how many requests were carried out before
	Seed uint64 // of [Torn]: which sectors it leaves
}

// Image returns what a cut leaves on the disk.
func (d *Disk) Image(c Cut) []byte {
	image := make([]byte, DiskBytes)
	copy(image, d.Base)
	safe := d.flushed(c.At)
	for _, r := range d.Requests[:safe] {
		r.carryOut(image)
	}
	random := rand.New(rand.NewPCG(c.Seed, uint64(c.At)))
	for _, r := range d.Requests[safe:c.At] {
		switch {
		case r.FUA || c.Kind == Between:
			r.carryOut(image)
		case c.Kind == Torn:
			r.carryOutSome(image, func(int64) bool { return random.IntN(2) > 0 })
		case c.Kind == Heads:
			r.carryOutSome(image, func(at int64) bool { return at == 0 })
		}
	}
	return image
}

// flushed returns how many of the first n requests a flush has made safe.
func (d *Disk) flushed(n int) int {
	for i := n; i > 0; i-- {
		if d.Requests[i-1].Flush {
			return i
		}
	}
	return 0
}

func (r Request) carryOut(image []byte) {
	if r.Discard {
		clear(image[r.Offset : r.Offset+r.Length])
		return
	}
	copy(image[r.Offset:], r.Data)
}

// carryOutSome carries those sectors of r out for which some says so, by where in
// r they begin.
func (r Request) carryOutSome(image []byte, some func(at int64) bool) {
	for at := int64(0); at < r.Length; at += tornBytes {
		if !some(at) {
			continue
		}
		part := Request{Offset: r.Offset + at, Length: min(tornBytes, r.Length-at), Discard: r.Discard}
		if !r.Discard {
			part.Data = r.Data[at : at+part.Length]
		}
		part.carryOut(image)
	}
}

// isPromise reports whether r wrote to behind the file system.
func (r Request) isPromise() bool { return r.Offset >= FileSystemBytes && r.Data != nil }

// Promises returns what was promised before request number at, as it was
// written: each as JSON.
func (d *Disk) Promises(at int) [][]byte {
	all := slices.Clone(d.Earlier)
	for _, r := range d.Requests[:at] {
		if r.isPromise() {
			all = append(all, bytes.TrimRight(r.Data, "\x00"))
		}
	}
	return all
}

// A window is what a disk did from one flush to the next: requests first to
// end-1. The flush before and the flush after are not in it.
type window struct{ first, end int }

// windows returns those from the first promise on, to the last one's. The first
// may have been made before the record begins.
func (d *Disk) windows() []window {
	var all []window
	promised := 0 // windows up to the last promise
	first, begun := 0, d.Earlier != nil
	for i, r := range d.Requests {
		if r.isPromise() {
			begun, promised = true, len(all)+1
		}
		if !r.Flush {
			continue
		}
		if begun {
			all = append(all, window{first, i})
		}
		first = i + 1
	}
	if first < len(d.Requests) {
		all = append(all, window{first, len(d.Requests)})
	}
	return all[:min(promised, len(all))]
}

// writes reports whether anything but promises was written in w.
func (d *Disk) writes(w window) bool {
	return slices.ContainsFunc(d.Requests[w.first:w.end], func(r Request) bool { return r.Data != nil && !r.isPromise() })
}

// Cuts returns n moments, in order, spread over the time in which promises were
// made, with each kind as often as the others.
//
// A cut at a flush is one just before the next: what was promised in the
// meantime must be there without anything written in the meantime. The others
// are where something was written.
func (d *Disk) Cuts(n int, seed uint64) []Cut {
	random := rand.New(rand.NewPCG(seed, 1))
	all := d.windows()
	busy := slices.DeleteFunc(slices.Clone(all), func(w window) bool { return !d.writes(w) })
	if len(busy) == 0 {
		return nil
	}
	var cuts []Cut
	for i := range n {
		c := Cut{Kind: Kind(i) % Kinds, Seed: random.Uint64()}
		if c.Kind == Flushed {
			c.At = pick(all, i, n, random).end
		} else {
			w := pick(busy, i, n, random)
			c.At = w.first + 1 + random.IntN(w.end-w.first)
		}
		cuts = append(cuts, c)
	}
	return cuts
}

// pick returns any window of the i-th of n equal parts.
func pick(all []window, i, n int, random *rand.Rand) window {
	return all[(i*len(all)+random.IntN(len(all)))/n]
}
