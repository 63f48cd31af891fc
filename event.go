package pombo

import (
	"encoding/json"
	"strings"
	"time"
)

// EventName is an event's name as it stands in a webhook's events list, for
// example "MESSAGES_UPSERT".
type EventName string

// The events. The first 19 are those of the Set Webhook document, in its order.
const (
	ApplicationStartup      EventName = "APPLICATION_STARTUP"
	QRCodeUpdated           EventName = "QRCODE_UPDATED"
	MessagesSet             EventName = "MESSAGES_SET"
	MessagesUpsert          EventName = "MESSAGES_UPSERT"
	MessagesUpdate          EventName = "MESSAGES_UPDATE"
	SendMessage             EventName = "SEND_MESSAGE"
	ContactsSet             EventName = "CONTACTS_SET"
	ContactsUpsert          EventName = "CONTACTS_UPSERT"
	ContactsUpdate          EventName = "CONTACTS_UPDATE"
	PresenceUpdate          EventName = "PRESENCE_UPDATE"
	ChatsSet                EventName = "CHATS_SET"
	ChatsUpsert             EventName = "CHATS_UPSERT"
	ChatsUpdate             EventName = "CHATS_UPDATE"
	ChatsDelete             EventName = "CHATS_DELETE"
	GroupsUpsert            EventName = "GROUPS_UPSERT"
	GroupUpdate             EventName = "GROUP_UPDATE"
	GroupParticipantsUpdate EventName = "GROUP_PARTICIPANTS_UPDATE"
	ConnectionUpdate        EventName = "CONNECTION_UPDATE"
	NewJWTToken             EventName = "NEW_JWT_TOKEN"

	MessagesEdited      EventName = "MESSAGES_EDITED"
	MessagesDelete      EventName = "MESSAGES_DELETE"
	SendMessageUpdate   EventName = "SEND_MESSAGE_UPDATE"
	LabelsEdit          EventName = "LABELS_EDIT"
	LabelsAssociation   EventName = "LABELS_ASSOCIATION"
	Call                EventName = "CALL"
	TypebotStart        EventName = "TYPEBOT_START"
	TypebotChangeStatus EventName = "TYPEBOT_CHANGE_STATUS"
	ChamaAIAction       EventName = "CHAMA_AI_ACTION"
	RemoveInstance      EventName = "REMOVE_INSTANCE"
	LogoutInstance      EventName = "LOGOUT_INSTANCE"
	InstanceCreate      EventName = "INSTANCE_CREATE"
	InstanceDelete      EventName = "INSTANCE_DELETE"
	StatusInstance      EventName = "STATUS_INSTANCE"

	// MessagesUndecryptable is ours: the Evolution API is silent about messages
	// that came and could not be read.
	MessagesUndecryptable EventName = "MESSAGES_UNDECRYPTABLE"
)

var eventNames = []EventName{
	ApplicationStartup, QRCodeUpdated, MessagesSet, MessagesUpsert, MessagesUpdate, SendMessage,
	ContactsSet, ContactsUpsert, ContactsUpdate, PresenceUpdate, ChatsSet, ChatsUpsert, ChatsUpdate,
	ChatsDelete, GroupsUpsert, GroupUpdate, GroupParticipantsUpdate, ConnectionUpdate, NewJWTToken,
	MessagesEdited, MessagesDelete, SendMessageUpdate, LabelsEdit, LabelsAssociation, Call,
	TypebotStart, TypebotChangeStatus, ChamaAIAction, RemoveInstance, LogoutInstance,
	InstanceCreate, InstanceDelete, StatusInstance, MessagesUndecryptable,
}

// EventNames returns every event that a webhook can ask for, those of the Set
// Webhook document first, in its order. The slice is the caller's.
func EventNames() []EventName { return append([]EventName(nil), eventNames...) }

// irregular holds the wire names that do not follow from the event's name by
// lowering it and turning each "_" into ".". Source: Evolution API 1.8.2 and
// 2.3.6, events.dto and the places that send.
var irregular = map[EventName]string{
	GroupUpdate:             "groups.update",
	GroupParticipantsUpdate: "group-participants.update",
	NewJWTToken:             "new.jwt",
	TypebotChangeStatus:     "typebot.change-status",
	ChamaAIAction:           "chama-ai.action",
}

var wireNames = func() map[EventName]string {
	m := make(map[EventName]string, len(eventNames))
	for _, n := range eventNames {
		if w, ok := irregular[n]; ok {
			m[n] = w
			continue
		}
		m[n] = strings.ToLower(strings.ReplaceAll(string(n), "_", "."))
	}
	return m
}()

// Wire returns the name that stands in a payload's "event" field, for example
// "messages.upsert".
func (n EventName) Wire() string { return wireNames[n] }

// PathSuffix returns what a webhook "by events" appends to its URL's path,
// without the slash, for example "messages-upsert". It derives from the wire
// name, as in the original.
func (n EventName) PathSuffix() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(wireNames[n])
}

// Known tells whether n is an event that a webhook can ask for.
func (n EventName) Known() bool { _, ok := wireNames[n]; return ok }

// ParseEventName returns the event that s names. GROUPS_UPDATE, which follows
// from the wire name, is accepted for GROUP_UPDATE.
func ParseEventName(s string) (EventName, bool) {
	if s == "GROUPS_UPDATE" {
		return GroupUpdate, true
	}
	n := EventName(s)
	return n, n.Known()
}

// Event is something that happened to an instance. What is sent of it is fixed
// when it is appended to the store.
type Event struct {
	ID       int64 // assigned by the store, ascending in the order of appending
	Instance InstanceID
	Name     EventName
	// Key is the key of the occurrence: a second event of the same instance and
	// name with the same key is the same occurrence, and is not stored again.
	Key string
	// Chat is the chat the event belongs to (a JID), the lane in which it is
	// delivered in order; "" for events of the instance as a whole.
	Chat string
	// Sender is the instance's own JID without device; "" before the first login.
	Sender string
	Time   time.Time
	Data   json.RawMessage // the payload's "data", valid JSON
	// Attachment is the file of the event's message, if there is one.
	Attachment Attachment
}
