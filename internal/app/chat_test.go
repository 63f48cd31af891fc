package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

type object = map[string]any

// Messages are marked as read with both methods and spellings.
func TestMarkMessageAsRead(t *testing.T) {
	network := pombotest.NewSandbox(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "reads", phone, "")
	for _, call := range []struct{ method, list string }{{"PUT", "read_messages"}, {"POST", "readMessages"}} {
		one, two := network.Write(contact, phone, "one"), network.Write(contact, phone, "two")
		gateway.Must(call.method, "/chat/markMessageAsRead/reads", object{call.list: []object{
			{"id": one, "fromMe": false, "remoteJid": chat}, {"id": two, "fromMe": false, "remoteJid": chat},
		}}, nil)
		pombotest.Eventually(t, patience, "both to be read", func() bool {
			return received(t, network, contact, one, "read") && received(t, network, contact, two, "read")
		})
	}
	network.CheckRules(t)
}

// An answer to sendPresence comes after the delay, in the dialect of the request.
func TestSendPresence(t *testing.T) {
	network := pombotest.NewSandbox(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "types", phone, "")
	network.Write(contact, phone, "hello")
	start := time.Now()
	if status, body := gateway.Do("POST", "/chat/sendPresence/types", object{"number": contact, "presence": "composing", "delay": 300}); status != 201 || string(body) != `{"presence":"composing"}` {
		t.Errorf("%d %s", status, body)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("the answer came after %s", took)
	}
	if status, body := gateway.Do("POST", "/chat/sendPresence/types", object{"number": contact, "options": object{"presence": "recording", "delay": 1}}); status != 201 || len(body) != 0 {
		t.Errorf("%d %s", status, body)
	}
	// The answer says that the state was sent, not that the phone has it already.
	pombotest.Eventually(t, patience, "the contact to be shown what was sent", func() bool {
		shown, err := network.Presences(t.Context(), phone)
		if err != nil {
			t.Fatal(err)
		}
		var states []string
		for _, p := range shown {
			if strings.HasPrefix(p.To, contact) {
				states = append(states, p.State)
			}
		}
		got := strings.Join(states, " ")
		if !strings.HasPrefix("composing paused recording paused", got) {
			t.Fatalf("the contact was shown: %s", got)
		}
		return len(states) == 4
	})
	if message := gateway.Refused("POST", "/chat/sendPresence/types", object{"number": "5511900000123", "presence": "paused"}, 400); !strings.Contains(message, `"exists":false`) {
		t.Errorf("a number that is not there: %s", message)
	}
	network.CheckRules(t)
}

// order is the answer to an edit or a deletion.
type order struct {
	Key              struct{ ID, RemoteJid string }
	Status           string
	MessageTimestamp string
	Message          struct {
		ProtocolMessage struct {
			Type          string
			Key           struct{ ID string }
			EditedMessage struct{ ExtendedTextMessage struct{ Text string } }
			TimestampMs   string
		}
	}
}

// An edit reaches the contact's phone, and is told as SEND_MESSAGE_UPDATE; what
// cannot be edited is refused.
func TestUpdateMessage(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "edits", phone, receiver.URL)
	network.Write(contact, phone, "hello")
	id := gateway.SendText("edits", contact, "helo")
	edit := func(id, remote string) object {
		return object{"number": contact, "text": "hello", "key": object{"id": id, "fromMe": true, "remoteJid": remote}}
	}
	for _, method := range []string{"PUT", "POST"} {
		var a order
		gateway.Must(method, "/chat/updateMessage/edits", edit(id, chat), &a)
		p := a.Message.ProtocolMessage
		if p.Type != "MESSAGE_EDIT" || p.Key.ID != id || p.EditedMessage.ExtendedTextMessage.Text != "hello" || a.Key.RemoteJid != chat || a.Status != "PENDING" {
			t.Errorf("the answer is %+v", a)
		}
		pombotest.Eventually(t, patience, "the edit to arrive", func() bool {
			for _, m := range network.Inbox(contact) {
				if m.ID == a.Key.ID {
					return strings.Contains(string(m.Message), id) && strings.Contains(string(m.Message), "editedMessage")
				}
			}
			return false
		})
	}
	var data struct {
		Key struct {
			ID, RemoteJid string
			FromMe        bool
		}
		EditedMessage json.RawMessage
		TimestampMs   int64
		Type          int
	}
	post := receiver.Wait(t, "send.message.update", func(pombotest.Post) bool { return true })
	if err := json.Unmarshal(post.Data, &data); err != nil || data.Key.ID != id || data.Key.RemoteJid != chat || !data.Key.FromMe ||
		data.Type != 14 || data.TimestampMs == 0 || string(data.EditedMessage) != `{"extendedTextMessage":{"text":"hello"}}` {
		t.Errorf("SEND_MESSAGE_UPDATE has %s (%v)", post.Data, err)
	}
	network.Write("5511966660000", phone, "somebody else")
	if m := gateway.Refused("POST", "/chat/updateMessage/edits", edit(id, "5511966660000@s.whatsapp.net"), 400); !strings.Contains(m, "RemoteJid does not match") {
		t.Error(m)
	}
	if m := gateway.Refused("POST", "/chat/updateMessage/edits", edit("3EB0000000000000000000", chat), 404); !strings.Contains(m, "Message not found") {
		t.Error(m)
	}
	network.CheckRules(t)
}

// A deletion reaches the contact's phone, and is told as MESSAGES_DELETE.
func TestDeleteMessageForEveryone(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "deletes", phone, receiver.URL)
	received := network.Write(contact, phone, "hello")
	id := gateway.SendText("deletes", contact, "oops")
	var a order
	gateway.Must("DELETE", "/chat/deleteMessageForEveryone/deletes", object{"id": id, "fromMe": true, "remoteJid": chat}, &a)
	if p := a.Message.ProtocolMessage; p.Type != "REVOKE" || p.Key.ID != id || a.Key.RemoteJid != chat {
		t.Errorf("the answer is %+v", a)
	}
	pombotest.Eventually(t, patience, "the deletion to arrive", func() bool {
		for _, m := range network.Inbox(contact) {
			if m.ID == a.Key.ID {
				return strings.Contains(string(m.Message), id)
			}
		}
		return false
	})
	post := receiver.Wait(t, "messages.delete", func(pombotest.Post) bool { return true })
	var data struct {
		ID, RemoteJid, Status, DeletedBy, DeletedFor string
		FromMe                                       bool
		Key                                          struct{ ID string }
	}
	if err := json.Unmarshal(post.Data, &data); err != nil || data.ID != id || data.Key.ID != id || data.RemoteJid != chat || !data.FromMe || data.Status != "DELETED" ||
		data.DeletedBy != jid || data.DeletedFor != "everyone" {
		t.Errorf("MESSAGES_DELETE has %s (%v)", post.Data, err)
	}
	gateway.Refused("DELETE", "/chat/deleteMessageForEveryone/deletes", object{"id": received, "fromMe": false, "remoteJid": chat}, 400)
	network.CheckRules(t)
}

// Numbers that exist are told from those that do not; a picture that is not there
// is null.
func TestLookups(t *testing.T) {
	network := pombotest.NewSandbox(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "asks", phone, "")
	network.Write(contact, phone, "hello")
	var checks []struct {
		JID, Number, LID string
		Exists           bool
	}
	gateway.Must("POST", "/chat/whatsappNumbers/asks", object{"numbers": []string{"5511900000123", contact}}, &checks)
	if len(checks) != 2 || checks[0].Exists || checks[0].Number != "5511900000123" || !checks[1].Exists || checks[1].JID != chat || !strings.HasSuffix(checks[1].LID, "@lid") {
		t.Errorf("got %+v", checks)
	}
	if status, body := gateway.Do("POST", "/chat/fetchProfilePictureUrl/asks", object{"number": contact}); status != 200 || string(body) != `{"wuid":"`+chat+`","profilePictureUrl":null}` {
		t.Errorf("%d %s", status, body)
	}
	network.CheckRules(t)
}
