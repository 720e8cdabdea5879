//go:build linux && board

package board

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	cut "github.com/facegate/facegate/daemon/test/board/power"
)

// TestPowerCut cuts the power of a journal's disk at COUNT moments. SEED makes
// the same ones again, of what is not quite the same work.
//
// The same test must find fault with a journal that does not wait for the disk.
func TestPowerCut(t *testing.T) {
	count, seed := number(t, "COUNT", 24), number(t, "SEED", uint64(time.Now().UnixNano()))
	t.Logf("COUNT=%d SEED=%d", count, seed)
	b := newBench(t)

	const attempts = 32
	first := b.work("whole", attempts)
	b.keeps("the journal", first, first.Cuts(int(count), seed))

	// The start after a cut is cut in its turn, and what follows.
	c := first.Cuts(int(cut.Kinds), seed)[cut.Torn]
	second := b.workAgain("again", &cut.Disk{Base: first.Image(c), Earlier: first.Promises(c.At)}, attempts/4)
	b.keeps("the journal after a cut", second, second.Cuts(int(max(count/3, 4)), seed))

	broken := b.work("broken", attempts/2)
	n := int(max(count/3, 6))
	r := b.cut(broken, broken.Cuts(3*n, seed)[2*n:]) // late, when much is promised
	t.Logf("a journal that does not wait for the disk:\n%v", r)
	// One event could be lost because it is promised before it is even written.
	if r.most < 2 {
		t.Errorf("at most %d events are lost at a cut: the test would not notice", r.most)
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		t.Fatalf("%s=%q: want a number from 1", name, text)
	}
	return n
}

// A bench is a board with disks of which each request is recorded, and one that
// is given what a cut would have left.
type bench struct {
	t     *testing.T
	board *Board
	share string // what the board sees in /mnt
	dir   string // of the disks
}

const scratch = "scratch"

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, share: t.TempDir(), dir: t.TempDir()}
	b.build("whole")
	b.build("broken", "-tags", "brokensync")
	var devices []string
	for i, name := range []string{"whole", "again", "broken", scratch} {
		must(t, os.WriteFile(b.file(name), nil, 0o600))
		must(t, os.Truncate(b.file(name), cut.DiskBytes))
		must(t, os.WriteFile(b.log(name), nil, 0o600))
		devices = append(devices, b.devices(name, i)...)
	}
	began := time.Now()
	var err error
	b.board, err = Boot(t.Context(), Config{Dir: env(t, "FACEGATE_BOARD"), Share: b.share, Console: io.Discard, Devices: devices})
	must(t, err)
	t.Cleanup(func() { must(t, b.board.Close()) })
	t.Logf("booted in %v", time.Since(began).Round(time.Second))
	return b
}

// build builds the program that works on the board.
func (b *bench) build(name string, flags ...string) {
	b.t.Helper()
	args := append([]string{"build", "-trimpath", "-o", filepath.Join(b.share, name)}, flags...)
	cmd := exec.CommandContext(b.t.Context(), "go", append(args, "./power/guest")...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

func (b *bench) file(disk string) string { return filepath.Join(b.dir, disk) }
func (b *bench) log(disk string) string  { return filepath.Join(b.dir, disk+".log") }

// devices are QEMU's arguments for a disk. The root file system must come first
// on the bus. Writing zeros is not left to the disk, because QEMU 7.2 may mix up
// the record of that with others. A flush ends where it is recorded: nothing
// can then come between its beginning and its entry in the record, as if it had
// been flushed.
func (b *bench) devices(disk string, n int) []string {
	node := fmt.Sprintf("driver=file,node-name=%s,filename=%s,cache.no-flush=on", disk, b.file(disk))
	if disk != scratch {
		node = fmt.Sprintf("driver=blklogwrites,node-name=%s,file.driver=file,file.filename=%s,file.cache.no-flush=on,log.driver=file,log.filename=%s,log.cache.no-flush=on",
			disk, b.file(disk), b.log(disk))
	}
	return []string{
		"-blockdev", node,
		"-device", fmt.Sprintf("virtio-blk-pci,drive=%s,serial=%s,addr=%#x,write-cache=on,discard=off,write-zeroes=off", disk, disk, 0x10+n),
	}
}

// run runs a program on the board.
func (b *bench) run(script string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(b.t.Context(), patient, fmt.Errorf("not within %v", patient))
	defer cancel()
	out, err := b.board.Run(ctx, script)
	if err != nil {
		log, _ := b.board.Run(b.t.Context(), "dmesg | tail --lines 30")
		b.t.Logf("the board's kernel:\n%s", log)
	}
	return out, err
}

// work has the program of that name make attempts on the disk of that name,
// and returns the record of it.
func (b *bench) work(name string, attempts int) *cut.Disk {
	b.t.Helper()
	return b.record(name, fmt.Sprintf("/mnt/%s work %s %d", name, name, attempts), &cut.Disk{})
}

// workAgain does so with what a cut has left.
func (b *bench) workAgain(name string, left *cut.Disk, attempts int) *cut.Disk {
	b.t.Helper()
	must(b.t, lay(b.file(name), left.Base))
	return b.record(name, fmt.Sprintf("/mnt/whole again %s %d", name, attempts), left)
}

// record completes d by what the script does with the disk of that name.
func (b *bench) record(name, script string, d *cut.Disk) *cut.Disk {
	b.t.Helper()
	began := time.Now()
	if _, err := b.run(script); err != nil {
		b.t.Fatal(err)
	}
	log, err := os.ReadFile(b.log(name))
	must(b.t, err)
	d.Requests, err = cut.ReadLog(log, cut.DiskBytes)
	must(b.t, err)
	b.t.Logf("%s: %v, %d requests, %d KiB", script, time.Since(began).Round(time.Second), len(d.Requests), len(log)>>10)

	file, err := os.ReadFile(b.file(name))
	must(b.t, err)
	if !bytes.Equal(file, d.Image(cut.Cut{Kind: cut.Between, At: len(d.Requests)})) {
		b.t.Fatalf("disk %s is not what its record makes", name)
	}
	return d
}

// keeps fails the test for each promise that was not kept over the cuts.
func (b *bench) keeps(what string, d *cut.Disk, cuts []cut.Cut) {
	b.t.Helper()
	r := b.cut(d, cuts)
	b.t.Logf("%s:\n%v", what, r)
	for _, f := range r.faults {
		b.t.Error(f)
	}
	if r.lost+r.shut > 0 || r.promised == 0 {
		b.t.Errorf("of %d promised events, %d are lost; %d journals did not open", r.promised, r.lost, r.shut)
	}
}

// A result is what cuts did.
type result struct {
	kinds          [cut.Kinds]int
	promised, lost int // events, over all cuts
	most           int // events lost at one cut
	shut           int // journals that did not open
	recovered      int // journals that had to end something
	took           time.Duration
	faults         []string
}

// cut makes each cut of a disk and looks at what it left.
func (b *bench) cut(disk *cut.Disk, cuts []cut.Cut) *result {
	b.t.Helper()
	began := time.Now()
	promises := bytes.Join(disk.Promises(len(disk.Requests)), []byte("\n"))
	must(b.t, os.WriteFile(filepath.Join(b.share, "promises"), promises, 0o644))

	r := &result{}
	for _, c := range cuts {
		must(b.t, lay(b.file(scratch), disk.Image(c)))
		out, err := b.run(fmt.Sprintf("/mnt/whole check %s /mnt/promises %d", scratch, len(disk.Promises(c.At))))
		if err != nil {
			b.t.Fatalf("cut %s at request %d, seed %d: %v", c.Kind, c.At, c.Seed, err)
		}
		var report cut.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			b.t.Fatalf("%v: %s", err, out)
		}
		r.add(c, report)
	}
	r.took = time.Since(began)
	return r
}

func (r *result) add(c cut.Cut, report cut.Report) {
	r.kinds[c.Kind]++
	r.promised += report.Promised
	r.lost += report.Lost
	r.most = max(r.most, report.Lost)
	if !report.Opened {
		r.shut++
	}
	if report.Recovered > 0 {
		r.recovered++
	}
	for _, f := range report.Faults {
		r.faults = append(r.faults, fmt.Sprintf("cut %s at request %d, seed %d: %s", c.Kind, c.At, c.Seed, f))
	}
}

// String returns a table.
func (r *result) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	cuts := 0
	for kind, n := range r.kinds {
		_, _ = fmt.Fprintf(w, "cuts %s\t%d\n", cut.Kind(kind), n)
		cuts += n
	}
	_, _ = fmt.Fprintf(w, "promised events\t%d\nlost\t%d\nlost at one cut, at most\t%d\n", r.promised, r.lost, r.most)
	_, _ = fmt.Fprintf(w, "journals that opened\t%d\nwith something to recover\t%d\nfaults\t%d\nper cut\t%v\n",
		cuts-r.shut, r.recovered, len(r.faults), (r.took / time.Duration(max(cuts, 1))).Round(time.Millisecond))
	_ = w.Flush()
	return text.String()
}

// lay makes image the content of file. Zeros are left out.
func lay(file string, image []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	const piece = 4096
	zeros := make([]byte, piece)
	err = f.Truncate(int64(len(image)))
	for at := 0; at < len(image) && err == nil; at += piece {
		if part := image[at : at+piece]; !bytes.Equal(part, zeros) {
			_, err = f.WriteAt(part, int64(at))
		}
	}
	return errors.Join(err, f.Close())
}
