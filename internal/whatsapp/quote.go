package whatsapp

import (
	"context"
	"slices"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pombo"
	"pombo/internal/evolution"
	"pombo/internal/translate"
)

// context makes what a message says about others: the one it answers, those it
// mentions. nil if it says nothing.
func (l *line) context(ctx context.Context, to types.JID, t pombo.Text) (*waE2E.ContextInfo, error) {
	var info waE2E.ContextInfo
	if t.Quoted != nil {
		if err := l.quote(&info, to, t.Quoted); err != nil {
			return nil, err
		}
	}
	if err := l.mention(ctx, &info, to, t); err != nil {
		return nil, err
	}
	if proto.Equal(&info, &waE2E.ContextInfo{}) {
		return nil, nil
	}
	return &info, nil
}

// quote fills in the message that is answered. Its content is what the caller
// gave, else what we kept if we sent it, else an empty text: the recipient's
// client shows its own copy if it has one.
func (l *line) quote(info *waE2E.ContextInfo, to types.JID, q *pombo.Quoted) error {
	if q.ID == "" {
		return pombo.Errorf(pombo.Invalid, "quoted has no key.id: give the ID of the message that is answered")
	}
	content, ours, err := l.quoted(q)
	if err != nil {
		return err
	}
	if q.FromMe != nil {
		ours = *q.FromMe
	}
	chat := to
	if q.RemoteJID != "" {
		other, err := evolution.CreateJID(q.RemoteJID)
		if err != nil {
			return err
		}
		if chat, err = types.ParseJID(other); err != nil {
			return pombo.Errorf(pombo.Invalid, "quoted.key.remoteJid %q is not a JID: %w", q.RemoteJID, err)
		}
	}
	author := chat
	switch {
	case ours:
		author = l.own.ToNonAD()
	case q.Participant != "":
		if author, err = types.ParseJID(q.Participant); err != nil {
			return pombo.Errorf(pombo.Invalid, "quoted.key.participant %q is not a JID: %w", q.Participant, err)
		}
	}
	info.StanzaID = proto.String(q.ID)
	info.Participant = proto.String(author.ToNonAD().String())
	info.QuotedMessage = content
	if l.scope.Lane(chat) != l.scope.Lane(to) {
		info.RemoteJID = proto.String(chat.String())
	}
	return nil
}

func (l *line) quoted(q *pombo.Quoted) (content *waE2E.Message, ours bool, err error) {
	kept, found, err := l.sent(q.ID)
	if err != nil {
		return nil, false, unavailable("The quoted message could not be looked up", err)
	}
	var m waE2E.Message
	switch {
	case len(q.Message) > 0:
		if err := translate.DecodeJSON(q.Message, &m); err != nil {
			return nil, false, pombo.Errorf(pombo.Invalid, "quoted.message is not a message: %w", err)
		}
	case found:
		if err := proto.Unmarshal(kept.Message, &m); err != nil {
			return nil, false, err
		}
	}
	if proto.Size(&m) == 0 {
		m.Conversation = proto.String("")
	}
	dropContexts(&m)
	return &m, found, nil
}

// dropContexts takes out of a quoted message what it says about others itself:
// clients send one level of quotes.
func dropContexts(m *waE2E.Message) {
	m.MessageContextInfo = nil
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() == protoreflect.MessageKind && !fd.IsList() && !fd.IsMap() {
			if info := fd.Message().Fields().ByName("contextInfo"); info != nil {
				v.Message().Clear(info)
			}
		}
		return true
	})
}

// mention fills in who is mentioned. In a group the members are named in the
// form that the group uses; only there can everyone be mentioned.
func (l *line) mention(ctx context.Context, info *waE2E.ContextInfo, to types.JID, t pombo.Text) error {
	inGroup := to.Server == types.GroupServer
	if len(t.Mentioned) == 0 && (!t.MentionEveryone || !inGroup) {
		return nil
	}
	var members []types.GroupParticipant
	if inGroup {
		group, err := l.client.GetGroupInfo(ctx, to)
		if err != nil {
			return groupError(err)
		}
		members = group.Participants
	}
	if t.MentionEveryone {
		for _, p := range members {
			info.MentionedJID = append(info.MentionedJID, p.JID.ToNonAD().String())
		}
		return nil
	}
	for _, number := range t.Mentioned {
		written, err := evolution.CreateJID(number)
		if err != nil {
			return err
		}
		jid, err := types.ParseJID(written)
		if err != nil {
			return pombo.Errorf(pombo.Invalid, "mentioned %q is not a JID: %w", number, err)
		}
		if i := slices.IndexFunc(members, func(p types.GroupParticipant) bool {
			return p.PhoneNumber.ToNonAD() == jid || p.LID.ToNonAD() == jid
		}); i >= 0 {
			jid = members[i].JID.ToNonAD()
		}
		info.MentionedJID = append(info.MentionedJID, jid.String())
	}
	return nil
}

func groupError(err error) error {
	e := sendError(err)
	if pombo.KindOf(e) == pombo.Unavailable {
		return unavailable("WhatsApp did not tell the members of the group", err)
	}
	return e
}
