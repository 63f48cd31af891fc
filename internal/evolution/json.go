package evolution

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"pombo"
)

// Limits of a request's JSON. They are far above what any client sends, and
// keep a hostile body of 1 MiB from costing a hundred times its size.
const (
	maxDepth  = 64
	maxValues = 50_000
)

type valueKind byte

const (
	nullValue valueKind = iota
	boolValue
	numberValue
	stringValue
	arrayValue
	objectValue
)

// value is a JSON value as it was written.
type value struct {
	kind valueKind
	bool bool
	text string  // a string's content, or a number's digits as written
	list []value // an array's items, or an object's values
	keys []string
	raw  []byte // as written; shares the body's memory
}

// get returns the member of an object with the given key.
func (v *value) get(key string) (*value, bool) {
	for i := range v.keys {
		if v.keys[i] == key {
			return &v.list[i], true
		}
	}
	return nil, false
}

// describe says what v is, for an error message.
func (v *value) describe() string {
	switch v.kind {
	case nullValue:
		return "null"
	case boolValue:
		return strconv.FormatBool(v.bool)
	case numberValue:
		return "the number " + clip(v.text, 40)
	case stringValue:
		return "the string " + strconv.Quote(clip(v.text, 40))
	case arrayValue:
		return "an array"
	default:
		return "an object"
	}
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// parser reads strict JSON (RFC 8259). Its errors tell line, column, and what
// most likely went wrong.
type parser struct {
	src    []byte
	pos    int
	depth  int
	values int
	comma  int   // offset of the last comma read, for the hint about trailing ones
	open   []int // offsets of the brackets that are open
}

// parseObject reads a request's body, which must be one JSON object. Of a key
// given twice the last value counts, at the place of the first, as in
// JavaScript.
func parseObject(body []byte) (*value, error) {
	p := &parser{src: body, comma: -1}
	if err := p.start(); err != nil {
		return nil, err
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.src) {
		return nil, p.trailing()
	}
	if v.kind != objectValue {
		return nil, notAnObject(&v)
	}
	return &v, nil
}

// start skips a byte order mark and refuses what is not JSON in UTF-8 at all.
func (p *parser) start() error {
	b := p.src
	switch {
	case len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF:
		p.src = b[3:] // so that columns count from the first character
	case len(b) >= 2 && (b[0] == 0xFE && b[1] == 0xFF || b[0] == 0xFF && b[1] == 0xFE):
		return pombo.Errorf(pombo.Invalid, "Invalid JSON: the body is encoded as UTF-16; send it as UTF-8")
	case len(b) >= 2 && b[0] == 0x1F && b[1] == 0x8B:
		return pombo.Errorf(pombo.Invalid, "Invalid JSON: the body is compressed (gzip); send it uncompressed")
	}
	p.space()
	if p.pos == len(p.src) {
		return pombo.Errorf(pombo.Invalid, "The body is empty: send a JSON object, with the header Content-Type: application/json")
	}
	return nil
}

func notAnObject(v *value) error {
	hint := ""
	switch {
	case v.kind == arrayValue && len(v.list) == 1 && v.list[0].kind == objectValue:
		hint = "; send the object without the [ ] around it"
	case v.kind == stringValue && len(v.text) > 0 && v.text[0] == '{':
		hint = "; it was encoded twice: send the object itself, without the quotes around it"
	}
	return pombo.Errorf(pombo.Invalid, "The body must be a JSON object { … }, but it is %s%s", v.describe(), hint)
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// value reads one value; p.pos must be at its first character.
func (p *parser) value() (value, error) {
	if p.values++; p.values > maxValues {
		return value{}, pombo.Errorf(pombo.Invalid, "The body holds more than %d values", maxValues)
	}
	p.space()
	start := p.pos
	if start == len(p.src) {
		return value{}, p.ends("a value")
	}
	var v value
	var err error
	switch c := p.src[p.pos]; {
	case c == '{':
		v, err = p.object()
	case c == '[':
		v, err = p.array()
	case c == '"':
		v.kind = stringValue
		v.text, err = p.string()
	case c == '-' || '0' <= c && c <= '9':
		v.kind = numberValue
		v.text, err = p.number()
	default:
		v, err = p.literal()
	}
	v.raw = p.src[start:p.pos:p.pos]
	return v, err
}

func (p *parser) literal() (value, error) {
	for _, l := range []struct {
		word string
		v    value
	}{
		{"true", value{kind: boolValue, bool: true}},
		{"false", value{kind: boolValue}},
		{"null", value{kind: nullValue}},
	} {
		end := p.pos + len(l.word)
		if end <= len(p.src) && string(p.src[p.pos:end]) == l.word && !p.wordAt(end) {
			p.pos = end
			return l.v, nil
		}
	}
	return value{}, p.unexpected("a value")
}

// wordAt tells whether a letter, digit or underscore stands at offset i.
func (p *parser) wordAt(i int) bool {
	return i < len(p.src) && isWord(p.src[i])
}

func isWord(c byte) bool {
	return c == '_' || c >= utf8.RuneSelf ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// enter goes one level down; leave comes back.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return pombo.Errorf(pombo.Invalid, "The body is nested deeper than %d levels", maxDepth)
	}
	p.open = append(p.open, p.pos)
	p.pos++
	p.space()
	return nil
}

func (p *parser) leave() {
	p.pos++
	p.depth--
	p.open = p.open[:len(p.open)-1]
}

func (p *parser) array() (value, error) {
	v := value{kind: arrayValue}
	if err := p.enter(); err != nil {
		return v, err
	}
	if p.pos < len(p.src) && p.src[p.pos] == ']' {
		p.leave()
		return v, nil
	}
	for {
		item, err := p.value()
		if err != nil {
			return v, err
		}
		v.list = append(v.list, item)
		more, err := p.next(']')
		if err != nil || !more {
			return v, err
		}
	}
}

func (p *parser) object() (value, error) {
	v := value{kind: objectValue}
	if err := p.enter(); err != nil {
		return v, err
	}
	if p.pos < len(p.src) && p.src[p.pos] == '}' {
		p.leave()
		return v, nil
	}
	at := map[string]int{}
	for {
		key, err := p.key()
		if err != nil {
			return v, err
		}
		member, err := p.value()
		if err != nil {
			return v, err
		}
		if i, twice := at[key]; twice {
			v.list[i] = member
		} else {
			at[key] = len(v.keys)
			v.keys = append(v.keys, key)
			v.list = append(v.list, member)
		}
		more, err := p.next('}')
		if err != nil || !more {
			return v, err
		}
	}
}

// key reads a member's key and the colon after it.
func (p *parser) key() (string, error) {
	p.space()
	if p.pos == len(p.src) {
		return "", p.ends("a key")
	}
	if p.src[p.pos] != '"' {
		return "", p.unexpected("a key in double quotes")
	}
	key, err := p.string()
	if err != nil {
		return "", err
	}
	p.space()
	if p.pos == len(p.src) {
		return "", p.ends("a colon")
	}
	if p.src[p.pos] != ':' {
		return "", p.unexpected(fmt.Sprintf("a colon after the key %q", clip(key, 40)))
	}
	p.pos++
	return key, nil
}

// next reads the comma before another element, or the closing bracket.
func (p *parser) next(closing byte) (more bool, err error) {
	p.space()
	if p.pos == len(p.src) {
		return false, p.ends(fmt.Sprintf("a comma or %q", closing))
	}
	switch p.src[p.pos] {
	case ',':
		p.comma = p.pos
		p.pos++
		return true, nil
	case closing:
		p.leave()
		return false, nil
	}
	return false, p.unexpected(fmt.Sprintf("a comma or %q", closing))
}

func (p *parser) number() (string, error) {
	start := p.pos
	if p.src[p.pos] == '-' {
		p.pos++
	}
	whole := p.digits()
	if whole == 0 {
		return "", p.unexpected("a digit")
	}
	if first := p.src[p.pos-whole]; first == '0' && whole > 1 {
		p.pos = start
		return "", p.fail("a number starts with 0", "write it in double quotes if it is a phone number or code, otherwise without the leading 0")
	}
	if p.pos < len(p.src) && p.src[p.pos] == '.' {
		p.pos++
		if p.digits() == 0 {
			return "", p.unexpected("a digit after the decimal point")
		}
	}
	if p.pos < len(p.src) && (p.src[p.pos] == 'e' || p.src[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.src) && (p.src[p.pos] == '+' || p.src[p.pos] == '-') {
			p.pos++
		}
		if p.digits() == 0 {
			return "", p.unexpected("a digit in the exponent")
		}
	}
	return string(p.src[start:p.pos]), nil
}

// digits skips decimal digits and returns how many.
func (p *parser) digits() int {
	start := p.pos
	for p.pos < len(p.src) && '0' <= p.src[p.pos] && p.src[p.pos] <= '9' {
		p.pos++
	}
	return p.pos - start
}

// string reads a string; p.pos is at its opening quote.
func (p *parser) string() (string, error) {
	opening := p.pos
	p.pos++
	start := p.pos
	// The common case: no escapes.
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		if c == '"' {
			s := string(p.src[start:p.pos])
			p.pos++
			return s, nil
		}
		if c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			break
		}
		p.pos++
	}
	buf := append([]byte(nil), p.src[start:p.pos]...)
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			return string(buf), nil
		case c == '\\':
			var err error
			if buf, err = p.escape(buf); err != nil {
				return "", err
			}
		case c < ' ':
			return "", p.controlCharacter(c, opening)
		default:
			r, n := utf8.DecodeRune(p.src[p.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", p.fail(fmt.Sprintf("the byte 0x%02X is not UTF-8", c), "send the body encoded as UTF-8")
			}
			buf = append(buf, p.src[p.pos:p.pos+n]...)
			p.pos += n
		}
	}
	p.pos = opening
	return "", p.fail("the string that starts here never ends", `a closing " is missing`)
}

// escape reads one escape sequence and appends what it stands for.
func (p *parser) escape(buf []byte) ([]byte, error) {
	if p.pos+1 >= len(p.src) {
		p.pos = len(p.src)
		return nil, p.ends("the rest of a string")
	}
	switch c := p.src[p.pos+1]; c {
	case '"', '\\', '/':
		buf = append(buf, c)
	case 'b':
		buf = append(buf, '\b')
	case 'f':
		buf = append(buf, '\f')
	case 'n':
		buf = append(buf, '\n')
	case 'r':
		buf = append(buf, '\r')
	case 't':
		buf = append(buf, '\t')
	case 'u':
		return p.unicodeEscape(buf)
	default:
		return nil, p.fail(fmt.Sprintf("%q is not an escape sequence", p.src[p.pos:p.pos+2]), `write a backslash as \\`)
	}
	p.pos += 2
	return buf, nil
}

func (p *parser) unicodeEscape(buf []byte) ([]byte, error) {
	r, ok := p.hex4(p.pos)
	switch {
	case !ok:
		return nil, p.fail(`\u is not followed by four hexadecimal digits`, `write a backslash as \\`)
	case r == 0:
		// Databases and phones cut a text at a NUL, or refuse it.
		return nil, p.fail(`\u0000 is not allowed in a text`, "leave it out")
	}
	p.pos += 6
	if utf16.IsSurrogate(r) {
		low, ok := p.hex4(p.pos)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			p.pos += 6
			r = pair
		} else {
			r = utf8.RuneError
		}
	}
	return utf8.AppendRune(buf, r), nil
}

// hex4 decodes the escape at offset i: \u and four hexadecimal digits.
func (p *parser) hex4(i int) (rune, bool) {
	if i+6 > len(p.src) || p.src[i] != '\\' || p.src[i+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.src[i+2:i+6]), 16, 16)
	return rune(n), err == nil
}
