package onnx

import (
	"errors"
	"math"
)

// A signature is what a network must look like.
type signature struct {
	input   []int64 // shape
	outputs []output
	open    bool // the sides of the input, and how many places there are, may be less; see network.shape
}

// An output is one result of a network. An empty name stands for the only one.
type output struct {
	name  string
	shape []int64
}

// A network computes out from in. Both are memory of the same place for its
// whole life. A signature's outputs are in its order.
type network struct {
	in    []float32
	out   [][]float32
	run   func() error
	shape func(s signature) error // lays in and out anew, for a signature with nothing larger than at first
	close func() error
}

// size returns how many numbers a tensor of that shape has.
func size(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// finite returns an error if some output is not a number, or infinite.
func finite(out [][]float32) error {
	for _, values := range out {
		var sum float64
		for _, v := range values {
			sum += float64(v)
		}
		if math.IsNaN(sum - sum) { // an infinity less itself is none either
			return errors.New("its output is no number (damaged model, or a build for another processor?)")
		}
	}
	return nil
}
