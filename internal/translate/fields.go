package translate

import (
	"cmp"
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// shape is what the encoder and the decoder need to know of a message type,
// worked out once per type.
type shape struct {
	fields []field // ascending by number
	byName map[string]int
}

type field struct {
	fd   protoreflect.FieldDescriptor
	name string // as Baileys writes it
	key  string // `"name":`
	kind protoreflect.Kind
}

var shapes sync.Map // protoreflect.MessageDescriptor → *shape

func shapeOf(md protoreflect.MessageDescriptor) *shape {
	if s, ok := shapes.Load(md); ok {
		return s.(*shape)
	}
	fds := md.Fields()
	s := &shape{fields: make([]field, fds.Len()), byName: make(map[string]int, fds.Len())}
	for i := range s.fields {
		fd := fds.Get(i)
		name := jsonName(string(fd.Name()))
		s.fields[i] = field{fd: fd, name: name, key: `"` + name + `":`, kind: fd.Kind()}
	}
	slices.SortFunc(s.fields, func(a, b field) int { return cmp.Compare(a.fd.Number(), b.fd.Number()) })
	for i, f := range s.fields {
		s.byName[f.name] = i
	}
	actual, _ := shapes.LoadOrStore(md, s)
	return actual.(*shape)
}
