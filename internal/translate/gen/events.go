package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pombo"
	"pombo/internal/evolution"
)

// entry describes an event.
type entry struct {
	absent string // why it is not sent
	when   string
	data   string
	notes  []string
	golden string                 // the file in testdata/events that has an example
	made   func() ([]byte, error) // makes an example where no golden file has one
}

var (
	instance = pombo.Instance{Name: "my-instance", ID: "7b1f6c1e-0000-4000-8000-000000000001"}
	noon     = time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC)
)

func fixed(data json.RawMessage) func() ([]byte, error) {
	return func() ([]byte, error) { return data, nil }
}

const (
	older = "Accepted because older versions list it: Pombo has no such feature."
)

const historyNote = "Each element has `historySync`: `syncType` (`INITIAL_BOOTSTRAP`, `RECENT`, `FULL`, `PUSH_NAME`, `ON_DEMAND`, …), `progress` " +
	"(0 to 100, of the whole sync, if the phone tells it), `isLatest` (true in the first part after pairing) and `chunkOrder`. The data of one event stays under 512 KiB: a part " +
	"of the history makes as many events as it takes. Data is an array, as in the original, so the progress stands in its elements."

var entries = merged(messages, chats, people, lifecycle)

func merged(groups ...map[pombo.EventName]entry) map[pombo.EventName]entry {
	all := map[pombo.EventName]entry{}
	for _, g := range groups {
		for name, e := range g {
			all[name] = e
		}
	}
	return all
}

var messages = map[pombo.EventName]entry{
	pombo.MessagesUpsert: {
		when: "someone sends a message, or the account does from another of its devices. Not for messages that were sent through the API: those are SEND_MESSAGE.",
		data: "one object: `key`, `pushName`, `status`, `message`, `contextInfo` (null if the type can have one and this message has none), `messageType`, `messageTimestamp` (seconds), `owner` (the instance's name), `instanceId`, `source` (what kind of device made the key's id).",
		notes: []string{
			"As in 2.x, `extendedTextMessage` is shown as `conversation` and `documentWithCaptionMessage` as the `documentMessage` in it; other wrappers stay (`ephemeralMessage`, `viewOnceMessageV2`, `editedMessage`, …).",
			"The key in a `reactionMessage` is as this account sees it: `fromMe` is true if the reaction is to a message of ours.",
			"A vote in a poll that cannot be read comes as it was sent, as `pollUpdateMessage`.",
			"A message with a file (an image, video, audio, document or sticker, in whatever wrapper) has, at the end of `message`, `mediaUrl`: where the file can be had, decrypted and without a key, for `POMBO_MEDIA_KEEP_HOURS`. It is there if SERVER_URL is set. The file is fetched from WhatsApp when it is first asked for.",
			"To a webhook with `webhookBase64`, `message` also has `base64`, the file itself. The event waits for it, and with it what follows in its chat, for `POMBO_MEDIA_DEADLINE_SECONDS` at most; then, or if there is no such file any more, it goes out without, and `mediaError` says why in a sentence.",
			"A message of a kind that this version does not know has `messageType` `unknown` and, in `raw`, the protobuf as it came.",
		},
		golden: "message",
	},
	pombo.MessagesUpdate: {
		when: "a message was delivered, read or played; a vote in a poll was read; a message was starred on the phone.",
		data: "one object: `keyId` and `id` (the message's), `remoteJid`, `fromMe`, `participant?`, `datetime` (ms), `owner`, `instanceId`, and `status` (`DELIVERY_ACK`, `READ`, `PLAYED`), or `pollUpdates` and `voter`, or `starred`.",
		notes: []string{
			"`fromMe` is false when the account itself read what others sent, on another device.",
			"`pollUpdates` is what one person has chosen now, all of it: `[{\"name\", \"voters\", \"hash\"}]`; voters holds the person, or `me`, or nobody. `hash` is the SHA-256 of the option's name in hex. An option of a poll that is not known has the name `Unknown`.",
			"Pombo does not read votes yet: they come as MESSAGES_UPSERT, encrypted.",
			"Of groups no receipts are told, as in the original.",
		},
		golden: "receipt-read",
	},
	pombo.MessagesEdited: {
		when:   "someone edits a message (`MESSAGE_EDIT`); as in 2.3.6, also when they delete it for everyone (`REVOKE`, with MESSAGES_DELETE) and when messages of the chat begin or cease to vanish (`EPHEMERAL_SETTING`, with CHATS_UPDATE).",
		data:   "one object: the ProtocolMessage, `key` (of the message that was edited, as this account sees it), `type`, `editedMessage?`, `timestampMs?`, and `pushName`, `messageTimestamp`, `owner`, `instanceId`.",
		notes:  []string{"Orders between devices, which 2.3.6 sends too, are not sent: they hold keys.", "An edit that comes in the wrapper `editedMessage` is also sent as MESSAGES_UPSERT, as in 1.8.2."},
		golden: "edit",
	},
	pombo.MessagesDelete: {
		when:   "someone deletes a message for everyone (`deletedFor` is `everyone`), also through the API (`chat/deleteMessageForEveryone`), or the account deletes one for itself on another device (`me`).",
		data:   "one object: the key of the deleted message (`remoteJid`, `fromMe`, `id`, `participant`, …), once more as `key`, `status` `DELETED`, `deletedBy`, `deletedFor`, `messageTimestamp` (of the deletion), `owner`, `instanceId`.",
		notes:  []string{"An admin can delete what others wrote: `participant` is who wrote it."},
		golden: "revoke",
	},
	pombo.MessagesUndecryptable: {
		when: "a message came that could not be read. Pombo's own: the original is silent.",
		data: "one object: `key`, `pushName`, `reason`, `isUnavailable`, `unavailableType?`, `type` (`text`, `media`, `reaction`, `poll`), `mediaType?`, `hidden` (WhatsApp's own apps show nothing of it), `messageTimestamp`, `owner`, `instanceId`, `source`.",
		notes: []string{
			"`reason` is `decryption_failed` (the sender is asked to send it again), `unavailable` (the sender had no copy for this device) or `view_once` (only the phone gets those).",
			"If the message can be read after all, a MESSAGES_UPSERT with the same `key.id` follows.",
		},
		golden: "undecryptable",
	},
	pombo.MessagesSet: {
		when:   "after pairing, the phone sends its history: the last messages of each chat, or all that it has with the setting `syncFullHistory` (which has to be on at pairing and as long as the history comes).",
		data:   "an array of messages in the form of MESSAGES_UPSERT, with the phone's `status` or null, and `participant` in groups.",
		notes:  []string{historyNote, "A message that alone is past the limit has an empty `message`, and `truncated` says why."},
		golden: "history",
	},
	pombo.SendMessage: {
		when:   "WhatsApp took a message that was sent through the API.",
		data:   "one object: the answer of the call that sent it, in the form of MESSAGES_UPSERT with `status` `PENDING`.",
		golden: "sent",
	},
	pombo.SendMessageUpdate: {
		when:   "WhatsApp took an edit that was sent through the API (`chat/updateMessage`).",
		data:   "one object: `key` (of the message that was edited), `editedMessage`, `timestampMs` and `type` (14) as numbers, as in 2.3.6, `owner`, `instanceId`.",
		golden: "sent-edit",
	},
}

var chats = map[pombo.EventName]entry{
	pombo.ChatsSet: {
		when:  "after pairing, the phone sends its history.",
		data:  "an array of `{id, remoteJid, owner, instanceId, name?, lastMsgTimestamp?, unreadCount, archived, pinned?, muteEndTime?, …}`; `owner` is the instance's name here.",
		notes: []string{historyNote}, golden: "history",
	},
	pombo.ChatsUpsert: {
		when:   "somebody writes whose name was not known or has changed; the account joins a group.",
		data:   "an array of one `{id, remoteJid, remoteJidAlt?, owner, instanceId, name, unreadMessages?}`; `owner` is the account's own JID, as in 1.8.2.",
		golden: "contact-new",
	},
	pombo.ChatsUpdate: {
		when: "a chat is archived, pinned, muted, marked as read or unread, or cleared on another device, or its messages begin or cease to vanish.",
		data: "an array of one `{id, remoteJid, remoteJidAlt?, owner, instanceId}` with what changed: `archived`; `pinned` (ms, or null); `muteEndTime` (ms, -1 for ever, or null); `markedAsUnread` and `unreadCount` (0, or -1 for marked as unread); `cleared`; `ephemeralExpiration` (seconds, 0 for never).",
		notes: []string{
			"Not with each message, as in the original: MESSAGES_UPSERT says as much.",
		},
		golden: "chat-archive",
	},
	pombo.ChatsDelete: {when: "a chat is deleted on another device.", data: "an array of its JID.", golden: "chat-delete"},
	pombo.LabelsEdit: {
		when: "a label is made, changed or deleted (WhatsApp Business).", data: "one object: `id`, `name`, `color` (a number), `deleted`, `predefinedId?`, `instance`, `instanceId`.",
		golden: "label-edit",
	},
	pombo.LabelsAssociation: {
		when: "a label is put on a chat or a message, or taken off.", data: "one object: `instance`, `type` (`add`, `remove`), `chatId`, `chatIdAlt?`, `labelId`, `messageId?`, `instanceId`.",
		golden: "label-chat",
	},
}

var people = map[pombo.EventName]entry{
	pombo.ContactsSet: {
		when: "after pairing, the phone sends the names of contacts. The original lists it and never sends it.",
		data: "an array of contacts in the form of CONTACTS_UPSERT.", notes: []string{historyNote}, golden: "history",
	},
	pombo.ContactsUpsert: {
		when:   "somebody writes whose name was not known (one object); an entry of the phone's address book is made or changed (an array of one); after pairing, the address book and the names in the history (arrays of many).",
		data:   "an object or an array of them: `id`, `remoteJid`, `remoteJidAlt?`, `pushName`, `name?` and `firstName?` (as in the address book), `profilePictureUrl` and `profilePicUrl` (null: not known), `owner`, `instanceId`.",
		notes:  []string{"As in the original, data is an object or an array: accept both."},
		golden: "contact-new",
	},
	pombo.ContactsUpdate: {
		when: "the name of a contact changes (`pushName`; `verifiedName` of a business; one object); the picture (`imgUrl`: `changed` or `removed`, `pictureId?`), the line about themselves (`status`), or an entry of the address book is gone (`name` null; an array).",
		data: "an object or an array of one: `id`, `remoteJid`, `remoteJidAlt?`, what changed, `owner`, `instanceId`.",
		notes: []string{
			"`profilePictureUrl` is there, as null, only if the picture is gone: what WhatsApp sends has no address.",
		},
		golden: "contact-renamed",
	},
	pombo.PresenceUpdate: {
		when:   "somebody types, records or stops in a chat, while the instance is online (setting `alwaysOnline`); somebody whose presence was asked for comes or goes.",
		data:   "one object: `id` (the chat), `idAlt?`, `presences`: `{\"<jid>\": {\"lastKnownPresence\", \"lastSeen\"?}}`, `owner`, `instanceId`. The words: `available` (also: stopped typing), `unavailable`, `composing`, `recording`.",
		golden: "presence-composing",
	},
	pombo.GroupsUpsert: {
		when:   "the account makes a group, joins one or is added to one.",
		data:   "an array of one group: `id`, `addressingMode`, `subject`, `size`, `creation`, `owner`, `desc?`, `restrict`, `announce`, `isCommunity`, `joinApprovalMode`, `memberAddMode`, `participants` (`[{id, phoneNumber?, lid?, admin}]`), `ephemeralDuration?`, `author?`, …",
		notes:  []string{"People are phone numbers where known; `…Pn` and `…Lid` hold both forms."},
		golden: "group-joined",
	},
	pombo.GroupUpdate: {
		when: "something about a group changes. The original lists it and cannot deliver it; `GROUPS_UPDATE` is accepted for it.",
		data: "an array of one: `id`, what changed (`subject`, `desc`, `announce`, `restrict`, `inviteCode`, `memberAddMode`, `joinApprovalMode`, `ephemeralDuration`, `imgUrl` with `pictureId?`, `suspended`, `deleted`, `link`, `unlink`), `author?`, `authorPn?`, `authorLid?`, `timestamp`.",
		notes: []string{
			"`desc` is empty when the description was deleted.",
			"`joinApprovalMode` is null: that it was switched is known, not which way.",
		},
		golden: "group-subject",
	},
	pombo.GroupParticipantsUpdate: {
		when:   "people are added to a group, leave or are removed, become admins or cease to be.",
		data:   "one object: `id`, `author?`, `authorPn?`, `authorLid?`, `participants` (JIDs), `action` (`add`, `remove`, `promote`, `demote`), `participantsData` (`[{id, phoneNumber?, lid?, jid, admin}]`), `reason?`, `timestamp`.",
		notes:  []string{"`participants` are texts, as in 1.8.2 and as 2.3.6 means them to be. One event for each action."},
		golden: "group-add",
	},
	pombo.Call: {
		when: "somebody calls, and then for each sign of that call. With the setting `rejectCall` Pombo rejects a call when its offer is stored.",
		data: "one object: `chatId`, `from`, `fromAlt?`, `id`, `date`, `offline`, `status`, `isVideo?` and `isGroup?` (in the offer), `groupJid?`, `owner`, `instanceId`.",
		notes: []string{
			"`status`: `offer`, `ringing` (once), `accept`, `reject`, `timeout` (nobody answered), `terminate` (ended otherwise).",
			"`offline` is always false: look at `date` to tell a call that was made while Pombo was away.",
		},
		golden: "call-offer",
	},
}

var lifecycle = map[pombo.EventName]entry{
	pombo.ApplicationStartup: {
		when: "the server starts; to each instance's webhook, with its name. The original lists it and never sends it.",
		data: "one object: `instance`, `instanceId`, `version` (of the server).",
		made: fixed(evolution.ApplicationStartup(instance, "1.0.0")),
	},
	pombo.QRCodeUpdated: {
		when:  "while pairing, each new code to scan; and at their limit, a last one without a code.",
		data:  "one object: `qrcode`: `{instance, pairingCode, code, base64}`; at the limit `message` and `statusCode` 500.",
		notes: []string{"`pairingCode` is null unless the instance was connected with a number."},
		made:  qrCode,
	},
	pombo.ConnectionUpdate: {
		when: "the connection to WhatsApp changes its state.",
		data: "one object: `instance`, `wuid?`, `profileName?`, `profilePictureUrl?`, `state` (`connecting`, `open`, `close`, `refused`), `statusReason` (200, or why: 401 the account was unlinked, 428 nobody scanned, …).",
		made: fixed(evolution.ConnectionUpdate(evolution.Connection{
			Instance: instance.Name, State: pombo.StateOpen, JID: "5511888880000@s.whatsapp.net", ProfileName: "Me",
		})),
	},
	pombo.InstanceCreate: {when: "an instance was created.", data: "one object: `instanceName`, `instanceId`.", made: fixed(evolution.InstanceCreated(instance))},
	pombo.InstanceDelete: {when: "an instance was deleted.", data: "one object: `instanceName`, `instanceId`.", made: fixed(evolution.InstanceDeleted(instance))},
	pombo.StatusInstance: {
		when: "an instance was created (`created`) or unlinked from its account (`closed`).",
		data: "one object: `instance`, `status`, and of a logout `disconnectionAt`, `disconnectionReasonCode`, `disconnectionObject` (a text that holds JSON).",
		made: fixed(evolution.StatusInstance(instance.Name, evolution.StatusClosed, pombo.Disconnection{Code: 401, Object: evolution.DisconnectionObject(401, noon), At: noon})),
	},
	pombo.LogoutInstance:      {when: "an instance was unlinked from its account.", data: "null.", made: fixed(evolution.LogoutInstance())},
	pombo.RemoveInstance:      {when: "an instance was deleted.", data: "null.", made: fixed(evolution.RemoveInstance())},
	pombo.NewJWTToken:         {absent: "Pombo has no JWT mode yet."},
	pombo.TypebotStart:        {absent: older},
	pombo.TypebotChangeStatus: {absent: older},
	pombo.ChamaAIAction:       {absent: older},
}

// qrCode makes an example with a picture that is cut short.
func qrCode() ([]byte, error) {
	b, err := evolution.QRCodeUpdated(instance.Name, pombo.QR{Code: "2@abc,def,ghi"})
	if err != nil {
		return nil, fmt.Errorf("making a QR code: %w", err)
	}
	head, rest, _ := strings.Cut(string(b), "base64,")
	_, tail, _ := strings.Cut(rest, `"`)
	return []byte(head + `base64,iVBORw0KGgo…"` + tail), nil
}
