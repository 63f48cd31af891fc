package translate

import (
	"crypto/sha256"
	"encoding/hex"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// pollVote makes a MESSAGES_UPDATE of a vote, in the form of 1.8.2: {remoteJid,
// id, fromMe, participant?, pollUpdates: [{name, voters}], …}, where id is the
// poll's. Each event is what one person has chosen now, all of it: an empty vote
// takes back the earlier ones. Our own votes are of "me". It returns nil for
// everything else, and for votes that cannot be read.
func (s Scope) pollVote(evt *events.Message) []pombo.Event {
	if s.DecryptPollVote == nil {
		return nil
	}
	update := PollVote(evt)
	if update.GetPollCreationMessageKey().GetID() == "" {
		return nil
	}
	vote, err := s.DecryptPollVote(evt)
	if err != nil || vote == nil {
		return nil // it goes out as it came
	}
	poll := s.target(evt.Info, update.PollCreationMessageKey)
	voter := "me"
	if !evt.Info.IsFromMe {
		who, _ := s.forms(evt.Info.Sender, evt.Info.SenderAlt)
		voter = who.String()
	}
	var options []string
	if s.PollOptions != nil {
		options = s.PollOptions(poll.Chat, poll.ID)
	}
	at := update.GetSenderTimestampMS()
	if at == 0 {
		at = evt.Info.Timestamp.UnixMilli()
	}
	key, lane := s.messageKey(poll)
	o := newObject().text("keyId", poll.ID)
	o = append(append(o, ','), key[1:len(key)-1]...)
	o = o.int("datetime", at).text("voter", voter).raw("pollUpdates", pollUpdates(options, vote, voter))
	return []pombo.Event{s.event(pombo.MessagesUpdate, "vote|"+occurrence(evt), lane, evt.Info.Timestamp, append(s.appendOwner(o), '}'))}
}

// pollUpdates lists the options with who chose them. An option that is chosen
// and not known is called "Unknown", as in Baileys; hash, the SHA-256 of its name
// in hex, lets the receiver find it.
func pollUpdates(options []string, vote *waE2E.PollVoteMessage, voter string) []byte {
	chosen := make(map[string]bool, len(vote.GetSelectedOptions()))
	for _, h := range vote.GetSelectedOptions() {
		chosen[hex.EncodeToString(h)] = true
	}
	out := []byte{'['}
	add := func(name, hash string) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		voters := []byte("[]")
		if chosen[hash] {
			voters = append(appendString([]byte{'['}, voter), ']')
			delete(chosen, hash)
		}
		out = append(out, newObject().text("name", name).raw("voters", voters).text("hash", hash).close()...)
	}
	for _, name := range options {
		sum := sha256.Sum256([]byte(name))
		add(name, hex.EncodeToString(sum[:]))
	}
	for _, h := range vote.GetSelectedOptions() {
		if hash := hex.EncodeToString(h); chosen[hash] {
			add("Unknown", hash)
		}
	}
	return append(out, ']')
}

// PollVote returns the vote in a message, still encrypted, or nil.
func PollVote(evt *events.Message) *waE2E.PollUpdateMessage {
	return innermost(content(evt)).GetPollUpdateMessage()
}

// PollCreation returns the names of the options of the poll in a message, in its
// order, and the secret that opens the votes; nothing if it is not a poll.
func PollCreation(evt *events.Message) (options []string, secret []byte) {
	sent := content(evt)
	m := innermost(sent)
	if inner := m.GetPollCreationMessageV4().GetMessage(); inner != nil {
		m = innermost(inner)
	}
	for _, poll := range [...]*waE2E.PollCreationMessage{
		m.GetPollCreationMessage(), m.GetPollCreationMessageV2(), m.GetPollCreationMessageV3(), m.GetPollCreationMessageV5(),
	} {
		for _, o := range poll.GetOptions() {
			options = append(options, o.GetOptionName())
		}
		if poll != nil {
			break
		}
	}
	if options == nil {
		return nil, nil
	}
	for _, at := range [...]*waE2E.Message{sent, evt.RawMessage, m, evt.Message} {
		if secret = at.GetMessageContextInfo().GetMessageSecret(); secret != nil {
			return options, secret
		}
	}
	return options, nil
}
