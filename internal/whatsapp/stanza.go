package whatsapp

import (
	"context"
	"errors"
	"reflect"
	"unsafe"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types/events"
)

// stanzaKey is where the context of what whatsmeow does with a message has the
// message's stanza.
type stanzaKey struct{}

// watchStanzas lets stanzas through our hands before whatsmeow handles them. It
// confirms messages that it cannot read, and reports them (UndecryptableMessage) only
// after that, so a crash in between would lose the report; the confirmer wants to know
// what is being handled; and nothing recovers when a handler panics. The table of
// handlers is not exported, and there is no other place where a stanza can be seen on
// its way.
// TestStanzasAreWatched fails when whatsmeow renames the table; then such messages are
// told after their confirmation, and each stanza waits for the disk.
func (l *line) watchStanzas(c *whatsmeow.Client) (watched bool) {
	table := reflect.ValueOf(c).Elem().FieldByName("nodeHandlers")
	if !table.IsValid() || table.Kind() != reflect.Map || !table.CanAddr() {
		return false
	}
	// The table belongs to this client alone, which is not connected yet.
	table = reflect.NewAt(table.Type(), unsafe.Pointer(table.UnsafeAddr())).Elem() //nolint:gosec // see above
	form := table.Type().Elem()
	if !form.ConvertibleTo(reflect.TypeFor[stanzaHandler]()) {
		return false
	}
	seen := 0
	for _, tag := range table.MapKeys() {
		handle := table.MapIndex(tag).Convert(reflect.TypeFor[stanzaHandler]()).Interface().(stanzaHandler)
		switch tag.String() {
		case "message":
			seen++
			handle = l.watchMessages(handle)
		case "receipt":
			seen++
			handle = l.watchReceipts(handle)
		}
		table.SetMapIndex(tag, reflect.ValueOf(l.surviving(handle)).Convert(form))
	}
	return seen == 2
}

// stanzaHandler is what whatsmeow does with a stanza of one kind.
type stanzaHandler func(context.Context, *waBinary.Node)

func (l *line) watchMessages(handle stanzaHandler) stanzaHandler {
	handle = l.surviving(handle)
	return func(ctx context.Context, n *waBinary.Node) {
		if !l.tellUnavailable(n) {
			return
		}
		defer l.confirmer.watch(n)()
		ctx = context.WithValue(ctx, stanzaKey{}, n)
		l.s.n.warm.Run(func() { handle(ctx, n) })
	}
}

func (l *line) watchReceipts(handle stanzaHandler) stanzaHandler {
	return func(ctx context.Context, n *waBinary.Node) {
		defer l.confirmer.watch(n)()
		handle(ctx, n)
	}
}

// tellUnavailable appends the event of a message that comes without content. It
// returns false if whatsmeow must not go on to confirm it.
func (l *line) tellUnavailable(n *waBinary.Node) bool {
	gone, ok := n.GetOptionalChildByTag("unavailable")
	if !ok || len(n.GetChildrenByTag("enc")) > 0 {
		return true
	}
	return l.tellUndecryptable(n, &events.UndecryptableMessage{
		IsUnavailable: true, UnavailableType: events.UnavailableType(gone.AttrGetter().OptionalString("type")),
	})
}

// tellUndecryptable appends the event of a message that could not be decrypted. What
// whatsmeow reports later is the same occurrence.
func (l *line) tellUndecryptable(n *waBinary.Node, evt *events.UndecryptableMessage) bool {
	info, err := l.client.DangerousInternals().ParseMessageInfo(n) //nolint:staticcheck // there is no other way to it
	if err != nil {
		return true // whatsmeow cannot make anything of it either
	}
	evt.Info = *info
	return l.handle(evt)
}

// undecryptable is called when decrypting failed, for a reason that is not the
// store's, and nothing has been confirmed yet. It returns the error to go on with.
// The conditions are those of whatsmeow (message.go, decryptMessages).
func (g *guard) undecryptable(ctx context.Context, err error) error {
	n, ok := ctx.Value(stanzaKey{}).(*waBinary.Node)
	if !ok || ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, signalerror.ErrOldCounter) {
		return err
	}
	if !g.l.tellUndecryptable(n, failedPart(n, err)) {
		return errOver
	}
	return err
}

// failedPart tells of which part of a message the decryption failed: a message to a
// group has up to two, one for this device and one for all.
func failedPart(n *waBinary.Node, err error) *events.UndecryptableMessage {
	evt := &events.UndecryptableMessage{}
	direct := false
	for _, part := range n.GetChildrenByTag("enc") {
		kind := part.AttrGetter().OptionalString("type")
		evt.DecryptFailMode = events.DecryptFailMode(part.AttrGetter().OptionalString("decrypt-fail"))
		if kind != "skmsg" {
			direct = true
			continue
		}
		evt.IsUnavailable = !direct && errors.Is(err, signalerror.ErrNoSenderKeyForUser)
	}
	return evt
}
