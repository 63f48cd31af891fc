package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// AppStateRequest lets a phone change what it has in common with its companions.
type AppStateRequest struct {
	Number string `json:"number"` // of the account; made if it is new
	// Action is archive, pin, mute, markRead, clear, delete, star, deleteForMe, contact, removeContact, pushName, label,
	// labelChat, labelMessage, unarchiveChats, muteStatus or raw.
	Action string `json:"action"`
	// On says whether it is done (the default) or undone: archive, pin, mute, star, labelChat, labelMessage,
	// unarchiveChats, muteStatus; markRead false marks as unread.
	On *bool `json:"on,omitempty"`
	// Chat is a number or a JID: the chat, or the contact.
	Chat string `json:"chat,omitempty"`
	// Until is when a mute ends, in milliseconds since 1970; 0: never.
	Until int64 `json:"until,omitempty"`

	MessageID   string `json:"messageId,omitempty"`   // of star, deleteForMe, labelMessage
	FromMe      bool   `json:"fromMe,omitempty"`      // whether the account sent that message
	Participant string `json:"participant,omitempty"` // who did, in a group: number or JID

	Name      string `json:"name,omitempty"`      // of contact (the full one), pushName, label
	FirstName string `json:"firstName,omitempty"` // of contact
	Label     string `json:"label,omitempty"`     // ID of the label
	Color     int32  `json:"color,omitempty"`     // of the label, 0 to 19
	Deleted   bool   `json:"deleted,omitempty"`   // the label goes

	// What raw writes.
	Collection string          `json:"collection,omitempty"`
	Index      []string        `json:"index,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"` // waSyncAction.SyncActionValue as protobuf's JSON
	Version    int32           `json:"version,omitempty"`
	Remove     bool            `json:"remove,omitempty"` // takes the index away
}

// AppStateResult names the version that a change made.
type AppStateResult struct {
	Collection string `json:"collection"`
	Version    uint64 `json:"version"`
}

// SetAppState lets a phone change what it has in common with its companions, and tells them. Errors: Invalid;
// NotFound for what is to be removed and is not there.
func (s *Server) SetAppState(ctx context.Context, r AppStateRequest) (AppStateResult, error) {
	r.Number = normalizeNumber(r.Number)
	if err := checkNumber("number", r.Number); err != nil {
		return AppStateResult{}, err
	}
	var result AppStateResult
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		u := s.ensureUser(t, r.Number)
		if r.Remove || r.Action == "removeContact" {
			result.Collection, err = s.removeSetting(t, u, &r)
		} else {
			var patch appstate.PatchInfo
			if patch, err = s.settingOf(u, &r); err == nil {
				result.Collection, err = string(patch.Type), s.mutate(t, u, patch)
			}
		}
		if err == nil {
			result.Version = u.sync.collections[result.Collection].version
		}
	})
	if err != nil {
		return AppStateResult{}, err
	}
	return result, waitErr
}

// removeSetting takes a record away, and returns its collection's name.
func (s *Server) removeSetting(t *batch, u *user, r *AppStateRequest) (string, error) {
	name, index := r.Collection, r.Index
	if r.Action == "removeContact" {
		chat, err := chatJID("chat", r.Chat)
		if err != nil {
			return "", err
		}
		name, index = string(appstate.WAPatchCriticalUnblockLow), []string{appstate.IndexContact, chat.String()}
	}
	a := s.syncOf(t, u)
	col := a.collections[name]
	if col == nil {
		return "", collectionError(name)
	}
	before := col.value(index...)
	if before == nil {
		return "", errorf(NotFound, "%s has no %q in %s: GET /sandbox/app-state lists what there is", u.number, index, name)
	}
	record, err := sealRecord(a.key(before.keyID), true, index, before.action.GetVersion(), before.action.GetValue())
	if err != nil {
		return "", err
	}
	return name, s.change(t, u, name, []mutation{{remove: true, record: record}})
}

func collectionError(name string) error {
	return errorf(Invalid, "\"collection\" is %q: it is one of critical_block, critical_unblock_low, regular, regular_high, regular_low", name)
}

// chatJID reads a number or a JID.
func chatJID(field, text string) (types.JID, error) {
	if strings.Contains(text, "@") {
		j, err := types.ParseJID(text)
		if err != nil || j.User == "" {
			return j, errorf(Invalid, "%q is %q: it is a phone number or a JID", field, text)
		}
		return j.ToNonAD(), nil
	}
	text = normalizeNumber(text)
	if err := checkNumber(field, text); err != nil {
		return types.JID{}, err
	}
	return types.NewJID(text, types.DefaultUserServer), nil
}

// actionsOnChats are those that need to know of which chat.
var actionsOnChats = []string{
	"archive", "pin", "mute", "markRead", "clear", "delete", "star", "deleteForMe", "contact", "labelChat", "labelMessage", "muteStatus",
}

// settingOf is what a request writes.
func (s *Server) settingOf(u *user, r *AppStateRequest) (appstate.PatchInfo, error) {
	var none appstate.PatchInfo
	on := r.On == nil || *r.On
	var chat types.JID
	if slices.Contains(actionsOnChats, r.Action) {
		var err error
		if chat, err = chatJID("chat", r.Chat); err != nil {
			return none, err
		}
	}
	if slices.Contains([]string{"star", "deleteForMe", "labelMessage"}, r.Action) && r.MessageID == "" {
		return none, errorf(Invalid, "Give the \"messageId\"")
	}
	if strings.HasPrefix(r.Action, "label") && r.Label == "" {
		return none, errorf(Invalid, "Give the ID of the label as \"label\", for example \"1\"")
	}
	if slices.Contains([]string{"contact", "pushName"}, r.Action) && r.Name == "" {
		return none, errorf(Invalid, "Give the \"name\"")
	}
	at, last := u.lastMessage(s.find(chat))
	switch r.Action {
	case "archive":
		return appstate.BuildArchive(chat, on, at, last), nil
	case "pin":
		return appstate.BuildPin(chat, on), nil
	case "mute":
		var until *int64
		if r.Until != 0 {
			until = &r.Until
		}
		return appstate.BuildMuteAbs(chat, on, until), nil
	case "markRead":
		return appstate.BuildMarkChatAsRead(chat, on, at, last), nil
	case "delete":
		patch := appstate.BuildDeleteChat(chat, at, last)
		patch.Type, patch.Mutations[0].Index = appstate.WAPatchRegularHigh, append(patch.Mutations[0].Index, "1") // as phones do
		return patch, nil
	case "star":
		return s.starSetting(chat, r, on)
	case "pushName":
		return appstate.BuildSettingPushName(r.Name), nil
	case "label":
		return appstate.BuildLabelEdit(r.Label, r.Name, r.Color, r.Deleted), nil
	case "labelChat":
		return appstate.BuildLabelChat(chat, r.Label, on), nil
	case "labelMessage":
		return appstate.BuildLabelMessage(chat, r.Label, r.MessageID, on), nil
	}
	return s.otherSetting(chat, r, on)
}

func (s *Server) starSetting(chat types.JID, r *AppStateRequest, on bool) (appstate.PatchInfo, error) {
	sender := chat
	if r.Participant != "" {
		var err error
		if sender, err = chatJID("participant", r.Participant); err != nil {
			return appstate.PatchInfo{}, err
		}
	}
	return appstate.BuildStar(chat, sender, r.MessageID, r.FromMe, on), nil
}

// otherSetting is settingOf for what the client has no builder for.
func (s *Server) otherSetting(chat types.JID, r *AppStateRequest, on bool) (appstate.PatchInfo, error) {
	one := func(name appstate.WAPatchName, version int32, value *waSyncAction.SyncActionValue, index ...string) (appstate.PatchInfo, error) {
		return appstate.PatchInfo{Type: name, Mutations: []appstate.MutationInfo{{Index: index, Version: version, Value: value}}}, nil
	}
	switch r.Action {
	case "clear":
		at := time.Now().Unix()
		value := &waSyncAction.SyncActionValue{ClearChatAction: &waSyncAction.ClearChatAction{
			MessageRange: &waSyncAction.SyncActionMessageRange{LastMessageTimestamp: &at},
		}}
		return one(appstate.WAPatchRegularHigh, 6, value, appstate.IndexClearChat, chat.String(), "1", "0")
	case "deleteForMe":
		sender, fromMe := "0", "0"
		if r.FromMe {
			fromMe = "1"
		}
		if r.Participant != "" {
			j, err := chatJID("participant", r.Participant)
			if err != nil {
				return appstate.PatchInfo{}, err
			}
			sender = j.String()
		}
		value := &waSyncAction.SyncActionValue{DeleteMessageForMeAction: &waSyncAction.DeleteMessageForMeAction{
			DeleteMedia: proto.Bool(false), MessageTimestamp: proto.Int64(time.Now().Unix()),
		}}
		return one(appstate.WAPatchRegularHigh, 3, value, appstate.IndexDeleteMessageForMe, chat.String(), r.MessageID, fromMe, sender)
	case "contact":
		first := cmp.Or(r.FirstName, strings.Split(r.Name, " ")[0])
		action := &waSyncAction.ContactAction{FullName: &r.Name, FirstName: &first, SaveOnPrimaryAddressbook: proto.Bool(true)}
		if other := s.find(chat); other != nil {
			action.LidJID, action.PnJID = proto.String(other.lidJID(0).String()), proto.String(other.pn(0).String())
		}
		return one(appstate.WAPatchCriticalUnblockLow, 2, &waSyncAction.SyncActionValue{ContactAction: action}, appstate.IndexContact, chat.String())
	case "unarchiveChats":
		value := &waSyncAction.SyncActionValue{UnarchiveChatsSetting: &waSyncAction.UnarchiveChatsSetting{UnarchiveChats: &on}}
		return one(appstate.WAPatchRegularLow, 4, value, appstate.IndexSettingUnarchiveChats)
	case "muteStatus":
		value := &waSyncAction.SyncActionValue{UserStatusMuteAction: &waSyncAction.UserStatusMuteAction{Muted: &on}}
		return one(appstate.WAPatchRegularHigh, 7, value, appstate.IndexUserStatusMute, chat.String())
	case "raw":
		var value waSyncAction.SyncActionValue
		if err := protojson.Unmarshal(r.Value, &value); err != nil {
			return appstate.PatchInfo{}, errorf(Invalid, "\"value\" is not a SyncActionValue in protobuf's JSON form: %s", strings.ReplaceAll(err.Error(), "\u00a0", " "))
		}
		if len(r.Index) == 0 {
			return appstate.PatchInfo{}, errorf(Invalid, "Give the \"index\", for example [\"pin_v1\",\"5511999990000@s.whatsapp.net\"]")
		}
		if !slices.Contains(appstate.AllPatchNames[:], appstate.WAPatchName(r.Collection)) {
			return appstate.PatchInfo{}, collectionError(r.Collection)
		}
		return one(appstate.WAPatchName(r.Collection), r.Version, &value, r.Index...)
	}
	return appstate.PatchInfo{}, errorf(Invalid, "\"action\" is %q: it is one of %s, removeContact, pushName, label, unarchiveChats, raw", r.Action, strings.Join(actionsOnChats, ", "))
}

// lastMessage is the newest message between two users, as settings of chats name it; no key if there is none.
func (u *user) lastMessage(other *user) (time.Time, *waCommon.MessageKey) {
	var found *message
	if other == nil {
		return time.Time{}, nil
	}
	for _, list := range [][]*message{u.received, u.sent} {
		for _, m := range slices.Backward(list) {
			if !m.Peer && m.room().IsEmpty() && (m.From == other.number || m.To == other.number) {
				if found == nil || m.At.After(found.At) {
					found = m
				}
				break
			}
		}
	}
	if found == nil {
		return time.Time{}, nil
	}
	return found.At, &waCommon.MessageKey{
		RemoteJID: proto.String(other.pn(0).String()), FromMe: proto.Bool(found.From == u.number), ID: &found.ID,
	}
}

// Fetched tells whether companions have the app state of their phone.
type Fetched struct {
	Fetched bool `json:"fetched"`
}

// FetchedAppState tells whether all companions of a number have asked for all of its app state: what is changed before
// that, they do not hear of as a change. Phones that are quiet do not give it to them. Errors: Invalid, NotFound.
func (s *Server) FetchedAppState(_ context.Context, number string) (Fetched, error) {
	return about(s, number, func(u *user) Fetched {
		for _, d := range u.companions() {
			if len(d.fetched) < len(appstate.AllPatchNames) && !s.options.Quiet {
				return Fetched{}
			}
		}
		return Fetched{Fetched: true}
	})
}

// Setting is one entry of an account's app state.
type Setting struct {
	Collection string          `json:"collection"`
	Version    uint64          `json:"version"` // of the collection
	Index      []string        `json:"index"`
	Value      json.RawMessage `json:"value"` // waSyncAction.SyncActionValue as protobuf's JSON
}

// AppState lists what a phone has in common with its companions, by collection and index. Errors: Invalid, NotFound.
func (s *Server) AppState(_ context.Context, number string) ([]Setting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.known(number)
	if err != nil {
		return nil, err
	}
	out := []Setting{}
	if u.sync == nil {
		return out, nil
	}
	for _, c := range u.sync.collections {
		for _, r := range c.records {
			raw, err := protojson.Marshal(r.action.GetValue())
			if err != nil {
				raw = []byte(strconv.Quote(err.Error()))
			}
			out = append(out, Setting{Collection: c.name, Version: c.version, Index: r.index, Value: raw})
		}
	}
	slices.SortFunc(out, func(a, b Setting) int {
		return cmp.Or(strings.Compare(a.Collection, b.Collection), slices.Compare(a.Index, b.Index))
	})
	return out, nil
}
