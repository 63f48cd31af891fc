package pombotest

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// faulty has each method of whatsmeow's stores, so that this does not compile
// when whatsmeow grows one that is not here.
type faulty struct {
	s  *Stores
	in store.AllStores
}

var _ store.AllStores = (*faulty)(nil)

func (f *faulty) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return f.call(ctx, "PutIdentity", func() error { return f.in.PutIdentity(ctx, address, key) })
}

func (f *faulty) DeleteAllIdentities(ctx context.Context, phone string) error {
	return f.call(ctx, "DeleteAllIdentities", func() error { return f.in.DeleteAllIdentities(ctx, phone) })
}

func (f *faulty) DeleteIdentity(ctx context.Context, address string) error {
	return f.call(ctx, "DeleteIdentity", func() error { return f.in.DeleteIdentity(ctx, address) })
}

func (f *faulty) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (a bool, err error) {
	err = f.call(ctx, "IsTrustedIdentity", func() (err error) {
		a, err = f.in.IsTrustedIdentity(ctx, address, key)
		return err
	})
	return a, err
}

func (f *faulty) GetSession(ctx context.Context, address string) (a []byte, err error) {
	err = f.call(ctx, "GetSession", func() (err error) {
		a, err = f.in.GetSession(ctx, address)
		return err
	})
	return a, err
}

func (f *faulty) HasSession(ctx context.Context, address string) (a bool, err error) {
	err = f.call(ctx, "HasSession", func() (err error) {
		a, err = f.in.HasSession(ctx, address)
		return err
	})
	return a, err
}

func (f *faulty) GetManySessions(ctx context.Context, addresses []string) (a map[string][]byte, err error) {
	err = f.call(ctx, "GetManySessions", func() (err error) {
		a, err = f.in.GetManySessions(ctx, addresses)
		return err
	})
	return a, err
}

func (f *faulty) PutSession(ctx context.Context, address string, session []byte) error {
	return f.call(ctx, "PutSession", func() error { return f.in.PutSession(ctx, address, session) })
}

func (f *faulty) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	return f.call(ctx, "PutManySessions", func() error { return f.in.PutManySessions(ctx, sessions) })
}

func (f *faulty) DeleteAllSessions(ctx context.Context, phone string) error {
	return f.call(ctx, "DeleteAllSessions", func() error { return f.in.DeleteAllSessions(ctx, phone) })
}

func (f *faulty) DeleteSession(ctx context.Context, address string) error {
	return f.call(ctx, "DeleteSession", func() error { return f.in.DeleteSession(ctx, address) })
}

func (f *faulty) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	return f.call(ctx, "MigratePNToLID", func() error { return f.in.MigratePNToLID(ctx, pn, lid) })
}

func (f *faulty) GetOrGenPreKeys(ctx context.Context, count uint32) (a []*keys.PreKey, err error) {
	err = f.call(ctx, "GetOrGenPreKeys", func() (err error) {
		a, err = f.in.GetOrGenPreKeys(ctx, count)
		return err
	})
	return a, err
}

func (f *faulty) GenOnePreKey(ctx context.Context) (a *keys.PreKey, err error) {
	err = f.call(ctx, "GenOnePreKey", func() (err error) {
		a, err = f.in.GenOnePreKey(ctx)
		return err
	})
	return a, err
}

func (f *faulty) GetPreKey(ctx context.Context, id uint32) (a *keys.PreKey, err error) {
	err = f.call(ctx, "GetPreKey", func() (err error) {
		a, err = f.in.GetPreKey(ctx, id)
		return err
	})
	return a, err
}

func (f *faulty) RemovePreKey(ctx context.Context, id uint32) error {
	return f.call(ctx, "RemovePreKey", func() error { return f.in.RemovePreKey(ctx, id) })
}

func (f *faulty) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	return f.call(ctx, "MarkPreKeysAsUploaded", func() error { return f.in.MarkPreKeysAsUploaded(ctx, upToID) })
}

func (f *faulty) UploadedPreKeyCount(ctx context.Context) (a int, err error) {
	err = f.call(ctx, "UploadedPreKeyCount", func() (err error) {
		a, err = f.in.UploadedPreKeyCount(ctx)
		return err
	})
	return a, err
}

func (f *faulty) PutSenderKey(ctx context.Context, group, user string, session []byte) error {
	return f.call(ctx, "PutSenderKey", func() error { return f.in.PutSenderKey(ctx, group, user, session) })
}

func (f *faulty) GetSenderKey(ctx context.Context, group, user string) (a []byte, err error) {
	err = f.call(ctx, "GetSenderKey", func() (err error) {
		a, err = f.in.GetSenderKey(ctx, group, user)
		return err
	})
	return a, err
}

func (f *faulty) PutAppStateSyncKey(ctx context.Context, id []byte, key store.AppStateSyncKey) error {
	return f.call(ctx, "PutAppStateSyncKey", func() error { return f.in.PutAppStateSyncKey(ctx, id, key) })
}

func (f *faulty) GetAppStateSyncKey(ctx context.Context, id []byte) (a *store.AppStateSyncKey, err error) {
	err = f.call(ctx, "GetAppStateSyncKey", func() (err error) {
		a, err = f.in.GetAppStateSyncKey(ctx, id)
		return err
	})
	return a, err
}

func (f *faulty) GetLatestAppStateSyncKeyID(ctx context.Context) (a []byte, err error) {
	err = f.call(ctx, "GetLatestAppStateSyncKeyID", func() (err error) {
		a, err = f.in.GetLatestAppStateSyncKeyID(ctx)
		return err
	})
	return a, err
}

func (f *faulty) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) error {
	return f.call(ctx, "PutAppStateVersion", func() error { return f.in.PutAppStateVersion(ctx, name, version, hash) })
}

func (f *faulty) GetAppStateVersion(ctx context.Context, name string) (a uint64, b [128]byte, err error) {
	err = f.call(ctx, "GetAppStateVersion", func() (err error) {
		a, b, err = f.in.GetAppStateVersion(ctx, name)
		return err
	})
	return a, b, err
}

func (f *faulty) DeleteAppStateVersion(ctx context.Context, name string) error {
	return f.call(ctx, "DeleteAppStateVersion", func() error { return f.in.DeleteAppStateVersion(ctx, name) })
}

func (f *faulty) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []store.AppStateMutationMAC) error {
	return f.call(ctx, "PutAppStateMutationMACs", func() error { return f.in.PutAppStateMutationMACs(ctx, name, version, mutations) })
}

func (f *faulty) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) error {
	return f.call(ctx, "DeleteAppStateMutationMACs", func() error { return f.in.DeleteAppStateMutationMACs(ctx, name, indexMACs) })
}

func (f *faulty) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (a []byte, err error) {
	err = f.call(ctx, "GetAppStateMutationMAC", func() (err error) {
		a, err = f.in.GetAppStateMutationMAC(ctx, name, indexMAC)
		return err
	})
	return a, err
}

func (f *faulty) PutPushName(ctx context.Context, user types.JID, pushName string) (a bool, b string, err error) {
	err = f.call(ctx, "PutPushName", func() (err error) {
		a, b, err = f.in.PutPushName(ctx, user, pushName)
		return err
	})
	return a, b, err
}

func (f *faulty) PutBusinessName(ctx context.Context, user types.JID, businessName string) (a bool, b string, err error) {
	err = f.call(ctx, "PutBusinessName", func() (err error) {
		a, b, err = f.in.PutBusinessName(ctx, user, businessName)
		return err
	})
	return a, b, err
}

func (f *faulty) PutContactName(ctx context.Context, user types.JID, fullName, firstName string) error {
	return f.call(ctx, "PutContactName", func() error { return f.in.PutContactName(ctx, user, fullName, firstName) })
}

func (f *faulty) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	return f.call(ctx, "PutAllContactNames", func() error { return f.in.PutAllContactNames(ctx, contacts) })
}

func (f *faulty) PutManyRedactedPhones(ctx context.Context, entries []store.RedactedPhoneEntry) error {
	return f.call(ctx, "PutManyRedactedPhones", func() error { return f.in.PutManyRedactedPhones(ctx, entries) })
}

func (f *faulty) GetContact(ctx context.Context, user types.JID) (a types.ContactInfo, err error) {
	err = f.call(ctx, "GetContact", func() (err error) {
		a, err = f.in.GetContact(ctx, user)
		return err
	})
	return a, err
}

func (f *faulty) GetAllContacts(ctx context.Context) (a map[types.JID]types.ContactInfo, err error) {
	err = f.call(ctx, "GetAllContacts", func() (err error) {
		a, err = f.in.GetAllContacts(ctx)
		return err
	})
	return a, err
}

func (f *faulty) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) error {
	return f.call(ctx, "PutMutedUntil", func() error { return f.in.PutMutedUntil(ctx, chat, mutedUntil) })
}

func (f *faulty) PutPinned(ctx context.Context, chat types.JID, pinned bool) error {
	return f.call(ctx, "PutPinned", func() error { return f.in.PutPinned(ctx, chat, pinned) })
}

func (f *faulty) PutArchived(ctx context.Context, chat types.JID, archived bool) error {
	return f.call(ctx, "PutArchived", func() error { return f.in.PutArchived(ctx, chat, archived) })
}

func (f *faulty) GetChatSettings(ctx context.Context, chat types.JID) (a types.LocalChatSettings, err error) {
	err = f.call(ctx, "GetChatSettings", func() (err error) {
		a, err = f.in.GetChatSettings(ctx, chat)
		return err
	})
	return a, err
}

func (f *faulty) PutMessageSecrets(ctx context.Context, inserts []store.MessageSecretInsert) error {
	return f.call(ctx, "PutMessageSecrets", func() error { return f.in.PutMessageSecrets(ctx, inserts) })
}

func (f *faulty) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	return f.call(ctx, "PutMessageSecret", func() error { return f.in.PutMessageSecret(ctx, chat, sender, id, secret) })
}

func (f *faulty) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (a []byte, b types.JID, err error) {
	err = f.call(ctx, "GetMessageSecret", func() (err error) {
		a, b, err = f.in.GetMessageSecret(ctx, chat, sender, id)
		return err
	})
	return a, b, err
}

func (f *faulty) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	return f.call(ctx, "PutPrivacyTokens", func() error { return f.in.PutPrivacyTokens(ctx, tokens...) })
}

func (f *faulty) GetPrivacyToken(ctx context.Context, user types.JID) (a *store.PrivacyToken, err error) {
	err = f.call(ctx, "GetPrivacyToken", func() (err error) {
		a, err = f.in.GetPrivacyToken(ctx, user)
		return err
	})
	return a, err
}

func (f *faulty) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (a *store.BufferedEvent, err error) {
	err = f.call(ctx, "GetBufferedEvent", func() (err error) {
		a, err = f.in.GetBufferedEvent(ctx, ciphertextHash)
		return err
	})
	return a, err
}

func (f *faulty) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) error {
	return f.call(ctx, "PutBufferedEvent", func() error { return f.in.PutBufferedEvent(ctx, ciphertextHash, plaintext, serverTimestamp) })
}

func (f *faulty) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	return f.call(ctx, "DoDecryptionTxn", func() error { return f.in.DoDecryptionTxn(ctx, fn) })
}

func (f *faulty) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) error {
	return f.call(ctx, "ClearBufferedEventPlaintext", func() error { return f.in.ClearBufferedEventPlaintext(ctx, ciphertextHash) })
}

func (f *faulty) DeleteOldBufferedHashes(ctx context.Context) error {
	return f.call(ctx, "DeleteOldBufferedHashes", func() error { return f.in.DeleteOldBufferedHashes(ctx) })
}

func (f *faulty) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	return f.call(ctx, "PutManyLIDMappings", func() error { return f.in.PutManyLIDMappings(ctx, mappings) })
}

func (f *faulty) PutLIDMapping(ctx context.Context, lid, jid types.JID) error {
	return f.call(ctx, "PutLIDMapping", func() error { return f.in.PutLIDMapping(ctx, lid, jid) })
}

func (f *faulty) GetPNForLID(ctx context.Context, lid types.JID) (a types.JID, err error) {
	err = f.call(ctx, "GetPNForLID", func() (err error) {
		a, err = f.in.GetPNForLID(ctx, lid)
		return err
	})
	return a, err
}

func (f *faulty) GetLIDForPN(ctx context.Context, pn types.JID) (a types.JID, err error) {
	err = f.call(ctx, "GetLIDForPN", func() (err error) {
		a, err = f.in.GetLIDForPN(ctx, pn)
		return err
	})
	return a, err
}

func (f *faulty) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (a map[types.JID]types.JID, err error) {
	err = f.call(ctx, "GetManyLIDsForPNs", func() (err error) {
		a, err = f.in.GetManyLIDsForPNs(ctx, pns)
		return err
	})
	return a, err
}
