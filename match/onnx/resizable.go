package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// resizable returns a model in the ONNX format whose input may have sides of any
// length, and whose outputs any number of places, whatever the file says. YuNet
// is published for 640x640 alone, though nothing in it but these shapes asks for
// that, and a smaller picture costs it as much less as it is smaller.
//
// The numbers of the fields are those of
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
func resizable(model []byte) ([]byte, error) {
	const graph, input, output, between = 7, 11, 12, 13 // of ModelProto; of GraphProto
	model, err := rewrite(model, graph, func(g []byte) ([]byte, error) {
		g, err := rewrite(g, input, sides("", "", "height", "width"))
		if err == nil {
			n := 0 // sides of one name are of one length, and there are three grids
			g, err = rewrite(g, output, func(value []byte) ([]byte, error) {
				n++
				return sides("", fmt.Sprint("places", n), "")(value)
			})
		}
		if err == nil { // the shapes of what lies between follow from the input's
			g, err = rewrite(g, between, func([]byte) ([]byte, error) { return nil, nil })
		}
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("not an ONNX model: %w", err)
	}
	return model, nil
}

// sides returns what gives the sides of a ValueInfoProto's tensor names instead of
// lengths, but for those whose name is empty.
func sides(names ...string) func([]byte) ([]byte, error) {
	const kind, tensor, shape, dim, param = 2, 1, 2, 1, 2
	side := 0
	change := func(d []byte) ([]byte, error) {
		if side++; side <= len(names) && names[side-1] != "" {
			d = protowire.AppendString(protowire.AppendTag(nil, param, protowire.BytesType), names[side-1])
		}
		return d, nil
	}
	for _, field := range []protowire.Number{dim, shape, tensor, kind} {
		inner := change
		change = func(m []byte) ([]byte, error) { return rewrite(m, field, inner) }
	}
	return func(value []byte) ([]byte, error) { side = 0; return change(value) }
}

// rewrite returns a message of protocol buffers with each content of one field
// changed; one that is changed to nil is left out.
func rewrite(message []byte, field protowire.Number, change func([]byte) ([]byte, error)) ([]byte, error) {
	to := make([]byte, 0, len(message)+64)
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, protowire.ParseError(tag)
		}
		n := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		whole, value := message[:tag+n], message[tag:tag+n]
		message = message[tag+n:]
		if number != field || kind != protowire.BytesType {
			to = append(to, whole...)
			continue
		}
		content, _ := protowire.ConsumeBytes(value)
		content, err := change(content)
		if err != nil {
			return nil, err
		}
		if content != nil {
			to = protowire.AppendBytes(append(to, whole[:tag]...), content)
		}
	}
	return to, nil
}
