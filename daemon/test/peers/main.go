// Peers times facegate's engines and other face recognition programs on the
// same pictures, and says how well each tells people apart. It is `make
// bench-peers` that runs it; docs/performance.md has its last table.
//
//	peers -pairs DIR -dir build/peers >table.md
//
// Each is a process of its own, held to one processor. It is sent lines, each
// with the path of a picture, and answers each with a line of JSON: first of all
// {"version":""}, then for a picture {"ms":0,"descriptor":[]}, of the largest
// face, null without one. Descriptors are compared by Euclidean distance, so
// those that are meant to be compared by their angle have length 1.
//
// "ms" is processor time of all threads of the process, from path to descriptor:
// what a clock shows on an idle machine with one processor, and what other
// work on the machine distorts least.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 1 && args[0] == "serve" { // as one of the peers
		return serve(ctx, args[1], os.Stdin, out)
	}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	pairs := f.String("pairs", "", "`DIR` with one folder of pictures per person")
	most := f.Int("people", 0, "take so many `PEOPLE`, half of them with two pictures or more; 0: all")
	dir := f.String("dir", "build/peers", "`DIR` in which the others are installed")
	cpu := f.Int("cpu", runtime.NumCPU()-1, "`NUMBER` of the processor to use")
	if err := f.Parse(args); err != nil {
		return err
	}
	people, err := readPeople(*pairs)
	if err != nil {
		return err
	}
	people = first(people, *most)
	frames, clean, err := frames(people)
	if err != nil {
		return err
	}
	defer clean()
	all, err := peers(*dir)
	if err != nil {
		return err
	}
	var results []result
	for _, p := range all {
		fmt.Fprintf(os.Stderr, "%s: %s\n", time.Now().Format(time.TimeOnly), p.name)
		r := p.measure(ctx, *cpu, people, frames)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.rate(ctx, people)
		results = append(results, r)
	}
	return write(out, heading(filepath.Base(*pairs), people), results)
}

// peers returns who takes part; those that cannot are in the table, too.
func peers(dir string) ([]peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	scripts, err := filepath.Abs("daemon/test/peers")
	if err != nil {
		return nil, err
	}
	python := func(name, script, install string, args ...string) peer {
		return peer{
			name: name, log: filepath.Join(dir, install+".log"), args: append([]string{"python3", filepath.Join(scripts, script)}, args...),
			env: []string{"PYTHONPATH=" + filepath.Join(dir, install)},
		}
	}
	node := func(name, script string, args ...string) peer {
		return peer{
			name: name, log: filepath.Join(dir, "node.log"), args: append([]string{"node", filepath.Join(scripts, script)}, args...),
			env: []string{"NODE_PATH=" + filepath.Join(dir, "node/node_modules")},
		}
	}
	own := func(name, engine string) peer { return peer{name: name, args: []string{self, "serve", engine}} }
	edge := os.Getenv("FACEGATE_EDGE")
	without := ""
	if edge == "" {
		without = "no models (name the folder of the model set edge in FACEGATE_EDGE)"
	}
	list := []peer{
		own("facegate, dlib", "dlib"), own("facegate, onnx faceplugin", "faceplugin"), own("facegate, onnx edge", "edge"),
		own("go-face, bare", "go-face"),
		python("face_recognition (Python)", "face-recognition.py", "face_recognition"),
		node("face-api (Node), SSD", "face-api.js", "ssd"), node("face-api (Node), tiny", "face-api.js", "tiny"),
		node("human (Node)", "human.js"),
		python("OpenCV (Python), edge", "opencv.py", "opencv", edge),
	}
	for i := range list {
		if strings.HasSuffix(list[i].name, " edge") {
			list[i].absent = without
		}
	}
	return list, nil
}

// heading says on what and when it was measured.
func heading(name string, people []person) string {
	genuine, impostor := count(people)
	return fmt.Sprintf("%s, %d cores, of which one is used. %s. Pictures: %s, %d of %d people: %d genuine and %d impostor pairs.",
		processor(), runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly), name, len(flat(people)), len(people), genuine, impostor)
}

// processor names this machine's.
func processor() string {
	data, _ := os.ReadFile("/proc/cpuinfo") // boards of ARM have no name in it
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH + " processor"
}

// write prints the table and who is behind the names.
func write(out io.Writer, heading string, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", heading)
	b.WriteString("| | verification, ms | by the clock | 640x480 frame, ms | peak memory, MiB | TAR at FMR 1e-3 | at 1e-4 | no face found |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		if r.absent != "" {
			fmt.Fprintf(&b, "| %s | not measured: %s | | | | | | |\n", r.name, strings.ReplaceAll(r.absent, "|", `\|`))
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %s | %s | %d of %d |\n", r.name, ms(r.verification), ms(r.clock), ms(r.frame), r.peak, r.tar[0], r.tar[1], r.failed, len(r.looks))
	}
	b.WriteString("\n")
	for _, r := range results {
		if r.version != "" {
			fmt.Fprintf(&b, "- %s: %s\n", r.name, r.version)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// ms writes milliseconds, those below 10 with a digit behind the point.
func ms(v float64) string {
	if v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
