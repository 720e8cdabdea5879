//go:build dlib && cgo

package dlib

// #cgo LDFLAGS: -lopenblas
// void openblas_set_num_threads(int num_threads); // cblas.h of OpenBLAS
import "C"

import (
	"fmt"
	"image"

	face "github.com/Kagami/go-face"

	"github.com/facegate/facegate/match"
)

// jpegQuality is that of the copy handed to go-face, which takes only JPEG.
// The copy moves landmarks by a pixel and with them a distance by up to 0.04;
// a quality of 100 does so as well, and costs more.
const jpegQuality = 95

// goface is the recognizer of go-face.
type goface struct {
	rec *face.Recognizer
}

// load reads the models. The thread count is OpenBLAS's own, for the whole
// process: without it each call would occupy every core of the board.
func load(dir string, threads int) (recognizer, error) {
	C.openblas_set_num_threads(C.int(threads))
	rec, err := face.NewRecognizer(dir)
	if err != nil {
		return nil, err
	}
	return goface{rec}, nil
}

func (g goface) recognize(img image.Image) ([]match.Face, error) {
	jpeg, err := encode(img, jpegQuality)
	if err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	found, err := g.rec.Recognize(jpeg)
	if err != nil {
		return nil, err
	}
	faces := make([]match.Face, len(found))
	for i, f := range found {
		// dlib's right and bottom edges are inside the rectangle.
		box := f.Rectangle
		box.Max = box.Max.Add(image.Pt(1, 1))
		faces[i] = match.Face{Box: box, Points: f.Shapes, Template: f.Descriptor[:]}
	}
	return faces, nil
}

func (g goface) close() { g.rec.Close() }
