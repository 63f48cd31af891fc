// Package filter owns the language in which a webhook says which events it
// wants: CEL, the Common Expression Language (https://cel.dev), over the fields
// of the envelope that is posted. It compiles expressions and evaluates them,
// within bounds; it stores nothing and decides nothing about deliveries.
package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"pombo"
)

const (
	// MaxLength is how long an expression may be, in bytes.
	MaxLength = 4096
	// costLimit bounds one evaluation, in CEL's units: about one for each step, and
	// one for each ten bytes of a text that is looked through. It is far above what
	// telling events apart takes, and reached within milliseconds.
	costLimit = 200_000
)

// environment declares the variables: the envelope's fields of the same names.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("event", cel.StringType),
		cel.Variable("instance", cel.StringType),
		cel.Variable("data", cel.DynType),
		cel.Variable("sender", cel.StringType),
		cel.Variable("date_time", cel.TimestampType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(100),
		ext.Strings(),
	)
})

// Filter is a compiled expression. It can be used from any goroutine.
type Filter struct {
	text    string
	program cel.Program
	errors  atomic.Int64
	last    atomic.Pointer[string]
}

// Compile compiles an expression. The error is of kind Invalid and names the line
// and the column, both from 1, of what is wrong.
func Compile(text string) (*Filter, error) {
	if len(text) > MaxLength {
		return nil, pombo.Errorf(pombo.Invalid, "filter is longer than %d bytes: shorten it", MaxLength)
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("declaring the variables of filters: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues != nil && len(issues.Errors()) > 0 {
		e := issues.Errors()[0]
		return nil, pombo.Errorf(pombo.Invalid,
			"filter, line %d, column %d: %s. It is a CEL expression over event, instance, data, sender and date_time, for example data.key.fromMe == false",
			max(e.Location.Line(), 1), max(e.Location.Column(), 0)+1, e.Message)
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, pombo.Errorf(pombo.Invalid, "filter, line 1, column 1: the expression gives a value of type %s: it must give true or false", t)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, pombo.Errorf(pombo.Invalid, "filter, line 1, column 1: %s", err)
	}
	return &Filter{text: text, program: program}, nil
}

// Text returns the expression.
func (f *Filter) Text() string { return f.text }

// Subject is an event as expressions see it. Its data is decoded once, and only
// if an expression asks for it.
type Subject struct {
	Event    pombo.Event
	Instance string // the instance's name

	data    any
	decoded bool
}

var errNotBool = errors.New("the expression did not give true or false")

// Pass tells whether the event is to be sent. An event for which the expression
// has no value (it asks for a field that this event does not have, or takes too
// long) passes and is counted: what cannot be judged is not lost.
func (f *Filter) Pass(s *Subject) bool {
	pass, err := f.eval(s)
	if err != nil {
		f.errors.Add(1)
		text := fmt.Sprintf("%s: %v", s.Event.Name, err)
		f.last.Store(&text)
		return true
	}
	return pass
}

func (f *Filter) eval(s *Subject) (bool, error) {
	if !s.decoded {
		s.decoded = true
		if err := json.Unmarshal(s.Event.Data, &s.data); err != nil {
			return false, fmt.Errorf("reading the data: %w", err)
		}
	}
	at := s.Event.Time
	if at.IsZero() {
		at = time.Now()
	}
	out, _, err := f.program.Eval(map[string]any{
		"event": s.Event.Name.Wire(), "instance": s.Instance, "data": s.data, "sender": s.Event.Sender, "date_time": at,
	})
	if err != nil {
		return false, err
	}
	pass, ok := out.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return pass, nil
}

// Errors returns for how many events the expression had no value since it was
// compiled, and the last cause: "" if there was none.
func (f *Filter) Errors() (n int64, last string) {
	if p := f.last.Load(); p != nil {
		last = *p
	}
	return f.errors.Load(), last
}
