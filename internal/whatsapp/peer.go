package whatsapp

import (
	"context"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// What the account's phone says to us alone makes no event, but has to be kept
// before it is confirmed: it is not said again.

// peerMessage returns what another device of the account says to this one; nil if
// evt is nothing of the kind.
func peerMessage(evt any) *waE2E.ProtocolMessage {
	m, ok := evt.(*events.Message)
	if !ok || !m.Info.IsFromMe {
		return nil
	}
	return m.Message.GetProtocolMessage()
}

// keepPeer keeps the keys of the app state, and what is to be fetched of the
// history.
func (l *line) keepPeer(evt any) error {
	p := peerMessage(evt)
	if p == nil {
		return nil
	}
	if share := p.GetAppStateSyncKeyShare(); share != nil {
		return l.keepKeys(share)
	}
	if note := p.GetHistorySyncNotification(); note != nil {
		return l.keepHistory(evt.(*events.Message), note)
	}
	return nil
}

// followPeer does what is due when that is committed.
func (l *line) followPeer(evt any) {
	if retry, ok := evt.(*events.MediaRetry); ok {
		l.historyAnswered(retry)
		return
	}
	p := peerMessage(evt)
	if m, ok := evt.(*events.Message); ok && p != nil && (m.Info.Category == "peer" || p.GetHistorySyncNotification() != nil) {
		l.peerReceipts.release(m.Info.ID)
	}
	switch {
	case p.GetAppStateSyncKeyShare() != nil:
		l.syncState()
	case p.GetHistorySyncNotification() != nil:
		l.fetchHistory()
	}
}

// keepKeys stores keys that whatsmeow stores too, but beside the handler, so that
// the message may be confirmed first.
func (l *line) keepKeys(share *waE2E.AppStateSyncKeyShare) error {
	for _, key := range share.GetKeys() {
		data := key.GetKeyData()
		fingerprint, err := proto.Marshal(data.GetFingerprint())
		if err != nil {
			l.log.Warn("a key of the app state cannot be read", "err", err)
			continue
		}
		err = l.client.Store.AppStateKeys.PutAppStateSyncKey(l.ctx, key.GetKeyID().GetKeyID(), store.AppStateSyncKey{
			Data: data.GetKeyData(), Fingerprint: fingerprint, Timestamp: data.GetTimestamp(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepHistory puts an announced part of the history into the queue.
func (l *line) keepHistory(evt *events.Message, note *waE2E.HistorySyncNotification) error {
	switch {
	case note.InitialHistBootstrapInlinePayload == nil && note.GetDirectPath() == "":
		return nil // the news that there is none
	case note.GetSyncType() == waE2E.HistorySyncType_FULL && !l.s.settings.Load().SyncFullHistory:
		l.log.Info("a part of the full history is left out: the setting syncFullHistory is off", "chunk", note.GetChunkOrder())
		return nil
	}
	raw, err := proto.Marshal(note)
	if err != nil {
		l.log.Error("the announcement of a part of the history cannot be kept", "err", err)
		return nil
	}
	return l.insist(l.ctx, "put history", func(ctx context.Context) error {
		return l.s.n.o.History.PutHistory(ctx, pombo.HistoryPart{Instance: l.s.id, ID: evt.Info.ID, Notification: raw})
	})
}
