package translate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

func whatsmeowHash(options ...string) [][]byte {
	out := make([][]byte, len(options))
	for i, o := range options {
		sum := sha256.Sum256([]byte(o))
		out[i] = sum[:]
	}
	return out
}

func old(id string, fromMe bool, m *waE2E.Message) *waHistorySync.HistorySyncMsg {
	return &waHistorySync.HistorySyncMsg{Message: &waWeb.WebMessageInfo{
		Key:     &waCommon.MessageKey{RemoteJID: proto.String(anaLID.String()), FromMe: proto.Bool(fromMe), ID: proto.String(id)},
		Message: m, MessageTimestamp: proto.Uint64(1751200000),
	}}
}

func text(s string) *waE2E.Message { return &waE2E.Message{Conversation: proto.String(s)} }

func history() *waHistorySync.HistorySync {
	read := old("3A001122334455667788", false, text("old"))
	read.Message.Status = waWeb.WebMessageInfo_READ.Enum()
	inGroup := old("3A001122334455667789", false, text("old in a group"))
	inGroup.Message.Participant, inGroup.Message.PushName = proto.String(biaLID.String()), proto.String("Bia")
	stub := old("STUB", false, nil)
	stub.Message.MessageStubType = waWeb.WebMessageInfo_GROUP_CREATE.Enum()
	return &waHistorySync.HistorySync{
		SyncType: waHistorySync.HistorySync_INITIAL_BOOTSTRAP.Enum(), ChunkOrder: proto.Uint32(1), Progress: proto.Uint32(42),
		Conversations: []*waHistorySync.Conversation{
			{
				ID: proto.String(anaLID.String()), PnJID: proto.String(ana.String()), Name: proto.String("Ana"), UnreadCount: proto.Uint32(2),
				LastMsgTimestamp: proto.Uint64(1751300000), Pinned: proto.Uint32(1751300000), Archived: proto.Bool(false),
				Messages: []*waHistorySync.HistorySyncMsg{
					read, old("3EB011223344556677889A", true, &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("mine")}}),
					stub, old("KEYS", true, order(waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE, nil, nil)),
				},
			},
			{
				ID: proto.String(group.String()), Name: proto.String("G"), MuteEndTime: proto.Uint64(1751400000000), EphemeralExpiration: proto.Uint32(86400),
				Messages: []*waHistorySync.HistorySyncMsg{inGroup},
			},
		},
		Pushnames:                []*waHistorySync.Pushname{{ID: proto.String(bia.String()), Pushname: proto.String("Bia")}, {ID: proto.String("nobody")}},
		PhoneNumberToLidMappings: []*waHistorySync.PhoneNumberToLIDMapping{{PnJID: proto.String(bia.String()), LidJID: proto.String(biaLID.String())}},
		StatusV3Messages:         []*waWeb.WebMessageInfo{{Key: &waCommon.MessageKey{RemoteJID: proto.String("status@broadcast"), ID: proto.String("S")}, Message: text("status")}},
	}
}

func historyCases() map[string]any {
	return map[string]any{
		"history": &events.HistorySync{Data: history()},
		"history-names": &events.HistorySync{Data: &waHistorySync.HistorySync{
			SyncType: waHistorySync.HistorySync_PUSH_NAME.Enum(), Pushnames: history().Pushnames,
		}},
	}
}

// long is a history whose messages need several events.
func long(chats, messages, size int) *waHistorySync.HistorySync {
	h := &waHistorySync.HistorySync{SyncType: waHistorySync.HistorySync_RECENT.Enum(), ChunkOrder: proto.Uint32(2), Progress: proto.Uint32(80)}
	body := strings.Repeat("\"", size/2)
	for c := range chats {
		conv := &waHistorySync.Conversation{ID: proto.String(fmt.Sprintf("55119%08d@s.whatsapp.net", c)), Name: proto.String("n")}
		for m := range messages {
			conv.Messages = append(conv.Messages, old(fmt.Sprintf("3A%04d%04d", c, m), m%2 == 0, text(body)))
		}
		h.Conversations = append(h.Conversations, conv)
	}
	return h
}

// told gives the events of a history, from a place on.
func told(s Scope, h *waHistorySync.HistorySync, blob string, from int64) iter.Seq[pombo.Event] {
	return func(yield func(pombo.Event) bool) {
		for step := range s.History(h, blob, from) {
			for _, e := range step.Events {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Read again from any step on, a history goes on where that step ended: all of it
// comes, each element once, also if it is cut elsewhere by then.
func TestHistoryResumes(t *testing.T) {
	h := long(900, 3, 1000)
	h.Pushnames = []*waHistorySync.Pushname{{ID: proto.String(bia.String()), Pushname: proto.String("Bia")}}
	elements := func(step HistoryStep) (ids []string) {
		var items []struct {
			ID  string
			Key struct{ ID string }
		}
		if err := json.Unmarshal(step.Events[0].Data, &items); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			ids = append(ids, string(step.Events[0].Name)+item.ID+item.Key.ID)
		}
		return ids
	}
	var all []string
	var steps []HistoryStep
	for step := range scope().History(h, "blob", 0) {
		steps = append(steps, step)
		all = append(all, elements(step)...)
	}
	longer := scope() // more numbers are known: everything is shown at greater length
	longer.Alt = func(jid types.JID) types.JID { return types.NewJID("1"+jid.User, types.HiddenUserServer) }
	seen := 0
	for i, step := range steps {
		seen += len(elements(step))
		rest := append([]string(nil), all[:seen]...)
		for later := range longer.History(h, "blob", step.Told) {
			rest = append(rest, elements(later)...)
		}
		if !slices.Equal(rest, all) {
			t.Errorf("from step %d on, %d elements come in all instead of %d", i, len(rest), len(all))
		}
	}
	if len(steps) < 5 || len(all) != 900+901+2700 {
		t.Errorf("%d steps, %d elements", len(steps), len(all))
	}
}

// All that is in a history arrives, in events that stay under the limit, with
// keys that are the same when it is read again and others for another blob.
func TestHistoryParts(t *testing.T) {
	const chats, messages = 2500, 2
	h := long(chats, messages, 1000)
	counts, keys := map[pombo.EventName]int{}, map[string]bool{}
	var order []string
	for e := range told(scope(), h, "blob", 0) {
		if len(e.Data) >= HistoryLimit {
			t.Errorf("%s has %d bytes", e.Name, len(e.Data))
		}
		var items []struct {
			HistorySync struct{ Progress int }
		}
		if err := json.Unmarshal(e.Data, &items); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if item.HistorySync.Progress != 80 {
				t.Fatalf("progress is %d", item.HistorySync.Progress)
			}
		}
		counts[e.Name] += len(items)
		keys[string(e.Name)+e.Key] = true
		order = append(order, string(e.Name)+e.Key)
	}
	if counts[pombo.ChatsSet] != chats || counts[pombo.ContactsSet] != chats || counts[pombo.ContactsUpsert] != chats || counts[pombo.MessagesSet] != chats*messages {
		t.Errorf("got %v", counts)
	}
	if len(keys) != len(order) || len(order) < 12 {
		t.Errorf("%d keys of %d events", len(keys), len(order))
	}
	var again []string
	for e := range told(scope(), h, "blob", 0) {
		again = append(again, string(e.Name)+e.Key)
	}
	if !slices.Equal(order, again) {
		t.Error("read again, the history has other keys")
	}
	for e := range told(scope(), h, "another", 0) {
		if keys[string(e.Name)+e.Key] {
			t.Errorf("another blob has the same key %q", e.Key)
		}
	}
}

// A reader that stops gets no more.
func TestHistoryStops(t *testing.T) {
	seen := 0
	for range scope().History(long(3, 400, 1000), "blob", 0) {
		seen++
		if seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("got %d", seen)
	}
}

// A message past the limit, or that cannot be shown, is there without its
// content.
func TestHistoryOfHugeMessage(t *testing.T) {
	deep := text("core")
	for range 200 {
		deep = &waE2E.Message{EphemeralMessage: &waE2E.FutureProofMessage{Message: deep}}
	}
	h := long(1, 1, 1<<20)
	h.Conversations[0].Messages = append(h.Conversations[0].Messages, old("DEEP", false, deep), old("AFTER", false, text("x")))
	var all []map[string]json.RawMessage
	for e := range told(scope(), h, "blob", 0) {
		if e.Name != pombo.MessagesSet {
			continue
		}
		var items []map[string]json.RawMessage
		if err := json.Unmarshal(e.Data, &items); err != nil {
			t.Fatal(err)
		}
		all = append(all, items...)
	}
	if len(all) != 3 || string(all[0]["message"]) != "{}" || all[0]["truncated"] == nil || all[1]["truncated"] == nil || all[2]["truncated"] != nil {
		t.Errorf("got %s", all)
	}
}

func TestHistoryLeavesOut(t *testing.T) {
	s := scope()
	s.Settings = pombo.Settings{GroupsIgnore: true, ReadStatus: true}
	got := ""
	for step := range s.History(history(), "blob", 0) {
		got += string(step.Events[0].Data)
	}
	if strings.Contains(got, group.String()) || !strings.Contains(got, types.StatusBroadcastJID.String()) {
		t.Errorf("got %s", got)
	}
}

func BenchmarkHistory(b *testing.B) {
	h, s := long(20, 100, 200), scope()
	b.ReportAllocs()
	for b.Loop() {
		for step := range s.History(h, "blob", 0) {
			_ = step
		}
	}
}
