package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// This file holds the words of /openapi.json about chats.

func messageKeySchema() *huma.Schema {
	return object([]string{"id", "fromMe", "remoteJid"}, map[string]*huma.Schema{
		"id":          typed("string", "The ID of the message."),
		"fromMe":      boolean("Whether this account sent it."),
		"remoteJid":   typed("string", "The JID of the chat."),
		"participant": typed("string", "Who wrote it, in a group."),
	})
}

func presenceProperties() map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"presence": {Type: "string", Enum: []any{"composing", "recording", "paused", "available", "unavailable"}, Description: "The first three are for the chat, the others for all."},
		"delay":    typed("integer", "Milliseconds to show it, at most 300000; the answer comes after them. Without it: 0."),
	}
}

func withNumber(p map[string]*huma.Schema) map[string]*huma.Schema {
	p["number"] = typed("string", "A phone number with its country code, or a JID.")
	return p
}

const keyExample = `{"id":"3EB0C767D26A1D4E5F6A01","fromMe":true,"remoteJid":"5511999990000@s.whatsapp.net"}`

var (
	describeMarkReadV1 = markRead("V1", "1.x")
	describeMarkReadV2 = markRead("V2", "2.x")

	describeSendPresence = operation{
		id: "sendPresence", tag: "chat", summary: "Show what the account is doing",
		body: &huma.Schema{OneOf: []*huma.Schema{
			titled("2.x", object([]string{"number", "presence"}, withNumber(presenceProperties()))),
			titled("1.x", object([]string{"number", "options"}, withNumber(map[string]*huma.Schema{"options": object([]string{"presence"}, presenceProperties())}))),
		}},
		example: `{"number":"5511999990000","presence":"composing","delay":1200}`,
		status:  http.StatusCreated, answer: "{presence}; in the form of 1.x nothing.", errors: []int{http.StatusConflict, http.StatusServiceUnavailable},
	}

	describeUpdateMessageV1 = updateMessage("V1", "1.x")
	describeUpdateMessageV2 = updateMessage("V2", "2.x")

	describeDeleteMessage = operation{
		id: "deleteMessageForEveryone", tag: "chat", summary: "Delete a message for everyone", body: messageKeySchema(), example: keyExample,
		text:   "A message of this account, or in a group, as an admin, any. WhatsApp does not say whether the phones did it.",
		status: http.StatusCreated, answer: "The message that asks for it: {key, message: {protocolMessage: {key, type: \"REVOKE\"}}, messageTimestamp, status}.",
		errors: []int{http.StatusServiceUnavailable},
	}
)

var (
	describeWhatsAppNumbers = operation{
		id: "whatsappNumbers", tag: "chat", summary: "Tell which numbers are on WhatsApp",
		body:    object([]string{"numbers"}, map[string]*huma.Schema{"numbers": list(typed("string", "A phone number or a JID."), "1 to 1,000 of them.")}),
		example: `{"numbers":["5511999990000"]}`,
		status:  http.StatusOK, answer: "[{jid, exists, number, name?, lid?}]: broadcast lists, then groups, then people.", errors: []int{http.StatusServiceUnavailable},
	}
	describeFetchPicture = operation{
		id: "fetchProfilePictureUrl", tag: "chat", summary: "Tell where somebody's picture is",
		body: object([]string{"number"}, withNumber(map[string]*huma.Schema{})), example: `{"number":"5511999990000"}`,
		status: http.StatusOK, answer: "{wuid, profilePictureUrl}, the latter null if there is none that the account may see.", errors: []int{http.StatusServiceUnavailable},
	}
)

func markRead(id, dialect string) operation {
	keys := list(messageKeySchema(), "The messages. Those of this account are passed over.")
	return operation{
		id: "markMessageAsRead" + id, tag: "chat", summary: "Mark messages as read (" + dialect + ")",
		body: object(nil, map[string]*huma.Schema{
			"readMessages": keys, "read_messages": list(messageKeySchema(), "Another spelling of readMessages."),
		}),
		example: `{"readMessages":[{"id":"3A001122334455667788","fromMe":false,"remoteJid":"5511999990000@s.whatsapp.net"}]}`,
		status:  http.StatusCreated, answer: "{message, read}.", errors: []int{http.StatusServiceUnavailable},
	}
}

func updateMessage(id, dialect string) operation {
	return operation{
		id: "updateMessage" + id, tag: "chat", summary: "Edit a text (" + dialect + ")",
		body: object([]string{"number", "text", "key"}, withNumber(map[string]*huma.Schema{
			"text": typed("string", "The new text."), "key": messageKeySchema(),
		})),
		example: `{"number":"5511999990000","text":"Olá!","key":` + keyExample + `}`,
		text:    "What this instance sent itself, for 20 minutes.",
		status:  http.StatusOK, answer: "The message that asks for it: {key, message: {protocolMessage: {key, type: \"MESSAGE_EDIT\", editedMessage, timestampMs}}, messageTimestamp, status}.",
		errors: []int{http.StatusServiceUnavailable},
	}
}
