package power

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// An entry is what a log has of one request.
type entry struct {
	sector, sectors, flags uint64
	data                   []byte
}

func log(entries ...entry) []byte {
	le := binary.LittleEndian
	super := le.AppendUint64(nil, logMagic)
	super = le.AppendUint64(super, logVersion)
	super = le.AppendUint64(super, uint64(len(entries)))
	super = le.AppendUint32(super, tornBytes)
	out := append(super, make([]byte, tornBytes-len(super))...)
	for _, e := range entries {
		head := make([]byte, 0, tornBytes)
		for _, v := range []uint64{e.sector, e.sectors, e.flags, 0} {
			head = le.AppendUint64(head, v)
		}
		out = append(append(out, head[:tornBytes]...), e.data...)
	}
	return out
}

// sectors returns n sectors full of b.
func sectors(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n*tornBytes) }

func TestReadLog(t *testing.T) {
	got, err := ReadLog(log(
		entry{4, 2, 0, sectors(2, 'a')}, entry{0, 0, flagFlush, nil}, entry{4, 1, flagDiscard, nil}, entry{5, 1, flagFUA, sectors(1, 'b')},
	), DiskBytes)
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{
		{Offset: 2048, Length: 1024, Data: sectors(2, 'a')},
		{Flush: true},
		{Offset: 2048, Length: 512, Discard: true},
		{Offset: 2560, Length: 512, Data: sectors(1, 'b'), FUA: true},
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got %+v", got)
	}
}

func same(a, b Request) bool {
	return a.Offset == b.Offset && a.Length == b.Length && a.Flush == b.Flush && a.FUA == b.FUA && a.Discard == b.Discard && bytes.Equal(a.Data, b.Data)
}

func TestReadLogRefuses(t *testing.T) {
	whole := log(entry{0, 2, 0, sectors(2, 'a')})
	change := func(at int, b byte) []byte {
		c := slices.Clone(whole)
		c[at] = b
		return c
	}
	for name, log := range map[string][]byte{
		"no super block":         whole[:20],
		"another magic":          change(0, 1),
		"another version":        change(8, 2),
		"fewer entries":          change(16, 2),
		"sectors of 768 bytes":   change(24, 1)[:1],
		"half an entry":          whole[:tornBytes+100],
		"half of the data":       whole[:len(whole)-1],
		"behind the disk":        change(tornBytes+4, 1),
		"more than the disk has": change(tornBytes+12, 1),
		"unknown flags":          change(tornBytes+16, 1<<4),
	} {
		if _, err := ReadLog(log, DiskBytes); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add(log(entry{4, 2, 0, sectors(2, 'a')}, entry{0, 0, flagFlush, nil}, entry{4, 1, flagDiscard, nil}))
	f.Fuzz(func(t *testing.T, data []byte) {
		requests, err := ReadLog(data, 64<<10)
		if err != nil {
			return
		}
		room := 0
		for _, r := range requests {
			if r.Offset < 0 || r.Length < 0 || r.Offset+r.Length > 64<<10 || r.Data != nil && int64(len(r.Data)) != r.Length {
				t.Fatalf("request %+v", r)
			}
			room += minLogSector + len(r.Data)
		}
		if room > len(data) {
			t.Errorf("%d requests of %d bytes at least, in a log of %d", len(requests), room, len(data))
		}
	})
}

// record is of a disk that promises twice.
func record() *Disk {
	promise := func(text string) Request {
		return Request{Offset: FileSystemBytes, Length: promiseBytes, Data: append([]byte(text), make([]byte, promiseBytes-len(text))...)}
	}
	write := func(sector int64, n int, b byte) Request {
		return Request{Offset: sector * tornBytes, Length: int64(n) * tornBytes, Data: sectors(n, b)}
	}
	flush := Request{Flush: true}
	return &Disk{Requests: []Request{
		write(0, 1, 'a'), flush, promise("{}"), // 0 to 2
		write(0, 4, 'b'), {Offset: 4 * tornBytes, Length: tornBytes, Data: sectors(1, 'f'), FUA: true}, flush, promise("[]"), // 3 to 6
		write(1, 2, 'c'), flush, write(9, 1, 'd'), // 7 to 9
	}}
}

func TestImage(t *testing.T) {
	for _, c := range []struct {
		cut  Cut
		want string // of the first five sectors
	}{
		{Cut{Kind: Flushed, At: 1}, "\x00\x00\x00\x00\x00"},
		{Cut{Kind: Between, At: 1}, "a\x00\x00\x00\x00"},
		{Cut{Kind: Flushed, At: 2}, "a\x00\x00\x00\x00"},
		{Cut{Kind: Flushed, At: 5}, "a\x00\x00\x00f"},
		{Cut{Kind: Between, At: 5}, "bbbbf"},
		{Cut{Kind: Flushed, At: 8}, "bbbbf"},
		{Cut{Kind: Between, At: 8}, "bccbf"},
	} {
		if got := firstBytes(record().Image(c.cut)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.cut, got, c.want)
		}
	}
}

// firstBytes returns one byte of each of the first sectors.
func firstBytes(image []byte) string {
	var out strings.Builder
	for n := range 5 {
		out.WriteByte(image[n*tornBytes])
	}
	return out.String()
}

// Any sectors may have been written, or not, and the same seed leaves the same.
func TestImageTorn(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		cut := Cut{Kind: Torn, At: 5, Seed: seed}
		got := firstBytes(record().Image(cut))
		if got[4] != 'f' || strings.Trim(got[:1], "ab") != "" || strings.Trim(got[1:4], "b\x00") != "" {
			t.Fatalf("%q", got)
		}
		if again := firstBytes(record().Image(cut)); again != got {
			t.Fatalf("seed %d: %q and %q", seed, got, again)
		}
		seen[got] = true
	}
	if len(seen) != 16 {
		t.Errorf("%d of the 16 subsets of four sectors", len(seen))
	}
}

func TestImageHeads(t *testing.T) {
	r := Request{Length: 3 * tornBytes, Data: sectors(3, 'a')}
	d := Disk{Requests: []Request{r, {Offset: 4 * tornBytes, Length: tornBytes, Data: sectors(1, 'b')}}}
	if got := firstBytes(d.Image(Cut{Kind: Heads, At: 2})); got != "a\x00\x00\x00b" {
		t.Errorf("%q", got)
	}
}

func TestBaseAndDiscard(t *testing.T) {
	d := Disk{Base: sectors(DiskBytes/tornBytes, 'x'), Requests: []Request{{Offset: 2 * tornBytes, Length: tornBytes, Discard: true}, {Flush: true}}}
	if got := firstBytes(d.Image(Cut{Kind: Flushed, At: 2})); got != "xx\x00xx" {
		t.Errorf("%q", got)
	}
}

func TestCuts(t *testing.T) {
	d := record()
	kinds, at := map[Kind]int{}, map[Cut]bool{}
	cuts := d.Cuts(400, 7)
	for _, c := range cuts {
		kinds[c.Kind]++
		at[Cut{Kind: c.Kind, At: c.At}] = true
	}
	if kinds[Flushed] != 100 || kinds[Between] != 100 || kinds[Torn] != 100 || kinds[Heads] != 100 {
		t.Errorf("kinds %v", kinds)
	}
	want := map[Cut]bool{}
	for _, n := range []int{5, 8} { // just before the flush
		want[Cut{Kind: Flushed, At: n}] = true
	}
	for _, n := range []int{3, 4, 5, 7, 8} {
		for _, kind := range []Kind{Between, Torn, Heads} {
			want[Cut{Kind: kind, At: n}] = true
		}
	}
	for c := range want {
		if !at[c] {
			t.Errorf("no %+v", c)
		}
	}
	for c := range at {
		if !want[c] {
			t.Errorf("%+v", c)
		}
	}
	if again := d.Cuts(400, 7); !slices.Equal(again, cuts) {
		t.Error("the same seed gives other cuts")
	}
	if none := (&Disk{}).Cuts(3, 1); none != nil {
		t.Errorf("%d cuts of nothing", len(none))
	}
}

func TestPromises(t *testing.T) {
	for at, want := range map[int]int{2: 0, 3: 1, 6: 1, 7: 2, 10: 2} {
		if got := record().Promises(at); len(got) != want || want > 0 && string(got[0]) != "{}" {
			t.Errorf("before request %d: %q", at, got)
		}
	}
}
