package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Variable describes one environment variable: what its field's tags say.
type Variable struct {
	Key     string // the variable's name
	Flag    string // the flag that overrides it, without dashes; "" if none
	Usage   string // one line for the flag
	Default string // "" if it has none
	Allowed string // what a value may be, in words
	Unit    string // what a number counts; may be ""
	Section string // the struct that the field belongs to
	Field   string // the field's name

	kind        reflect.Kind
	secret      string  // "", "true" or "url"
	low, high   float64 // the range of a number
	zeroDefault bool
}

// Variables describes every variable that has a field, in the order of Config.
// WEBHOOK_EVENTS_* are apart: see EventVariables.
func Variables() []Variable {
	var vs []Variable
	for i := range reflect.TypeFor[Config]().NumField() {
		section := reflect.TypeFor[Config]().Field(i)
		if section.IsExported() {
			vs = append(vs, sectionVariables(section.Type)...)
		}
	}
	return vs
}

func sectionVariables(section reflect.Type) []Variable {
	vs := make([]Variable, 0, section.NumField())
	for i := range section.NumField() {
		f := section.Field(i)
		v := Variable{
			Key:         f.Tag.Get("env"),
			Flag:        f.Tag.Get("flag"),
			Usage:       f.Tag.Get("usage"),
			Default:     f.Tag.Get("envDefault"),
			Allowed:     f.Tag.Get("allowed"),
			Unit:        f.Tag.Get("unit"),
			Section:     section.Name(),
			Field:       f.Name,
			kind:        f.Type.Kind(),
			secret:      f.Tag.Get("secret"),
			zeroDefault: f.Tag.Get("zero") == "default",
		}
		v.low, v.high = bounds(f.Tag.Get("range"))
		if v.Allowed == "" {
			v.Allowed = v.allowedByKind()
		}
		vs = append(vs, v)
	}
	return vs
}

// bounds reads a range tag. One that is missing or broken gives 0 to 0, which
// bounds nothing; a test sees to it that every plain number has bounds.
func bounds(tag string) (low, high float64) {
	l, h, _ := strings.Cut(tag, ",")
	low, _ = strconv.ParseFloat(l, 64)
	high, _ = strconv.ParseFloat(h, 64)
	return low, high
}

func (v Variable) allowedByKind() string {
	low, high := strconv.FormatFloat(v.low, 'f', -1, 64), strconv.FormatFloat(v.high, 'f', -1, 64)
	switch v.kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return v.withUnit(fmt.Sprintf("a whole number from %s to %s", low, high))
	case reflect.Float64:
		return v.withUnit(fmt.Sprintf("a number from %s to %s", low, high))
	default:
		return ""
	}
}

func (v Variable) withUnit(s string) string {
	if v.Unit != "" {
		s += " (" + v.Unit + ")"
	}
	if v.zeroDefault {
		s += "; 0 stands for the default"
	}
	return s
}

// inRange tells whether a number's field holds a value within its bounds. NaN
// never is. Fields without bounds have a type that checks itself.
func (v Variable) inRange(field reflect.Value) bool {
	if v.low == v.high {
		return true
	}
	switch v.kind {
	case reflect.Int:
		n := float64(field.Int())
		return n >= v.low && n <= v.high
	case reflect.Float64:
		n := field.Float()
		return n >= v.low && n <= v.high
	default:
		return true
	}
}

// show returns value as it may stand in an error.
func (v Variable) show(value string) string {
	switch {
	case v.secret == "" || value == "":
		return strconv.Quote(value)
	case v.secret == "url":
		return redactURL(value)
	default:
		return hidden
	}
}
