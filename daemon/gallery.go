package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// A person is one folder of pictures.
type person struct {
	name  string
	files []string
}

// readPeople lists the folders in dir and the pictures in them. A folder may be
// a link to one.
func readPeople(dir string) ([]person, error) {
	const remedy = "give a folder that has one folder of pictures per person"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("pictures: %w (%s)", err, remedy)
	}
	var people []person
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("pictures: %w", err)
		}
		if !info.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		p := person{name: e.Name()}
		if p.files, err = picturesIn(path); err != nil {
			return nil, fmt.Errorf("pictures: %w", err)
		}
		if len(p.files) > 0 {
			people = append(people, p)
		}
	}
	if len(people) == 0 {
		return nil, fmt.Errorf("pictures: %s: no folder in it has a picture (%s; pictures end in .jpg, .jpeg, .png, .bmp, .tif or .tiff)", dir, remedy)
	}
	return people, nil
}

// picturesIn lists the files in dir that are called pictures.
func picturesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		kind := strings.ToLower(filepath.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.Contains([]string{".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}, kind) {
			continue
		}
		files = append(files, filepath.Join(dir, e.Name()))
	}
	return files, nil
}

// A gallery is the pictures of known people as an engine sees them.
type gallery struct {
	model     match.ModelID
	score     func(a, b match.Template) match.Score
	people    []string         // by number; only those with a picture that has a face
	person    []int            // of each picture with a face, by ascending number
	files     []string         // of each
	templates []match.Template // of each, of the largest face

	faceless   []string         // files in which no face was found
	unreadable map[string]error // files that are no pictures
}

// A sight is one picture as an engine sees it.
type sight struct {
	template match.Template // nil without a face
	err      error          // of a file that is no picture
}

// look computes a template of each picture, with an engine for each processor.
func look(ctx context.Context, open func() (match.Engine, error), people []person, progress io.Writer) (*gallery, error) {
	var files []string
	for _, p := range people {
		files = append(files, p.files...)
	}
	g := &gallery{unreadable: map[string]error{}}
	sights := make([]sight, len(files))
	last, err := eachPicture(ctx, open, files, progress, func(ctx context.Context, e match.Engine, i int) error {
		img, err := readImage(files[i])
		if err != nil {
			sights[i].err = err
			return nil
		}
		sights[i].template, err = largestFace(ctx, e, img)
		return err
	})
	if err != nil {
		return nil, err
	}
	g.model, g.score = last.Model(), last.Score
	g.keep(people, sights)
	return g, nil
}

// largestFace returns the template of the largest face, nil if there is none.
func largestFace(ctx context.Context, e match.Engine, img image.Image) (match.Template, error) {
	faces, err := e.Faces(ctx, img, match.Templates)
	if err != nil || len(faces) == 0 {
		return nil, err
	}
	return faces[0].Template, nil
}

// readImage decodes a picture as those of an attempt are.
func readImage(file string) (image.Image, error) {
	data, err := readPicture(file)
	if err != nil {
		return nil, err
	}
	return picture.Decode(data)
}

// keep sorts out pictures that gave no template.
func (g *gallery) keep(people []person, sights []sight) {
	i := 0
	for _, p := range people {
		found := false
		for _, file := range p.files {
			s := sights[i]
			i++
			switch {
			case s.err != nil:
				g.unreadable[file] = s.err
				continue
			case s.template == nil:
				g.faceless = append(g.faceless, file)
				continue
			}
			if !found {
				g.people, found = append(g.people, p.name), true
			}
			g.person = append(g.person, len(g.people)-1)
			g.files, g.templates = append(g.files, file), append(g.templates, s.template)
		}
	}
}

// complain names the pictures that were left out.
func (g *gallery) complain(w io.Writer) {
	for _, file := range g.faceless {
		_, _ = fmt.Fprintf(w, "%s: no face found, left out\n", file)
	}
	for _, p := range slices.Sorted(maps.Keys(g.unreadable)) {
		_, _ = fmt.Fprintf(w, "%s: left out: %v\n", p, g.unreadable[p])
	}
}

// enough says what is missing for a comparison.
func (g *gallery) enough() error {
	switch {
	case len(g.people) < 2:
		return fmt.Errorf("pictures: %d people with a face in a picture, at least 2 are needed, and some hundred for a small rate", len(g.people))
	case len(g.people) == len(g.person):
		return errors.New("pictures: nobody has two pictures with a face (put a second picture into some of the folders)")
	}
	return nil
}

// distance returns that of two pictures' templates, +Inf for a score that is
// not a number.
func (g *gallery) distance(i, j int) float64 { return finite(g.score(g.templates[i], g.templates[j])) }

func finite(s match.Score) float64 {
	if math.IsNaN(float64(s)) {
		return math.Inf(1)
	}
	return float64(s)
}

// eachPicture calls f once for each of the files, with as many engines at work
// as there are processors, and tells on progress how far it is. It stops at the
// first error, and returns an engine that is closed, but still scores.
func eachPicture(
	ctx context.Context, open func() (match.Engine, error), files []string, progress io.Writer,
	f func(ctx context.Context, e match.Engine, i int) error,
) (match.Engine, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var engines []match.Engine
	defer func() {
		for _, e := range engines {
			_ = e.Close()
		}
	}()
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		e, err := open()
		if err != nil {
			return nil, fail(exitConfig, err)
		}
		engines = append(engines, e)
	}
	next := make(chan int)
	done := make(chan struct{}, len(engines))
	var wg sync.WaitGroup
	for _, e := range engines {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, e, i); err != nil {
					stop(fmt.Errorf("%s: %w", files[i], err))
					return
				}
				select {
				case done <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	feed(ctx, next, done, len(files), progress)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, fail(exitInternal, context.Cause(ctx))
	}
	return engines[0], nil
}

// feed hands out 0 to n-1 and tells how many came back, until ctx ends.
func feed(ctx context.Context, next chan<- int, done <-chan struct{}, n int, progress io.Writer) {
	defer close(next)
	const every = 10 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	began := time.Now()
	given, came := 0, 0
	for came < n {
		out := next
		if given == n {
			out = nil
		}
		select {
		case out <- given:
			given++
		case <-done:
			came++
		case <-tick.C:
			left := time.Duration(float64(time.Since(began)) / float64(max(1, came)) * float64(n-came))
			_, _ = fmt.Fprintf(progress, "%d of %d pictures, %v left\n", came, n, left.Round(time.Second))
		case <-ctx.Done():
			return
		}
	}
}
