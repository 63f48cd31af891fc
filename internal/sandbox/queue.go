package sandbox

import (
	"fmt"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// window is how many stanzas a device may have unconfirmed on its connection; the others wait. It is far below what
// makes whatsmeow give up order (2,048 waiting nodes: whatsmeow client.go, handleFrame).
const window = 256

// stanza is something the server hands to a device until the device confirms it.
type stanza struct {
	seq   uint64
	batch uint64 // may be sent once this batch is durable
	class string // its tag: message, receipt, notification
	id    string
	kind  string // its type attribute; confirmations of receipts and notifications repeat it
	from  string // number of the user it comes from; empty: the server
	data  []byte // as encoded once: it never changes, whatever the number of times it is sent
}

// enqueue hands a stanza to a device, now or when it comes back.
func (s *Server) enqueue(t *batch, d *device, from string, n node) {
	data, err := waBinary.Marshal(n)
	if err != nil {
		s.log.Error("A stanza could not be encoded", "tag", n.Tag, "error", err)
		return
	}
	st := &stanza{
		seq: s.world.next(), batch: t.number, class: n.Tag, id: str(&n, "id"), kind: str(&n, "type"), from: from, data: data,
	}
	d.queue = append(d.queue, st)
	t.touched[d] = struct{}{}
	t.put(tableStanzas, stanzaRow(d, st), st.encode)
}

func stanzaRow(d *device, st *stanza) string { return fmt.Sprintf("%s/%016x", d.address(), st.seq) }

// pump sends what the window lets through. Called with s.mu held.
func (s *Server) pump(d *device) {
	c := d.conn
	if c == nil || !c.active {
		return
	}
	for d.sent < len(d.queue) && d.sent < window {
		st := d.queue[d.sent]
		if st.batch > s.written {
			break
		}
		if st.seq > c.offered {
			s.endOffline(d)
		}
		data := st.data
		if st.seq <= c.offered {
			data = asOffline(data)
		}
		c.sendBytes(data, s.faults.delay(d))
		d.sent++
	}
	if d.sent == len(d.queue) || d.queue[d.sent].seq > c.offered {
		s.endOffline(d)
	}
}

// endOffline tells the client, once per connection, that all of what waited for it has been sent.
func (s *Server) endOffline(d *device) {
	c := d.conn
	if c.offline < 0 {
		return
	}
	c.send(node{Tag: "ib", Attrs: attrs{"from": types.ServerJID}, Content: []node{
		{Tag: "offline", Attrs: attrs{"count": c.offline}},
	}})
	c.offline = -1
}

// asOffline marks a stanza as one that waited for the client. What is inside stays byte for byte the same.
func asOffline(data []byte) []byte {
	unpacked, err := waBinary.Unpack(data)
	if err != nil {
		return data
	}
	n, err := waBinary.Unmarshal(unpacked)
	if err != nil {
		return data
	}
	n.Attrs["offline"] = "0"
	if marked, err := waBinary.Marshal(*n); err == nil {
		return marked
	}
	return data
}

// activate starts the delivery of stanzas on a connection whose client said that it is ready.
func (s *Server) activate(c *conn) {
	d := c.device
	if d == nil || c.active || d.conn != c {
		return
	}
	c.active = true
	c.offline = len(d.queue)
	if c.offline > 0 {
		c.offered = d.queue[c.offline-1].seq
		c.send(offlinePreview(d.queue))
	}
	s.pump(d)
}

func offlinePreview(queue []*stanza) node {
	counts := map[string]int{}
	for _, st := range queue {
		counts[st.class]++
	}
	return node{Tag: "ib", Attrs: attrs{"from": types.ServerJID}, Content: []node{{Tag: "offline_preview", Attrs: attrs{
		"count": len(queue), "message": counts["message"], "receipt": counts["receipt"],
		"notification": counts["notification"], "appdata": 0,
	}}}}
}

// confirm takes a stanza that the client confirmed out of its queue. Only what was sent on this connection can be
// confirmed. kind is the type attribute that the confirmation repeats; messages are confirmed whatever it is. It
// returns whether there was one to confirm.
func (s *Server) confirm(t *batch, d *device, class, id, kind, via string) bool {
	if s.faults.keep(d) {
		return false
	}
	i := slices.IndexFunc(d.queue[:d.sent], func(st *stanza) bool {
		return st.class == class && st.id == id && (class == "message" || st.kind == kind)
	})
	if i < 0 {
		return false
	}
	st := d.queue[i]
	copy(d.queue[1:i+1], d.queue[:i]) // mostly i is 0
	d.queue[0] = nil
	d.queue = d.queue[1:]
	d.sent--
	t.drop(tableStanzas, stanzaRow(d, st))
	if class == "message" {
		s.recordConfirmation(t, d, st, via)
	}
	t.touched[d] = struct{}{}
	return true
}

// Confirmation says that a companion took responsibility for a message stanza.
type Confirmation struct {
	ID     string    `json:"id"`     // of the message
	From   string    `json:"from"`   // number of its sender
	Device string    `json:"device"` // JID of the companion
	Via    string    `json:"via"`    // receipt, ack or retry
	At     time.Time `json:"at"`
}

func (s *Server) recordConfirmation(t *batch, d *device, st *stanza, via string) {
	u := d.user
	if st.from == "" { // from its own phone, not from a person
		return
	}
	u.confirmed = append(u.confirmed, Confirmation{
		ID: st.id, From: st.from, Device: u.pn(d.id).String(), Via: via, At: time.Now().UTC(),
	})
	entry := u.confirmed[len(u.confirmed)-1]
	t.put(tableConfirmed, fmt.Sprintf("%s/%016x", u.number, s.world.next()), encodeJSON(entry))
}
