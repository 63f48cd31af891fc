package sandbox

import (
	"context"
	"slices"

	"go.mau.fi/whatsmeow/types"
)

// passOnInRoom tells the sender of messages in a room, and the receiver's other companions, what a companion did with
// them.
func (s *Server) passOnInRoom(t *batch, d *device, receipt *node, kind string, ids []string) {
	room, author := jid(receipt, "to"), jid(receipt, "participant")
	sender, own := s.find(author), d.user
	if sender == nil || sender == own {
		return
	}
	self := kind == "read-self" || kind == "played-self"
	at := now()
	n := node{Tag: "receipt", Attrs: attrs{
		"from": room, "participant": own.as(author, d.id), "id": ids[0], "t": unix(at), "type": kind,
	}}
	n.Content = furtherIDs(ids)
	if !self {
		for _, id := range ids {
			if m := sender.sentByID[id]; m != nil {
				s.addReceipt(t, m, receiptName(kind), own.pn(d.id), at)
			}
		}
		for _, other := range sender.companions() {
			s.enqueue(t, other, own.number, n)
		}
	}
	if kind == "" || kind == "inactive" {
		return
	}
	copied := node{Tag: "receipt", Attrs: attrs{"recipient": sender.as(author, 0)}, Content: n.Content}
	for key, value := range n.Attrs {
		copied.Attrs[key] = value
	}
	for _, other := range own.companions() {
		if other != d {
			s.enqueue(t, other, own.number, copied)
		}
	}
}

// inRoom puts a receipt of a phone into the room that the message was sent to.
func inRoom(n node, room types.JID) node {
	if !room.IsEmpty() {
		n.Attrs["participant"] = n.Attrs["from"]
		n.Attrs["from"] = room
	}
	return n
}

// sendGroupedReceipt lets several phones say the same of a message in one receipt (whatsmeow receipt.go,
// handleGroupedReceipt).
func (s *Server) sendGroupedReceipt(ctx context.Context, r ReceiptRequest) error {
	if r.Number != "" || r.Type == "retry" {
		return errorf(Invalid, "\"numbers\" goes without \"number\", and a \"retry\" is for one phone alone")
	}
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var m *message
		var phones []*user
		for _, number := range r.Numbers {
			phone, found, findErr := s.findReceived(r.ID, number)
			if findErr != nil {
				err = findErr
				return
			}
			if m != nil && m != found || found.room().IsEmpty() {
				err = errorf(Invalid, "Message %s was not sent to a group or as a status: its receipts come one by one", r.ID)
				return
			}
			m = found
			if !slices.Contains(phones, phone) {
				phones = append(phones, phone)
			}
		}
		s.groupedReceipt(t, m, phones, r.Type)
	})
	if err != nil {
		return err
	}
	return waitErr
}

func (s *Server) groupedReceipt(t *batch, m *message, phones []*user, kind string) {
	at := now()
	var list []node
	for _, phone := range phones {
		s.addReceipt(t, m, kind, phone.pn(0), at)
		list = append(list, node{Tag: "user", Attrs: attrs{"jid": phone.as(m.form(), 0), "t": unix(at)}})
	}
	n := node{Tag: "receipt", Attrs: attrs{"from": m.room(), "id": m.ID, "t": unix(at)}, Content: []node{
		{Tag: "participants", Attrs: attrs{"key": m.ID}, Content: list},
	}}
	if kind != "delivered" {
		n.Attrs["type"] = kind
	}
	for _, d := range s.world.users[m.From].companions() {
		s.enqueue(t, d, phones[0].number, n)
	}
}
