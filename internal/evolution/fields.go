package evolution

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pombo"
)

// object reads the members of a JSON object by name, and knows afterwards which
// ones nobody asked for.
type object struct {
	path  string // where it stands in the body, with a dot at the end; "" at the top
	v     *value
	known []string
	tips  []string // keys that may be proposed in place of an unknown one
}

func newObject(path string, v *value) *object { return &object{path: path, v: v} }

// field is a member of an object, or the place where one could be.
type field struct {
	path string // with its key as written, or the first spelling
	key  string // as written; "" if absent
	v    *value // nil if absent
}

// ignore declares keys that may be there and say nothing.
func (o *object) ignore(keys ...string) { o.known = append(o.known, keys...) }

// field returns the member that goes by any of the given spellings. Two
// spellings at once that differ in value are refused, since one of them would
// be ignored without a word.
func (o *object) field(spellings ...string) (field, error) {
	o.known = append(o.known, spellings...)
	o.tips = append(o.tips, spellings...)
	f := field{path: o.path + spellings[0]}
	for i, key := range o.v.keys {
		if !slices.Contains(spellings, key) {
			continue
		}
		if f.v != nil && string(f.v.raw) != string(o.v.list[i].raw) {
			return f, pombo.Errorf(pombo.Invalid, "%s%s and %s are spellings of the same setting, but have different values: send one of them",
				o.path, f.key, key)
		}
		if f.v == nil {
			f = field{path: o.path + key, key: key, v: &o.v.list[i]}
		}
	}
	return f, nil
}

// unknown describes the members that nobody asked for, in order.
func (o *object) unknown() []string {
	var warnings []string
	for _, key := range o.strangers() {
		w := fmt.Sprintf("unknown key %q ignored", o.path+clip(key, 60))
		if tip, near := closest(key, o.tips); near {
			w += fmt.Sprintf(", did you mean %q?", o.path+tip)
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// refuseUnknown returns an error for the first member that nobody asked for.
func (o *object) refuseUnknown() error {
	keys := o.strangers()
	if len(keys) == 0 {
		return nil
	}
	if tip, near := closest(keys[0], o.tips); near {
		return pombo.Errorf(pombo.Invalid, "there is no %q, did you mean %q?", o.path+clip(keys[0], 60), o.path+tip)
	}
	return pombo.Errorf(pombo.Invalid, "there is no %q", o.path+clip(keys[0], 60))
}

// strangers returns the members that nobody asked for, in order.
func (o *object) strangers() []string {
	var keys []string
	for _, key := range o.v.keys {
		if !slices.Contains(o.known, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// given tells whether the field is there with a value other than null.
func (f field) given() bool { return f.v != nil && f.v.kind != nullValue }

// wrong returns the error for a value of the wrong type. allowed completes
// "it must be …".
func (f field) wrong(allowed string) error {
	return pombo.Errorf(pombo.Invalid, "%s is %s: it must be %s", f.path, f.v.describe(), allowed)
}

// bool reads a boolean, also as the string "true" or "false"; nil if it is
// absent or null.
func (f field) bool() (*bool, error) {
	if !f.given() {
		return nil, nil
	}
	b := f.v.bool
	switch {
	case f.v.kind == boolValue:
	case f.v.kind == stringValue && strings.EqualFold(f.v.text, "true"):
		b = true
	case f.v.kind == stringValue && strings.EqualFold(f.v.text, "false"):
		b = false
	default:
		return nil, f.wrong("true or false")
	}
	return &b, nil
}

// string reads a string; nil if it is absent or null.
func (f field) string() (*string, error) {
	switch {
	case !f.given():
		return nil, nil
	case f.v.kind == numberValue:
		return nil, f.wrong(fmt.Sprintf("a string, so put it in double quotes: %q", clip(f.v.text, 40)))
	case f.v.kind != stringValue:
		return nil, f.wrong("a string")
	}
	return &f.v.text, nil
}

// text is string, with "" for what is absent or null.
func (f field) text() (string, error) {
	s, err := f.string()
	if s == nil {
		return "", err
	}
	return *s, err
}

// integer reads a whole number within bounds; nil if it is absent or null.
func (f field) integer(low, high int64, unit string) (*int64, error) {
	if !f.given() {
		return nil, nil
	}
	allowed := fmt.Sprintf("a whole number of %s from %d to %d, without quotes", unit, low, high)
	if f.v.kind != numberValue {
		return nil, f.wrong(allowed)
	}
	n, err := strconv.ParseFloat(f.v.text, 64)
	if err != nil || n != float64(int64(n)) || n < float64(low) || n > float64(high) {
		return nil, f.wrong(allowed)
	}
	i := int64(n)
	return &i, nil
}

// object reads an object; nil if it is absent or null.
func (f field) object() (*object, error) {
	switch {
	case !f.given():
		return nil, nil
	case f.v.kind != objectValue:
		return nil, f.wrong("an object { … }")
	}
	return newObject(f.path+".", f.v), nil
}

// items reads an array of strings as fields, so that each item has its path.
// what says what one item is.
func (f field) items(what string) ([]field, error) {
	switch {
	case !f.given():
		return nil, nil
	case f.v.kind == stringValue:
		return nil, f.wrong(fmt.Sprintf("an array of %s, for example [%q]", what, clip(f.v.text, 40)))
	case f.v.kind != arrayValue:
		return nil, f.wrong("an array of " + what)
	}
	items := make([]field, len(f.v.list))
	for i := range f.v.list {
		item := field{path: fmt.Sprintf("%s[%d]", f.path, i), v: &f.v.list[i]}
		if item.v.kind != stringValue {
			return nil, item.wrong("a string")
		}
		items[i] = item
	}
	return items, nil
}

// closest returns the candidate with the least edit distance from word, case
// aside, and whether it is near enough to have been meant.
func closest(word string, candidates []string) (best string, near bool) {
	word = strings.ToLower(clip(word, 64))
	least := -1
	for _, c := range candidates {
		d := distance(word, strings.ToLower(c))
		if least < 0 || d < least {
			best, least = c, d
		}
	}
	if least < 0 {
		return "", false
	}
	near = least <= max(2, len(word)/3) && least < len(best) ||
		len(word) >= 4 && strings.HasPrefix(strings.ToLower(best), word)
	return best, near
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour that leads from a to b.
func distance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	before := make([]int, len(rb)+1)
	above := make([]int, len(rb)+1)
	row := make([]int, len(rb)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		row[0] = i
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(rb)]
}
