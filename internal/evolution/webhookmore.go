package evolution

import (
	"encoding/json"

	"pombo"
)

// This file has the answers about more than one webhook, which the Evolution API
// does not know: its rows, with the position of each.

// Row returns the answer to adding or changing a webhook: its row.
func (s *WebhookSet) Row(w pombo.Webhook) json.RawMessage {
	return raw(positioned(s.row(w), w))
}

// WebhookList is the answer to GET /webhook/list.
func WebhookList(ws []pombo.Webhook) json.RawMessage {
	rows := make([]ordered, len(ws))
	for i, w := range ws {
		rows[i] = positioned(webhookRow(w), w)
	}
	return raw(rows)
}

// positioned puts the position of w behind its ID, and tells until when a secret
// that was replaced is valid.
func positioned(row ordered, w pombo.Webhook) ordered {
	out := ordered{row[0], {"position", w.Position}}
	for _, m := range row[1:] {
		out = append(out, m)
		if m.key == "secret" && len(w.Secrets) > 1 {
			out = append(out, member{"secretUntil", timestamp(w.Secrets[1].Until)})
		}
	}
	return out
}
