package sim

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// A part is one of a multipart/form-data body.
type part struct {
	name     string
	file     bool // has a filename
	kind     string
	contents []byte
}

// parts reads a multipart/form-data body (RFC 7578) to the letter: no preamble
// or epilogue, no header but Content-Disposition and Content-Type, no name
// twice. What it returns is part of body.
func parts(contentType string, body []byte) ([]part, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return nil, fmt.Errorf("content type %q is not multipart/form-data", contentType)
	}
	boundary := params["boundary"]
	if len(params) != 1 || !boundaryOK(boundary) {
		return nil, fmt.Errorf("content type has no good boundary: %q", contentType)
	}
	delimiter := []byte("\r\n--" + boundary)
	rest, ok := bytes.CutPrefix(body, delimiter[2:])
	if !ok {
		return nil, errors.New("multipart body does not start with its boundary")
	}
	var list []part
	for {
		if tail, ok := bytes.CutPrefix(rest, []byte("--")); ok {
			if len(tail) > 0 && string(tail) != "\r\n" {
				return nil, fmt.Errorf("multipart body has %d bytes after its end", len(tail))
			}
			return list, nil
		}
		if rest, ok = bytes.CutPrefix(rest, []byte("\r\n")); !ok {
			return nil, errors.New("multipart boundary is followed by other text")
		}
		head, tail, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !ok {
			return nil, errors.New("multipart part has no end of its headers")
		}
		p, err := partHead(string(head))
		if err != nil {
			return nil, err
		}
		if p.contents, rest, ok = bytes.Cut(tail, delimiter); !ok {
			return nil, errors.New("multipart body has no last boundary")
		}
		for _, other := range list {
			if other.name == p.name {
				return nil, fmt.Errorf("multipart part %q comes twice", p.name)
			}
		}
		list = append(list, p)
	}
}

// boundaryOK reports whether a boundary is one by RFC 2046.
func boundaryOK(b string) bool {
	const more = "'()+_,-./:=? "
	for _, r := range b {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(more, r)) {
			return false
		}
	}
	return len(b) >= 1 && len(b) <= 70 && !strings.HasSuffix(b, " ")
}

// control reports whether a character has no place in a header line (RFC 9110,
// section 5.5).
func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// partHead reads the headers of a part.
func partHead(text string) (part, error) {
	headers := make(map[string]string)
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if _, twice := headers[name]; !ok || twice || strings.ContainsFunc(line, control) || name != "content-disposition" && name != "content-type" {
			return part{}, fmt.Errorf("multipart part has an unexpected header line %.40q", line)
		}
		headers[name] = strings.Trim(value, " \t")
	}
	disposition, params, err := mime.ParseMediaType(headers["content-disposition"])
	if err != nil || disposition != "form-data" || params["name"] == "" {
		return part{}, fmt.Errorf("multipart part has no form-data name: %.80q", headers["content-disposition"])
	}
	p := part{name: params["name"], kind: headers["content-type"]}
	_, p.file = params["filename"]
	delete(params, "name")
	delete(params, "filename")
	if len(params) > 0 {
		return part{}, fmt.Errorf("multipart part has an unknown parameter: %.80q", headers["content-disposition"])
	}
	return p, nil
}
