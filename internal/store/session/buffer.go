package session

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"
)

// buffer is what is known of the table of plaintexts: which wait for their event.
// There are few, or none: those of messages that were committed apart, and what
// sqlstore has left behind.
type buffer struct {
	mu      sync.Mutex
	loaded  bool
	waiting map[[32]byte]bool
}

func (b *buffer) note(hash [32]byte, waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !waits {
		delete(b.waiting, hash)
		return
	}
	if b.waiting == nil {
		b.waiting = map[[32]byte]bool{}
	}
	b.waiting[hash] = true
}

// mayHave tells whether a plaintext may wait in the table.
func (d *Device) mayHave(ctx context.Context, hash [32]byte) (bool, error) {
	b := &d.buffer
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.loaded {
		if b.waiting == nil {
			b.waiting = map[[32]byte]bool{}
		}
		err := d.c.read(ctx, d.c.q.waitingBuffered, []any{d.jid}, func(rows *sql.Rows) error {
			var h []byte
			if err := rows.Scan(&h); err != nil {
				return err
			}
			if len(h) == len(hash) {
				b.waiting[[32]byte(h)] = true
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		b.loaded = true
	}
	return b.waiting[hash], nil
}

// GetBufferedEvent returns the plaintext of a message that was committed apart
// from its event, nil for all others.
func (d *Device) GetBufferedEvent(ctx context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	if may, err := d.mayHave(ctx, hash); err != nil || !may {
		return nil, err
	}
	if e, ok := d.pending(ctx, d.key(bufferKind, string(hash[:])), false); ok && e.deleted {
		return nil, nil
	}
	var event store.BufferedEvent
	var sent, inserted int64
	err := d.c.readOne(ctx, d.c.q.getBuffered, []any{d.jid, hash[:]}, &event.Plaintext, &sent, &inserted)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	event.ServerTime, event.InsertTime = time.Unix(sent, 0), time.UnixMilli(inserted)
	return &event, nil
}

// PutBufferedEvent keeps the plaintext of a message only if it is not certain that
// exactly one event follows.
func (d *Device) PutBufferedEvent(ctx context.Context, hash [32]byte, plaintext []byte, serverTime time.Time) error {
	t := within(ctx)
	if t != nil && oneEvent(plaintext) {
		return nil
	}
	k, e := d.key(bufferKind, string(hash[:])), &entry{value: plaintext, at: serverTime.Unix()}
	if t != nil {
		t.changes[k], t.apart, t.hash = e, true, hash
		return nil
	}
	d.buffer.note(hash, true)
	return d.through(ctx, overlay{k: e}, nil)
}

// oneEvent tells whether whatsmeow will make exactly one event of a plaintext,
// and that after it has returned from DoDecryptionTxn (message.go, decryptMessages,
// for a message of version 2). If not, the message is confirmed without an event,
// asked for again, or, if it is an answer of our phone that holds other messages,
// has several. The conditions are whatsmeow's own.
func oneEvent(plaintext []byte) bool {
	if len(plaintext) == 0 {
		return false
	}
	padding := int(plaintext[len(plaintext)-1])
	if padding > len(plaintext) || !bytes.HasSuffix(plaintext, bytes.Repeat(plaintext[len(plaintext)-1:], padding)) {
		return false
	}
	var m waE2E.Message
	if err := proto.Unmarshal(plaintext[:len(plaintext)-padding], &m); err != nil {
		return false
	}
	return answerOf(&m) == nil && answerOf(m.GetDeviceSentMessage().GetMessage()) == nil
}

func answerOf(m *waE2E.Message) *waE2E.PeerDataOperationRequestResponseMessage {
	return m.GetProtocolMessage().GetPeerDataOperationRequestResponseMessage()
}

// DoDecryptionTxn runs a decryption. What it changes is kept if it succeeds: in
// the unit, which waits for End; or, if the plaintext was put apart, it
// is committed when this returns. An open unit must have been ended before.
func (d *Device) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	if within(ctx) != nil {
		return fn(ctx)
	}
	t := &txn{changes: overlay{}}
	if err := fn(context.WithValue(ctx, txnKey{}, t)); err != nil {
		return err
	}
	if t.apart {
		d.buffer.note(t.hash, true) // also if the commit's answer is lost
		return d.through(ctx, t.changes, nil)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unit == nil {
		d.unit = overlay{}
	}
	for k, e := range t.changes {
		d.unit[k] = e
	}
	return nil
}

// ClearBufferedEventPlaintext notes that a plaintext has its event.
func (d *Device) ClearBufferedEventPlaintext(ctx context.Context, hash [32]byte) error {
	if may, err := d.mayHave(ctx, hash); err != nil || !may {
		return err
	}
	err := d.through(ctx, overlay{d.key(bufferKind, string(hash[:])): {deleted: true}}, nil)
	if err == nil {
		d.buffer.note(hash, false)
	}
	return err
}

// bufferAge is how long WhatsApp keeps a message that was not confirmed, at most.
const bufferAge = 14 * 24 * time.Hour

// DeleteOldBufferedHashes deletes what nobody will send again.
func (d *Device) DeleteOldBufferedHashes(ctx context.Context) error {
	w := &Writes{}
	w.run(d.c.q.ageBuffered, time.Now().Add(-bufferAge).UnixMilli())
	return d.through(ctx, nil, w)
}
