package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// settings fetches the app state: what the phone and its companions have in
// common (which chats are archived, the address book, labels). whatsmeow decrypts
// it, but is not let to fetch it by itself: see errLater.
//
// All of it is asked for when a connection opens, since the news of a change is
// confirmed before the change is fetched; then what WhatsApp says has changed.
type settings struct {
	mu      sync.Mutex
	dirty   map[string]bool // names of collections
	working bool
	wake    chan struct{} // capacity 1: something has become dirty
	// anew holds the collections that did not fit together, and are fetched as a
	// whole; once for each line.
	anew map[string]bool
	// whole holds the collections that are fetched from the beginning, until their
	// last page.
	whole map[string]bool
}

// allSettings are the names of all collections.
func allSettings() []string {
	names := make([]string, len(appstate.AllPatchNames))
	for i, n := range appstate.AllPatchNames {
		names[i] = string(n)
	}
	return names
}

// syncState fetches what is new in collections of the app state, soon.
func (l *line) syncState(names ...string) {
	if l.own.IsEmpty() {
		return // not paired yet
	}
	s := &l.settings
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirty == nil {
		s.dirty, s.anew, s.whole = map[string]bool{}, map[string]bool{}, map[string]bool{}
		s.wake = make(chan struct{}, 1)
	}
	for _, name := range names {
		s.dirty[name] = true
	}
	if s.working {
		select {
		case s.wake <- struct{}{}:
		default: // it is about to look
		}
		return
	}
	if l.enter() {
		s.working = true
		go l.syncStates()
	}
}

// take returns what is dirty; with nothing, the work is over.
func (s *settings) take(over bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over || len(s.dirty) == 0 {
		s.working = false
		return nil
	}
	var names []string
	for _, name := range allSettings() { // the names of people first
		if s.dirty[name] {
			names = append(names, name)
		}
	}
	clear(s.dirty)
	return names
}

func (s *settings) putBack(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.dirty[name] = true
	}
}

// syncStates works until nothing is dirty. What fails is tried again after a
// pause, or when there is news.
func (l *line) syncStates() {
	defer l.leave()
	pause := l.s.n.timing.backoffMin
	for {
		names := l.settings.take(l.why() != nil)
		if names == nil {
			return
		}
		failed, err := l.syncOnce(names)
		if len(failed) == 0 || l.why() != nil {
			pause = l.s.n.timing.backoffMin
			continue
		}
		l.log.Warn("fetching the settings that the phone shares failed, trying again", "collections", failed, "pause", pause, "err", err)
		l.settings.putBack(failed)
		select {
		case <-time.After(pause):
		case <-l.settings.wake:
		case <-l.over:
		}
		pause = min(2*pause, l.s.n.timing.backoffMax)
	}
}

// syncTimeout bounds one question to WhatsApp.
const syncTimeout = time.Minute

// syncOnce brings collections up to date, and returns those with which it failed.
func (l *line) syncOnce(names []string) (failed []string, err error) {
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
		for _, p := range pages {
			more, pageErr := l.readState(p)
			switch {
			case errors.Is(pageErr, appstate.ErrKeyNotFound):
				l.log.Info("the app state has a key that is not known: the phone is asked for it", "collection", p.name)
			case l.mismatch(pageErr, p.name):
				l.log.Warn("the app state does not fit together: fetching it anew", "collection", p.name, "err", pageErr)
				names = append(names, p.name)
			case pageErr != nil:
				failed, err = append(failed, p.name), pageErr
			case more:
				names = append(names, p.name)
			}
		}
	}
	return failed, err
}

// mismatch tells whether an error says that a collection and its patches do not
// fit together, for the first time; then it is fetched anew.
func (l *line) mismatch(err error, name string) bool {
	if !errors.Is(err, appstate.ErrMismatchingLTHash) && !errors.Is(err, appstate.ErrMismatchingPatchMAC) {
		return false
	}
	l.settings.mu.Lock()
	defer l.settings.mu.Unlock()
	if _, tried := l.settings.anew[name]; tried {
		return false
	}
	l.settings.anew[name] = true
	return true
}

// statePage is what WhatsApp answered about a collection.
type statePage struct {
	name  string
	from  appstate.HashState
	held  *heldState
	whole bool // it is fetched from the beginning: see past in package translate
	patch *waBinary.Node
}

// askState asks for what is new in collections, in one question.
func (l *line) askState(names []string) ([]statePage, error) {
	ctx, cancel := context.WithTimeout(l.ctx, syncTimeout)
	defer cancel()
	pages := make([]statePage, len(names))
	wanted := make([]waBinary.Node, len(names))
	for i, name := range names {
		p, err := l.statePage(ctx, name)
		if err != nil {
			return nil, err
		}
		attrs := waBinary.Attrs{"name": name, "return_snapshot": p.held.full}
		if !p.held.full {
			attrs["version"] = p.from.Version
		}
		pages[i], wanted[i] = p, waBinary.Node{Tag: "collection", Attrs: attrs}
	}
	answer, err := l.client.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{ //nolint:staticcheck // there is no other way to it
		Namespace: "w:sync:app:state", Type: "set", To: types.ServerJID,
		Content: []waBinary.Node{{Tag: "sync", Content: wanted}},
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the app state: %w", err)
	}
	sync := answer.GetChildByTag("sync")
	for _, collection := range sync.GetChildrenByTag("collection") {
		for i := range pages {
			if collection.AttrGetter().String("name") == pages[i].name {
				pages[i].patch = &collection
			}
		}
	}
	return pages, nil
}

// statePage says what is known of a collection.
func (l *line) statePage(ctx context.Context, name string) (statePage, error) {
	l.settings.mu.Lock()
	anew := l.settings.anew[name]
	l.settings.mu.Unlock()
	p := statePage{name: name, held: &heldState{full: anew, macs: map[string][]byte{}}}
	version, hash, err := l.client.Store.AppState.GetAppStateVersion(context.WithValue(ctx, heldKey{}, p.held), name)
	if err != nil {
		return p, err
	}
	p.from = appstate.HashState{Version: version, Hash: hash}
	p.held.full = version == 0
	l.settings.mu.Lock()
	defer l.settings.mu.Unlock()
	l.settings.whole[name] = l.settings.whole[name] || p.held.full
	p.whole = l.settings.whole[name]
	return p, nil
}

// readState tells what a page says, and only then keeps its version. more says
// that there are more pages.
func (l *line) readState(p statePage) (more bool, err error) {
	if p.patch == nil {
		return false, errors.New("WhatsApp left it out of its answer")
	}
	if p.patch.AttrGetter().OptionalString("type") == "error" {
		refusal := p.patch.GetChildByTag("error")
		return false, fmt.Errorf("WhatsApp refused it: %s", refusal.XMLString())
	}
	ctx := context.WithValue(l.s.n.o.Unsynced(l.ctx), heldKey{}, p.held)
	api := l.client.DangerousInternals() //nolint:staticcheck // there is no other way to it
	list, err := appstate.ParsePatchList(ctx, p.patch, api.DownloadExternalAppStateBlob)
	if err != nil {
		return false, fmt.Errorf("reading patches: %w", err)
	}
	var evts []any
	if _, err = api.ApplyAppStatePatches(ctx, appstate.WAPatchName(p.name), p.from, list, p.whole, &evts); err != nil {
		return false, err
	}
	if err = l.appendState(evts); err != nil {
		return false, err
	}
	if p.held.set {
		keeper, ok := l.client.Store.AppState.(*guard)
		if !ok {
			return false, errors.New("the device has no stores")
		}
		if err = keeper.keep(l.s.n.o.Unsynced(l.ctx), p.name, p.held); err != nil {
			return false, err
		}
	}
	l.settings.read(p.name, list.HasMorePatches)
	for _, evt := range evts {
		if l.isSignal(evt) {
			l.signal(evt)
		}
	}
	return list.HasMorePatches, nil
}

// read notes that a page was kept.
func (s *settings) read(name string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anew[name] {
		s.anew[name] = false // done, and not to be done again
	}
	if !more {
		delete(s.whole, name)
	}
}

// One append takes at most so many events of the app state.
const stateBatch = 200

// appendState appends what is made of a page.
func (l *line) appendState(evts []any) error {
	var made []pombo.Event
	var book []*events.Contact
	for _, evt := range evts {
		if c, ok := evt.(*events.Contact); ok && c.FromFullSync {
			book = append(book, c)
		} else if !l.isSignal(evt) {
			made = append(made, l.translate(evt)...)
		}
	}
	made = append(l.addressBook(book), made...)
	now := time.Now()
	for i := range made {
		made[i].Time = now
	}
	for len(made) > 0 {
		n := min(len(made), stateBatch)
		err := l.insist(l.ctx, "append events", func(ctx context.Context) error {
			return l.s.n.o.Sink.Append(ctx, made[:n]...)
		})
		if err != nil {
			l.end(err)
			return err
		}
		l.trouble.passed()
		made = made[n:]
	}
	return nil
}

// addressBook translates what came together, or else one by one.
func (l *line) addressBook(book []*events.Contact) (made []pombo.Event) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("an address book could not be translated as a whole", "panic", p)
			made = nil
			for _, c := range book {
				made = append(made, l.translate(c)...)
			}
		}
	}()
	scope := l.scope
	scope.Settings = *l.s.settings.Load()
	return scope.AddressBook(book)
}
