package session

import (
	"context"
	"database/sql"
	"errors"
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
	k := d.key(contactKind, user.String())
	if v, ok := d.c.cache.get(k); ok {
		info, _ := v.(types.ContactInfo)
		return info, nil
	}
	info, err := scanContact(d.c.reads.QueryRowContext(ctx, d.c.q.getContact, d.jid, user))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return types.ContactInfo{}, err
	}
	info.Found = err == nil
	d.keepContact(user, info)
	return info, nil
}

func scanContact(row interface{ Scan(...any) error }, more ...any) (types.ContactInfo, error) {
	var first, full, push, business, phone sql.NullString
	err := row.Scan(append(more, &first, &full, &push, &business, &phone)...)
	return types.ContactInfo{
		Found: true, FirstName: first.String, FullName: full.String, PushName: push.String,
		BusinessName: business.String, RedactedPhone: phone.String,
	}, err
}

func (d *Device) keepContact(user types.JID, info types.ContactInfo) {
	size := len(info.FirstName) + len(info.FullName) + len(info.PushName) + len(info.BusinessName) + len(info.RedactedPhone)
	d.c.cache.put(d.key(contactKind, user.String()), info, size+100)
}

// putContacts commits changes of contacts, and drops from the cache what may have
// changed. The caller holds d.contacts.
func (d *Device) putContacts(ctx context.Context, w *Writes, users ...types.JID) error {
	defer func() {
		for _, user := range users {
			d.c.cache.remove(d.key(contactKind, user.String()))
		}
	}()
	return d.c.writer.Write(ctx, w)
}

// putName changes one name of a contact if it differs; field picks the name.
func (d *Device) putName(ctx context.Context, user types.JID, name, query string, field func(*types.ContactInfo) *string) (bool, string, error) {
	d.contacts.Lock()
	defer d.contacts.Unlock()
	name = clean(name)
	info, err := d.contact(ctx, user)
	if err != nil {
		return false, "", err
	}
	before := *field(&info)
	if before == name {
		return false, "", nil
	}
	w := &Writes{}
	w.run(query, d.jid, user, name)
	if err := d.putContacts(ctx, w, user); err != nil {
		return false, "", err
	}
	*field(&info), info.Found = name, true
	d.keepContact(user, info)
	return true, before, nil
}

// PutPushName stores the name that a contact gives itself, and tells whether it
// changed and what it was.
func (d *Device) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, before string, err error) {
	return d.putName(ctx, user, pushName, d.c.q.putPush, func(i *types.ContactInfo) *string { return &i.PushName })
}

// PutBusinessName stores a contact's verified name, and tells whether it changed
// and what it was.
func (d *Device) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, before string, err error) {
	return d.putName(ctx, user, businessName, d.c.q.putBusiness, func(i *types.ContactInfo) *string { return &i.BusinessName })
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
	return all, nil
}
