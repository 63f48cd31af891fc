package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"
)

// ActionRequest lets a phone do something to a message that it sent or received.
type ActionRequest struct {
	ID     string `json:"-"`
	From   string `json:"from"`   // number of the phone
	Action string `json:"action"` // react, edit, revoke or vote
	// Text is the emoji of a reaction, where an empty one takes it back, or what an edited message says now.
	Text string `json:"text,omitempty"`
	// Options are those that a vote in a poll is for; none: the vote is taken back.
	Options []string `json:"options,omitempty"`
}

// Act lets a phone react to a message, edit it, take it back or vote in it, which is a message of its own to the same
// chat. Errors: Invalid, NotFound, Conflict.
func (s *Server) Act(ctx context.Context, r ActionRequest) (SendResult, error) {
	if !slices.Contains([]string{"react", "edit", "revoke", "vote"}, r.Action) {
		return SendResult{}, errorf(Invalid, "\"action\" is %q: it is one of react, edit, revoke, vote", r.Action)
	}
	var result SendResult
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var by *user
		if by, err = s.known(r.From); err != nil {
			return
		}
		m := by.holds(r.ID)
		if m == nil {
			err = errorf(NotFound, "The phone of %s has no message %s", by.number, r.ID)
			return
		}
		var body *waE2E.Message
		if body, err = s.action(by, m, &r); err != nil {
			return
		}
		to := m.To
		if m.room().IsEmpty() && m.From != by.number {
			to = m.From
		}
		result.ID, err = s.sendBody(t, by, to, m.LID, randomID(16), body)
	})
	if err != nil {
		return SendResult{}, err
	}
	return result, waitErr
}

// holds finds a message on a phone, by its id, or nil.
func (u *user) holds(id string) *message {
	if m := u.sentByID[id]; m != nil {
		return m
	}
	for _, m := range slices.Backward(u.received) {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// keyOf names a message as its chat's member by does.
func (s *Server) keyOf(by *user, m *message) *waCommon.MessageKey {
	own, room := m.From == by.number, m.room()
	key := &waCommon.MessageKey{ID: proto.String(m.ID), FromMe: proto.Bool(own)}
	author := s.world.users[m.From]
	switch {
	case !room.IsEmpty() && own:
		key.RemoteJID = proto.String(room.String())
	case !room.IsEmpty():
		key.RemoteJID, key.Participant = proto.String(room.String()), proto.String(author.as(m.form(), 0).String())
	case own:
		key.RemoteJID = proto.String(s.world.users[m.To].as(m.form(), 0).String())
	default:
		key.RemoteJID = proto.String(author.as(m.form(), 0).String())
	}
	return key
}

// action makes the message that does something to another.
func (s *Server) action(by *user, m *message, r *ActionRequest) (*waE2E.Message, error) {
	key, own, at := s.keyOf(by, m), m.From == by.number, time.Now().UnixMilli()
	switch r.Action {
	case "react":
		return &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{
			Key: key, Text: proto.String(r.Text), SenderTimestampMS: proto.Int64(at),
		}}, nil
	case "edit":
		if !own || r.Text == "" {
			return nil, errorf(Invalid, "A phone edits what it sent itself, to another \"text\"")
		}
		return &waE2E.Message{EditedMessage: &waE2E.FutureProofMessage{Message: &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Key: key, Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), TimestampMS: proto.Int64(at),
			EditedMessage: &waE2E.Message{Conversation: proto.String(r.Text)},
		}}}}, nil
	case "revoke":
		g := s.world.groups[m.room().User]
		if !own && (g == nil || !g.isAdmin(by)) {
			return nil, errorf(Conflict, "A phone takes back what it sent itself or, as a group's admin, what others sent there")
		}
		return &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Key: key, Type: waE2E.ProtocolMessage_REVOKE.Enum()}}, nil
	}
	return s.vote(by, m, key, r.Options)
}

// vote makes a vote in a poll, encrypted with the secret that the poll brought along (whatsmeow msgsecret.go,
// EncryptPollVote and generateMsgSecretKey).
func (s *Server) vote(by *user, m *message, key *waCommon.MessageKey, options []string) (*waE2E.Message, error) {
	var body waE2E.Message
	if err := proto.Unmarshal(m.Body, &body); err != nil {
		return nil, fmt.Errorf("reading message %s: %w", m.ID, err)
	}
	inner := unwrap(&body)
	var poll *waE2E.PollCreationMessage
	for _, p := range []*waE2E.PollCreationMessage{inner.GetPollCreationMessage(), inner.GetPollCreationMessageV2(), inner.GetPollCreationMessageV3()} {
		if p != nil {
			poll = p
		}
	}
	secret := body.GetMessageContextInfo().GetMessageSecret()
	if poll == nil || len(secret) == 0 {
		return nil, errorf(Conflict, "Message %s is not a poll that one can vote in", m.ID)
	}
	for _, option := range options {
		if !slices.ContainsFunc(poll.GetOptions(), func(o *waE2E.PollCreationMessage_Option) bool { return o.GetOptionName() == option }) {
			return nil, errorf(Invalid, "The poll has no option %q", option)
		}
	}
	plain, err := proto.Marshal(&waE2E.PollVoteMessage{SelectedOptions: whatsmeow.HashPollOptions(options)})
	if err != nil {
		return nil, fmt.Errorf("encoding a vote: %w", err)
	}
	author, voter := s.world.users[m.From].as(m.form(), 0), by.as(m.form(), 0)
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	sealed, err := gcmutil.Encrypt(voteKey(secret, m.ID, author, voter), iv, plain, fmt.Appendf(nil, "%s\x00%s", m.ID, voter))
	if err != nil {
		return nil, fmt.Errorf("encrypting a vote: %w", err)
	}
	return &waE2E.Message{PollUpdateMessage: &waE2E.PollUpdateMessage{
		PollCreationMessageKey: key, Vote: &waE2E.PollEncValue{EncPayload: sealed, EncIV: iv},
		SenderTimestampMS: proto.Int64(time.Now().UnixMilli()),
	}}, nil
}

func voteKey(secret []byte, id string, author, voter types.JID) []byte {
	return hkdfutil.SHA256(secret, nil, fmt.Appendf(nil, "%s%s%s%s", id, author, voter, whatsmeow.EncSecretPollVote), 32)
}
