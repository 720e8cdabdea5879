//go:build cgo && linux && (amd64 || arm64)

package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// starting guards the library's environment, of which a process has one.
var starting sync.Mutex

// loader opens the library and returns what reads networks with it.
func loader(path string, threads int) (func(string, signature) (*network, error), error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w (get it with: facegate models pull onnxruntime)", err)
	}
	starting.Lock()
	defer starting.Unlock()
	if !ort.IsInitialized() {
		ort.SetSharedLibraryPath(path)
		if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
			return nil, fmt.Errorf("%s: %w (facegate needs version 1.24 or later for this processor: facegate models pull onnxruntime)", path, err)
		}
	}
	return func(path string, s signature) (*network, error) { return load(path, s, threads) }, nil
}

// load reads a network and gives it memory to work on.
func load(path string, s signature, threads int) (_ *network, err error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, options.Destroy()) }()
	err = errors.Join(
		options.SetIntraOpNumThreads(threads),
		options.SetInterOpNumThreads(1),
		// Idle threads must sleep: other work waits for the processor.
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err != nil {
		return nil, err
	}
	in, outs, err := ort.GetInputOutputInfoWithOptions(path, options)
	if err != nil {
		return nil, err
	}
	input, outputs, err := s.resolve(in, outs)
	if err != nil {
		return nil, err
	}
	return newNetwork(path, input, outputs, options)
}

// A tensor is the name and shape of one.
type tensor struct {
	name  string
	shape []int64
}

// resolve finds the tensors of s among those of a network.
func (s signature) resolve(in, outs []ort.InputOutputInfo) (tensor, []tensor, error) {
	if len(in) != 1 {
		return tensor{}, nil, fmt.Errorf("has %d inputs, want one (%v)", len(in), s.input)
	}
	input, err := resolve(in[0], s.input, false)
	if err != nil {
		return tensor{}, nil, fmt.Errorf("input %w", err)
	}
	var outputs []tensor
	for _, o := range s.outputs {
		i := slices.IndexFunc(outs, func(have ort.InputOutputInfo) bool { return o.name == have.Name || o.name == "" })
		if i < 0 || o.name == "" && len(outs) != 1 {
			return tensor{}, nil, fmt.Errorf("has %d outputs, among which %q of shape %v is not to be found", len(outs), o.name, o.shape)
		}
		t, err := resolve(outs[i], o.shape, true)
		if err != nil {
			return tensor{}, nil, fmt.Errorf("output %w", err)
		}
		outputs = append(outputs, t)
	}
	return input, outputs, nil
}

// resolve fills in what a network leaves open of a tensor's shape. With
// reshape the numbers may be laid out in other dimensions.
func resolve(have ort.InputOutputInfo, want []int64, reshape bool) (tensor, error) {
	t := tensor{have.Name, want}
	mismatch := fmt.Errorf("%s is %s of shape %v, want float of %v", have.Name, have.DataType, have.Dimensions, want)
	if have.DataType != ort.TensorElementDataTypeFloat {
		return tensor{}, mismatch
	}
	fixed := !slices.ContainsFunc(have.Dimensions, func(d int64) bool { return d <= 0 })
	if reshape && fixed && size(have.Dimensions) == size(want) {
		t.shape = have.Dimensions
		return t, nil
	}
	if len(have.Dimensions) != len(want) {
		return tensor{}, mismatch
	}
	for i, d := range have.Dimensions {
		if d > 0 && d != want[i] {
			return tensor{}, mismatch
		}
	}
	return t, nil
}

// held are the pinners of networks that are not closed. The runtime panics when it
// collects one that still pins, and an engine is dropped unclosed when the program
// ends, since a call may be running in it.
var held sync.Map

// newNetwork makes a session whose tensors lie in pinned memory of Go's, which
// C keeps the addresses of.
func newNetwork(path string, input tensor, outputs []tensor, options *ort.SessionOptions) (*network, error) {
	n := &network{}
	pinner := new(runtime.Pinner)
	held.Store(pinner, true)
	var values []ort.Value
	destroy := func() error {
		var errs []error
		for _, v := range values {
			errs = append(errs, v.Destroy())
		}
		pinner.Unpin()
		held.Delete(pinner)
		return errors.Join(errs...)
	}
	add := func(t tensor) ([]float32, error) {
		data := make([]float32, size(t.shape))
		pinner.Pin(&data[0])
		v, err := ort.NewTensor(t.shape, data)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		return data, nil
	}
	var err error
	if n.in, err = add(input); err != nil {
		return nil, errors.Join(err, destroy())
	}
	var names []string
	for _, o := range outputs {
		data, err := add(o)
		if err != nil {
			return nil, errors.Join(err, destroy())
		}
		n.out = append(n.out, data)
		names = append(names, o.name)
	}
	session, err := ort.NewAdvancedSession(path, []string{input.name}, names, values[:1], values[1:], options)
	if err != nil {
		return nil, errors.Join(err, destroy())
	}
	n.run = session.Run
	n.close = func() error { return errors.Join(session.Destroy(), destroy()) }
	return n, nil
}
