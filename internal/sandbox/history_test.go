package sandbox_test

import (
	"context"
	"fmt"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func TestHistory(t *testing.T) {
	n := startNetwork(t, sandbox.Options{DataDir: t.TempDir()})
	c := newClient(t, n)
	c.pair(n, bot)
	var result sandbox.HistoryResult
	body := fmt.Sprintf(`{"number":%q,"type":"full","conversations":7,"messages":30,"chunkSize":50}`, bot)
	if status := call(t, "POST", n.http.URL+"/sandbox/history", body, &result); status != 201 || len(result.Chunks) != 5 {
		t.Fatalf("history: %d %+v", status, result)
	}
	ids, chats, progress := map[string]bool{}, map[string]bool{}, uint32(0)
	for i := range result.Chunks {
		data := wait[*events.HistorySync](c, nil).Data
		if data.GetSyncType() != waHistorySync.HistorySync_FULL || data.GetChunkOrder() != uint32(i+1) || data.GetProgress() < progress {
			t.Errorf("chunk %d: %s %d %d", i, data.GetSyncType(), data.GetChunkOrder(), data.GetProgress())
		}
		progress = data.GetProgress()
		for _, conversation := range data.GetConversations() {
			chats[conversation.GetID()] = true
			jid, err := types.ParseJID(conversation.GetID())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range conversation.GetMessages() {
				evt, err := c.ParseWebMessage(jid, m.GetMessage())
				if err != nil || evt.Message.GetConversation() == "" || ids[evt.Info.ID] {
					t.Errorf("message %+v, %v", evt, err)
				}
				ids[evt.Info.ID] = true
			}
		}
	}
	if len(ids) != 210 || len(chats) != 7 || progress != 100 {
		t.Errorf("got %d messages in %d chats, %d %%", len(ids), len(chats), progress)
	}
	// who is in the history exists
	if found, err := c.IsOnWhatsApp(context.Background(), []string{"+5521910000003"}); err != nil || !found[0].IsIn {
		t.Errorf("a contact of the history: %+v, %v", found, err)
	}
	if n.confirmed(t, bot) == nil || len(n.confirmed(t, bot)) != 0 {
		t.Errorf("notifications count as messages: %+v", n.confirmed(t, bot))
	}
	n.mustObey(t)
}

func TestDescribedHistory(t *testing.T) {
	n, c := startPaired(t)
	body := fmt.Sprintf(`{"number":%q,"inline":true,"chats":[
		{"chat":%q,"name":"Ana","unread":2,"archived":true,"pinned":true,"mutedTo":1800000000000,"messages":[
			{"id":"A1","text":"hi","timestamp":1700000000,"pushName":"Ana S."},
			{"id":"A2","fromMe":true,"message":{"extendedTextMessage":{"text":"hello"}},"timestamp":1700000060}]},
		{"chat":"120363000000000001@g.us","name":"Team","messages":[{"text":"all","participant":%q}]}]}`, bot, contact, contact)
	if status := call(t, "POST", n.http.URL+"/sandbox/history", body, nil); status != 201 {
		t.Fatalf("history: %d", status)
	}
	data := wait[*events.HistorySync](c, nil).Data
	if data.GetSyncType() != waHistorySync.HistorySync_RECENT || len(data.GetConversations()) != 2 {
		t.Fatalf("got %s", data)
	}
	ana, team := data.GetConversations()[0], data.GetConversations()[1]
	if ana.GetUnreadCount() != 2 || !ana.GetArchived() || ana.GetPinned() == 0 || ana.GetMuteEndTime() == 0 || ana.GetName() != "Ana" {
		t.Errorf("got %s", ana)
	}
	if newest := ana.GetMessages()[0].GetMessage(); newest.GetKey().GetID() != "A2" || !newest.GetKey().GetFromMe() {
		t.Errorf("the newest is %s", newest)
	}
	if m := team.GetMessages()[0].GetMessage(); m.GetKey().GetParticipant() != pn(contact).String() {
		t.Errorf("the group has %s", m)
	}
	for body, status := range map[string]int{
		`{"number":"5511900000009"}`:                                                        404,
		fmt.Sprintf(`{"number":%q,"device":9}`, bot):                                        409,
		fmt.Sprintf(`{"number":%q,"type":"old"}`, bot):                                      400,
		fmt.Sprintf(`{"number":%q,"messages":5}`, bot):                                      400,
		fmt.Sprintf(`{"number":%q,"conversations":20000}`, bot):                             400,
		fmt.Sprintf(`{"number":%q,"chats":[{"chat":"x","messages":[]}]}`, bot):              400,
		fmt.Sprintf(`{"number":%q,"chats":[{"chat":%q,"messages":[{}]}]}`, bot, contact):    400,
		fmt.Sprintf(`{"number":%q,"conversations":1,"chats":[{"chat":%q}]}`, bot, contact):  400,
		fmt.Sprintf(`{"number":%q,"conversations":1,"chunkSize":-1}`, bot):                  400,
		fmt.Sprintf(`{"number":%q,"conversations":1,"messages":1,"type":"pushNames"}`, bot): 201,
	} {
		if got := call(t, "POST", n.http.URL+"/sandbox/history", body, nil); got != status {
			t.Errorf("%s: %d, not %d", body, got, status)
		}
	}
	names := wait[*events.HistorySync](c, nil).Data
	if names.GetSyncType() != waHistorySync.HistorySync_PUSH_NAME || names.GetPushnames()[0].GetPushname() != "Ana Silva" {
		t.Errorf("got %s", names)
	}
	n.mustObey(t)
}

// TestFirstHistory: a new companion gets what its phone knew before.
func TestFirstHistory(t *testing.T) {
	n := startNetwork(t, sandbox.Options{DataDir: t.TempDir()})
	for i := range 60 {
		n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: fmt.Sprint("before ", i), PushName: "Ana"})
	}
	n.send(t, sandbox.SendRequest{From: bot, To: contact, Text: "own", ID: "OWN"})
	c := newClient(t, n)
	c.connect()
	qr := wait[*events.QR](c, nil)
	if _, err := n.Scan(context.Background(), sandbox.ScanRequest{Code: qr.Codes[0], Number: bot}); err != nil {
		t.Fatal(err)
	}
	data := wait[*events.HistorySync](c, nil).Data
	if data.GetSyncType() != waHistorySync.HistorySync_INITIAL_BOOTSTRAP || len(data.GetConversations()) != 1 {
		t.Fatalf("got %s", data)
	}
	list := data.GetConversations()[0].GetMessages()
	if len(list) != 50 || list[0].GetMessage().GetKey().GetID() != "OWN" || !list[0].GetMessage().GetKey().GetFromMe() ||
		list[1].GetMessage().GetMessage().GetConversation() != "before 59" {
		t.Errorf("got %d messages, the newest is %s", len(list), list[0])
	}
	if names := wait[*events.HistorySync](c, nil).Data; names.GetPushnames()[0].GetPushname() != "Ana" {
		t.Errorf("got %s", names)
	}
	eventually(t, "the client has its settings, too", func() bool {
		version, _, err := c.Store.AppState.GetAppStateVersion(context.Background(), string(appstate.WAPatchRegularLow))
		return err == nil && version > 0
	})
	n.mustObey(t)
}

// TestAskedHistory: a client asks its phone for older messages, and for one that it has not got.
func TestAskedHistory(t *testing.T) {
	n, c := startPaired(t)
	for i := range 5 {
		n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: fmt.Sprint("text ", i), ID: fmt.Sprint("M", i)})
	}
	last := wait(c, func(m *events.Message) bool { return m.Info.ID == "M4" })
	ctx := context.Background()
	_, err := c.SendMessage(ctx, pn(bot), c.BuildHistorySyncRequest(&last.Info, 3), whatsmeow.SendRequestExtra{Peer: true})
	if err != nil {
		t.Fatal(err)
	}
	data := wait[*events.HistorySync](c, nil).Data
	if data.GetSyncType() != waHistorySync.HistorySync_ON_DEMAND || len(data.GetConversations()) != 1 {
		t.Fatalf("got %s", data)
	}
	list := data.GetConversations()[0].GetMessages()
	if len(list) != 3 || list[0].GetMessage().GetKey().GetID() != "M3" || list[2].GetMessage().GetKey().GetID() != "M1" {
		t.Errorf("got %v", list)
	}
	_, err = c.SendMessage(ctx, pn(bot), c.BuildUnavailableMessageRequest(pn(contact), pn(contact), "M2"), whatsmeow.SendRequestExtra{Peer: true})
	if err != nil {
		t.Fatal(err)
	}
	again := wait(c, func(m *events.Message) bool { return m.UnavailableRequestID != "" })
	if again.Info.ID != "M2" || again.Message.GetConversation() != "text 2" {
		t.Errorf("got %+v", again)
	}
	n.mustObey(t)
}
