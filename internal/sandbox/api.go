package sandbox

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MessagesRequest asks for a phone's messages.
type MessagesRequest struct {
	Number string
	// Direction is "received" (the default), or "sent" for what the number sent, by its phone or its companions.
	Direction string
}

// Message is a message as a phone shows it.
type Message struct {
	ID        string          `json:"id"`
	From      string          `json:"from"`      // number
	To        string          `json:"to"`        // number, or JID of a group, a channel or the status broadcast
	Timestamp int64           `json:"timestamp"` // seconds since 1970
	Text      string          `json:"text"`      // what a person would read in it
	Message   json.RawMessage `json:"message"`   // waE2E.Message as protobuf's JSON
	Receipts  []Receipt       `json:"receipts"`  // what its receiver's devices said about it
	Retries   int             `json:"retries,omitempty"`
}

// Messages lists what a phone received and could decrypt, or what the number sent, in order. Errors: Invalid,
// NotFound.
func (s *Server) Messages(_ context.Context, r MessagesRequest) ([]Message, error) {
	if r.Direction == "" {
		r.Direction = "received"
	}
	if r.Direction != "received" && r.Direction != "sent" {
		return nil, errorf(Invalid, "\"direction\" is %q: it is \"received\" or \"sent\"", r.Direction)
	}
	var found []message
	s.mu.Lock()
	u, err := s.known(r.Number)
	if err == nil {
		list := u.received
		if r.Direction == "sent" {
			list = u.sent
		}
		for _, m := range list {
			if !m.Peer {
				copied := *m
				copied.Receipts = slices.Clone(m.Receipts)
				found = append(found, copied)
			}
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := make([]Message, len(found))
	for i, m := range found {
		out[i] = m.shown()
	}
	return out, nil
}

func (m *message) shown() Message {
	out := Message{
		ID: m.ID, From: m.From, To: m.To, Timestamp: m.At.Unix(), Receipts: m.Receipts, Retries: m.Retries,
		Message: json.RawMessage("{}"),
	}
	if out.Receipts == nil {
		out.Receipts = []Receipt{}
	}
	var body waE2E.Message
	if err := proto.Unmarshal(m.Body, &body); err == nil {
		out.Text = textOf(&body)
		if raw, err := protojson.Marshal(&body); err == nil {
			out.Message = raw
		}
	}
	return out
}

// known returns the user with this number. Called with s.mu held.
func (s *Server) known(number string) (*user, error) {
	number = normalizeNumber(number)
	if err := checkNumber("number", number); err != nil {
		return nil, err
	}
	if u := s.world.users[number]; u != nil {
		return u, nil
	}
	return nil, errorf(NotFound, "Nobody has the number %s: a number exists once a phone with it scans a code, sends or receives a message, or is added as a contact", number)
}

// Confirmed lists the message stanzas that the companions of a number confirmed, in that order. Errors: Invalid,
// NotFound.
func (s *Server) Confirmed(_ context.Context, number string) ([]Confirmation, error) {
	return about(s, number, func(u *user) []Confirmation { return append([]Confirmation{}, u.confirmed...) })
}

// about returns what tell says of the user with this number. Errors: Invalid, NotFound.
func about[T any](s *Server, number string, tell func(u *user) T) (told T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.known(number)
	if err != nil {
		return told, err
	}
	return tell(u), nil
}

// ContactRequest makes a number known to the network.
type ContactRequest struct {
	Number string `json:"number"`
	Name   string `json:"name,omitempty"` // push name
}

// ContactResult names the contact.
type ContactResult struct {
	JID  string `json:"jid"`
	LID  string `json:"lid"`
	Name string `json:"name"`
}

// AddContact makes a number known to the network, or changes its push name. Errors: Invalid.
func (s *Server) AddContact(ctx context.Context, r ContactRequest) (ContactResult, error) {
	r.Number = normalizeNumber(r.Number)
	if err := checkNumber("number", r.Number); err != nil {
		return ContactResult{}, err
	}
	var result ContactResult
	err := s.updateWait(ctx, func(t *batch) {
		u := s.ensureUser(t, r.Number)
		if r.Name != "" {
			u.name = r.Name
			t.put(tableUsers, u.number, u.encode)
		}
		result = ContactResult{JID: u.pn(0).String(), LID: u.lidJID(0).String(), Name: u.name}
	})
	return result, err
}

// ReceiptRequest lets a phone say something about a message that it received.
type ReceiptRequest struct {
	ID     string `json:"-"`
	Type   string `json:"type"`             // delivered, read, played, or retry: the phone cannot decrypt it
	Number string `json:"number,omitempty"` // the phone, if several received it
	// Numbers are several phones that say so in one receipt, about a message in a group or a status.
	Numbers []string `json:"numbers,omitempty"`
}

// SendReceipt lets a phone say something about a message that it received, to the companions of the sender. With
// "retry" it claims that it could not decrypt it and asks the device that sent it to do so again; from the second time
// on it sends new keys along. Errors: Invalid, NotFound, Conflict.
func (s *Server) SendReceipt(ctx context.Context, r ReceiptRequest) error {
	if !slices.Contains([]string{"delivered", "read", "played", "retry"}, r.Type) {
		return errorf(Invalid, "\"type\" is %q: it is one of delivered, read, played, retry", r.Type)
	}
	if len(r.Numbers) > 0 {
		return s.sendGroupedReceipt(ctx, r)
	}
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var phone *user
		var m *message
		if phone, m, err = s.findReceived(r.ID, r.Number); err != nil {
			return
		}
		if r.Type != "retry" {
			s.phoneReceipt(t, phone, m, r.Type)
			return
		}
		d := s.world.users[m.From].devices[m.FromDevice]
		if d == nil {
			err = errorf(Conflict, "Message %s was not sent by a linked device, or the device is gone: there is nobody to ask again", r.ID)
			return
		}
		m.Retries++
		s.saveMessage(t, m)
		s.askAgain(t, phone, d, askedMessage{id: m.ID, form: m.form(), room: m.room(), at: m.At, count: m.Retries})
	})
	if err != nil {
		return err
	}
	return waitErr
}

// findReceived finds a message by its id with the phone that received it.
func (s *Server) findReceived(id, number string) (*user, *message, error) {
	search := s.world.users
	if number != "" {
		u, err := s.known(number)
		if err != nil {
			return nil, nil, err
		}
		search = map[string]*user{u.number: u}
	}
	var phone *user
	var found *message
	for _, n := range slices.Sorted(maps.Keys(search)) {
		u := search[n]
		for i := len(u.received) - 1; i >= 0; i-- {
			m := u.received[i]
			if m.ID != id {
				continue
			}
			if found != nil {
				return nil, nil, errorf(Conflict, "Several phones received a message %s: say which one with \"number\"", id)
			}
			phone, found = u, m
			break
		}
	}
	if found == nil {
		return nil, nil, errorf(NotFound, "No phone received a message %s", id)
	}
	return phone, found, nil
}

// LogoutRequest lets a phone unlink companions.
type LogoutRequest struct {
	Number string `json:"number"`
	Device int    `json:"device,omitempty"` // the companion; 0: all
}

// LogoutResult names the companions that were unlinked.
type LogoutResult struct {
	Removed []string `json:"removed"`
}

// Logout lets a phone unlink one or all of its companions. Errors: Invalid, NotFound.
func (s *Server) Logout(ctx context.Context, r LogoutRequest) (LogoutResult, error) {
	result := LogoutResult{Removed: []string{}}
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var u *user
		if u, err = s.known(r.Number); err != nil {
			return
		}
		if r.Device != 0 && u.devices[uint16(r.Device)] == nil {
			err = errorf(NotFound, "%s has no device %d: GET /sandbox/state lists them", u.number, r.Device)
			return
		}
		for _, d := range u.companions() {
			if r.Device != 0 && int(d.id) != r.Device {
				continue
			}
			s.removeDevice(t, d)
			result.Removed = append(result.Removed, u.pn(d.id).String())
			if c := d.conn; c != nil {
				t.then(c.removed)
			}
		}
	})
	if err != nil {
		return result, err
	}
	return result, waitErr
}

// State is what the network knows, in short.
type State struct {
	Accounts   []AccountState `json:"accounts"`   // numbers with companions
	Contacts   []string       `json:"contacts"`   // numbers without
	Pairing    int            `json:"pairing"`    // clients that wait to be linked
	Violations int            `json:"violations"` // how many there are to read
}

// AccountState is a number with companions.
type AccountState struct {
	Number  string        `json:"number"`
	LID     string        `json:"lid"`
	Name    string        `json:"name"`
	Devices []DeviceState `json:"devices"`
}

// DeviceState is a companion.
type DeviceState struct {
	JID      string    `json:"jid"`
	Device   int       `json:"device"`
	Online   bool      `json:"online"`
	Pending  int       `json:"pending"`  // stanzas that it has not confirmed
	InFlight int       `json:"inFlight"` // how many of them were sent on its connection
	PreKeys  int       `json:"preKeys"`  // one-time keys left
	PairedAt time.Time `json:"pairedAt"`
}

// State tells what the network knows, in short, ordered by number.
func (s *Server) State(context.Context) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{Accounts: []AccountState{}, Contacts: []string{}, Violations: len(s.world.violations)}
	for c := range s.conns {
		if c.pairing != nil {
			out.Pairing++
		}
	}
	for _, number := range slices.Sorted(maps.Keys(s.world.users)) {
		u := s.world.users[number]
		if len(u.devices) == 0 {
			out.Contacts = append(out.Contacts, number)
			continue
		}
		a := AccountState{Number: number, LID: u.lidJID(0).String(), Name: u.name}
		for _, d := range u.companions() {
			a.Devices = append(a.Devices, DeviceState{
				JID: u.pn(d.id).String(), Device: int(d.id), Online: d.conn != nil, Pending: len(d.queue), InFlight: d.sent,
				PreKeys: len(d.preKeys), PairedAt: d.pairedAt.UTC(),
			})
		}
		out.Accounts = append(out.Accounts, a)
	}
	return out, nil
}
