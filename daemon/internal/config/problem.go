package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing wrong with a configuration.
type Problem struct {
	File string
	Line int    // 0 where no line can be named
	Key  string // camera.width; empty if it concerns the whole file
	Text string
}

// String returns "facegate.yaml:12: camera.width: unknown key".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is all that is wrong with a configuration, in the order of lines.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// concern returns those problems with key, a key inside it, a section around
// it or the whole file.
func (p Problems) concern(key string) Problems {
	var found Problems
	for _, problem := range p {
		k := problem.Key
		if k == "" || k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(key, k+".") {
			found = append(found, problem)
		}
	}
	return found
}

// A source remembers where each key of a file was read.
type source struct {
	file  string
	lines map[string]int // line of each key that the file has
}

// problem returns a Problem with the line of key, or, where the file lacks
// the key, that of the nearest section around it.
func (s source) problem(key, format string, args ...any) Problem {
	p := Problem{File: s.file, Key: key, Text: fmt.Sprintf(format, args...)}
	for at := key; at != ""; {
		if line, ok := s.lines[at]; ok {
			p.Line = line
			break
		}
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
	}
	return p
}

// sorted returns p in the order of lines, then keys.
func sorted(p Problems) Problems {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key)) })
	return p
}
