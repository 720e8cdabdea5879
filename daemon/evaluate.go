package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/calibration"
)

// groupsFile says in the folder of pictures which group a person belongs to.
const groupsFile = "groups.csv"

// lookalikes is the share of pairs of different people that count as look-alikes.
const lookalikes = 0.01

// runEvaluate judges thresholds on pictures of people that they were not chosen
// on.
func runEvaluate(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("evaluate", "[--config FILE] [--models DIR] [--engine ENGINE] [--set SET] [--calibration FILE] [--simulate-id] [--lookalikes-by SET] [--svg FILE] --pictures DIR")
	engine := newEngineFlags(f, "that names engine and models")
	dir := f.String("pictures", "", "`DIR` with one folder of pictures per person, and perhaps groups.csv with lines of FOLDER,GROUP")
	path := f.String("calibration", "", "`FILE` that thresholds come from, of other people; else they come from half of the people, and the rates from the others")
	simulate := f.Bool("simulate-id", false, "also compare with pictures that were made worse, as a simulation of ID photos")
	other := f.String("lookalikes-by", "", "`SET` of another engine, in the same folder of models, whose nearest hundredth of pairs is judged apart")
	svg := f.String("svg", "", "`FILE` to draw the DET curves in")
	if err := f.parse(args); err != nil {
		return err
	}
	if *dir == "" || f.NArg() > 0 {
		return usageError("evaluate: give --pictures DIR and no other words")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := engine.config()
	if err != nil {
		return err
	}
	e := evaluation{open: opener(cfg), simulate: *simulate, progress: os.Stderr}
	if *other != "" {
		second := engine
		second.set = other
		rival, err := second.config()
		if err != nil {
			return err
		}
		e.rival, e.rivalName = opener(rival), *other
	}
	if *path != "" {
		c, err := calibration.Load(*path)
		if err != nil {
			return fail(exitConfig, fmt.Errorf("--calibration: %w", err))
		}
		e.calibration = &c
	}
	if e.people, err = readPeople(*dir); err != nil {
		return fail(exitConfig, err)
	}
	if e.groups, err = readGroups(filepath.Join(*dir, groupsFile), e.people); err != nil {
		return fail(exitConfig, err)
	}
	drawing, err := newOutput(*svg, io.Discard)
	if err != nil {
		return fail(exitConfig, err)
	}
	defer drawing.drop()
	r, err := e.run(ctx)
	if err != nil {
		return err
	}
	if err := drawing.write(r.svg()); err != nil {
		return fail(exitUnavailable, err)
	}
	return r.print(out)
}

// readGroups reads lines of FOLDER,GROUP. There need be no such file.
func readGroups(path string, people []person) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pictures: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.TrimLeadingSpace = 2, true
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w (a line is FOLDER,GROUP)", path, err)
	}
	groups := map[string]string{}
	for i, line := range lines {
		known := slices.ContainsFunc(people, func(p person) bool { return p.name == line[0] })
		if _, twice := groups[line[0]]; !known || twice || line[1] == "" {
			return nil, fmt.Errorf("%s: line %d: %q must name a folder with pictures, once, and a group", path, i+1, strings.Join(line, ","))
		}
		groups[line[0]] = line[1]
	}
	return groups, nil
}

// An evaluation is what runEvaluate was asked for.
type evaluation struct {
	open        func() (match.Engine, error)
	people      []person
	groups      map[string]string            // of people's names
	calibration *calibration.Calibration     // nil: thresholds from half of the people
	rival       func() (match.Engine, error) // nil: no look-alikes
	rivalName   string
	simulate    bool
	progress    io.Writer
}

// Findings are what an evaluation found.
type findings struct {
	head     []string
	notes    []string
	sections []section
}

// A section is the rates of one kind of pairs.
type section struct {
	title  string
	people int
	counts calibration.Counts
	at     []judged
	curve  []calibration.Point // of the same pairs; nil where there is none
}

// A judged threshold is one that was chosen for a rate on other people.
type judged struct {
	target float64
	calibration.Point
}

// run looks at all pictures and works the sections out.
func (e evaluation) run(ctx context.Context) (findings, error) {
	g, err := look(ctx, e.open, e.people, e.progress)
	if err != nil {
		return findings{}, err
	}
	g.complain(e.progress)
	if err := g.enough(); err != nil {
		return findings{}, fail(exitConfig, err)
	}
	all, err := calibration.Compare(ctx, g.person, g.distance)
	if err != nil {
		return findings{}, fail(exitInternal, err)
	}
	judges := func(int) bool { return true }
	r := findings{head: []string{fmt.Sprintf("engine %s, model %s", g.model.Engine, g.model)}}
	chosen := e.calibration
	if chosen == nil {
		judges = func(p int) bool { return !firstHalf(g.people[p]) }
		if chosen, err = e.half(ctx, g, all); err != nil {
			return findings{}, err
		}
	} else if chosen.SHA256 != g.model.SHA256 {
		return findings{}, fail(exitConfig, fmt.Errorf("--calibration: is of model %s@%.12s, the engine's is %s (calibrate this one)", chosen.Model, chosen.SHA256, g.model))
	}
	r.head = append(r.head, fmt.Sprintf("thresholds from %d people: %s", chosen.People, chosen.Source))
	distances, targets := r.thresholds(*chosen)
	if len(distances) == 0 {
		return findings{}, fail(exitConfig, errors.New("the people that thresholds come from are too few for any (more people are needed)"))
	}
	w := writer{ctx: ctx, distances: distances, targets: targets, r: &r}
	w.section("live picture against live picture", all.People(judges), true)
	e.byGroup(&w, g, all, judges)
	if err := e.byLookalikes(ctx, &w, g, all, judges); err != nil {
		return findings{}, err
	}
	// Two portraits on one ID are told apart by the strictest and the loosest.
	ghosts := match.Policy{Accept: match.Score(distances[0]), Reject: match.Score(distances[len(distances)-1])}
	if err := e.byID(ctx, &w, g, judges, ghosts); err != nil {
		return findings{}, err
	}
	if w.err != nil {
		return findings{}, fail(exitConfig, w.err)
	}
	return r, nil
}

// firstHalf says whether a person is among those that thresholds come from. It
// depends on the folder's name alone.
func firstHalf(name string) bool { return sha256.Sum256([]byte(name))[0]%2 == 0 }

// half is a calibration on one half of the people.
func (e evaluation) half(ctx context.Context, g *gallery, all *calibration.Sample) (*calibration.Calibration, error) {
	part := all.People(func(p int) bool { return firstHalf(g.people[p]) })
	curve, err := part.Curve(ctx, resampling())
	if err != nil {
		return nil, fail(exitConfig, fmt.Errorf("half of the people, for thresholds: %w (more people are needed)", err))
	}
	c := &calibration.Calibration{Source: "half of those in the folder, none of whom is judged", Curve: curve}
	c.People, c.Counts = part.Counts()
	return c, nil
}

// thresholds returns the distances for the rates of the tables that a
// calibration supports, ascending, and says which it does not.
func (r *findings) thresholds(c calibration.Calibration) (distances, supported []float64) {
	for _, target := range targets() {
		p, err := c.Accept(target)
		if err != nil {
			r.notes = append(r.notes, err.Error())
			continue
		}
		distances, supported = append(distances, p.Distance), append(supported, target)
	}
	slices.Reverse(distances)
	slices.Reverse(supported)
	return distances, supported
}

// A writer adds sections to a report, until one fails.
type writer struct {
	ctx                context.Context
	distances, targets []float64
	r                  *findings
	err                error
}

func (w *writer) section(title string, s *calibration.Sample, curve bool) {
	if w.err != nil {
		return
	}
	sec := section{title: title}
	sec.people, sec.counts = s.Counts()
	points, err := s.At(w.ctx, w.distances, resampling())
	if err == nil && curve {
		sec.curve, err = s.Curve(w.ctx, resampling())
	}
	if err != nil {
		w.err = fmt.Errorf("%s: %w (more people, or more pictures of them, are needed)", title, err)
		return
	}
	for i, p := range points {
		sec.at = append(sec.at, judged{w.targets[i], p})
	}
	w.r.sections = append(w.r.sections, sec)
}

// byGroup judges each group by itself: impostors are of the same group.
func (e evaluation) byGroup(w *writer, g *gallery, all *calibration.Sample, judges func(int) bool) {
	names := map[string]bool{}
	for _, group := range e.groups {
		names[group] = true
	}
	for _, group := range slices.Sorted(maps.Keys(names)) {
		part := all.People(func(p int) bool { return judges(p) && e.groups[g.people[p]] == group })
		if people, n := part.Counts(); people < 2 || n.Genuine == 0 {
			w.r.notes = append(w.r.notes, fmt.Sprintf("group %s has too few people or pictures among those judged", group))
			continue
		}
		w.section("group "+group+", impostors of the same group", part, false)
	}
}

// byLookalikes judges those pairs of people apart that another engine finds most
// alike.
func (e evaluation) byLookalikes(ctx context.Context, w *writer, g *gallery, all *calibration.Sample, judges func(int) bool) error {
	if e.rival == nil {
		return nil
	}
	templates := make([]match.Template, len(g.files))
	other, err := eachPicture(ctx, e.rival, g.files, e.progress, func(ctx context.Context, engine match.Engine, i int) error {
		img, err := readImage(g.files[i])
		if err == nil {
			templates[i], err = largestFace(ctx, engine, img)
		}
		return err
	})
	if err != nil {
		return err
	}
	rival, err := calibration.Compare(ctx, g.person, func(i, j int) float64 {
		if templates[i] == nil || templates[j] == nil {
			return math.Inf(1)
		}
		return finite(other.Score(templates[i], templates[j]))
	})
	if err != nil {
		return fail(exitInternal, err)
	}
	near := all.People(judges)
	w.section(fmt.Sprintf("look-alikes: impostors are the nearest %.0f %% by %s", 100*lookalikes, other.Model()),
		near.Impostors(rival.People(judges).Nearest(lookalikes)), false)
	return nil
}

// byID judges pairs of which one picture was made worse.
func (e evaluation) byID(ctx context.Context, w *writer, g *gallery, judges func(int) bool, ghosts match.Policy) error {
	if !e.simulate {
		return nil
	}
	ids, err := imitate(ctx, e.open, g, func(i int) bool { return judges(g.person[i]) }, ghosts, e.progress)
	if err != nil {
		return err
	}
	var with []int
	var person []int
	judged := 0
	for i := range g.files {
		if judges(g.person[i]) {
			judged++
		}
		if ids[i] != nil {
			with, person = append(with, i), append(person, g.person[i])
		}
	}
	s, err := calibration.Compare(ctx, person, func(i, j int) float64 { return finite(g.score(ids[with[i]], g.templates[with[j]])) })
	if err != nil {
		return fail(exitInternal, err)
	}
	w.r.notes = append(w.r.notes, fmt.Sprintf("%d of %d simulated ID photos gave no portrait and are in no rate", judged-len(with), judged))
	w.section("SIMULATED ID photo (a live picture made worse, no real document) against live picture", s, true)
	return nil
}

// print writes the report as text.
func (r findings) print(out io.Writer) error {
	var b strings.Builder
	for _, line := range r.head {
		fmt.Fprintln(&b, line)
	}
	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n%s\n%d people, %d pictures, %d genuine and %d impostor pairs; rates with 95 %% bounds\n",
			s.title, s.people, s.counts.Pictures, s.counts.Genuine, s.counts.Impostor)
		fmt.Fprintf(&b, "  %-10s %-9s %-32s %s\n", "chosen for", "distance", "FMR", "TAR")
		for _, j := range slices.Backward(s.at) {
			fmt.Fprintf(&b, "  %-10s %-9.4f %-32s %s\n", "FMR "+calibration.Share(j.target), j.Distance, rate(j.FMR), tar(j.FNMR))
		}
		if s.curve == nil {
			continue
		}
		b.WriteString("  DET curve, read off these same pairs, so rather too good:\n")
		for _, p := range thinned(s.curve) {
			fmt.Fprintf(&b, "  %-10s %-9.4f %-32s %s\n", "", p.Distance, rate(p.FMR), tar(p.FNMR))
		}
	}
	if len(r.notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(r.notes, "\n"))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// tar writes the share of genuine pairs that match.
func tar(fnmr calibration.Rate) string {
	return fmt.Sprintf("%.1f %% (%.1f to %.1f)", 100*(1-fnmr.Value), 100*(1-fnmr.High), 100*(1-fnmr.Low))
}

// thinned returns the points of a curve that come nearest to two false-match
// rates a decade, from below, largest rate first.
func thinned(curve []calibration.Point) []calibration.Point {
	var few []calibration.Point
	for k := 2; ; k++ {
		most := math.Pow(10, -float64(k)/2)
		i := slices.IndexFunc(curve, func(p calibration.Point) bool { return p.FMR.Value > most*(1+1e-9) })
		if i <= 0 || curve[i-1].FMR.Value == 0 {
			return few
		}
		if p := curve[i-1]; len(few) == 0 || few[len(few)-1].Distance != p.Distance {
			few = append(few, p)
		}
	}
}

// svg draws FNMR against FMR, both logarithmic.
func (r findings) svg() []byte {
	const (
		size, left, top = 480.0, 60.0, 20.0
		decadesX        = 6.0 // 1e-6 to 1
		decadesY        = 3.0 // 1e-3 to 1
	)
	x := func(v float64) float64 {
		return left + size*(1+math.Log10(math.Max(v, math.Pow(10, -decadesX)))/decadesX)
	}
	y := func(v float64) float64 { return top - size*math.Log10(math.Max(v, math.Pow(10, -decadesY)))/decadesY }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">`+"\n", left+size+20, top+size+80)
	line := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#ccc"/>`+"\n", x1, y1, x2, y2)
	}
	text := func(at, down float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", at, down, anchor, escaped(s))
	}
	for k := 0.0; k <= decadesX; k++ {
		v := math.Pow(10, -k)
		line(x(v), top, x(v), top+size)
		text(x(v), top+size+16, "middle", calibration.Share(v))
	}
	for k := 0.0; k <= decadesY; k++ {
		v := math.Pow(10, -k)
		line(left, y(v), left+size, y(v))
		text(left-6, y(v)+4, "end", calibration.Share(v))
	}
	text(left+size/2, top+size+34, "middle", "false-match rate")
	text(left, top-6, "start", "false non-match rate")
	colours := []string{"#0057b8", "#c0392b"}
	n := 0
	for _, s := range r.sections {
		if s.curve == nil {
			continue
		}
		fmt.Fprintf(&b, `<path fill="none" stroke-width="2" stroke="%s" d="`, colours[n%len(colours)])
		word := "M"
		for _, p := range s.curve {
			if p.FMR.Value > 0 && p.FNMR.Value > 0 {
				fmt.Fprintf(&b, "%s%.1f %.1f", word, x(p.FMR.Value), y(p.FNMR.Value))
				word = "L"
			}
		}
		b.WriteString("\"/>\n")
		down := top + size + 54 + 16*float64(n)
		fmt.Fprintf(&b, `<path stroke="%s" stroke-width="2" d="M%.0f %.0fh20"/>`+"\n", colours[n%len(colours)], left, down-4)
		text(left+26, down, "start", s.title)
		n++
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
