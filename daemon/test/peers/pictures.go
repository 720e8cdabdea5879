package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"

	"github.com/facegate/facegate/match/picture"
)

// A person is the paths of pictures of one person, never none.
type person []string

// readPeople lists the JPEG pictures in the folders of dir, in order.
func readPeople(dir string) ([]person, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.jpg"))
	if err != nil {
		return nil, fmt.Errorf("-pairs: %w", err)
	}
	var people []person
	for i, file := range files {
		if i == 0 || filepath.Dir(file) != filepath.Dir(files[i-1]) {
			people = append(people, nil)
		}
		people[len(people)-1] = append(people[len(people)-1], file)
	}
	if genuine, impostor := count(people); genuine == 0 || impostor == 0 {
		return nil, fmt.Errorf("-pairs: %q has no two people, or nobody with two pictures (give a folder with one folder of .jpg files per person)", dir)
	}
	return people, nil
}

// first returns the first people, at most so many if it is not 0: half of them
// with two pictures or more, the others with one, as far as there are such.
func first(people []person, most int) []person {
	if most <= 0 || most >= len(people) {
		return people
	}
	var several, single []person
	for _, p := range people {
		if len(p) > 1 {
			several = append(several, p)
		} else {
			single = append(single, p)
		}
	}
	single = single[:min(len(single), max(most/2, most-len(several)))]
	return slices.Concat(several[:most-len(single)], single)
}

// flat returns the pictures of all.
func flat(people []person) []string { return slices.Concat(people...) }

// count returns how many pairs there are of one person and of two.
func count(people []person) (genuine, impostor int) {
	before := 0
	for _, p := range people {
		genuine += len(p) * (len(p) - 1) / 2
		impostor += before * len(p)
		before += len(p)
	}
	return genuine, impostor
}

// frames writes pictures such as a camera takes: one of each of a few people, in
// the middle of a grey frame of 640x480.
func frames(people []person) (files []string, clean func(), err error) {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return nil, nil, err
	}
	for i, p := range people[:min(len(people), 20)] {
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.jpg", i)))
		if err := frame(files[i], p[0]); err != nil {
			_ = os.RemoveAll(dir)
			return nil, nil, err
		}
	}
	return files, func() { _ = os.RemoveAll(dir) }, nil
}

func frame(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	img, err := picture.Decode(data)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	small, _ := picture.Scale(img, 480)
	out := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{Y: 120}), image.Point{}, draw.Src)
	middle := out.Bounds().Size().Sub(small.Bounds().Size()).Div(2)
	draw.Draw(out, image.Rectangle{Min: middle, Max: middle.Add(small.Bounds().Size())}, small, small.Bounds().Min, draw.Src)
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	if err := jpeg.Encode(file, out, &jpeg.Options{Quality: 95}); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
