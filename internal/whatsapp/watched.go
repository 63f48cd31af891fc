package whatsapp

import (
	"context"
	"slices"
	"sync"

	"go.mau.fi/whatsmeow/types"
)

// watchedMax bounds of how many contacts the presence is asked for again on each
// connection; those that were asked for last count.
const watchedMax = 200

// watched are the contacts whose presence the owner wants to be told of. WhatsApp
// forgets it with the connection.
type watched struct {
	mu   sync.Mutex
	jids []types.JID // the latest last
}

func (w *watched) add(jid types.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jids = append(slices.DeleteFunc(w.jids, func(j types.JID) bool { return j == jid }), jid)
	if n := len(w.jids); n > watchedMax {
		w.jids = slices.Delete(w.jids, 0, n-watchedMax)
	}
}

func (w *watched) all() []types.JID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.jids)
}

// subscribe asks to be told of a contact's presence, as the original does of whom it
// shows that it writes.
func (l *line) subscribe(ctx context.Context, to types.JID) {
	if to.Server != types.DefaultUserServer && to.Server != types.HiddenUserServer {
		return
	}
	l.s.watched.add(to)
	if err := l.client.SubscribePresence(ctx, to); err != nil && ctx.Err() == nil {
		l.log.Debug("asking for a presence failed", "err", err)
	}
}

// resubscribe asks again, on a new connection.
func (l *line) resubscribe() {
	jids := l.s.watched.all()
	if len(jids) == 0 {
		return
	}
	l.later("asking for presences", func(ctx context.Context) {
		for _, jid := range jids {
			if ctx.Err() == nil {
				l.subscribe(ctx, jid)
			}
		}
	})
}
