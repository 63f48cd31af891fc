package session

import (
	"context"
	"database/sql"
	"strings"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// clean makes a text of what a stranger calls one: PostgreSQL takes no other, and a
// name must not keep a message from being stored.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// contact returns what is known of a contact. The caller holds d.contacts.
func (d *Device) contact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	waiting := d.waitingNames(ctx, user) // first: what is committed meanwhile is found below
	info, err := d.committedContact(ctx, user)
	for kind, name := range waiting {
		*nameOf(kind, &info), info.Found = name, true
	}
	return info, err
}

// nameOf is the name of that kind.
func nameOf(kind kind, info *types.ContactInfo) *string {
	if kind == pushKind {
		return &info.PushName
	}
	return &info.BusinessName
}

// waitingNames returns the names of a contact that are not committed.
func (d *Device) waitingNames(ctx context.Context, user types.JID) map[kind]string {
	var names map[kind]string
	for _, which := range [...]kind{pushKind, businessKind} {
		if e, ok := d.pending(ctx, d.key(which, user.String()), false); ok {
			if names == nil {
				names = map[kind]string{}
			}
			names[which] = string(e.value)
		}
	}
	return names
}

// contactSize is about what a contact takes in memory besides its texts.
const contactSize = 100

func (d *Device) committedContact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	k := d.key(contactKind, user.String())
	if v, ok := d.c.cache.get(k); ok {
		info, _ := v.(types.ContactInfo)
		return info, nil
	}
	keep, done := d.tally.reading(d.c.cache, one(k))
	defer done()
	var info types.ContactInfo
	err := d.c.read(ctx, d.c.q.getContact, []any{d.jid, user}, func(rows *sql.Rows) (err error) {
		info, err = scanContact(rows)
		return err
	})
	if err != nil {
		return types.ContactInfo{}, err
	}
	size := len(info.FirstName) + len(info.FullName) + len(info.PushName) + len(info.BusinessName) + len(info.RedactedPhone)
	keep(k, info, size+contactSize)
	return info, nil
}

func scanContact(row *sql.Rows, more ...any) (types.ContactInfo, error) {
	var first, full, push, business, phone sql.NullString
	err := row.Scan(append(more, &first, &full, &push, &business, &phone)...)
	return types.ContactInfo{
		Found: true, FirstName: first.String, FullName: full.String, PushName: push.String,
		BusinessName: business.String, RedactedPhone: phone.String,
	}, err
}

// putContacts commits changes of contacts, and drops from the cache what may have
// changed. The caller holds d.contacts.
func (d *Device) putContacts(ctx context.Context, w *Writes, users ...types.JID) error {
	end := d.tally.begin(true)
	defer func() {
		for _, user := range users {
			d.c.cache.remove(d.key(contactKind, user.String()))
		}
		end()
	}()
	return d.c.writer.Write(ctx, w)
}

// putName changes one name of a contact if it differs. Names come with messages,
// those of new contacts with the first one: they go with its commit. If they are lost
// they come again.
func (d *Device) putName(ctx context.Context, kind kind, user types.JID, name string) (changed bool, before string, err error) {
	d.contacts.Lock()
	defer d.contacts.Unlock()
	name = clean(name)
	info, err := d.contact(ctx, user)
	if err != nil {
		return false, "", err
	}
	before = *nameOf(kind, &info)
	if before == name {
		return false, "", nil
	}
	if err := d.ride(ctx, d.key(kind, user.String()), &entry{value: []byte(name)}); err != nil {
		return false, "", err
	}
	return true, before, nil
}

// settledName brings the cache up to date with a name that was committed, or may have
// been.
func (c *Container) settledName(r row, err error) {
	k := key{jid: r.jid, kind: contactKind, a: r.a}
	if err != nil {
		c.cache.remove(k)
		return
	}
	c.cache.change(k, len(r.value), func(value any) any {
		info, _ := value.(types.ContactInfo)
		*nameOf(r.kind, &info), info.Found = string(r.value), true
		return info
	})
}

// PutPushName notes the name that a contact gives itself, and tells whether it
// changed and what it was.
func (d *Device) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, before string, err error) {
	return d.putName(ctx, pushKind, user, pushName)
}

// PutBusinessName notes a contact's verified name, and tells whether it changed and
// what it was.
func (d *Device) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, before string, err error) {
	return d.putName(ctx, businessKind, user, businessName)
}

// PutContactName stores a contact's names in the phone's address book. The order
// of the names is the one in which whatsmeow gives them, whatever its interface
// calls them.
func (d *Device) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) error {
	d.contacts.Lock()
	defer d.contacts.Unlock()
	info, err := d.contact(ctx, user)
	if err != nil || info.FirstName == firstName && info.FullName == fullName {
		return err
	}
	w := &Writes{}
	w.run(d.c.q.putNames, d.jid, user, clean(firstName), clean(fullName))
	return d.putContacts(ctx, w, user)
}

// contactBatch is how many contacts go into one transaction.
const contactBatch = 300

// PutAllContactNames stores the names of many contacts.
func (d *Device) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	return putMany(ctx, d, contacts, func(w *Writes, c store.ContactEntry) types.JID {
		w.run(d.c.q.putNames, d.jid, c.JID, clean(c.FirstName), clean(c.FullName))
		return c.JID
	})
}

// PutManyRedactedPhones stores what is known of the numbers of many LIDs.
func (d *Device) PutManyRedactedPhones(ctx context.Context, entries []store.RedactedPhoneEntry) error {
	return putMany(ctx, d, entries, func(w *Writes, e store.RedactedPhoneEntry) types.JID {
		w.run(d.c.q.putPhone, d.jid, e.JID, clean(e.RedactedPhone))
		return e.JID
	})
}

func putMany[T any](ctx context.Context, d *Device, list []T, put func(*Writes, T) types.JID) error {
	d.contacts.Lock()
	defer d.contacts.Unlock()
	for len(list) > 0 {
		n := min(len(list), contactBatch)
		w := &Writes{}
		users := make([]types.JID, n)
		for i, e := range list[:n] {
			users[i] = put(w, e)
		}
		if err := d.putContacts(ctx, w, users...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// GetContact returns what is known of a contact.
func (d *Device) GetContact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	d.contacts.Lock()
	defer d.contacts.Unlock()
	return d.contact(ctx, user)
}

// GetAllContacts returns all contacts.
func (d *Device) GetAllContacts(ctx context.Context) (map[types.JID]types.ContactInfo, error) {
	waiting := map[key]string{} // first: what is committed meanwhile is found below
	d.mu.Lock()
	for k, e := range d.riders {
		if k.kind == pushKind || k.kind == businessKind {
			waiting[k] = string(e.value)
		}
	}
	d.mu.Unlock()
	all := map[types.JID]types.ContactInfo{}
	err := d.c.read(ctx, d.c.q.allContacts, []any{d.jid}, func(rows *sql.Rows) error {
		var user types.JID
		info, err := scanContact(rows, &user)
		all[user] = info
		return err
	})
	if err != nil {
		return nil, err
	}
	for k, name := range waiting {
		user, err := types.ParseJID(k.a)
		if err != nil {
			return nil, err
		}
		info := all[user]
		*nameOf(k.kind, &info), info.Found = name, true
		all[user] = info
	}
	return all, nil
}
