package whatsapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

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
	ctx, cancel := l.lendFor(syncTimeout)
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
	mutations, _, err := l.appState.processor(l).DecodePatches(ctx, list, p.from, true)
	if errors.Is(err, appstate.ErrKeyNotFound) {
		api.RequestMissingAppStateKeys(ctx, list)
	}
	if err != nil {
		return err
	}
	p.more = list.HasMorePatches
	for _, m := range mutations {
		if evt := l.changed(ctx, m, p.whole); evt != nil {
			p.made = append(p.made, change{evt, m.Action.GetTimestamp()})
		}
	}
	return nil
}

// processor decrypts the app state for this line; it remembers keys.
func (s *appState) processor(l *line) *appstate.Processor {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.proc = appstate.NewProcessor(l.client.Store, l.client.Log.Sub("AppState"))
	}
	return s.proc
}

// changed lets whatsmeow keep what a mutation says, and returns its event; nil if
// it has none. A mutation that whatsmeow cannot read must not hold up the others.
func (l *line) changed(ctx context.Context, m appstate.Mutation, whole bool) (evt any) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("a change of the app state cannot be read", "index", m.Index, "panic", p)
			evt = nil
		}
	}()
	if m.Operation == waServerSync.SyncdMutation_REMOVE {
		return removed(m)
	}
	l.appState.name.Lock()
	defer l.appState.name.Unlock()
	return l.client.DangerousInternals().DispatchAppState(ctx, m, whole) //nolint:staticcheck // there is no other way to it
}

// removed is the event of an entry that was taken away: somebody is not in the
// address book any more. whatsmeow has none, and other entries are undone by
// setting them.
func removed(m appstate.Mutation) any {
	if len(m.Index) < 2 || m.Index[0] != appstate.IndexContact {
		return nil
	}
	jid, err := types.ParseJID(m.Index[1])
	if err != nil {
		return nil
	}
	return &events.Contact{JID: jid, Timestamp: time.UnixMilli(m.Action.GetTimestamp()), Action: &waSyncAction.ContactAction{}}
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
