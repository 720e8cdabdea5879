package replay

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"time"
)

// A recording is an open file that yields one picture or many.
type recording struct {
	file  *os.File // nil for a converted picture
	split *splitter
	still *picture // a converted picture, until it was played
}

// openRecording opens a file of JPEGs, or converts a PNG.
func openRecording(path string, converted *conversions) (*recording, error) {
	// Looked at first: opening a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if p, ok := converted.get(path, info); ok {
		return &recording{still: &p}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	start := make([]byte, 4)
	n, err := file.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		_ = file.Close()
		return nil, err
	}
	if string(start[:n]) != "\x89PNG" {
		return &recording{file: file, split: newSplitter(file)}, nil
	}
	defer file.Close()
	p, err := convert(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	converted.put(path, info, p)
	return &recording{still: &p}, nil
}

// next returns the next picture, or io.EOF.
func (r *recording) next() (picture, error) {
	if r.split != nil {
		return r.split.next()
	}
	if r.still == nil {
		return picture{}, io.EOF
	}
	p := *r.still
	r.still = nil
	return p, nil
}

// takeDropped returns how many damaged pictures were passed over since the
// last call.
func (r *recording) takeDropped() uint64 {
	if r.split == nil {
		return 0
	}
	n := r.split.dropped
	r.split.dropped = 0
	return n
}

func (r *recording) close() {
	if r.file != nil {
		_ = r.file.Close() // only read
	}
}

// convert makes a JPEG of a PNG.
func convert(file io.ReadSeeker, size int64) (picture, error) {
	if size > maxBytes {
		return picture{}, errors.New("the picture is too large")
	}
	config, err := png.DecodeConfig(file)
	if err != nil {
		return picture{}, err
	}
	if int64(config.Width)*int64(config.Height) > maxPixels {
		return picture{}, errors.New("the picture has too many pixels")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return picture{}, err
	}
	img, err := png.Decode(file)
	if err != nil {
		return picture{}, err
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 92}); err != nil {
		return picture{}, err
	}
	return picture{out.Bytes(), config.Width, config.Height}, nil
}

// maxConverted bounds the memory of conversions.
const maxConverted = 32 << 20

// conversions remembers the JPEGs made of PNGs: a PNG costs more time than a
// frame lasts. The zero value is empty.
type conversions struct {
	entries map[string]conversion
	bytes   int
}

type conversion struct {
	modified time.Time
	size     int64
	picture  picture
}

func (c *conversions) get(path string, info os.FileInfo) (picture, bool) {
	e, ok := c.entries[path]
	ok = ok && e.modified.Equal(info.ModTime()) && e.size == info.Size()
	return e.picture, ok
}

func (c *conversions) put(path string, info os.FileInfo, p picture) {
	c.bytes += len(p.data) // an entry replaced is counted twice, which only forgets earlier
	if c.entries == nil || c.bytes > maxConverted {
		c.entries, c.bytes = map[string]conversion{}, len(p.data)
	}
	c.entries[path] = conversion{info.ModTime(), info.Size(), p}
}
