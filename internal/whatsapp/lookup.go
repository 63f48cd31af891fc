package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/types"

	"pombo"
	"pombo/internal/evolution"
)

// How long an answer about a number is believed. A number that is not on
// WhatsApp may be there in a minute.
const (
	lookupFound   = 24 * time.Hour
	lookupMissing = time.Minute
	lookupMax     = 10_000 // answers kept
)

// lookups remembers which numbers are on WhatsApp.
type lookups struct {
	mu   sync.Mutex
	seen map[string]lookup
}

type lookup struct {
	jid   types.JID // empty: not on WhatsApp
	until time.Time
}

func newLookups() *lookups { return &lookups{seen: map[string]lookup{}} }

func (c *lookups) get(number string) (types.JID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.seen[number]
	return l.jid, ok && time.Now().Before(l.until)
}

func (c *lookups) put(number string, jid types.JID) {
	keep := lookupFound
	if jid.IsEmpty() {
		keep = lookupMissing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= lookupMax {
		clear(c.seen)
	}
	c.seen[number] = lookup{jid, time.Now().Add(keep)}
}

// missing is what the Evolution API answers about a number that is not on
// WhatsApp, in the order of its keys in 2.x.
type missing struct {
	JID    string `json:"jid"`
	Exists bool   `json:"exists"`
	Number string `json:"number"`
}

// recipient turns what the caller wrote into the JID to send to. A number is
// looked up first: WhatsApp takes messages for numbers that do not exist without
// an error. The JID that it answers with counts, not the one that was asked for
// (numbers of some countries are written in two ways). Errors: Invalid.
func (l *line) recipient(ctx context.Context, number string) (types.JID, error) {
	written, err := evolution.CreateJID(number)
	if err != nil {
		return types.EmptyJID, err
	}
	jid, err := types.ParseJID(written)
	if err != nil {
		return types.EmptyJID, pombo.Errorf(pombo.Invalid, "number %q is not a JID: %w", number, err)
	}
	if jid.Server != types.DefaultUserServer {
		return jid, nil
	}
	found, err := l.lookUp(ctx, jid)
	if err != nil {
		return types.EmptyJID, err
	}
	if found.IsEmpty() {
		refused := pombo.Errorf(pombo.Invalid, "The number %s is not on WhatsApp", jid.User)
		refused.Detail = []any{missing{JID: jid.String(), Number: number}}
		return types.EmptyJID, refused
	}
	return found, nil
}

// lookUp asks WhatsApp for a number, and sees to it that its hidden form is
// known: messages are encrypted for that, and events name both.
func (l *line) lookUp(ctx context.Context, jid types.JID) (types.JID, error) {
	if found, ok := l.s.lookups.get(jid.User); ok {
		return found, nil
	}
	answers, err := l.client.IsOnWhatsApp(ctx, []string{"+" + jid.User})
	if err != nil {
		return types.EmptyJID, unavailable("WhatsApp did not say whether the number exists", err)
	}
	found := types.EmptyJID
	for _, a := range answers {
		if a.IsIn && sameNumber(a.Query, jid.User, len(answers)) {
			found = a.JID.ToNonAD()
		}
	}
	l.s.lookups.put(jid.User, found)
	if found.Server != types.DefaultUserServer {
		return found, nil
	}
	if lid, err := l.client.Store.LIDs.GetLIDForPN(ctx, found); err != nil || !lid.IsEmpty() {
		return found, nil //nolint:nilerr // the number is known; only its other form is not
	}
	if _, err := l.client.GetUserInfo(ctx, []types.JID{found}); err != nil {
		l.log.Debug("the hidden form of a number could not be looked up", "err", err)
	}
	return found, nil
}

// sameNumber tells whether an answer is for the number that was asked for; a
// single one is, whatever it repeats.
func sameNumber(query, number string, answers int) bool {
	return answers == 1 || strings.TrimPrefix(query, "+") == number
}

// unavailable makes the error for what WhatsApp, or the way to it, did not do.
func unavailable(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, errOver) {
		return pombo.Errorf(pombo.Unavailable, "%s: the connection was lost, try again", what)
	}
	var known *pombo.Error
	if errors.As(err, &known) {
		return err
	}
	return pombo.Errorf(pombo.Unavailable, "%s, try again: %w", what, fmt.Errorf("asking WhatsApp: %w", err))
}
