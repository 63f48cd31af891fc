package translate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// DecodeJSON fills m from JSON in any of the forms in which versions of the
// Evolution API show a message: bytes as base64, as {"0":1,"1":2,…} or as a
// Buffer ({"type":"Buffer","data":[…]}), 64-bit integers as strings, numbers or
// {"low","high"}, enums by name or number. Keys that m does not have, and values
// that do not fit, are left out: a quoted message comes from clients that kept it
// in forms of their own. Only text that is not a JSON object is an error.
func DecodeJSON(data []byte, m proto.Message) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("reading a message from JSON: %w", err)
	}
	decodeMessage(v, m.ProtoReflect(), 0)
	return nil
}

func decodeMessage(v map[string]any, m protoreflect.Message, depth int) {
	if depth > maxDepth {
		return
	}
	s := shapeOf(m.Descriptor())
	for key, val := range v {
		i, ok := s.byName[key]
		if !ok || val == nil {
			continue
		}
		f := &s.fields[i]
		switch {
		case f.fd.IsMap():
			decodeMap(val, m, f.fd, depth)
		case f.fd.IsList():
			items, _ := val.([]any)
			list := m.NewField(f.fd).List()
			for _, item := range items {
				if pv, ok := decodeValue(item, f.fd, list.NewElement, depth); ok {
					list.Append(pv)
				}
			}
			if list.Len() > 0 {
				m.Set(f.fd, protoreflect.ValueOfList(list))
			}
		default:
			if pv, ok := decodeValue(val, f.fd, func() protoreflect.Value { return m.NewField(f.fd) }, depth); ok {
				m.Set(f.fd, pv)
			}
		}
	}
}

// decodeMap reads maps with string keys, the only kind that messages have.
func decodeMap(val any, m protoreflect.Message, fd protoreflect.FieldDescriptor, depth int) {
	obj, _ := val.(map[string]any)
	if fd.MapKey().Kind() != protoreflect.StringKind || len(obj) == 0 {
		return
	}
	out := m.NewField(fd).Map()
	for k, item := range obj {
		if pv, ok := decodeValue(item, fd.MapValue(), out.NewValue, depth); ok {
			out.Set(protoreflect.ValueOfString(k).MapKey(), pv)
		}
	}
	m.Set(fd, protoreflect.ValueOfMap(out))
}

func decodeValue(val any, fd protoreflect.FieldDescriptor, fresh func() protoreflect.Value, depth int) (protoreflect.Value, bool) {
	var none protoreflect.Value
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		obj, ok := val.(map[string]any)
		if !ok {
			return none, false
		}
		pv := fresh()
		decodeMessage(obj, pv.Message(), depth+1)
		return pv, true
	case protoreflect.StringKind:
		s, ok := val.(string)
		return protoreflect.ValueOfString(s), ok
	case protoreflect.BoolKind:
		b, ok := val.(bool)
		return protoreflect.ValueOfBool(b), ok
	case protoreflect.BytesKind:
		b, ok := decodeBytes(val)
		return protoreflect.ValueOfBytes(b), ok
	case protoreflect.EnumKind:
		return decodeEnum(val, fd)
	case protoreflect.FloatKind:
		f, ok := decodeFloat(val)
		return protoreflect.ValueOfFloat32(float32(f)), ok
	case protoreflect.DoubleKind:
		f, ok := decodeFloat(val)
		return protoreflect.ValueOfFloat64(f), ok
	}
	n, ok := decodeInt(val)
	if !ok {
		return none, false
	}
	switch fd.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n)), n >= math.MinInt32 && n <= math.MaxInt32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n)), n >= 0 && n <= math.MaxUint32
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n)), true
	}
	return none, false
}

func decodeEnum(val any, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if s, ok := val.(string); ok {
		if ev := fd.Enum().Values().ByName(protoreflect.Name(s)); ev != nil {
			return protoreflect.ValueOfEnum(ev.Number()), true
		}
	}
	n, ok := decodeInt(val)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), true
}

// decodeInt reads an integer; a uint64 above the range of int64 keeps its bits.
func decodeInt(val any) (int64, bool) {
	switch v := val.(type) {
	case json.Number:
		return parseInt(v.String())
	case string:
		return parseInt(v)
	case map[string]any: // a Long of JavaScript: two signed halves
		low, okLow := decodeInt(v["low"])
		high, okHigh := decodeInt(v["high"])
		return high<<32 | int64(uint32(low)), okLow && okHigh
	}
	return 0, false
}

func parseInt(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return int64(n), true
	}
	f, err := strconv.ParseFloat(s, 64) // 1e3, 1.0
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func decodeFloat(val any) (float64, bool) {
	switch v := val.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

func decodeBytes(val any) ([]byte, bool) {
	switch v := val.(type) {
	case string:
		// Padding and alphabet vary between clients.
		s := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(v, "="))
		b, err := base64.RawStdEncoding.DecodeString(s)
		return b, err == nil
	case []any:
		return byteList(v)
	case map[string]any:
		if data, ok := v["data"]; ok {
			return decodeBytes(data)
		}
		items := make([]any, len(v))
		for i := range items {
			item, ok := v[strconv.Itoa(i)]
			if !ok {
				return nil, false
			}
			items[i] = item
		}
		return byteList(items)
	}
	return nil, false
}

func byteList(items []any) ([]byte, bool) {
	b := make([]byte, len(items))
	for i, item := range items {
		n, ok := decodeInt(item)
		if !ok || n < 0 || n > 255 {
			return nil, false
		}
		b[i] = byte(n)
	}
	return b, true
}
