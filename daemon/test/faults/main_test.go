package main

import (
	"strings"
	"testing"
)

func TestTabulate(t *testing.T) {
	const (
		begin = `{"Action":"run","Package":"p","Test":"TestA/b"}` + "\n"
		says  = `{"Action":"output","Package":"p","Test":"TestA/b","Output":"    a_test.go:12: shut after 3|4 ms\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA/b","Output":"=== RUN   TestA/b\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA/b","Output":"    a_test.go:13: and more\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA/b","Output":"          of two lines\n"}` + "\n"
		passed  = `{"Action":"pass","Package":"p","Test":"TestA/b","Elapsed":1.6}` + "\n"
		failed  = `{"Action":"fail","Package":"p","Test":"TestA/b","Elapsed":1.6}` + "\n"
		skipped = `{"Action":"skip","Package":"p","Test":"TestA/b","Elapsed":0}` + "\n"
		row     = `| TestA/b | pass | 2 | shut after 3\|4 ms<br>and more<br>  of two lines |`
	)
	tests := []struct {
		name, in, row, err string
	}{
		{"passed", begin + says + passed, row, ""},
		{"failed", begin + says + failed, strings.Replace(row, "pass", "fail", 1), "not passed: p TestA/b"},
		{"skipped", begin + skipped, "| TestA/b | skip | 0 |  |", "not passed: p TestA/b"},
		{"does not build", `{"Action":"fail","Package":"p","Elapsed":0}`, "", "not passed: p"},
		{"nothing", "", "", "no test ran"},
		{"cut off", begin + says, "", "no test ran"},
		{"something else", "ok p 1s", "", "not of go test -json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := tabulate(&out, strings.NewReader(tt.in))
			if !strings.Contains(out.String(), tt.row) {
				t.Errorf("no row %s in\n%s", tt.row, out.String())
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}
