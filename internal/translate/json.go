package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// jsonObject is a JSON object that is being written, without its last brace.
// Names are written as they are: they need no escaping.
type jsonObject []byte

func newObject() jsonObject { return append(make(jsonObject, 0, 256), '{') }

func (o jsonObject) name(name string) jsonObject {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	o = append(append(o, '"'), name...)
	return append(o, '"', ':')
}

func (o jsonObject) text(name, v string) jsonObject { return appendString(o.name(name), v) }

// optional leaves out what is empty.
func (o jsonObject) optional(name, v string) jsonObject {
	if v == "" {
		return o
	}
	return o.text(name, v)
}

// jid leaves out an empty JID.
func (o jsonObject) jid(name string, v types.JID) jsonObject {
	if v.IsEmpty() {
		return o
	}
	return o.text(name, v.String())
}

func (o jsonObject) int(name string, v int64) jsonObject {
	return strconv.AppendInt(o.name(name), v, 10)
}

func (o jsonObject) bool(name string, v bool) jsonObject {
	return strconv.AppendBool(o.name(name), v)
}

func (o jsonObject) null(name string) jsonObject { return append(o.name(name), "null"...) }

// raw writes v, which is JSON.
func (o jsonObject) raw(name string, v []byte) jsonObject { return append(o.name(name), v...) }

// seconds leaves out a time that is not known.
func (o jsonObject) seconds(name string, t time.Time) jsonObject {
	if t.IsZero() || t.Unix() <= 0 {
		return o
	}
	return o.int(name, t.Unix())
}

func (o jsonObject) close() []byte { return append(o, '}') }

// list makes an array of one object.
func (o jsonObject) list() []byte {
	out := append(make([]byte, 0, len(o)+3), '[')
	return append(append(out, o...), '}', ']')
}

// user writes a person as the phone number if that is known (name), and both
// forms: name+"Pn" as in 2.3.6, and name+"Lid". It writes nothing of an empty
// JID.
func (o jsonObject) user(s Scope, name string, jid, alt types.JID) jsonObject {
	if jid.IsEmpty() {
		return o
	}
	shown, other := s.forms(jid, alt)
	o = o.jid(name, shown)
	for _, j := range [2]types.JID{shown, other} {
		switch j.Server {
		case types.DefaultUserServer:
			o = o.jid(name+"Pn", j)
		case types.HiddenUserServer:
			o = o.jid(name+"Lid", j)
		}
	}
	return o
}

// event puts an event together. at is when it happened, so far as is known.
func (s Scope) event(name pombo.EventName, key, lane string, at time.Time, data []byte) pombo.Event {
	return pombo.Event{
		Instance: s.Instance, Name: name, Key: key, Chat: lane, Sender: s.sender(), Time: at, Data: data,
	}
}

// digest makes a short text of parts that together tell one occurrence from
// another, the same each time.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte{'|'})
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// deref returns what p points to, or an empty JID.
func deref(p *types.JID) types.JID {
	if p == nil {
		return types.EmptyJID
	}
	return *p
}
