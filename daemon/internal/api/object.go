package api

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxWord bounds every text of a JSON body but the picture, in bytes. Longer
// ones are refused later, for what they are.
const maxWord = 1 << 10

// An object reads a JSON object of texts as it arrives. Of the picture it
// keeps only the bytes, never its text, which is longer, nor copies of that:
// several pictures may arrive at once. It is strict where the standard decoder
// is not: each field comes once, and is spelled as it is.
type object struct {
	r      *bufio.Reader
	fields []string // those that may be there
	size   int      // of the picture, an estimate

	words   map[string]string
	picture []byte // nil if there is none
}

// errSyntax is a body that is no JSON.
type errSyntax string

func (e errSyntax) Error() string { return string(e) }

// read reads the whole body.
func (o *object) read() *problem {
	o.words = map[string]string{}
	c, err := o.next()
	if err != nil {
		return malformedJSON(err)
	}
	if c != '{' {
		return refuse(badRequest, "JSON body: must be an object")
	}
	if p := o.members(); p != nil {
		return p
	}
	if _, err = o.next(); !errors.Is(err, io.EOF) {
		return refuse(badRequest, "JSON body: must end after the object")
	}
	return nil
}

// members reads up to the end of the object.
func (o *object) members() *problem {
	for first := true; ; first = false {
		c, err := o.next()
		if err == nil && c == '}' {
			return nil
		}
		if err == nil && c == ',' && !first {
			c, err = o.next()
		} else if err == nil && !first {
			err = errSyntax(fmt.Sprintf("%q after a field", c))
		}
		if err == nil && c != '"' {
			err = errSyntax(fmt.Sprintf("%q where a field begins", c))
		}
		if err != nil {
			return malformedJSON(err)
		}
		if p := o.member(); p != nil {
			return p
		}
	}
}

// member reads a field whose opening quote was read.
func (o *object) member() *problem {
	name, err := o.word()
	if err != nil {
		return malformedJSON(err)
	}
	if p := checkName(name, o.fields, o.words); p != nil {
		return p
	}
	for _, want := range []byte(`:"`) {
		c, err := o.next()
		switch {
		case err != nil:
			return malformedJSON(err)
		case c == want:
		case want == ':':
			return malformedJSON(errSyntax(fmt.Sprintf("%q after the name of a field", c)))
		default:
			return refuse(badRequest, "%s must be a string", name).in(name)
		}
	}
	if name != photoField {
		if o.words[name], err = o.word(); err != nil {
			return malformedJSON(err)
		}
		return nil
	}
	o.words[name] = "" // for checkName
	return o.photo()
}

// next returns the next byte that is no space.
func (o *object) next() (byte, error) {
	for {
		c, err := o.r.ReadByte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

// word reads a short text whose opening quote was read.
func (o *object) word() (string, error) {
	var b strings.Builder
	for {
		r, quote, err := o.char()
		if err != nil || quote {
			return b.String(), err
		}
		if b.Len() <= maxWord {
			b.WriteRune(r)
		}
	}
}

// char reads a character of a text; quote says that the text has ended.
func (o *object) char() (r rune, quote bool, err error) {
	r, _, err = o.r.ReadRune()
	switch {
	case errors.Is(err, io.EOF):
		return 0, false, io.ErrUnexpectedEOF
	case err != nil:
		return 0, false, err
	case r == '"':
		return 0, true, nil
	case r < ' ':
		return 0, false, errSyntax(fmt.Sprintf("%q in a string", r))
	case r != '\\':
		return r, false, nil
	}
	c, err := o.r.ReadByte()
	if err != nil {
		return 0, false, err
	}
	if c == 'u' {
		r, err = o.escaped()
		return r, false, err
	}
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), false, nil
	}
	return 0, false, errSyntax(fmt.Sprintf("%q after a backslash", c))
}

// escaped reads a character written in four hexadecimal digits, or twice four.
func (o *object) escaped() (rune, error) {
	r, err := o.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if more, err := o.r.Peek(2); err != nil || string(more) != `\u` {
		return utf8.RuneError, nil
	}
	more, _ := o.r.Peek(6)
	low, err := strconv.ParseUint(string(more[min(2, len(more)):]), 16, 16)
	if err != nil || len(more) < 6 || utf16.DecodeRune(r, rune(low)) == utf8.RuneError {
		return utf8.RuneError, nil
	}
	_, err = o.r.Discard(6)
	return utf16.DecodeRune(r, rune(low)), err
}

func (o *object) hex() (rune, error) {
	var digits [4]byte
	if _, err := io.ReadFull(o.r, digits[:]); err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return 0, errSyntax(fmt.Sprintf("%q after \\u", digits))
	}
	return rune(n), nil
}

// photo reads the picture in base64 of either alphabet, padded or not, with or
// without line breaks.
func (o *object) photo() *problem {
	text := &base64Text{from: o}
	decoded := base64.NewDecoder(base64.RawStdEncoding, text)
	o.picture = make([]byte, 0, min(max(o.size, 0), MaxPicture)+bufio.MaxScanTokenSize)
	for {
		if len(o.picture) == cap(o.picture) {
			o.picture = append(o.picture, 0)[:len(o.picture)]
		}
		n, err := decoded.Read(o.picture[len(o.picture):cap(o.picture)])
		o.picture = o.picture[:len(o.picture)+n]
		switch {
		case text.failed != nil:
			return malformedJSON(text.failed)
		case len(o.picture) > MaxPicture:
			return pictureTooLarge()
		case errors.Is(err, io.EOF) && len(o.picture) == 0 && text.chars == 0:
			return refuse(badRequest, "id_photo is empty").in(photoField)
		case errors.Is(err, io.EOF) && text.padded():
			return nil
		case err != nil:
			return refuse(badRequest, "id_photo must be base64 alone, without a data: prefix (wrong after %d characters)", text.chars).in(photoField)
		}
	}
}

// base64Text reads the text of the picture, in the standard alphabet and
// without padding and line breaks.
type base64Text struct {
	from       *object
	chars      int  // read so far
	pads       int  // of them padding
	plain, url bool // a character of that alphabet alone was there
	ended      bool
	failed     error // what is wrong with the JSON
}

var errBase64 = errors.New("not base64")

// padded says whether there is no padding, or as much as there must be.
func (t *base64Text) padded() bool { return t.pads == 0 || t.pads <= 2 && t.chars%4 == 0 }

// Read implements io.Reader.
func (t *base64Text) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && !t.ended {
		n += t.ready(p[n:])
		if n == len(p) {
			break
		}
		r, quote, err := t.from.char()
		if err != nil {
			t.failed = err
			return 0, err
		}
		if quote {
			t.ended = true
			break
		}
		if r == '\n' || r == '\r' {
			continue
		}
		t.chars++
		switch r {
		case '=':
			t.pads++
			continue
		case '-', '_':
			t.url = true
			r = map[rune]rune{'-': '+', '_': '/'}[r]
		case '+', '/':
			t.plain = true
		}
		if r >= utf8.RuneSelf || t.pads > 0 || t.plain && t.url {
			return 0, errBase64
		}
		p[n] = byte(r)
		n++
	}
	if n == 0 && t.ended {
		return 0, io.EOF
	}
	return n, nil
}

// ready copies letters and digits that have arrived already: of these a
// picture mostly consists, and they need no second look.
func (t *base64Text) ready(p []byte) int {
	if t.pads > 0 {
		return 0
	}
	r := t.from.r
	arrived, _ := r.Peek(min(len(p), r.Buffered()))
	n := 0
	for n < len(arrived) && alphanumeric(arrived[n]) {
		n++
	}
	copy(p, arrived[:n])
	_, _ = r.Discard(n) // they are in the buffer
	t.chars += n
	return n
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
