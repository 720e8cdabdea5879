package onnx

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// field returns a field of a message of protocol buffers with other fields, or
// bytes, in it.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

func long(n uint64) []byte { // of a dimension
	return field(1, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n))
}

func named(name string) []byte { return field(1, field(2, []byte(name))) }

// value is a ValueInfoProto of a tensor of floats.
func value(name string, sides ...[]byte) []byte {
	kind := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	return bytes.Join([][]byte{field(1, []byte(name)), field(2, field(1, kind, field(2, sides...)))}, nil)
}

func TestResizableOpensTheSides(t *testing.T) {
	version := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7)
	nodes, weights := field(1, []byte("a node")), field(5, []byte("weights"))
	model := bytes.Join([][]byte{version, field(7,
		nodes, weights,
		field(11, value("input", long(1), long(3), long(640), long(640))),
		field(12, value("cls_8", long(1), long(6400), long(1))),
		field(12, value("cls_16", long(1), long(1600), long(1))),
		field(13, value("between", long(1), long(16), long(320), long(320))),
	)}, nil)
	want := bytes.Join([][]byte{version, field(7,
		nodes, weights,
		field(11, value("input", long(1), long(3), named("height"), named("width"))),
		field(12, value("cls_8", long(1), named("places1"), long(1))),
		field(12, value("cls_16", long(1), named("places2"), long(1))),
	)}, nil)
	got, err := resizable(model)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n%x, want\n%x", err, got, want)
	}
	again, err := resizable(got)
	if err != nil || !bytes.Equal(again, want) {
		t.Errorf("a second time: %v\n%x, want\n%x", err, again, want)
	}
	if _, err := resizable(model[:len(model)-3]); err == nil {
		t.Error("a file that is cut off is no error")
	}
}

// What is no model may be refused or left as it is, and the sums of model files are
// checked before; but the program must not end of it.
func FuzzResizable(f *testing.F) {
	f.Add(field(7, field(11, value("input", long(1), long(3), long(640), long(640)))))
	f.Add([]byte("<html>not found</html>"))
	f.Fuzz(func(t *testing.T, model []byte) {
		got, err := resizable(model)
		if err != nil {
			return
		}
		if again, err := resizable(got); err != nil || len(again) > len(got) {
			t.Errorf("%x became %x and that %x, %v", model, got, again, err)
		}
	})
}
