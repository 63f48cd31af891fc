package pombotest

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
)

// ErrBroken is what a store answers that is broken on purpose.
var ErrBroken = errors.New("broken on purpose")

// ErrFull is what SQLite answers when the disk is full, as the driver gives it.
var ErrFull error = fullDisk{}

type fullDisk struct{}

func (fullDisk) Error() string { return "database or disk is full (13)" }

// Code is the result code, as modernc.org/sqlite's errors have it.
func (fullDisk) Code() int { return 13 }

// StoreFault is what goes wrong with one call of a store. The zero value is
// nothing.
type StoreFault struct {
	Delay time.Duration // it takes so long
	Fail  error         // it is not made
	Lose  error         // it is made, but its answer is lost
}

// Stores breaks whatsmeow's stores (app.Faults.Stores is its Wrap), and counts
// the calls of each of their methods.
type Stores struct {
	mu     sync.Mutex
	choose func(method string) StoreFault
	calls  map[string]int
	hit    map[string]int
}

// StoreMethods lists the methods of all of whatsmeow's stores.
func StoreMethods() []string {
	all := reflect.TypeFor[store.AllStores]()
	names := make([]string, all.NumMethod())
	for i := range names {
		names[i] = all.Method(i).Name
	}
	return names
}

// Wrap puts the faults around a device's stores.
func (s *Stores) Wrap(in store.AllStores) store.AllStores { return &faulty{s, in} }

// Break makes choose say what goes wrong with each call from now on; nil:
// nothing does. It is called by one goroutine at a time.
func (s *Stores) Break(choose func(method string) StoreFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.choose = choose
}

// Calls returns how often each method was called.
func (s *Stores) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Broken returns how often something went wrong with each method.
func (s *Stores) Broken() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.hit)
}

func (s *Stores) ask(method string) StoreFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls, s.hit = map[string]int{}, map[string]int{}
	}
	s.calls[method]++
	if s.choose == nil {
		return StoreFault{}
	}
	f := s.choose(method)
	if f != (StoreFault{}) {
		s.hit[method]++
	}
	return f
}

// call makes a call with what goes wrong with it.
func (f *faulty) call(ctx context.Context, method string, fn func() error) error {
	fault := f.s.ask(method)
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-ctx.Done(): // the call answers that itself
		}
	}
	if fault.Fail != nil {
		return fault.Fail
	}
	err := fn()
	if err == nil && fault.Lose != nil {
		return fault.Lose
	}
	return err
}
