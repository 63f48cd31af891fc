package whatsapp

import (
	"context"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// faulty are stores that fail on demand. before is asked before each call, after
// when it has been carried out; an error of either is what the caller gets.
type faulty struct {
	mu     sync.Mutex
	before func(op string) error
	after  func(op string) error
	calls  map[string]int
}

func (f *faulty) set(before, after func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) seen() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]int{}
	for op, n := range f.calls {
		out[op] = n
	}
	return out
}

// over puts f over other stores; faults and counts are kept.
func (f *faulty) over(in store.AllStores) store.AllStores { return &faultyOver{f, in} }

type faultyOver struct {
	f  *faulty
	in store.AllStores
}

func (o *faultyOver) do(op string, call func() error) error {
	o.f.mu.Lock()
	before, after := o.f.before, o.f.after
	if o.f.calls == nil {
		o.f.calls = map[string]int{}
	}
	o.f.calls[op]++
	o.f.mu.Unlock()
	if before != nil {
		if err := before(op); err != nil {
			return err
		}
	}
	err := call()
	if err == nil && after != nil {
		return after(op)
	}
	return err
}

func (o *faultyOver) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return o.do("PutIdentity", func() error { return o.in.PutIdentity(ctx, address, key) })
}

func (o *faultyOver) DeleteAllIdentities(ctx context.Context, phone string) error {
	return o.do("DeleteAllIdentities", func() error { return o.in.DeleteAllIdentities(ctx, phone) })
}

func (o *faultyOver) DeleteIdentity(ctx context.Context, address string) error {
	return o.do("DeleteIdentity", func() error { return o.in.DeleteIdentity(ctx, address) })
}

func (o *faultyOver) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (a bool, err error) {
	err = o.do("IsTrustedIdentity", func() (err error) {
		a, err = o.in.IsTrustedIdentity(ctx, address, key)
		return err
	})
	return a, err
}

func (o *faultyOver) GetSession(ctx context.Context, address string) (a []byte, err error) {
	err = o.do("GetSession", func() (err error) {
		a, err = o.in.GetSession(ctx, address)
		return err
	})
	return a, err
}

func (o *faultyOver) HasSession(ctx context.Context, address string) (a bool, err error) {
	err = o.do("HasSession", func() (err error) {
		a, err = o.in.HasSession(ctx, address)
		return err
	})
	return a, err
}

func (o *faultyOver) GetManySessions(ctx context.Context, addresses []string) (a map[string][]byte, err error) {
	err = o.do("GetManySessions", func() (err error) {
		a, err = o.in.GetManySessions(ctx, addresses)
		return err
	})
	return a, err
}

func (o *faultyOver) PutSession(ctx context.Context, address string, session []byte) error {
	return o.do("PutSession", func() error { return o.in.PutSession(ctx, address, session) })
}

func (o *faultyOver) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	return o.do("PutManySessions", func() error { return o.in.PutManySessions(ctx, sessions) })
}

func (o *faultyOver) DeleteAllSessions(ctx context.Context, phone string) error {
	return o.do("DeleteAllSessions", func() error { return o.in.DeleteAllSessions(ctx, phone) })
}

func (o *faultyOver) DeleteSession(ctx context.Context, address string) error {
	return o.do("DeleteSession", func() error { return o.in.DeleteSession(ctx, address) })
}

func (o *faultyOver) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	return o.do("MigratePNToLID", func() error { return o.in.MigratePNToLID(ctx, pn, lid) })
}

func (o *faultyOver) GetOrGenPreKeys(ctx context.Context, count uint32) (a []*keys.PreKey, err error) {
	err = o.do("GetOrGenPreKeys", func() (err error) {
		a, err = o.in.GetOrGenPreKeys(ctx, count)
		return err
	})
	return a, err
}

func (o *faultyOver) GenOnePreKey(ctx context.Context) (a *keys.PreKey, err error) {
	err = o.do("GenOnePreKey", func() (err error) {
		a, err = o.in.GenOnePreKey(ctx)
		return err
	})
	return a, err
}

func (o *faultyOver) GetPreKey(ctx context.Context, id uint32) (a *keys.PreKey, err error) {
	err = o.do("GetPreKey", func() (err error) {
		a, err = o.in.GetPreKey(ctx, id)
		return err
	})
	return a, err
}

func (o *faultyOver) RemovePreKey(ctx context.Context, id uint32) error {
	return o.do("RemovePreKey", func() error { return o.in.RemovePreKey(ctx, id) })
}

func (o *faultyOver) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	return o.do("MarkPreKeysAsUploaded", func() error { return o.in.MarkPreKeysAsUploaded(ctx, upToID) })
}

func (o *faultyOver) UploadedPreKeyCount(ctx context.Context) (a int, err error) {
	err = o.do("UploadedPreKeyCount", func() (err error) {
		a, err = o.in.UploadedPreKeyCount(ctx)
		return err
	})
	return a, err
}

func (o *faultyOver) PutSenderKey(ctx context.Context, group, user string, session []byte) error {
	return o.do("PutSenderKey", func() error { return o.in.PutSenderKey(ctx, group, user, session) })
}

func (o *faultyOver) GetSenderKey(ctx context.Context, group, user string) (a []byte, err error) {
	err = o.do("GetSenderKey", func() (err error) {
		a, err = o.in.GetSenderKey(ctx, group, user)
		return err
	})
	return a, err
}

func (o *faultyOver) PutAppStateSyncKey(ctx context.Context, id []byte, key store.AppStateSyncKey) error {
	return o.do("PutAppStateSyncKey", func() error { return o.in.PutAppStateSyncKey(ctx, id, key) })
}

func (o *faultyOver) GetAppStateSyncKey(ctx context.Context, id []byte) (a *store.AppStateSyncKey, err error) {
	err = o.do("GetAppStateSyncKey", func() (err error) {
		a, err = o.in.GetAppStateSyncKey(ctx, id)
		return err
	})
	return a, err
}

func (o *faultyOver) GetLatestAppStateSyncKeyID(ctx context.Context) (a []byte, err error) {
	err = o.do("GetLatestAppStateSyncKeyID", func() (err error) {
		a, err = o.in.GetLatestAppStateSyncKeyID(ctx)
		return err
	})
	return a, err
}

func (o *faultyOver) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) error {
	return o.do("PutAppStateVersion", func() error { return o.in.PutAppStateVersion(ctx, name, version, hash) })
}

func (o *faultyOver) GetAppStateVersion(ctx context.Context, name string) (a uint64, b [128]byte, err error) {
	err = o.do("GetAppStateVersion", func() (err error) {
		a, b, err = o.in.GetAppStateVersion(ctx, name)
		return err
	})
	return a, b, err
}

func (o *faultyOver) DeleteAppStateVersion(ctx context.Context, name string) error {
	return o.do("DeleteAppStateVersion", func() error { return o.in.DeleteAppStateVersion(ctx, name) })
}

func (o *faultyOver) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []store.AppStateMutationMAC) error {
	return o.do("PutAppStateMutationMACs", func() error { return o.in.PutAppStateMutationMACs(ctx, name, version, mutations) })
}

func (o *faultyOver) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) error {
	return o.do("DeleteAppStateMutationMACs", func() error { return o.in.DeleteAppStateMutationMACs(ctx, name, indexMACs) })
}

func (o *faultyOver) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (a []byte, err error) {
	err = o.do("GetAppStateMutationMAC", func() (err error) {
		a, err = o.in.GetAppStateMutationMAC(ctx, name, indexMAC)
		return err
	})
	return a, err
}

func (o *faultyOver) PutPushName(ctx context.Context, user types.JID, pushName string) (a bool, b string, err error) {
	err = o.do("PutPushName", func() (err error) {
		a, b, err = o.in.PutPushName(ctx, user, pushName)
		return err
	})
	return a, b, err
}

func (o *faultyOver) PutBusinessName(ctx context.Context, user types.JID, businessName string) (a bool, b string, err error) {
	err = o.do("PutBusinessName", func() (err error) {
		a, b, err = o.in.PutBusinessName(ctx, user, businessName)
		return err
	})
	return a, b, err
}

func (o *faultyOver) PutContactName(ctx context.Context, user types.JID, fullName, firstName string) error {
	return o.do("PutContactName", func() error { return o.in.PutContactName(ctx, user, fullName, firstName) })
}

func (o *faultyOver) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	return o.do("PutAllContactNames", func() error { return o.in.PutAllContactNames(ctx, contacts) })
}

func (o *faultyOver) PutManyRedactedPhones(ctx context.Context, entries []store.RedactedPhoneEntry) error {
	return o.do("PutManyRedactedPhones", func() error { return o.in.PutManyRedactedPhones(ctx, entries) })
}

func (o *faultyOver) GetContact(ctx context.Context, user types.JID) (a types.ContactInfo, err error) {
	err = o.do("GetContact", func() (err error) {
		a, err = o.in.GetContact(ctx, user)
		return err
	})
	return a, err
}

func (o *faultyOver) GetAllContacts(ctx context.Context) (a map[types.JID]types.ContactInfo, err error) {
	err = o.do("GetAllContacts", func() (err error) {
		a, err = o.in.GetAllContacts(ctx)
		return err
	})
	return a, err
}

func (o *faultyOver) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) error {
	return o.do("PutMutedUntil", func() error { return o.in.PutMutedUntil(ctx, chat, mutedUntil) })
}

func (o *faultyOver) PutPinned(ctx context.Context, chat types.JID, pinned bool) error {
	return o.do("PutPinned", func() error { return o.in.PutPinned(ctx, chat, pinned) })
}

func (o *faultyOver) PutArchived(ctx context.Context, chat types.JID, archived bool) error {
	return o.do("PutArchived", func() error { return o.in.PutArchived(ctx, chat, archived) })
}

func (o *faultyOver) GetChatSettings(ctx context.Context, chat types.JID) (a types.LocalChatSettings, err error) {
	err = o.do("GetChatSettings", func() (err error) {
		a, err = o.in.GetChatSettings(ctx, chat)
		return err
	})
	return a, err
}

func (o *faultyOver) PutMessageSecrets(ctx context.Context, inserts []store.MessageSecretInsert) error {
	return o.do("PutMessageSecrets", func() error { return o.in.PutMessageSecrets(ctx, inserts) })
}

func (o *faultyOver) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	return o.do("PutMessageSecret", func() error { return o.in.PutMessageSecret(ctx, chat, sender, id, secret) })
}

func (o *faultyOver) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (a []byte, b types.JID, err error) {
	err = o.do("GetMessageSecret", func() (err error) {
		a, b, err = o.in.GetMessageSecret(ctx, chat, sender, id)
		return err
	})
	return a, b, err
}

func (o *faultyOver) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	return o.do("PutPrivacyTokens", func() error { return o.in.PutPrivacyTokens(ctx, tokens...) })
}

func (o *faultyOver) GetPrivacyToken(ctx context.Context, user types.JID) (a *store.PrivacyToken, err error) {
	err = o.do("GetPrivacyToken", func() (err error) {
		a, err = o.in.GetPrivacyToken(ctx, user)
		return err
	})
	return a, err
}

func (o *faultyOver) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (a *store.BufferedEvent, err error) {
	err = o.do("GetBufferedEvent", func() (err error) {
		a, err = o.in.GetBufferedEvent(ctx, ciphertextHash)
		return err
	})
	return a, err
}

func (o *faultyOver) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) error {
	return o.do("PutBufferedEvent", func() error { return o.in.PutBufferedEvent(ctx, ciphertextHash, plaintext, serverTimestamp) })
}

func (o *faultyOver) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	return o.do("DoDecryptionTxn", func() error { return o.in.DoDecryptionTxn(ctx, fn) })
}

func (o *faultyOver) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) error {
	return o.do("ClearBufferedEventPlaintext", func() error { return o.in.ClearBufferedEventPlaintext(ctx, ciphertextHash) })
}

func (o *faultyOver) DeleteOldBufferedHashes(ctx context.Context) error {
	return o.do("DeleteOldBufferedHashes", func() error { return o.in.DeleteOldBufferedHashes(ctx) })
}

func (o *faultyOver) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	return o.do("PutManyLIDMappings", func() error { return o.in.PutManyLIDMappings(ctx, mappings) })
}

func (o *faultyOver) PutLIDMapping(ctx context.Context, lid, jid types.JID) error {
	return o.do("PutLIDMapping", func() error { return o.in.PutLIDMapping(ctx, lid, jid) })
}

func (o *faultyOver) GetPNForLID(ctx context.Context, lid types.JID) (a types.JID, err error) {
	err = o.do("GetPNForLID", func() (err error) {
		a, err = o.in.GetPNForLID(ctx, lid)
		return err
	})
	return a, err
}

func (o *faultyOver) GetLIDForPN(ctx context.Context, pn types.JID) (a types.JID, err error) {
	err = o.do("GetLIDForPN", func() (err error) {
		a, err = o.in.GetLIDForPN(ctx, pn)
		return err
	})
	return a, err
}

func (o *faultyOver) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (a map[types.JID]types.JID, err error) {
	err = o.do("GetManyLIDsForPNs", func() (err error) {
		a, err = o.in.GetManyLIDsForPNs(ctx, pns)
		return err
	})
	return a, err
}
