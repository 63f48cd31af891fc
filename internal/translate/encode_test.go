package translate

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func encode(t testing.TB, m proto.Message) string {
	t.Helper()
	b, err := AppendJSON(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatalf("not valid JSON: %s", b)
	}
	return string(b)
}

func TestAppendJSON(t *testing.T) {
	for name, c := range map[string]struct {
		m    proto.Message
		want string
	}{
		"nil":   {(*waE2E.Message)(nil), `null`},
		"empty": {&waE2E.Message{}, `{}`},
		"ascending fields, bytes, integers of 64 bits": {&waE2E.Message{ImageMessage: &waE2E.ImageMessage{
			JPEGThumbnail: []byte{0xff, 0xd8}, URL: proto.String("u"), FileSHA256: []byte{1, 2, 3},
			FileLength: proto.Uint64(math.MaxUint64), MediaKeyTimestamp: proto.Int64(-5), ScanLengths: []uint32{100, 200},
		}}, `{"imageMessage":{"url":"u","fileSha256":"AQID","fileLength":"18446744073709551615","mediaKeyTimestamp":"-5","jpegThumbnail":"/9g=","scanLengths":[100,200]}}`},
		"set to the default": {&waE2E.Message{Conversation: proto.String(""), ImageMessage: &waE2E.ImageMessage{ViewOnce: proto.Bool(false), MediaKey: []byte{}}},
			`{"conversation":"","imageMessage":{"mediaKey":"","viewOnce":false}}`},
		"enum by name": {&waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum()}, `{"type":"MESSAGE_EDIT"}`},
		"unknown enum": {&waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_Type(9999).Enum()}, `{"type":9999}`},
		"enum of value 0": {&waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum(), Key: &waCommon.MessageKey{}},
			`{"key":{},"type":"REVOKE"}`},
		"doubles": {&waE2E.LocationMessage{DegreesLatitude: proto.Float64(-23.5), DegreesLongitude: proto.Float64(math.NaN()), SpeedInMps: proto.Float32(float32(math.Inf(-1)))},
			`{"degreesLatitude":-23.5,"degreesLongitude":"NaN","speedInMps":"-Infinity"}`},
		"floats widen": {&waE2E.LocationMessage{DegreesLatitude: proto.Float64(1e21), DegreesLongitude: proto.Float64(1e-7), SpeedInMps: proto.Float32(0.1)},
			`{"degreesLatitude":1e+21,"degreesLongitude":1e-07,"speedInMps":0.10000000149011612}`},
		"text": {&waE2E.Message{Conversation: proto.String("a\"b\\c\n\r\t\x01<&>\u2028é\xff😀\xf0\x9f")},
			`{"conversation":"a\"b\\c\n\r\t\u0001<&>` + "\u2028é\uFFFD😀\uFFFD\uFFFD" + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := encode(t, c.m); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAppendJSONTooDeep(t *testing.T) {
	m := &waE2E.Message{Conversation: proto.String("core")}
	for range 200 {
		m = &waE2E.Message{EphemeralMessage: &waE2E.FutureProofMessage{Message: m}}
	}
	if _, err := AppendJSON(nil, m); !errors.Is(err, errTooDeep) {
		t.Errorf("got %v, want errTooDeep", err)
	}
}

// fill sets every field that a message type has, to a depth.
func fill(m protoreflect.Message, depth int) {
	fds := m.Descriptor().Fields()
	for i := range fds.Len() {
		fd := fds.Get(i)
		if fd.ContainingOneof() != nil && m.WhichOneof(fd.ContainingOneof()) != nil {
			continue
		}
		if fd.Message() != nil && !fd.IsMap() && depth == 0 {
			continue
		}
		switch {
		case fd.IsMap():
			mp := m.Mutable(fd).Map()
			v := mp.NewValue()
			if fd.MapValue().Message() == nil {
				v = scalar(fd.MapValue())
			}
			mp.Set(scalar(fd.MapKey()).MapKey(), v)
		case fd.IsList() && fd.Message() != nil:
			fill(m.Mutable(fd).List().AppendMutable().Message(), depth-1)
		case fd.IsList():
			m.Mutable(fd).List().Append(scalar(fd))
		case fd.Message() != nil:
			fill(m.Mutable(fd).Message(), depth-1)
		default:
			m.Set(fd, scalar(fd))
		}
	}
}

func scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("é\n")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xfb, 0xff, 0})
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(math.MinInt32)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(math.MaxUint32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(math.MinInt64)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(math.MaxUint64)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(1.5)
	}
	return protoreflect.ValueOfFloat64(-2.25)
}

// A message type with everything set survives the way to JSON and back, for each
// type that WhatsApp has: no field is lost, misnamed or of a kind that the
// encoder does not know.
func TestEveryTypeRoundTrips(t *testing.T) {
	walk((&waE2E.Message{}).ProtoReflect().Descriptor(), func(md protoreflect.MessageDescriptor) {
		zero := protoMessage(t, md)
		fill(zero.ProtoReflect(), 2)
		b := encode(t, zero)
		back := protoMessage(t, md)
		if err := DecodeJSON([]byte(b), back); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(zero, back) {
			t.Errorf("%s came back different:\n%s\n%s", md.FullName(), b, encode(t, back))
		}
		var generic map[string]any
		if err := json.Unmarshal([]byte(b), &generic); err != nil {
			t.Fatal(err)
		}
		set := 0
		zero.ProtoReflect().Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool { set++; return true })
		if len(generic) != set {
			t.Errorf("%s: %d fields are set, %d are shown", md.FullName(), set, len(generic))
		}
	})
}

func protoMessage(t *testing.T, md protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	mt, err := findType(md.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return mt.New().Interface()
}

func TestDecodeJSONForms(t *testing.T) {
	want := &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		FileSHA256: []byte{1, 2, 3}, FileLength: proto.Uint64(70213), MediaKeyTimestamp: proto.Int64(1751300000123),
		Height: proto.Uint32(10),
	}}
	for name, text := range map[string]string{
		"1.x":         `{"imageMessage":{"fileSha256":"AQID","fileLength":"70213","mediaKeyTimestamp":"1751300000123","height":10}}`,
		"2.3.3":       `{"imageMessage":{"fileSha256":{"0":1,"1":2,"2":3},"fileLength":70213,"mediaKeyTimestamp":1751300000123,"height":10,"scanLengths":[]}}`,
		"2.3.6":       `{"imageMessage":{"fileSha256":{"0":1,"1":2,"2":3},"fileLength":{"low":70213,"high":0,"unsigned":true},"mediaKeyTimestamp":{"low":-1046656645,"high":407,"unsigned":false},"height":"10"}}`,
		"Buffer":      `{"imageMessage":{"fileSha256":{"type":"Buffer","data":[1,2,3]},"fileLength":7.0213e4,"mediaKeyTimestamp":1751300000123,"height":10}}`,
		"tolerant":    `{"nonsense":{"a":[1]},"conversation":7,"imageMessage":{"caption":null,"fileSha256":"AQID","fileLength":"70213","mediaKeyTimestamp":"1751300000123","height":10,"width":"wide","viewOnce":"yes","jpegThumbnail":"!!"}}`,
		"base64 text": `{"imageMessage":{"fileSha256":{"data":"AQID"},"fileLength":"70213","mediaKeyTimestamp":"1751300000123","height":10}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got waE2E.Message
			if err := DecodeJSON([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(&got, want) {
				t.Errorf("got %s", encode(t, &got))
			}
		})
	}
	var m waE2E.Message
	for _, bad := range []string{``, `[]`, `"x"`, `{"a"`} {
		if DecodeJSON([]byte(bad), &m) == nil {
			t.Errorf("DecodeJSON(%q) did not fail", bad)
		}
	}
}

func sameJSON(t testing.TB, got, want []byte) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	return reflect.DeepEqual(a, b)
}
