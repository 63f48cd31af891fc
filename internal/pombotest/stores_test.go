package pombotest

import (
	"errors"
	"reflect"
	"testing"
)

// Every method of whatsmeow's stores is asked about, under its own name: one that
// was only passed on could not be broken.
func TestStoresBreakEveryMethod(t *testing.T) {
	var s Stores
	s.Break(func(string) StoreFault { return StoreFault{Fail: ErrBroken} })
	wrapped := reflect.ValueOf(s.Wrap(nil))
	for _, name := range StoreMethods() {
		m := wrapped.MethodByName(name)
		args := make([]reflect.Value, m.Type().NumIn())
		for i := range args {
			args[i] = reflect.Zero(m.Type().In(i))
		}
		args[0] = reflect.ValueOf(t.Context())
		call := m.Call
		if m.Type().IsVariadic() {
			call = m.CallSlice
		}
		out := call(args)
		err, _ := out[len(out)-1].Interface().(error)
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%s answered %v", name, err)
		}
		if s.Broken()[name] != 1 {
			t.Errorf("%s was asked about %d times", name, s.Broken()[name])
		}
	}
	if len(s.Calls()) != len(StoreMethods()) {
		t.Errorf("%d methods were asked about, and there are %d", len(s.Calls()), len(StoreMethods()))
	}
}
