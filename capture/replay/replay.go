// Package replay is a camera that plays files: pictures (JPEG, PNG), folders
// of them in the order of their names, and MJPEG recordings, over and over at
// a steady rate. It serves demonstrations, tests and recorded faults.
//
//	paths ─► files ─► pictures, one at a time ─► JPEG frames
//
// A folder is listed anew when it changes, so that exchanging it, or the
// symbolic link that leads to it, changes the scene with the next frame.
// Files are told apart by content; whatever is no picture is passed over.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/facegate/facegate/capture"
)

// The limits of one picture; a recording may be of any length.
const (
	maxBytes  = 15 << 20
	maxPixels = 40_000_000
)

// defaultFPS is the rate of a Config without one.
const defaultFPS = 30

// unsettled is how long after a change a folder is listed for every frame:
// two changes within one tick of the file system's clock look like one.
const unsettled = time.Second

var _ capture.Source = (*Camera)(nil)

// A Config says what to play.
type Config struct {
	Paths []string // pictures, recordings and folders, in order
	FPS   int      // frames a second; 0 means 30
}

// A Camera plays files as JPEG frames. One goroutine uses it; Skipped may be
// called from any.
type Camera struct {
	paths    []string
	interval time.Duration
	due      time.Time // when the next frame is delivered
	seq      uint64
	skipped  atomic.Uint64

	path      int // being played
	folder    listing
	file      int // the next one of the folder
	playing   *recording
	converted conversions
}

// A listing is the files of a folder.
type listing struct {
	info  os.FileInfo // of the folder; nil if the path is a file
	at    time.Time   // when it was read
	names []string
}

// A picture is one JPEG.
type picture struct {
	data          []byte
	width, height int
}

// Open checks that every path exists and that folders are not empty.
func Open(c Config) (*Camera, error) {
	if len(c.Paths) == 0 {
		return nil, errors.New("open replay: no path is given")
	}
	if c.FPS < 0 || c.FPS > 1000 {
		return nil, fmt.Errorf("open replay: %d frames a second (give 1 to 1000)", c.FPS)
	}
	for _, path := range c.Paths {
		if _, err := list(path); err != nil {
			return nil, fmt.Errorf("open replay: %w", err)
		}
	}
	if c.FPS == 0 {
		c.FPS = defaultFPS
	}
	return &Camera{paths: slices.Clone(c.Paths), interval: time.Second / time.Duration(c.FPS)}, nil
}

// list stats path and, if it is a folder, reads the names of what may be
// pictures.
func list(path string) (listing, error) {
	now := time.Now()
	info, err := os.Stat(path)
	if err != nil {
		return listing{}, err
	}
	if !info.IsDir() {
		return listing{}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return listing{}, err
	}
	l := listing{info: info, at: now}
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			l.names = append(l.names, e.Name())
		}
	}
	if len(l.names) == 0 {
		return listing{}, fmt.Errorf("folder %s is empty", path)
	}
	return l, nil
}

// Skipped returns how many damaged or oversized pictures were passed over.
func (c *Camera) Skipped() uint64 { return c.skipped.Load() }

// Read implements [capture.Source]. A path that has disappeared, an empty
// folder, or nothing to show in all of the files is [capture.ErrGone].
func (c *Camera) Read(ctx context.Context, f *capture.Frame) error {
	if err := c.wait(ctx); err != nil {
		return err
	}
	p, err := c.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("replay: %w: %w", capture.ErrGone, err)
	}
	c.seq++
	*f = capture.Frame{
		Seq: c.seq, Time: time.Now(), Format: capture.JPEG,
		Width: p.width, Height: p.height,
		Data: append(f.Data[:0], p.data...),
	}
	return nil
}

// wait keeps the rate. A reader that is late gets the next frame at once, but
// never several to catch up.
func (c *Camera) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now := time.Now()
	if !c.due.After(now) {
		c.due = now.Add(c.interval)
		return nil
	}
	timer := time.NewTimer(c.due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		c.due = c.due.Add(c.interval)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// next returns the next picture of the whole sequence.
func (c *Camera) next(ctx context.Context) (picture, error) {
	for rounds := 0; ; {
		if ctx.Err() != nil {
			return picture{}, context.Cause(ctx)
		}
		if err := c.refresh(); err != nil {
			return picture{}, err
		}
		if c.playing == nil {
			if c.path == 0 && c.file == 0 {
				// The second time around in one call, nothing of the
				// first was a picture.
				if rounds++; rounds > 2 {
					return picture{}, fmt.Errorf("no picture in %s", strings.Join(c.paths, ", "))
				}
			}
			if !c.open() {
				c.advance()
				continue
			}
		}
		p, err := c.playing.next()
		c.skipped.Add(c.playing.takeDropped())
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, io.EOF) {
			c.skipped.Add(1)
		}
		c.stop()
		c.advance()
	}
}

// refresh looks whether the path being played still leads to the same folder
// with the same files, and starts it anew if not.
func (c *Camera) refresh() error {
	path := c.paths[c.path]
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	old := c.folder
	if !info.IsDir() && old.info == nil {
		return nil
	}
	same := old.info != nil && os.SameFile(old.info, info)
	if same && old.info.ModTime().Equal(info.ModTime()) && old.at.Sub(info.ModTime()) > unsettled {
		return nil
	}
	c.folder, err = list(path)
	if err != nil {
		return err
	}
	if !same || !slices.Equal(old.names, c.folder.names) {
		c.stop()
		c.file = 0
	}
	return nil
}

// open begins the next file, and tells whether it can be played.
func (c *Camera) open() bool {
	path := c.paths[c.path]
	if c.folder.info != nil {
		path = filepath.Join(path, c.folder.names[c.file])
	}
	playing, err := openRecording(path, &c.converted)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // it left since the folder was listed
			c.skipped.Add(1)
		}
		return false
	}
	c.playing = playing
	return true
}

// advance goes on to the next file or path.
func (c *Camera) advance() {
	c.file++
	if c.file < len(c.folder.names) {
		return
	}
	c.file = 0
	if len(c.paths) > 1 {
		c.path = (c.path + 1) % len(c.paths)
		c.folder = listing{}
	}
}

func (c *Camera) stop() {
	if c.playing != nil {
		c.playing.close()
		c.playing = nil
	}
}

// Close closes the file being played.
func (c *Camera) Close() error {
	c.stop()
	return nil
}
