package whatsapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
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

// statePage is what WhatsApp answered about a collection.
type statePage struct {
	name   string
	from   appstate.HashState
	held   *heldState
	whole  bool // it is fetched from the beginning: see past in package translate
	answer *waBinary.Node
	more   bool
	made   []change
}

// change is an event of the app state, and when it happened.
type change struct {
	evt any
	at  int64 // ms
}

// askState asks for what is new in collections, in one question.
func (l *line) askState(names []string) ([]*statePage, error) {
	ctx, cancel := context.WithTimeout(l.ctx, syncTimeout)
	defer cancel()
	pages := make([]*statePage, len(names))
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
		for _, p := range pages {
			if collection.AttrGetter().String("name") == p.name {
				p.answer = &collection
			}
		}
	}
	return pages, nil
}

// statePage says what is known of a collection.
func (l *line) statePage(ctx context.Context, name string) (*statePage, error) {
	s := &l.appState
	s.mu.Lock()
	anew := s.anew[name]
	s.mu.Unlock()
	p := &statePage{name: name, held: &heldState{full: anew, macs: map[string][]byte{}}}
	version, hash, err := l.client.Store.AppState.GetAppStateVersion(context.WithValue(ctx, heldKey{}, p.held), name)
	if err != nil {
		return nil, err
	}
	p.from = appstate.HashState{Version: version, Hash: hash}
	p.held.full = version == 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole[name] = s.whole[name] || p.held.full
	p.whole = s.whole[name]
	return p, nil
}

// readState decrypts a page.
func (l *line) readState(p *statePage) error {
	if p.answer == nil {
		return errors.New("WhatsApp left it out of its answer")
	}
	if p.answer.AttrGetter().OptionalString("type") == "error" {
		refusal := p.answer.GetChildByTag("error")
		return fmt.Errorf("WhatsApp refused it: %s", refusal.XMLString())
	}
	ctx, cancel := context.WithTimeout(context.WithValue(l.s.n.o.Unsynced(l.ctx), heldKey{}, p.held), historyLimit)
	defer cancel()
	api := l.client.DangerousInternals() //nolint:staticcheck // there is no other way to it
	list, err := appstate.ParsePatchList(ctx, p.answer, api.DownloadExternalAppStateBlob)
	if err != nil {
		return fmt.Errorf("reading patches: %w", err)
	}
	var evts []any
	l.appState.name.Lock()
	_, err = api.ApplyAppStatePatches(ctx, appstate.WAPatchName(p.name), p.from, list, p.whole, &evts)
	l.appState.name.Unlock()
	if err != nil {
		return err
	}
	p.more = list.HasMorePatches
	var at int64
	for _, evt := range evts {
		if raw, ok := evt.(*events.AppState); ok { // it comes before its event
			at = raw.GetTimestamp()
			continue
		}
		p.made = append(p.made, change{evt, at})
	}
	return nil
}

// tellState tells what pages say, and only then keeps their versions. more names
// the collections that have more pages.
func (l *line) tellState(pages []*statePage) (more []string, err error) {
	var all []change
	for _, p := range pages {
		all = append(all, p.made...)
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	if err := l.appendState(all); err != nil {
		return nil, err
	}
	for _, p := range pages {
		if p.held.set {
			keeper, ok := l.client.Store.AppState.(*guard)
			if !ok {
				return nil, errors.New("the device has no stores")
			}
			if err := keeper.keep(l.s.n.o.Unsynced(l.ctx), p.name, p.held); err != nil {
				return nil, err
			}
		}
		if l.appState.read(p.name, p.more); p.more {
			more = append(more, p.name)
		}
	}
	for _, c := range all {
		if l.isSignal(c.evt) {
			l.signal(c.evt)
		}
	}
	return more, nil
}

// read notes that a page was kept.
func (s *appState) read(name string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anew[name] {
		s.anew[name] = false
	}
	if !more {
		delete(s.whole, name)
	}
}

// One append takes at most so many events of the app state.
const stateBatch = 200

// appendState appends what is made of changes.
func (l *line) appendState(all []change) error {
	var made []pombo.Event
	var book []*events.Contact
	for _, c := range all {
		if contact, ok := c.evt.(*events.Contact); ok && contact.FromFullSync {
			book = append(book, contact)
		} else if !l.isSignal(c.evt) {
			made = append(made, l.translate(c.evt)...)
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
