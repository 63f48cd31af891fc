package whatsapp

import (
	"context"
	"sync"

	"go.mau.fi/whatsmeow/types/events"
)

// outgoing holds the IDs of messages that are being handed to WhatsApp. A phone can
// confirm a message before its SEND_MESSAGE is appended; what it says waits until
// then, so that a chat's events come in the order that makes sense.
type outgoing struct {
	mu  sync.Mutex
	ids map[string]chan struct{} // closed when the event is appended, or never will be
}

// begin notes a message. end must follow.
func (o *outgoing) begin(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = map[string]chan struct{}{}
	}
	o.ids[id] = make(chan struct{})
}

// end says that the message's event is appended, or that there will be none.
func (o *outgoing) end(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if done, ok := o.ids[id]; ok {
		close(done)
		delete(o.ids, id)
	}
}

// settle waits, if evt is about messages that are being handed over, until they
// are. That needs nothing that the handler of evt holds up: WhatsApp's answers
// reach the sender directly.
func (o *outgoing) settle(ctx context.Context, evt any) {
	receipt, ok := evt.(*events.Receipt)
	if !ok {
		return
	}
	for _, id := range receipt.MessageIDs {
		o.mu.Lock()
		done := o.ids[id]
		o.mu.Unlock()
		if done == nil {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}
