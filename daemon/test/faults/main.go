// Faults turns what `go test -json` prints into the table of faults: a row for
// each test that ran, with how it ended, how long it took and the figures that
// it logged. It is `make faults` that runs it; docs/reliability.md has its last
// table.
//
//	go test -json ... | faults >faults.md
//
// Its exit status is 1 if a test failed, or if none ran.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	if err := tabulate(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// logged is the first line that t.Log printed, after the place that called it, or
// one of those below it.
var logged = regexp.MustCompile(`^ {4}(?:\w+\.go:\d+: | {4})(.*)`)

// A test is one test or subtest of one package.
type test struct{ pkg, name string }

// tabulate reads events of go test and writes a row for each test that ended.
func tabulate(to io.Writer, from io.Reader) error {
	var failed []string
	said, ended := map[test][]string{}, 0
	fmt.Fprint(to, "| test | result | seconds | what it measured |\n|---|---|---|---|\n")
	for in := json.NewDecoder(from); ; {
		var e struct { // see `go doc test2json`
			Action, Package, Test, Output string
			Elapsed                       float64
		}
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("not of go test -json: %w", err)
		}
		t := test{e.Package, e.Test}
		switch e.Action {
		case "output":
			if line := logged.FindStringSubmatch(strings.TrimSuffix(e.Output, "\n")); line != nil {
				said[t] = append(said[t], line[1])
			}
		case "pass", "fail", "skip":
			if e.Action != "pass" {
				failed = append(failed, strings.TrimSpace(e.Package+" "+e.Test))
			}
			if e.Test != "" {
				ended++
				fmt.Fprintf(to, "| %s | %s | %.0f | %s |\n", e.Test, e.Action, e.Elapsed, cell(said[t]))
			}
			delete(said, t)
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("not passed: %s", strings.Join(failed, ", "))
	case ended == 0:
		return errors.New("no test ran")
	}
	return nil
}

// cell writes lines into one cell of a table.
func cell(lines []string) string {
	return strings.ReplaceAll(strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.Join(lines, "\n")), "\n", "<br>")
}
