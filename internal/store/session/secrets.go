package session

import (
	"context"
	"database/sql"
	"errors"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

func (d *Device) secret(chat, sender string, id types.MessageID) key {
	return key{jid: d.jid, kind: secretKind, a: chat + " " + sender, b: id}
}

// PutMessageSecret keeps the secret of a message, with which its votes and edits
// are encrypted. It goes with the next commit: that of the message. One whose ID is
// no text cannot be asked for, and PostgreSQL would refuse it.
func (d *Device) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	if clean(id) != id {
		return nil
	}
	return d.ride(ctx, d.secret(chat.ToNonAD().String(), sender.ToNonAD().String(), id), &entry{value: secret})
}

// PutMessageSecrets commits the secrets of messages.
func (d *Device) PutMessageSecrets(ctx context.Context, inserts []store.MessageSecretInsert) error {
	const most = 1000 // of one transaction
	for len(inserts) > 0 {
		n := min(len(inserts), most)
		changes := make(overlay, n)
		for _, i := range inserts[:n] {
			if clean(i.ID) != i.ID {
				continue
			}
			changes[d.secret(i.Chat.ToNonAD().String(), i.Sender.ToNonAD().String(), i.ID)] = &entry{value: i.Secret}
		}
		if err := d.through(ctx, changes, nil); err != nil {
			return err
		}
		inserts = inserts[n:]
	}
	return nil
}

// GetMessageSecret returns the secret of a message and its sender as it was stored
// with it. Chat and sender may be given by phone number or LID. Without one it
// returns nil.
func (d *Device) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	chat1, chat2, err := d.forms(ctx, chat)
	if err != nil {
		return nil, types.EmptyJID, err
	}
	sender1, sender2, err := d.forms(ctx, sender)
	if err != nil {
		return nil, types.EmptyJID, err
	}
	for _, c := range []string{chat1, chat2} {
		for _, s := range []string{sender1, sender2} {
			if e, ok := d.pending(ctx, d.secret(c, s, id), false); ok {
				realSender, err = types.ParseJID(s)
				return e.value, realSender, err
			}
		}
	}
	err = d.c.readOne(ctx, d.c.q.getSecret, []any{d.jid, chat1, chat2, sender1, sender2, id}, &secret, &realSender)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return secret, realSender, err
}
