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
	if s.open {
		model, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if model, err = resizable(model); err != nil {
			return nil, err
		}
		in, outs, err := ort.GetInputOutputInfoWithONNXData(model) // which takes no options, and is done with its threads at once
		if err != nil {
			return nil, err
		}
		session, err := ort.NewDynamicAdvancedSessionWithONNXData(model, nil, nil, options)
		if err != nil {
			return nil, err
		}
		return newNetwork(session, s, in, outs)
	}
	in, outs, err := ort.GetInputOutputInfoWithOptions(path, options)
	if err != nil {
		return nil, err
	}
	session, err := ort.NewDynamicAdvancedSession(path, nil, nil, options)
	if err != nil {
		return nil, err
	}
	return newNetwork(session, s, in, outs)
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
	mismatch := func() error {
		return fmt.Errorf("%s is %s of shape %v, want float of %v", have.Name, have.DataType, have.Dimensions, want)
	}
	if have.DataType != ort.TensorElementDataTypeFloat {
		return tensor{}, mismatch()
	}
	fixed := !slices.ContainsFunc(have.Dimensions, func(d int64) bool { return d <= 0 })
	if reshape && fixed && size(have.Dimensions) == size(want) {
		t.shape = have.Dimensions
		return t, nil
	}
	if len(have.Dimensions) != len(want) {
		return tensor{}, mismatch()
	}
	for i, d := range have.Dimensions {
		if d > 0 && d != want[i] {
			return tensor{}, mismatch()
		}
	}
	return t, nil
}

// held are the pinners of networks that are not closed. The runtime panics when it
// collects one that still pins, and an engine is dropped unclosed when the program
// ends, since a call may be running in it.
var held sync.Map

// A session computes on tensors that lie in pinned memory of Go's, which C keeps
// the addresses of.
type session struct {
	*ort.DynamicAdvancedSession
	binding *ort.IoBinding
	in      []ort.InputOutputInfo
	outs    []ort.InputOutputInfo
	pinner  *runtime.Pinner
	input   []float32   // as large as ever
	outputs [][]float32 // the same
	values  []ort.Value // that are bound
}

// newNetwork makes a network of a session, and closes it if that fails.
func newNetwork(s *ort.DynamicAdvancedSession, like signature, in, outs []ort.InputOutputInfo) (_ *network, err error) {
	n := &session{DynamicAdvancedSession: s, in: in, outs: outs, pinner: new(runtime.Pinner)}
	held.Store(n.pinner, true)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.binding, err = s.CreateIoBinding(); err != nil {
		return nil, err
	}
	input, outputs, err := like.resolve(in, outs)
	if err != nil {
		return nil, err
	}
	n.input = n.memory(input)
	for _, o := range outputs {
		n.outputs = append(n.outputs, n.memory(o))
	}
	net := &network{
		in: n.input, out: slices.Clone(n.outputs),
		run:   func() error { return s.RunWithBinding(n.binding) },
		close: n.close,
	}
	net.shape = func(s signature) error { return n.shape(s, net.out) }
	return net, net.shape(like)
}

// memory returns pinned memory for a tensor.
func (n *session) memory(t tensor) []float32 {
	data := make([]float32, size(t.shape))
	n.pinner.Pin(&data[0])
	return data
}

// shape binds tensors of a signature's shapes, and cuts out to these.
func (n *session) shape(s signature, out [][]float32) error {
	input, outputs, err := s.resolve(n.in, n.outs)
	if err != nil {
		return err
	}
	bind := func(t tensor, data []float32, to func(string, ort.Value) error) error {
		v, err := ort.NewTensor(t.shape, data[:size(t.shape)])
		if err != nil {
			return err
		}
		n.values = append(n.values, v)
		return to(t.name, v)
	}
	before := n.values
	n.values = nil
	errs := []error{bind(input, n.input, n.binding.BindInput)}
	for i, o := range outputs {
		errs = append(errs, bind(o, n.outputs[i], n.binding.BindOutput))
		out[i] = n.outputs[i][:size(o.shape)]
	}
	for _, v := range before {
		errs = append(errs, v.Destroy())
	}
	return errors.Join(errs...)
}

// close frees everything.
func (n *session) close() error {
	var errs []error
	if n.binding != nil {
		errs = append(errs, n.binding.Destroy())
	}
	errs = append(errs, n.DynamicAdvancedSession.Destroy())
	for _, v := range n.values {
		errs = append(errs, v.Destroy())
	}
	n.pinner.Unpin()
	held.Delete(n.pinner)
	return errors.Join(errs...)
}
