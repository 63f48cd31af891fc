package sandbox

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// maxOnDemand is how many older messages a client gets at once.
const maxOnDemand = 1000

// peerOperation lets a phone give a companion messages that it asks for: older ones of a chat, or single ones that it
// could not decrypt (whatsmeow send.go, BuildHistorySyncRequest and BuildUnavailableMessageRequest). id is that of the
// request.
func (s *Server) peerOperation(t *batch, d *device, id string, op *waE2E.PeerDataOperationRequestMessage) {
	if older := op.GetHistorySyncOnDemandRequest(); older != nil {
		s.olderHistory(t, d, id, older)
	}
	if len(op.GetPlaceholderMessageResendRequest()) == 0 {
		return
	}
	var results []*waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult
	for _, wanted := range op.GetPlaceholderMessageResendRequest() {
		m, err := s.findMessage(wanted.GetMessageKey().GetID(), d.user.number)
		if err != nil {
			continue
		}
		chat, _ := s.chatOf(d.user, m)
		info, err := m.web(chat, s.world.users[m.From], d.user)
		var raw []byte
		if err == nil {
			raw, err = proto.Marshal(info)
		}
		if err != nil {
			s.log.Error("A message could not be given to a client that asks for it", "id", m.ID, "error", err)
			continue
		}
		results = append(results, &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{
			PlaceholderMessageResendResponse: &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_PlaceholderMessageResendResponse{
				WebMessageInfoBytes: raw,
			},
		})
	}
	if len(results) == 0 {
		return
	}
	_, err := s.sendPeer(t, d, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE.Enum(),
		PeerDataOperationRequestResponseMessage: &waE2E.PeerDataOperationRequestResponseMessage{
			PeerDataOperationRequestType: waE2E.PeerDataOperationRequestType_PLACEHOLDER_MESSAGE_RESEND.Enum(),
			StanzaID:                     &id, PeerDataOperationResult: results,
		},
	}})
	if err != nil {
		s.log.Error("A client's request could not be answered", "device", d.address(), "error", err)
	}
}

// olderHistory sends messages from before one that the client knows, if there are any.
func (s *Server) olderHistory(t *batch, d *device, id string, r *waE2E.PeerDataOperationRequestMessage_HistorySyncOnDemandRequest) {
	jid, err := types.ParseJID(r.GetChatJID())
	if with := s.find(jid); with != nil {
		jid = with.pn(0)
	}
	if err != nil {
		return
	}
	chunk := &waHistorySync.HistorySync{
		SyncType:   waHistorySync.HistorySync_ON_DEMAND.Enum(),
		ChunkOrder: proto.Uint32(1), Progress: proto.Uint32(100),
	}
	for _, c := range s.rememberedChats(d.user, 0) {
		if c.jid != jid.ToNonAD() {
			continue
		}
		found := proto.Clone(c.about).(*waHistorySync.Conversation)
		limit := min(max(int(r.GetOnDemandMsgCount()), 1), maxOnDemand)
		older := false
		for i := c.count - 1; i >= 0 && len(found.Messages) < limit; i-- {
			m, err := c.at(i)
			if err != nil {
				s.log.Error("History could not be read", "number", d.user.number, "error", err)
				return
			}
			if older {
				found.Messages = append(found.Messages, &waHistorySync.HistorySyncMsg{Message: m, MsgOrderID: proto.Uint64(uint64(i + 1))})
			}
			older = older || m.GetKey().GetID() == r.GetOldestMsgID()
		}
		chunk.Conversations = append(chunk.Conversations, found)
	}
	t.then(func() {
		if s.closed {
			return
		}
		s.running.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
			defer cancel()
			if _, err := s.sendChunk(ctx, d.user, []*device{d}, chunk, false, id); err != nil && ctx.Err() == nil {
				s.log.Warn("A client could not be given older messages", "device", d.address(), "error", err)
			}
		})
	})
}
