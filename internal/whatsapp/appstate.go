package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types"
)

// appState fetches the app state: what the phone and its companions have in
// common (which chats are archived, the address book, labels). whatsmeow decrypts
// it, but is not let to fetch it by itself: see errLater.
//
// All of it is asked for at once, so that what happened to a chat is told in
// order, though it is spread over collections: when a connection opens, since the
// news of a change is confirmed before the change is fetched, and whenever WhatsApp
// says that something has changed.
type appState struct {
	mu      sync.Mutex
	dirty   bool
	working bool
	news    chan struct{} // capacity 1: it has become dirty
	// anew holds the collections that did not fit together and are fetched from the
	// beginning; false: they were. That is done once for each line.
	anew map[string]bool
	// whole holds the collections that are fetched from the beginning, until their
	// last page.
	whole map[string]bool

	// name is held while whatsmeow reads or writes the account's own name, which it
	// keeps in a field of the device without a lock.
	name sync.Mutex
	proc *appstate.Processor
}

// sendPresence tells WhatsApp whether we are there, and our name with it.
func (l *line) sendPresence(ctx context.Context, state types.Presence) error {
	l.appState.name.Lock()
	defer l.appState.name.Unlock()
	return l.client.SendPresence(ctx, state)
}

// syncState fetches what is new in the app state, soon.
func (l *line) syncState() {
	if l.own.IsEmpty() {
		return // not paired yet
	}
	s := &l.appState
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.news == nil {
		s.anew, s.whole, s.news = map[string]bool{}, map[string]bool{}, make(chan struct{}, 1)
	}
	s.dirty = true
	if s.working {
		select {
		case s.news <- struct{}{}:
		default: // it is about to look
		}
		return
	}
	if l.enter() {
		s.working = true
		go l.syncStates()
	}
}

// take tells whether there is something to do; if not, the work is over.
func (s *appState) take(over bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over || !s.dirty {
		s.working = false
		return false
	}
	s.dirty = false
	return true
}

// syncStates works until nothing is dirty. What fails is tried again after a
// pause, or when there is news.
func (l *line) syncStates() {
	defer l.leave()
	pause := l.s.n.timing.backoffMin
	for l.appState.take(l.why() != nil) {
		failed, err := l.syncOnce()
		if len(failed) == 0 || l.why() != nil {
			pause = l.s.n.timing.backoffMin
			continue
		}
		l.log.Warn("fetching the settings that the phone shares failed, trying again", "collections", failed, "pause", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-l.appState.news:
		case <-l.over:
		}
		l.appState.mu.Lock()
		l.appState.dirty = true
		l.appState.mu.Unlock()
		pause = min(2*pause, l.s.n.timing.backoffMax)
	}
}

// syncTimeout bounds one question to WhatsApp.
const syncTimeout = time.Minute

// syncOnce brings all collections up to date, and returns those with which it
// failed.
func (l *line) syncOnce() (failed []string, err error) {
	var names []string
	for _, name := range appstate.AllPatchNames {
		names = append(names, string(name))
	}
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("reading the app state panicked", "panic", p, "stack", string(debug.Stack()))
			failed, err = names, fmt.Errorf("panic: %v", p)
		}
	}()
	id, err := l.client.Store.AppStateKeys.GetLatestAppStateSyncKeyID(l.ctx)
	switch {
	case err != nil:
		return names, err
	case id == nil:
		return nil, nil // the phone will send its keys, and that is news
	}
	for len(names) > 0 {
		pages, askErr := l.askState(names)
		if askErr != nil {
			return append(failed, names...), askErr
		}
		names = nil
		var good []*statePage
		for _, p := range pages {
			pageErr := l.readState(p)
			switch {
			case errors.Is(pageErr, appstate.ErrKeyNotFound):
				l.log.Info("the app state has a key that is not known: the phone is asked for it", "collection", p.name)
			case l.mismatch(pageErr, p.name):
				l.log.Warn("the app state does not fit together: fetching it anew", "collection", p.name, "err", pageErr)
				names = append(names, p.name)
			case pageErr != nil:
				failed, err = append(failed, p.name), pageErr
			default:
				good = append(good, p)
			}
		}
		more, tellErr := l.tellState(good)
		if tellErr != nil {
			return append(failed, names...), tellErr
		}
		names = append(names, more...)
	}
	return failed, err
}

// mismatch tells whether an error says that a collection and its patches do not
// fit together, for the first time; then it is fetched anew.
func (l *line) mismatch(err error, name string) bool {
	if !errors.Is(err, appstate.ErrMismatchingLTHash) && !errors.Is(err, appstate.ErrMismatchingPatchMAC) {
		return false
	}
	l.appState.mu.Lock()
	defer l.appState.mu.Unlock()
	if _, tried := l.appState.anew[name]; tried {
		return false
	}
	l.appState.anew[name] = true
	return true
}
