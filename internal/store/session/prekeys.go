package session

import (
	"context"
	"database/sql"
	"strconv"

	"go.mau.fi/whatsmeow/util/keys"
)

func (d *Device) preKey(id uint32) key { return d.key(preKeyKind, strconv.FormatUint(uint64(id), 10)) }

// preKeyID is the inverse of Device.preKey.
func preKeyID(s string) int64 {
	id, _ := strconv.ParseInt(s, 10, 64) // made by FormatUint
	return id
}

// ahead is how many prekeys are read at once: they are used one after the other, in
// about the order in which WhatsApp got them.
const ahead = 8

// GetPreKey returns a prekey, nil if there is none: it may have been used.
func (d *Device) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	k := d.preKey(id)
	if _, used := d.pending(ctx, k, true); used {
		return nil, nil
	}
	if v, ok := d.c.cache.get(k); ok {
		private, _ := v.([]byte)
		return loadPreKey(id, private)
	}
	var wanted []byte
	keep, done := d.tally.reading(d.c.cache, func(k key) bool { return k.kind == preKeyKind })
	defer done()
	err := d.c.read(ctx, d.c.q.getPreKeys, []any{d.jid, int64(id), int64(id) + ahead}, func(rows *sql.Rows) error {
		var next uint32
		var private []byte
		if err := rows.Scan(&next, &private); err != nil {
			return err
		}
		if next == id {
			wanted = private
		}
		keep(d.preKey(next), private, len(private))
		return nil
	})
	if err != nil || wanted == nil {
		return nil, err
	}
	return loadPreKey(id, wanted)
}

// RemovePreKey removes a prekey that has been used.
func (d *Device) RemovePreKey(ctx context.Context, id uint32) error {
	return d.change(ctx, d.preKey(id), &entry{deleted: true})
}

// GenOnePreKey makes a prekey that is told to somebody.
func (d *Device) GenOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	d.preKeys.Lock()
	defer d.preKeys.Unlock()
	made, err := d.generate(ctx, 1, true)
	if err != nil {
		return nil, err
	}
	return made[0], nil
}

// GetOrGenPreKeys returns so many prekeys that WhatsApp does not have, making
// those that are missing.
func (d *Device) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	d.preKeys.Lock()
	defer d.preKeys.Unlock()
	var found []*keys.PreKey
	err := d.c.read(ctx, d.c.q.unuploadedPreKeys, []any{d.jid, int64(count)}, func(rows *sql.Rows) error {
		var id uint32
		var private []byte
		if err := rows.Scan(&id, &private); err != nil {
			return err
		}
		k, err := loadPreKey(id, private)
		found = append(found, k)
		return err
	})
	if err != nil {
		return nil, err
	}
	made, err := d.generate(ctx, int(count)-len(found), false)
	return append(found, made...), err
}

// generate makes n prekeys and commits them.
func (d *Device) generate(ctx context.Context, n int, uploaded bool) ([]*keys.PreKey, error) {
	if n <= 0 {
		return nil, nil
	}
	var last uint32
	if err := d.c.readOne(ctx, d.c.q.lastPreKey, []any{d.jid}, &last); err != nil {
		return nil, err
	}
	w := &Writes{}
	made := make([]*keys.PreKey, n)
	for i := range made {
		k, err := newPreKey(last + 1 + uint32(i))
		if err != nil {
			return nil, err
		}
		made[i] = k
		w.run(d.c.q.insertPreKey, d.jid, int64(made[i].KeyID), made[i].Priv[:], uploaded)
	}
	return made, d.through(ctx, nil, w)
}

// MarkPreKeysAsUploaded notes that WhatsApp has the prekeys up to an ID.
func (d *Device) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	w := &Writes{}
	w.run(d.c.q.uploadedPreKeys, d.jid, int64(upToID))
	return d.through(ctx, nil, w)
}

// UploadedPreKeyCount returns how many prekeys WhatsApp has that were not used.
func (d *Device) UploadedPreKeyCount(ctx context.Context) (count int, err error) {
	err = d.c.readOne(ctx, d.c.q.countPreKeys, []any{d.jid}, &count)
	return count, err
}
