package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// set lets the phone change what it shares with its companions, each time at another
// time: its clock counts milliseconds.
func set(t *testing.T, network *pombotest.Sandbox, r sandbox.AppStateRequest) {
	t.Helper()
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
	r.Number = phone
	if _, err := network.SetAppState(t.Context(), r); err != nil {
		t.Fatalf("%s: %v", r.Action, err)
	}
}

const (
	marked   = "551196666"     // how the numbers begin that only mark how far the gateway is
	unpinned = `"pinned":null` // comes with an archived chat, too
)

// settings are what a phone can change, the event that tells it, and what stands in
// its data.
func settings(message string) []struct {
	request     sandbox.AppStateRequest
	event, data string
} {
	off := new(bool)
	return []struct {
		request     sandbox.AppStateRequest
		event, data string
	}{
		{sandbox.AppStateRequest{Action: "archive", Chat: contact}, "chats.update", `"archived":true`},
		{sandbox.AppStateRequest{Action: "archive", Chat: contact, On: off}, "chats.update", `"archived":false`},
		{sandbox.AppStateRequest{Action: "pin", Chat: contact}, "chats.update", `"pinned":1`},
		{sandbox.AppStateRequest{Action: "pin", Chat: contact, On: off}, "chats.update", unpinned},
		{sandbox.AppStateRequest{Action: "mute", Chat: contact}, "chats.update", `"muteEndTime":-1`},
		{sandbox.AppStateRequest{Action: "mute", Chat: contact, On: off}, "chats.update", `"muteEndTime":null`},
		{sandbox.AppStateRequest{Action: "markRead", Chat: contact, On: off}, "chats.update", `"unreadCount":-1`},
		{sandbox.AppStateRequest{Action: "markRead", Chat: contact}, "chats.update", `"unreadCount":0`},
		{sandbox.AppStateRequest{Action: "clear", Chat: contact}, "chats.update", `"cleared":true`},
		{sandbox.AppStateRequest{Action: "contact", Chat: contact, Name: "Ana Maria"}, "contacts.upsert", `"name":"Ana Maria"`},
		{sandbox.AppStateRequest{Action: "removeContact", Chat: contact}, "contacts.update", `"name":null`},
		{sandbox.AppStateRequest{Action: "label", Label: "7", Name: "New"}, "labels.edit", `"name":"New"&"deleted":false`},
		{sandbox.AppStateRequest{Action: "label", Label: "7", Name: "New", Deleted: true}, "labels.edit", `"deleted":true`},
		{sandbox.AppStateRequest{Action: "labelChat", Label: "7", Chat: contact}, "labels.association", `"type":"add"&"labelId":"7","instanceId"`},
		{sandbox.AppStateRequest{Action: "labelChat", Label: "7", Chat: contact, On: off}, "labels.association", `"type":"remove"`},
		{sandbox.AppStateRequest{Action: "labelMessage", Label: "7", Chat: contact, MessageID: message}, "labels.association", `"messageId":"` + message},
		{sandbox.AppStateRequest{Action: "star", Chat: contact, MessageID: message}, "messages.update", `"starred":true`},
		{sandbox.AppStateRequest{Action: "deleteForMe", Chat: contact, MessageID: message}, "messages.delete", `"deletedFor":"me"`},
		{sandbox.AppStateRequest{Action: "delete", Chat: contact}, "chats.delete", chat},
	}
}

// all tells whether a text has each of some, parted by "&".
func all(text, wanted string) bool {
	for _, w := range strings.Split(wanted, "&") {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// toldOnce checks that each of these changes was told, once, and those of the chat
// in their order.
func toldOnce(t *testing.T, receiver *pombotest.Receiver, message string) {
	t.Helper()
	var order []int
	for _, c := range settings(message) {
		matches := func(p pombotest.Post) bool {
			return p.Event == c.event && all(string(p.Data), c.data) && !strings.Contains(string(p.Data), marked)
		}
		want := 1
		if c.data == unpinned {
			want = 2
		}
		n, last := 0, 0
		receiver.Until(t, c.event+" with "+c.data, func([]pombotest.Post) bool {
			n = 0
			for i, p := range receiver.Accepted() {
				if matches(p) {
					n, last = n+1, i
				}
			}
			return n >= want
		})
		if n != want {
			t.Errorf("%s with %s came %d times", c.event, c.data, n)
		}
		if c.event == "chats.update" || c.event == "chats.delete" {
			order = append(order, last)
		}
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("what happened to the chat came in another order: %v", order)
			break
		}
	}
}

// What the phone changes reaches the webhook: at once, and what it changed while
// the gateway was away when it is back.
func TestAppState(t *testing.T) {
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprintf("away=%t", away), func(t *testing.T) {
			network := pombotest.NewSandbox(t)
			receiver := pombotest.NewReceiver(t)
			gateway := pombotest.StartGateway(t, network, app.Faults{})
			pombotest.Pair(t, gateway.Client, network.Server, "state", phone, receiver.URL)
			message := network.Write(contact, phone, "hello")
			receiver.Wait(t, "messages.upsert", nil)
			synced(t, network, receiver)
			if away {
				gateway.Stop()
			}
			for _, c := range settings(message) {
				set(t, network, c.request)
			}
			set(t, network, sandbox.AppStateRequest{Action: "pushName", Name: "Loja Nova"})
			if away {
				gateway.Start()
			}
			toldOnce(t, receiver, message)
			pombotest.Eventually(t, time.Minute, "the new name to be known", func() bool {
				_, body := gateway.Do("GET", "/instance/fetchInstances", nil)
				return strings.Contains(string(body), "Loja Nova")
			})
			secretsStay(t, receiver)
			network.CheckRules(t)
		})
	}
}

// synced returns when the gateway has the app state: what is changed from then on is
// told as a change.
func synced(t *testing.T, network *pombotest.Sandbox, receiver *pombotest.Receiver) {
	t.Helper()
	for i := range 3 { // of each collection that the tests change
		action := []string{"pin", "mute", "contact"}[i]
		mark := fmt.Sprintf(marked+"00%02d", i)
		set(t, network, sandbox.AppStateRequest{Action: action, Chat: mark, Name: "Mark"})
		receiver.Until(t, "the app state to be there", func(posts []pombotest.Post) bool {
			for _, p := range posts {
				if (p.Event == "chats.update" || p.Event == "contacts.upsert") && strings.Contains(string(p.Data), mark) {
					return true
				}
			}
			return false
		})
	}
}

// A gateway that dies when it has read a change of the app state, and before it
// could append the event, tells it after its next start.
func TestAppStateIsNotSkipped(t *testing.T) {
	var broken atomic.Bool
	var failed atomic.Int32
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{Store: func(op string) error {
		if op == "append" && broken.Load() {
			failed.Add(1)
			return errors.New("the gateway dies here")
		}
		return nil
	}})
	pombotest.Pair(t, gateway.Client, network.Server, "skipped", phone, receiver.URL)
	message := network.Write(contact, phone, "hello")
	receiver.Wait(t, "messages.upsert", nil)
	synced(t, network, receiver)
	broken.Store(true)
	for _, c := range settings(message) {
		set(t, network, c.request)
	}
	confirmed(t, network)
	pombotest.Eventually(t, time.Minute, "an append to fail", func() bool { return failed.Load() > 2 })
	gateway.Stop()
	broken.Store(false)
	gateway.Start()
	toldOnce(t, receiver, message)
	network.CheckRules(t)
}

// What was there before the pairing is told as it stands: names and chats, but not
// what happened to messages long ago.
func TestAppStateAtPairing(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	for i := range 20 {
		set(t, network, sandbox.AppStateRequest{Action: "contact", Chat: fmt.Sprintf("551197777%04d", i), Name: fmt.Sprint("Friend ", i)})
	}
	set(t, network, sandbox.AppStateRequest{Action: "archive", Chat: contact})
	set(t, network, sandbox.AppStateRequest{Action: "label", Label: "7", Name: "New"})
	set(t, network, sandbox.AppStateRequest{Action: "deleteForMe", Chat: contact, MessageID: "LONGAGO"})
	set(t, network, sandbox.AppStateRequest{Action: "delete", Chat: marked + "0000"})
	pombotest.Pair(t, gateway.Client, network.Server, "book", phone, receiver.URL)
	receiver.Wait(t, "chats.update", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), `"archived":true`) })
	receiver.Wait(t, "labels.edit", nil)
	names := map[string]bool{}
	receiver.Until(t, "the names of all contacts", func([]pombotest.Post) bool {
		for _, p := range receiver.Named("contacts.upsert") {
			var items []struct{ Name string }
			if err := json.Unmarshal(p.Data, &items); err != nil {
				t.Fatalf("%s: %v", p.Data, err)
			}
			for _, item := range items {
				names[item.Name] = true
			}
		}
		return len(names) >= 20
	})
	if n := len(receiver.Named("contacts.upsert")); n != 1 {
		t.Errorf("an address book came in %d events", n)
	}
	set(t, network, sandbox.AppStateRequest{Action: "pin", Chat: contact})
	receiver.Wait(t, "chats.update", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), `"pinned":1`) })
	for _, event := range []string{"messages.delete", "chats.delete"} {
		if got := receiver.Named(event); len(got) > 0 {
			t.Errorf("%s tells of long ago: %s", event, got[0].Data)
		}
	}
	network.CheckRules(t)
}

// forged makes what is kept of a collection look wrong, once.
type forged struct {
	wastore.AllStores
	armed *atomic.Bool
}

func (f forged) GetAppStateVersion(ctx context.Context, name string) (uint64, [128]byte, error) {
	version, hash, err := f.AllStores.GetAppStateVersion(ctx, name)
	if name == "regular_low" && version > 0 && f.armed.CompareAndSwap(true, false) {
		hash[0] ^= 1
	}
	return version, hash, err
}

// A collection that does not fit together is fetched anew, and a change that nobody
// can read does not hold up the others.
func TestAppStateMends(t *testing.T) {
	var armed atomic.Bool
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{Stores: func(in wastore.AllStores) wastore.AllStores { return forged{in, &armed} }})
	pombotest.Pair(t, gateway.Client, network.Server, "mends", phone, receiver.URL)
	synced(t, network, receiver)
	armed.Store(true)
	set(t, network, sandbox.AppStateRequest{Action: "pin", Chat: contact})
	told := func(data string) {
		t.Helper()
		receiver.Wait(t, "chats.update", func(p pombotest.Post) bool {
			return strings.Contains(string(p.Data), contact) && strings.Contains(string(p.Data), data)
		})
	}
	told(`"pinned":1`)
	if armed.Load() || !strings.Contains(gateway.Log(), "fetching it anew") {
		t.Error("nothing had to be fetched anew")
	}
	set(t, network, sandbox.AppStateRequest{Action: "raw", Collection: "regular", Index: []string{"label_edit"}, Value: []byte(`{"labelEditAction":{"name":"x"}}`)})
	set(t, network, sandbox.AppStateRequest{Action: "archive", Chat: contact})
	told(`"archived":true`)
	set(t, network, sandbox.AppStateRequest{Action: "label", Label: "7", Name: "New"})
	receiver.Wait(t, "labels.edit", nil)
	network.CheckRules(t)
}

// The keys of the app state are sent once: they are not confirmed before they are
// stored, however long that takes.
func TestAppStateKeysAreKept(t *testing.T) {
	var stores pombotest.Stores
	var broken atomic.Bool
	broken.Store(true)
	stores.Break(func(method string) (f pombotest.StoreFault) {
		if broken.Load() && method == "PutAppStateSyncKey" {
			f.Fail = pombotest.ErrFull
		}
		return f
	})
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{Stores: stores.Wrap, Patience: 300 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	pombotest.Create(t, gateway.Client, "keys", receiver.URL)
	var answer qrcode
	gateway.Must("GET", "/instance/connect/keys", nil, &answer)
	if _, err := network.Scan(t.Context(), sandbox.ScanRequest{Code: answer.Code, Number: phone}); err != nil {
		t.Fatal(err)
	}
	pombotest.Eventually(t, time.Minute, "the connection to be given up for the keys", func() bool {
		return strings.Contains(gateway.Log(), "starting over")
	})
	broken.Store(false)
	synced(t, network, receiver)
	network.CheckRules(t)
}
