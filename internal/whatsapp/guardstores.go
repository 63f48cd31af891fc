package whatsapp

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// The calls of whatsmeow's stores, each guarded in the same way.

func (g *guard) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return g.do(ctx, "PutIdentity", func(ctx context.Context) error { return g.in.PutIdentity(ctx, address, key) })
}

func (g *guard) DeleteAllIdentities(ctx context.Context, phone string) error {
	return g.do(ctx, "DeleteAllIdentities", func(ctx context.Context) error { return g.in.DeleteAllIdentities(ctx, phone) })
}

func (g *guard) DeleteIdentity(ctx context.Context, address string) error {
	return g.do(ctx, "DeleteIdentity", func(ctx context.Context) error { return g.in.DeleteIdentity(ctx, address) })
}

func (g *guard) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	return get(g, ctx, "IsTrustedIdentity", func(ctx context.Context) (bool, error) { return g.in.IsTrustedIdentity(ctx, address, key) })
}

func (g *guard) HasSession(ctx context.Context, address string) (bool, error) {
	return get(g, ctx, "HasSession", func(ctx context.Context) (bool, error) { return g.in.HasSession(ctx, address) })
}

func (g *guard) DeleteAllSessions(ctx context.Context, phone string) error {
	return g.do(ctx, "DeleteAllSessions", func(ctx context.Context) error { return g.in.DeleteAllSessions(ctx, phone) })
}

func (g *guard) DeleteSession(ctx context.Context, address string) error {
	return g.do(ctx, "DeleteSession", func(ctx context.Context) error { return g.in.DeleteSession(ctx, address) })
}

func (g *guard) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	return get(g, ctx, "GetOrGenPreKeys", func(ctx context.Context) ([]*keys.PreKey, error) { return g.in.GetOrGenPreKeys(ctx, count) })
}

func (g *guard) GenOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	return get(g, ctx, "GenOnePreKey", func(ctx context.Context) (*keys.PreKey, error) { return g.in.GenOnePreKey(ctx) })
}

func (g *guard) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	return get(g, ctx, "GetPreKey", func(ctx context.Context) (*keys.PreKey, error) { return g.in.GetPreKey(ctx, id) })
}

func (g *guard) RemovePreKey(ctx context.Context, id uint32) error {
	return g.do(ctx, "RemovePreKey", func(ctx context.Context) error { return g.in.RemovePreKey(ctx, id) })
}

func (g *guard) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	return g.do(ctx, "MarkPreKeysAsUploaded", func(ctx context.Context) error { return g.in.MarkPreKeysAsUploaded(ctx, upToID) })
}

func (g *guard) UploadedPreKeyCount(ctx context.Context) (int, error) {
	return get(g, ctx, "UploadedPreKeyCount", func(ctx context.Context) (int, error) { return g.in.UploadedPreKeyCount(ctx) })
}

func (g *guard) PutSenderKey(ctx context.Context, group, user string, session []byte) error {
	return g.do(ctx, "PutSenderKey", func(ctx context.Context) error { return g.in.PutSenderKey(ctx, group, user, session) })
}

func (g *guard) GetSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	return get(g, ctx, "GetSenderKey", func(ctx context.Context) ([]byte, error) { return g.in.GetSenderKey(ctx, group, user) })
}

func (g *guard) PutAppStateSyncKey(ctx context.Context, id []byte, key store.AppStateSyncKey) error {
	return g.do(ctx, "PutAppStateSyncKey", func(ctx context.Context) error { return g.in.PutAppStateSyncKey(ctx, id, key) })
}

func (g *guard) GetAppStateSyncKey(ctx context.Context, id []byte) (*store.AppStateSyncKey, error) {
	return get(g, ctx, "GetAppStateSyncKey", func(ctx context.Context) (*store.AppStateSyncKey, error) { return g.in.GetAppStateSyncKey(ctx, id) })
}

func (g *guard) GetLatestAppStateSyncKeyID(ctx context.Context) ([]byte, error) {
	return get(g, ctx, "GetLatestAppStateSyncKeyID", func(ctx context.Context) ([]byte, error) { return g.in.GetLatestAppStateSyncKeyID(ctx) })
}

func (g *guard) PutPushName(ctx context.Context, user types.JID, pushName string) (a bool, b string, err error) {
	err = g.do(ctx, "PutPushName", func(ctx context.Context) (err error) {
		a, b, err = g.in.PutPushName(ctx, user, pushName)
		return err
	})
	return a, b, err
}

func (g *guard) PutBusinessName(ctx context.Context, user types.JID, businessName string) (a bool, b string, err error) {
	err = g.do(ctx, "PutBusinessName", func(ctx context.Context) (err error) {
		a, b, err = g.in.PutBusinessName(ctx, user, businessName)
		return err
	})
	return a, b, err
}

func (g *guard) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	return g.do(ctx, "PutAllContactNames", func(ctx context.Context) error { return g.in.PutAllContactNames(ctx, contacts) })
}

func (g *guard) PutManyRedactedPhones(ctx context.Context, entries []store.RedactedPhoneEntry) error {
	return g.do(ctx, "PutManyRedactedPhones", func(ctx context.Context) error { return g.in.PutManyRedactedPhones(ctx, entries) })
}

func (g *guard) GetContact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	return get(g, ctx, "GetContact", func(ctx context.Context) (types.ContactInfo, error) { return g.in.GetContact(ctx, user) })
}

func (g *guard) GetAllContacts(ctx context.Context) (map[types.JID]types.ContactInfo, error) {
	return get(g, ctx, "GetAllContacts", func(ctx context.Context) (map[types.JID]types.ContactInfo, error) { return g.in.GetAllContacts(ctx) })
}

func (g *guard) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) error {
	return g.do(ctx, "PutMutedUntil", func(ctx context.Context) error { return g.in.PutMutedUntil(ctx, chat, mutedUntil) })
}

func (g *guard) PutPinned(ctx context.Context, chat types.JID, pinned bool) error {
	return g.do(ctx, "PutPinned", func(ctx context.Context) error { return g.in.PutPinned(ctx, chat, pinned) })
}

func (g *guard) PutArchived(ctx context.Context, chat types.JID, archived bool) error {
	return g.do(ctx, "PutArchived", func(ctx context.Context) error { return g.in.PutArchived(ctx, chat, archived) })
}

func (g *guard) GetChatSettings(ctx context.Context, chat types.JID) (types.LocalChatSettings, error) {
	return get(g, ctx, "GetChatSettings", func(ctx context.Context) (types.LocalChatSettings, error) { return g.in.GetChatSettings(ctx, chat) })
}

func (g *guard) PutMessageSecrets(ctx context.Context, inserts []store.MessageSecretInsert) error {
	return g.do(ctx, "PutMessageSecrets", func(ctx context.Context) error { return g.in.PutMessageSecrets(ctx, inserts) })
}

func (g *guard) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	return g.do(ctx, "PutMessageSecret", func(ctx context.Context) error { return g.in.PutMessageSecret(ctx, chat, sender, id, secret) })
}

func (g *guard) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (a []byte, b types.JID, err error) {
	err = g.do(ctx, "GetMessageSecret", func(ctx context.Context) (err error) {
		a, b, err = g.in.GetMessageSecret(ctx, chat, sender, id)
		return err
	})
	return a, b, err
}

func (g *guard) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	return g.do(ctx, "PutPrivacyTokens", func(ctx context.Context) error { return g.in.PutPrivacyTokens(ctx, tokens...) })
}

func (g *guard) GetPrivacyToken(ctx context.Context, user types.JID) (*store.PrivacyToken, error) {
	return get(g, ctx, "GetPrivacyToken", func(ctx context.Context) (*store.PrivacyToken, error) { return g.in.GetPrivacyToken(ctx, user) })
}

func (g *guard) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) error {
	return g.do(ctx, "ClearBufferedEventPlaintext", func(ctx context.Context) error { return g.in.ClearBufferedEventPlaintext(ctx, ciphertextHash) })
}

func (g *guard) DeleteOldBufferedHashes(ctx context.Context) error {
	return g.do(ctx, "DeleteOldBufferedHashes", func(ctx context.Context) error { return g.in.DeleteOldBufferedHashes(ctx) })
}

func (g *guard) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	return g.do(ctx, "PutManyLIDMappings", func(ctx context.Context) error { return g.in.PutManyLIDMappings(ctx, mappings) })
}

func (g *guard) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	return get(g, ctx, "GetManyLIDsForPNs", func(ctx context.Context) (map[types.JID]types.JID, error) { return g.in.GetManyLIDsForPNs(ctx, pns) })
}
