package replay

import (
	"bufio"
	"errors"
	"io"
)

// JPEG markers, ITU-T T.81 table B.1.
const (
	markerTEM  = 0x01
	markerSOF0 = 0xc0
	markerDHT  = 0xc4
	markerJPG  = 0xc8
	markerDAC  = 0xcc
	markerSF15 = 0xcf
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
)

// maxGap is how far apart two pictures of a file may be before the file is
// taken for something else.
const maxGap = 1 << 20

var (
	errDamaged = errors.New("damaged picture")
	errSOI     = errors.New("another picture begins")
)

// A splitter cuts a stream into the JPEGs in it. It follows their segments,
// so that a thumbnail inside a picture is not taken for its end, and passes
// over what is between them and over pictures that are damaged.
type splitter struct {
	r       *bufio.Reader
	dropped uint64
	buf     []byte // the picture so far
	width   int
	height  int
}

func newSplitter(r io.Reader) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next whole picture, or io.EOF after the last. Its data is
// valid until the next call.
func (s *splitter) next() (picture, error) {
	begun := false
	for {
		if !begun {
			if err := s.findStart(); err != nil {
				return picture{}, err
			}
		}
		err := s.picture()
		if err == nil {
			return picture{s.buf, s.width, s.height}, nil
		}
		s.dropped++
		begun = errors.Is(err, errSOI)
		if !begun && !errors.Is(err, errDamaged) {
			return picture{}, err
		}
	}
}

// findStart reads up to and including a start marker.
func (s *splitter) findStart() error {
	var last byte
	for range maxGap {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		if last == 0xff && b == markerSOI {
			return nil
		}
		last = b
	}
	return io.EOF
}

// picture reads a picture whose start marker was read.
func (s *splitter) picture() error {
	s.buf = append(s.buf[:0], 0xff, markerSOI)
	s.width, s.height = 0, 0
	marker, err := s.marker()
	for err == nil {
		switch {
		case marker == markerEOI:
			if s.width == 0 || s.height == 0 || int64(s.width)*int64(s.height) > maxPixels {
				return errDamaged
			}
			return nil
		case marker == markerSOI:
			return errSOI
		case marker == markerTEM, marker >= markerRST0 && marker <= markerRST7:
			marker, err = s.marker()
			continue
		}
		if err = s.segment(marker); err != nil {
			return err
		}
		if marker == markerSOS {
			marker, err = s.scan()
		} else {
			marker, err = s.marker()
		}
	}
	return err
}

// marker reads a marker, which may have fill bytes before it.
func (s *splitter) marker() (byte, error) {
	b, err := s.byte()
	if err != nil {
		return 0, err
	}
	if b != 0xff {
		return 0, errDamaged
	}
	for b == 0xff {
		if b, err = s.byte(); err != nil {
			return 0, err
		}
	}
	if b == 0 {
		return 0, errDamaged
	}
	return b, nil
}

// segment reads the length and the body of a segment, and the picture's size
// if it is there.
func (s *splitter) segment(marker byte) error {
	begin := len(s.buf)
	high, err := s.byte()
	if err != nil {
		return err
	}
	low, err := s.byte()
	if err != nil {
		return err
	}
	length := int(high)<<8 | int(low)
	if length < 2 {
		return errDamaged
	}
	for range length - 2 {
		if _, err := s.byte(); err != nil {
			return err
		}
	}
	if frameHeader(marker) && length >= 7 {
		b := s.buf[begin:]
		s.height = int(b[3])<<8 | int(b[4])
		s.width = int(b[5])<<8 | int(b[6])
	}
	return nil
}

func frameHeader(marker byte) bool {
	return marker >= markerSOF0 && marker <= markerSF15 && marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// scan reads entropy-coded data up to and including the marker that ends it.
func (s *splitter) scan() (byte, error) {
	for {
		data, err := s.r.ReadSlice(0xff)
		if long := s.append(data); long != nil {
			return 0, long
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return 0, err
		}
		b := byte(0xff)
		for b == 0xff {
			if b, err = s.byte(); err != nil {
				return 0, err
			}
		}
		if b != 0 && (b < markerRST0 || b > markerRST7) {
			return b, nil
		}
	}
}

// append takes data into the picture.
func (s *splitter) append(data []byte) error {
	if len(s.buf)+len(data) > maxBytes {
		return errDamaged
	}
	s.buf = append(s.buf, data...)
	return nil
}

// byte reads one byte of the picture.
func (s *splitter) byte() (byte, error) {
	if len(s.buf) == maxBytes {
		return 0, errDamaged
	}
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	s.buf = append(s.buf, b)
	return b, nil
}
