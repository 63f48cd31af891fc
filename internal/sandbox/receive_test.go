package sandbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func TestReceive(t *testing.T) {
	n, c := startPaired(t)
	for _, addressing := range []string{"pn", "lid"} {
		id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hello " + addressing, PushName: "Ana", Addressing: addressing})
		evt := wait[*events.Message](c, nil)
		if evt.Info.ID != id || evt.Message.GetConversation() != "hello "+addressing {
			t.Errorf("got %s %q", evt.Info.ID, evt.Message.GetConversation())
		}
		if evt.Info.PushName != "Ana" || evt.Info.IsFromMe || evt.Info.IsGroup {
			t.Errorf("got %+v", evt.Info)
		}
		pnJID, lidJID := evt.Info.Sender, evt.Info.SenderAlt
		if addressing == "lid" {
			pnJID, lidJID = lidJID, pnJID
		}
		if pnJID != pn(contact) || lidJID.Server != types.HiddenUserServer {
			t.Errorf("%s: sender %s, alternative %s", addressing, evt.Info.Sender, evt.Info.SenderAlt)
		}
	}
	eventually(t, "both are confirmed", func() bool { return len(n.confirmed(t, bot)) == 2 })
	n.mustObey(t)
}

func TestRedelivery(t *testing.T) {
	n, c := startPaired(t)
	failed := make(chan struct{}, 10)
	c.mu.Lock()
	c.fail = func(evt any) bool {
		if _, ok := evt.(*events.Message); ok {
			failed <- struct{}{}
			return true
		}
		return false
	}
	c.mu.Unlock()
	for i := range 3 {
		n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: fmt.Sprint(i)})
	}
	for range 3 {
		<-failed
	}
	c.close()
	c.mu.Lock()
	c.fail = nil
	c.mu.Unlock()
	c.open(n)
	c.connect()
	for i := range 3 {
		evt := wait[*events.Message](c, nil)
		if evt.Message.GetConversation() != fmt.Sprint(i) {
			t.Errorf("message %d is %q", i, evt.Message.GetConversation())
		}
	}
	if evt := wait[*events.OfflineSyncCompleted](c, nil); evt.Count != 3 {
		t.Errorf("offline count %d", evt.Count)
	}
	eventually(t, "all are confirmed", func() bool { return len(n.confirmed(t, bot)) == 3 })
	n.mustObey(t)
}

func TestWindow(t *testing.T) {
	n, c := startPaired(t)
	release := make(chan struct{})
	c.mu.Lock()
	c.fail = func(evt any) bool {
		if _, ok := evt.(*events.Message); ok {
			<-release
		}
		return false
	}
	c.mu.Unlock()
	called := time.Now()
	result, err := n.SendMessage(context.Background(), sandbox.SendRequest{From: contact, To: bot, Text: "m", Count: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if result.At.Before(called) || result.At.After(time.Now()) {
		t.Errorf("sent at %s, asked to at %s", result.At, called)
	}
	device := func() sandbox.DeviceState {
		state, err := n.State(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return state.Accounts[0].Devices[0]
	}
	if d := device(); d.InFlight != 256 || d.Pending != 1000 {
		t.Errorf("in flight %d of %d", d.InFlight, d.Pending)
	}
	close(release)
	for i, id := range result.IDs {
		evt := wait[*events.Message](c, nil)
		if want := fmt.Sprintf("m %d", i+1); evt.Info.ID != id || evt.Message.GetConversation() != want {
			t.Fatalf("message %d is %s %q", i, evt.Info.ID, evt.Message.GetConversation())
		}
	}
	eventually(t, "all are confirmed", func() bool { return len(n.confirmed(t, bot)) == 1000 })
	n.mustObey(t)
}

func TestOwnPhone(t *testing.T) {
	n, c := startPaired(t)
	id := n.send(t, sandbox.SendRequest{From: bot, To: contact, Text: "from my phone"})
	evt := wait[*events.Message](c, nil)
	if evt.Info.ID != id || !evt.Info.IsFromMe || evt.Info.Chat != pn(contact) || evt.Message.GetConversation() != "from my phone" {
		t.Errorf("got %+v %q", evt.Info, evt.Message.GetConversation())
	}
	receipt := wait[*events.Receipt](c, nil)
	if receipt.MessageIDs[0] != id || receipt.Chat != pn(contact) || receipt.Type != types.ReceiptTypeDelivered {
		t.Errorf("got %+v", receipt)
	}
	n.mustObey(t)
}

func TestReadReceiptsReachTheSender(t *testing.T) {
	n, c := startPaired(t)
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "read me"})
	evt := wait[*events.Message](c, nil)
	if err := c.MarkRead(context.Background(), []string{id}, evt.Info.Timestamp, evt.Info.Chat, evt.Info.Sender); err != nil {
		t.Fatal(err)
	}
	n.seesRead(t, c)
	n.mustObey(t)
}

func TestPresence(t *testing.T) {
	n, c := startPaired(t)
	for _, state := range []string{"composing", "recording", "paused"} {
		result, err := n.SendPresence(context.Background(), sandbox.PresenceRequest{From: contact, To: bot, State: state})
		if err != nil || result.Devices != 1 {
			t.Fatalf("%s: %v, %v", state, result, err)
		}
		evt := wait[*events.ChatPresence](c, nil)
		media := evt.Media == types.ChatPresenceMediaAudio
		if evt.Sender != pn(contact) || media != (state == "recording") {
			t.Errorf("%s: got %+v", state, evt)
		}
	}
	n.mustObey(t)
}

// TestManyContacts: each contact's first message takes a one-time key; before they run out the client brings new ones.
func TestManyContacts(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 810 sessions, which takes long")
	}
	n, c := startPaired(t)
	for i := range 810 {
		n.send(t, sandbox.SendRequest{From: fmt.Sprint(551188000000 + i), To: bot, Text: "hi"})
	}
	eventually(t, "there are new keys", func() bool {
		state, err := n.State(context.Background())
		return err == nil && state.Accounts[0].Devices[0].PreKeys > 50
	})
	for i := range 810 {
		if evt := wait[*events.Message](c, nil); evt.Info.Sender.User != fmt.Sprint(551188000000+i) {
			t.Fatalf("message %d is from %s", i, evt.Info.Sender)
		}
	}
	n.mustObey(t)
}
