package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Problem is one bad setting.
type Problem struct {
	Name    string // the variable, or the flag with its dashes
	Value   string // as it was given; secrets are masked
	Allowed string // a sentence: what to give in its place
}

func (p Problem) String() string {
	return fmt.Sprintf("%s is %s: %s", p.Name, p.Value, p.Allowed)
}

// InvalidError lists every bad setting.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d settings are wrong:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Load reads the settings from environ (lines "NAME=value", as os.Environ gives
// them) and from the flags of "pombo serve" in args, which override them.
//
// A value is taken without blanks and without one pair of quotes around it,
// which Docker's --env-file leaves in; an empty value counts as absent. The
// error is an *InvalidError if settings are wrong, flag.ErrHelp if help was
// asked for, and otherwise says what is wrong with args.
func Load(environ []string, args ...string) (Config, error) {
	given := clean(environ)
	named, err := parseFlags(given, args)
	if err != nil {
		return Config{}, err
	}
	var c Config
	var problems []Problem
	sections := reflect.ValueOf(&c).Elem()
	for i := range sections.NumField() {
		if !sections.Type().Field(i).IsExported() {
			continue
		}
		ps, err := fill(sections.Field(i), given)
		if err != nil {
			return Config{}, err
		}
		problems = append(problems, ps...)
	}
	events, ps := parseEvents(given)
	c.events = events
	problems = append(problems, ps...)
	bad := make(map[string]bool)
	for _, p := range problems {
		bad[p.Name] = true
	}
	for _, p := range c.check(given) {
		if !bad[p.Name] {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		for i, p := range problems {
			if f, ok := named[p.Name]; ok {
				problems[i].Name = f
			}
		}
		return Config{}, &InvalidError{problems}
	}
	c.warnings = c.findWarnings(given)
	c.ignored = findIgnored(given)
	return c, nil
}

// clean makes a map of environ. As with execve, the last of two lines wins.
func clean(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, line := range environ {
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = strings.TrimSpace(value[1 : n-1])
		}
		if delete(m, key); value != "" {
			m[key] = value
		}
	}
	return m
}

// fill parses the variables of one section of Config. Sections are parsed one
// by one because env names only the field in its errors, and fields' names are
// unique within a section.
func fill(section reflect.Value, given map[string]string) ([]Problem, error) {
	variables := sectionVariables(section.Type())
	byField := make(map[string]Variable, len(variables))
	// Never nil: env would take the process's own environment instead.
	environment := make(map[string]string, len(variables))
	for _, v := range variables {
		byField[v.Field] = v
		value, ok := given[v.Key]
		if n, err := strconv.ParseFloat(value, 64); v.zeroDefault && err == nil && n == 0 {
			continue
		}
		if ok {
			environment[v.Key] = value
		}
	}
	err := env.ParseWithOptions(section.Addr().Interface(), env.Options{
		Environment: environment,
		FuncMap:     map[reflect.Type]env.ParserFunc{reflect.TypeFor[bool](): parseBool},
	})
	bad := make(map[string]bool)
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, e := range all.Errors {
			var pe env.ParseError
			if !errors.As(e, &pe) {
				return nil, fmt.Errorf("parsing settings: %w", e)
			}
			bad[pe.Name] = true
		}
	} else if err != nil {
		return nil, fmt.Errorf("parsing settings: %w", err)
	}
	var problems []Problem
	for _, v := range variables {
		if bad[v.Field] || !v.inRange(section.FieldByName(v.Field)) {
			problems = append(problems, v.problem(given[v.Key], "give "+v.Allowed))
		}
	}
	return problems, nil
}

func (v Variable) problem(value, sentence string) Problem {
	return Problem{Name: v.Key, Value: v.show(value), Allowed: sentence}
}

// parseBool accepts what people write for yes and no. The Evolution API takes
// everything but "true" for false, which hides typing errors.
func parseBool(s string) (any, error) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return nil, errNotAllowed
}

// parseFlags writes the flags' values over those of the environment, and
// returns the flags that were given, by the variable that they override.
func parseFlags(given map[string]string, args []string) (map[string]string, error) {
	named := make(map[string]string)
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, or Usage
	for _, v := range Variables() {
		if v.Flag == "" {
			continue
		}
		set := func(value string) error {
			given[v.Key] = strings.TrimSpace(value)
			named[v.Key] = "--" + v.Flag
			return nil
		}
		if v.kind == reflect.Bool {
			fs.BoolFunc(v.Flag, v.Usage, set)
		} else {
			fs.Func(v.Flag, v.Usage, set)
		}
	}
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("reading flags: %w", err)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: serve takes only flags", fs.Arg(0))
	}
	return named, nil
}

// Usage writes the flags of "pombo serve", one a line.
func Usage(w io.Writer) error {
	for _, v := range Variables() {
		if v.Flag == "" {
			continue
		}
		name := "--" + v.Flag
		if v.kind != reflect.Bool {
			name += " " + v.Allowed
		}
		if _, err := fmt.Fprintf(w, "  %-34s %s (%s)\n", name, v.Usage, v.Key); err != nil {
			return fmt.Errorf("writing usage: %w", err)
		}
	}
	return nil
}
