package whatsapp

import (
	"context"
	"fmt"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"

	"pombo"
	"pombo/internal/translate"
)

// PollStore keeps polls, to read the votes in them.
type PollStore interface {
	// PutPoll keeps a poll; one that is kept already stays as it is.
	PutPoll(ctx context.Context, p pombo.Poll) error
	// Polls returns the polls with a message ID, one for each chat.
	Polls(ctx context.Context, instance pombo.InstanceID, id string) ([]pombo.Poll, error)
}

// keepPoll keeps evt if it is a poll, before it is confirmed.
func (l *line) keepPoll(evt any) error {
	m, ok := evt.(*events.Message)
	if !ok || m.Info.Chat.Server == types.NewsletterServer { // whose votes nobody but the channel sees
		return nil
	}
	options, secret := translate.PollCreation(m)
	return l.putPoll(m.Info, options, secret)
}

// keepPastPolls keeps the polls in a part of the history.
func (l *line) keepPastPolls(h *waHistorySync.HistorySync) error {
	for _, c := range h.GetConversations() {
		chat, err := types.ParseJID(c.GetID())
		if err != nil || chat.Server == types.NewsletterServer {
			continue
		}
		for _, m := range c.GetMessages() {
			past := m.GetMessage()
			options, secret := translate.PollCreation(&events.Message{RawMessage: past.GetMessage()})
			if len(options) == 0 {
				continue
			}
			if secret == nil {
				secret = past.GetMessageSecret()
			}
			evt, err := l.client.ParseWebMessage(chat, past)
			if err != nil {
				continue // without a sender there is no reading its votes
			}
			if err := l.putPoll(evt.Info, options, secret); err != nil {
				return err
			}
		}
	}
	return nil
}

// putPoll keeps a poll that can be voted in.
func (l *line) putPoll(info types.MessageInfo, options []string, secret []byte) error {
	if len(options) == 0 || len(secret) == 0 {
		return nil
	}
	poll := pombo.Poll{
		Instance: l.s.id, Chat: l.scope.Lane(info.Chat), ID: info.ID, Author: plainJID(info.Sender).String(),
		Secret: secret, Options: options, At: info.Timestamp,
	}
	return l.insist(l.ctx, "keep a poll", func(ctx context.Context) error { return l.s.n.o.Polls.PutPoll(ctx, poll) })
}

// votes reads the votes that one event has.
type votes struct {
	l     *line
	polls map[types.MessageID]pombo.Poll // that were looked up
}

// options implements translate.Scope.PollOptions.
func (v *votes) options(chat types.JID, id types.MessageID) []string {
	p, _, _ := v.poll(chat, id)
	return p.Options
}

// poll looks a poll up.
func (v *votes) poll(chat types.JID, id types.MessageID) (p pombo.Poll, ok bool, err error) {
	if p, ok = v.polls[id]; ok {
		return p, true, nil
	}
	l := v.l
	var found []pombo.Poll
	err = l.insist(l.ctx, "read a poll", func(ctx context.Context) (err error) {
		found, err = l.s.n.o.Polls.Polls(ctx, l.s.id, id)
		return err
	})
	if err != nil {
		return p, false, err
	}
	for _, p := range found {
		// A chat may have been known by its other form when the poll came.
		if kept, err := types.ParseJID(p.Chat); err == nil && l.scope.Lane(kept) == l.scope.Lane(chat) {
			v.polls = map[types.MessageID]pombo.Poll{id: p}
			return p, true, nil
		}
	}
	return p, false, nil
}

// decrypt implements translate.Scope.DecryptPollVote. A vote is sealed for its poll,
// the author of the poll and the voter, each named by number or by LID: by which,
// the sender's app decides. All are tried.
func (v *votes) decrypt(evt *events.Message) (*waE2E.PollVoteMessage, error) {
	update := translate.PollVote(evt)
	id := update.GetPollCreationMessageKey().GetID()
	if n := len(update.GetVote().GetEncIV()); n != voteIV {
		return nil, fmt.Errorf("the vote's IV has %d bytes", n)
	}
	p, ok, err := v.poll(evt.Info.Chat, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		// It may be one from before polls were kept, of which whatsmeow has the secret.
		return v.l.client.DecryptPollVote(v.l.ctx, evt)
	}
	author, err := types.ParseJID(p.Author)
	if err != nil {
		return nil, fmt.Errorf("reading a poll: %w", err)
	}
	for _, voter := range v.l.bothForms(evt.Info.Sender, evt.Info.SenderAlt) {
		for _, author := range v.l.bothForms(author, types.EmptyJID) {
			plain, err := openVote(p, author, voter, update.GetVote())
			if err != nil {
				continue
			}
			var vote waE2E.PollVoteMessage
			if err := proto.Unmarshal(plain, &vote); err != nil {
				return nil, fmt.Errorf("reading a vote: %w", err)
			}
			return &vote, nil
		}
	}
	return nil, fmt.Errorf("the vote in poll %s was not sealed for it", id)
}

// bothForms returns a person's JIDs, as far as they are known.
func (l *line) bothForms(jid, alt types.JID) []types.JID {
	jid, alt = plainJID(jid), plainJID(alt)
	if alt.IsEmpty() {
		switch jid {
		case l.scope.Own:
			alt = l.scope.OwnLID
		case l.scope.OwnLID:
			alt = l.scope.Own
		default:
			alt = l.scope.Alt(jid)
		}
	}
	if alt.IsEmpty() || alt == jid {
		return []types.JID{jid}
	}
	return []types.JID{jid, alt}
}

// openVote decrypts a vote; see whatsmeow msgsecret.go, generateMsgSecretKey.
func openVote(p pombo.Poll, author, voter types.JID, sealed *waE2E.PollEncValue) ([]byte, error) {
	use := fmt.Appendf(nil, "%s%s%s%s", p.ID, author, voter, whatsmeow.EncSecretPollVote)
	key := hkdfutil.SHA256(p.Secret, nil, use, 32)
	return gcmutil.Decrypt(key, sealed.GetEncIV(), sealed.GetEncPayload(), fmt.Appendf(nil, "%s\x00%s", p.ID, voter))
}

// voteIV is how many bytes the IV of a vote has; with another number, GCM panics.
const voteIV = 12
