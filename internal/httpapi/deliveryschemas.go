package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// This file holds the words of /openapi.json about more than one webhook, and
// about deliveries.

func deliveryFilters() map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"state":   {Type: "string", Enum: []any{"pending", "delivered", "dead"}, Description: "Only those in this state."},
		"event":   typed("string", "Only those of this event, for example MESSAGES_UPSERT."),
		"chat":    typed("string", "Only those of this chat: a JID, or a phone number."),
		"webhook": typed("string", "Only those to the webhook with this ID."),
		"from":    typed("string", "Only what was stored at this time or later: RFC 3339, a date, or how long ago, such as 2h or 3d."),
		"to":      typed("string", "Only what was stored before this time, in the same forms."),
	}
}

func replaySchema() *huma.Schema {
	p := deliveryFilters()
	p["ids"] = list(typed("string", ""), "The ids of deliveries, up to 10,000; without any of the conditions.")
	p["dryRun"] = boolean("Only count.")
	p["filter"] = object(nil, deliveryFilters())
	p["filter"].Description = "Another place for the conditions."
	return object(nil, p)
}

const (
	addExample    = `{"url":"https://example.com/support","events":["MESSAGES_UPSERT"],"filter":"data.key.fromMe == false && !data.key.remoteJid.endsWith('@g.us')","secret":"generate"}`
	changeExample = `{"events":["MESSAGES_UPSERT","MESSAGES_UPDATE"],"filter":""}`
	replayExample = `{"state":"dead","from":"24h","dryRun":true}`
	pingExample   = `{"event":"MESSAGES_UPSERT"}`
)

var (
	describeAddWebhook = operation{
		id: "addWebhook", tag: "webhook", summary: "Add a webhook", body: object([]string{"url"}, webhookSettings()), example: addExample,
		text:   "Beside the one of /webhook/set, up to 20 in all. Each gets the events that it asks for and that its filter lets pass, independently of the others. Not a part of the Evolution API.",
		status: http.StatusCreated, answer: "The webhook, with its id; a secret that was generated is told here and never again.",
	}
	describeListWebhooks = operation{
		id: "listWebhooks", tag: "webhook", summary: "List all webhooks", status: http.StatusOK,
		answer: "The webhooks by position; position 0 is that of /webhook/set.",
	}
	describeChangeWebhook = operation{
		id: "changeWebhook", tag: "webhook", summary: "Change a webhook", body: object(nil, webhookSettings()), example: changeExample,
		text:   "Keys left out keep their values. In force for the next event; a changed URL applies to what is pending too.",
		status: http.StatusOK, answer: "The webhook.",
	}
	describeRemoveWebhook = operation{
		id: "removeWebhook", tag: "webhook", summary: "Remove a webhook", text: "What is pending for it is given up (dead: disabled).",
		status: http.StatusOK, answer: "Success.",
	}
	describeListDeliveries = operation{
		id: "listDeliveries", tag: "deliveries", summary: "List deliveries, the newest first",
		query: []string{
			"state: pending, delivered or dead.", "event: An event, for example MESSAGES_UPSERT.", "chat: A JID, or a phone number.", "webhook: The id of a webhook.",
			"from: Stored at this time or later: RFC 3339, a date, or how long ago, such as 2h or 3d.", "to: Stored before this time.",
			"limit: How many, 1 to 500; 50 without it.", "cursor: nextCursor of the page before.",
		},
		status: http.StatusOK, answer: "{deliveries, nextCursor}, nextCursor being null on the last page.", errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
	describeShowDelivery = operation{
		id: "showDelivery", tag: "deliveries", summary: "Show a delivery with all its attempts",
		text:   "payload is the body as the next attempt would post it. If a file goes with it (webhookBase64), payloadFile says so, and the payload has it only with file=true.",
		query:  []string{"file: true puts the file into the payload, as it is posted; if it is not here, it is fetched from WhatsApp first."},
		status: http.StatusOK, answer: "The delivery, with payload, payloadFile? ({path, bytes, fetched, shown}) and attemptLog: when, how long, address, status, error, the first KiB of the answer.",
		errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
	describeWebhookHealth = operation{
		id: "webhookHealth", tag: "deliveries", summary: "Tell how the webhooks are doing",
		status: http.StatusOK, answer: "{webhooks}: of each its circuit, backlog, the age of its oldest pending event, its last success and its rate of success in 24 hours.",
		errors: []int{http.StatusServiceUnavailable},
	}
	describeReplay = operation{
		id: "replayDeliveries", tag: "deliveries", summary: "Deliver again", body: replaySchema(), example: replayExample,
		text:   "By ids, or by conditions. What was delivered or is dead becomes pending again, with the same webhook-id and in its old order; what is pending is due at once.",
		status: http.StatusOK, answer: "{dryRun, matched, replayed, alreadyPending, webhookOff, notFound}.", errors: []int{http.StatusServiceUnavailable},
	}
	describeTestWebhook = operation{
		id: "testWebhook", tag: "deliveries", summary: "Post a sample of an event, now", example: pingExample,
		body: object(nil, map[string]*huma.Schema{
			"event": typed("string", "The event; without it MESSAGES_UPSERT."), "webhook": typed("string", "The id of a webhook; without it the one of /webhook/set."),
		}),
		text:   "Nothing of it is stored. Its webhook-id begins with \"test_\".",
		status: http.StatusOK, answer: "{webhook, event, url, messageId, ok, at, durationMs, address, status, errorCode?, error?, response?}: what the endpoint answered.",
	}
)
