package sim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON.
const maxDepth = 32

// common checks what holds for every request.
func (x *exchange) common() {
	bad := x.operation.bad
	for name, values := range x.r.Header {
		if len(values) > 1 {
			x.refuse(bad("duplicate header"), "header %s comes %d times", name, len(values))
		}
	}
	for _, name := range []string{"Cookie", "Referer", "Origin", "X-Forwarded-For", "Forwarded"} {
		if x.r.Header.Get(name) != "" {
			x.refuse(bad("unexpected header"), "header %s is sent, which belongs to browsers and proxies", name)
		}
	}
	if x.r.ContentLength < 0 {
		x.refuse(bad("content length is required"), "no Content-Length")
	}
	if len(x.body) > maxBody {
		x.refuse(bad("body is too large"), "body has more than %d bytes", maxBody)
	}
}

// noQuery refuses a query.
func (x *exchange) noQuery() {
	if x.r.URL.RawQuery != "" || x.r.URL.ForceQuery {
		x.refuse(x.operation.bad("unexpected query"), "path has a query")
	}
}

// absent refuses headers that hold another service's secrets.
func (x *exchange) absent(names ...string) {
	for _, name := range names {
		if x.r.Header.Get(name) != "" {
			x.refuse(x.operation.bad("unexpected header"), "header %s is sent, which does not belong here", name)
		}
	}
}

// key checks the header that holds the key, and refuses otherwise.
func (x *exchange) key(name, right string, refusal answer) {
	x.absentBut(name)
	switch got := x.r.Header.Get(name); {
	case got == "":
		x.refuse(refusal, "no key in header %s", name)
	case right == "" || got != right:
		x.refuse(refusal, "wrong key in header %s", name)
	}
}

// absentBut refuses the key headers of all services but one.
func (x *exchange) absentBut(name string) {
	for _, other := range []string{"X-Api-Key", "Subscriptionkey", "Authorization", "X-Amz-Security-Token"} {
		if other != http.CanonicalHeaderKey(name) {
			x.absent(other)
		}
	}
}

// json checks that the body is JSON with none but the known members, and
// decodes it. It reports whether v can be used.
func (x *exchange) json(v any, refusal answer, known ...string) bool {
	kind, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	delete(params, "charset")
	if err != nil || kind != typeJSON || len(params) > 0 || charset != "" && charset != "utf-8" {
		x.refuse(refusal, "content type %q is not application/json", x.r.Header.Get("Content-Type"))
	}
	return x.members(v, refusal, known...)
}

// members is json without a look at the content type.
func (x *exchange) members(v any, refusal answer, known ...string) bool {
	paths, err := keyPaths(x.body)
	if err != nil {
		x.refuse(refusal, "body: %v", err)
		return false
	}
	for _, path := range paths {
		if !slices.Contains(known, path) {
			x.refuse(refusal, "unknown member %q", path)
		}
	}
	if err := json.Unmarshal(x.body, v); err != nil {
		x.refuse(refusal, "body: %v", err)
		return false
	}
	return true
}

// keyPaths lists the members of a JSON object, nested ones with a dot, of
// arrays with []. Anything but one object without duplicate keys is an error.
func keyPaths(text []byte) ([]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	paths := make(map[string]bool)
	if first := bytes.TrimLeft(text, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, errors.New("not a JSON object")
	}
	if err := walk(d, "", 0, paths); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text after the JSON object")
	}
	var list []string
	for p := range paths {
		list = append(list, p)
	}
	slices.Sort(list)
	return list, nil
}

// walk reads one value and notes its members.
func walk(d *json.Decoder, path string, depth int, paths map[string]bool) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := make(map[string]bool)
	for d.More() {
		member := path + "[]"
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			text := fmt.Sprint(name)
			if strings.ContainsAny(text, `.[]"`) { // must not look like a nested one
				text = strconv.Quote(text)
			}
			member = strings.TrimPrefix(path+"."+text, ".")
			if seen[member] {
				return fmt.Errorf("member %q comes twice", member)
			}
			seen[member], paths[member] = true, true
		}
		if err := walk(d, member, depth+1, paths); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// plain64 decodes standard base64 with padding, without line breaks and
// without a prefix.
func plain64(text string) ([]byte, error) {
	switch {
	case text == "":
		return nil, errors.New("is empty")
	case strings.HasPrefix(text, "data:"):
		return nil, errors.New("has a data: prefix")
	case strings.ContainsAny(text, "\r\n \t"):
		return nil, errors.New("has white space in its base64")
	case strings.ContainsAny(text, "-_"):
		return nil, errors.New("is base64url, not base64")
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64 with padding")
	}
	return data, nil
}
