package translate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth bounds how deep messages may nest. WhatsApp's own stay under 20; the
// protobuf library allows 10,000, which JSON readers refuse.
const maxDepth = 100

var errTooDeep = errors.New("the message nests deeper than 100 levels")

// AppendJSON appends m as JSON in the form of Baileys' toJSON: bytes in base64
// (standard, padded), 64-bit integers as decimal strings, enums by name (unknown
// ones as numbers), what is unset left out, what is set to its default present,
// fields by ascending number. A nil message is appended as null. The result is
// valid JSON whatever m holds.
func AppendJSON(dst []byte, m proto.Message) ([]byte, error) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return append(dst, "null"...), nil
	}
	return appendMessage(dst, m.ProtoReflect(), 0)
}

func appendMessage(dst []byte, m protoreflect.Message, depth int) ([]byte, error) {
	dst = append(dst, '{')
	dst, err := appendFields(dst, m, depth, nil)
	return append(dst, '}'), err
}

// appendFields appends the fields of m, without the braces, save those that skip
// names.
func appendFields(dst []byte, m protoreflect.Message, depth int, skip func(name string) bool) ([]byte, error) {
	if depth > maxDepth {
		return dst, errTooDeep
	}
	fields := shapeOf(m.Descriptor()).fields
	first := true
	for i := range fields {
		f := &fields[i]
		if !m.Has(f.fd) || skip != nil && skip(f.name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.key...)
		var err error
		if dst, err = appendField(dst, f, m.Get(f.fd), depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendField(dst []byte, f *field, v protoreflect.Value, depth int) ([]byte, error) {
	switch {
	case f.fd.IsMap():
		return appendMap(dst, f.fd, v.Map(), depth)
	case f.fd.IsList():
		list := v.List()
		dst = append(dst, '[')
		for i := range list.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendValue(dst, f.fd, list.Get(i), depth); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	}
	return appendValue(dst, f.fd, v, depth)
}

func appendMap(dst []byte, fd protoreflect.FieldDescriptor, m protoreflect.Map, depth int) ([]byte, error) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int {
		return strings.Compare(a.String(), b.String())
	})
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, k.String())
		dst = append(dst, ':')
		var err error
		if dst, err = appendValue(dst, fd.MapValue(), m.Get(k), depth); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendValue(dst []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.StringKind:
		return appendString(dst, v.String()), nil
	case protoreflect.BytesKind:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
		return append(dst, '"'), nil
	case protoreflect.EnumKind:
		if ev := fd.Enum().Values().ByNumber(v.Enum()); ev != nil {
			return appendString(dst, string(ev.Name())), nil
		}
		return strconv.AppendInt(dst, int64(v.Enum()), 10), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		dst = strconv.AppendInt(append(dst, '"'), v.Int(), 10)
		return append(dst, '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		dst = strconv.AppendUint(append(dst, '"'), v.Uint(), 10)
		return append(dst, '"'), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return appendFloat(dst, v.Float()), nil
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(dst, v.Message(), depth+1)
	}
	return dst, fmt.Errorf("encoding %s: unknown kind %v", fd.FullName(), fd.Kind())
}

// appendFloat writes a number as JavaScript prints it; a float32 has been
// widened, as it is there.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD: protobuf strings of WhatsApp may hold any bytes.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
