package whatsapp

import (
	"sync"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// confirmer confirms messages and receipts whose events are committed. whatsmeow
// handles one stanza after the other, and would wait for the disk with each; so it is
// told not to confirm (handle), and reads the next while what came before is being
// committed, in one transaction. Nothing is confirmed before its commit, and if one
// fails the line is over.
type confirmer struct {
	mu      sync.Mutex
	current *waBinary.Node // the stanza that is being handled, if it can be confirmed here
	waiting []unconfirmed
	count   int // of those that wait or are being committed
	bytes   int // of their events
	working bool
	room    chan struct{} // closed when there is room again; nil: nobody waits
}

// unconfirmed is a stanza whose events have gone into the journal.
type unconfirmed struct {
	node *waBinary.Node
	evt  any
	made []pombo.Event
	// settings are those from before it came.
	settings *pombo.Settings
}

// bytes is how much its events have.
func (t *unconfirmed) bytes() (n int) {
	for i := range t.made {
		n += len(t.made[i].Data)
	}
	return n
}

// So much may wait for one commit: enough for a slow disk, far below what WhatsApp
// leaves unconfirmed, and bounded in memory.
const (
	confirmMost  = 128
	confirmBytes = 4 << 20
)

// watch notes a stanza before whatsmeow handles it. The function returned is called
// afterwards. A stanza of several parts makes several events and is confirmed once,
// by whatsmeow, and so is a channel's message, which is not encrypted.
func (c *confirmer) watch(n *waBinary.Node) (handled func()) {
	if n.Tag == "message" && len(n.GetChildrenByTag("enc")) != 1 || len(n.GetChildrenByTag("participants")) > 0 {
		return func() {}
	}
	c.note(&waBinary.Node{Tag: n.Tag, Attrs: n.Attrs})
	return func() { c.note(nil) }
}

func (c *confirmer) note(n *waBinary.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = n
}

// stanza returns what is being handled, if it has this tag and ID; otherwise nil.
func (c *confirmer) stanza(tag string, id types.MessageID) *waBinary.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil || c.current.Tag != tag || c.current.Attrs["id"] != id {
		return nil
	}
	return c.current
}

// confirmable returns the stanza of evt if the confirmer can confirm it: nothing is to
// be kept before but events, and what reading it has changed, in the unit u.
func (l *line) confirmable(u unit, evt any) *waBinary.Node {
	switch evt := evt.(type) {
	case *events.Message:
		if u.Open() && peerMessage(evt) == nil && evt.Info.Category != "peer" {
			return l.confirmer.stanza("message", evt.Info.ID)
		}
	case *events.Receipt:
		if evt.Type != types.ReceiptTypeRetry && len(evt.MessageIDs) > 0 {
			return l.confirmer.stanza("receipt", evt.MessageIDs[0])
		}
	}
	return nil
}

// confirmLater lets the events of a stanza go with the next commit, after which it is
// confirmed. It waits while too many do. It is false if that is left to whatsmeow.
func (l *line) confirmLater(evt any, made []pombo.Event, settings *pombo.Settings) bool {
	u := l.units()
	if u == nil || !isMessage(evt) && len(made) == 0 {
		return false
	}
	n := l.confirmable(u, evt)
	if n == nil {
		return false
	}
	t := unconfirmed{n, evt, made, settings}
	c := &l.confirmer
	if !c.await(t.bytes(), l.over) {
		return true // nothing is confirmed any more
	}
	l.add(u, evt, made)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, t)
	c.count++
	c.bytes += t.bytes()
	if !c.working && l.enter() {
		c.working = true
		go l.confirm(u)
	}
	return true
}

// await returns when there is room for events of so many bytes; false if over
// is closed first.
func (c *confirmer) await(bytes int, over <-chan struct{}) bool {
	for {
		c.mu.Lock()
		if c.count == 0 || c.count < confirmMost && c.bytes+bytes <= confirmBytes {
			c.mu.Unlock()
			return true
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-over:
			return false
		}
	}
}

// confirm commits and confirms what waits, and returns when nothing does.
func (l *line) confirm(u unit) {
	defer l.leave()
	defer func() {
		if p := recover(); p != nil {
			l.panicked("confirming", p)
		}
	}()
	c := &l.confirmer
	for {
		batch := c.next()
		if len(batch) == 0 {
			return
		}
		if err := l.insist(l.ctx, "append events", u.Flush); err != nil {
			l.end(err)
			return
		}
		l.trouble.passed()
		for i := range batch {
			l.confirmStanza(&batch[i])
		}
		c.done(batch)
	}
}

func (l *line) confirmStanza(t *unconfirmed) {
	whatsmeow := l.client.DangerousInternals() //nolint:staticcheck // there is no other way to it
	if m, ok := t.evt.(*events.Message); ok {
		whatsmeow.SendMessageReceipt(l.ctx, &m.Info, t.node)
	} else {
		whatsmeow.SendAck(l.ctx, t.node, 0)
	}
	l.follow(t.evt, t.made, t.settings)
}

// next takes what waits.
func (c *confirmer) next() []unconfirmed {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.waiting
	c.waiting = nil
	c.working = len(batch) > 0
	return batch
}

// done makes room after a batch.
func (c *confirmer) done(batch []unconfirmed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count -= len(batch)
	for i := range batch {
		c.bytes -= batch[i].bytes()
	}
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}
