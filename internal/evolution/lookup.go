package evolution

import (
	"encoding/json"

	"pombo"
)

// maxNumbers is how many numbers one request may ask about.
const maxNumbers = 1000

// CheckNumbers is a request to tell which numbers are on WhatsApp
// (chat/whatsappNumbers).
type CheckNumbers struct {
	Numbers  []string
	Warnings []string
}

// DecodeCheckNumbers reads the body of chat/whatsappNumbers: {"numbers": ["…"]},
// of 1 to 1,000 numbers or JIDs. Errors are of kind Invalid.
func DecodeCheckNumbers(body []byte) (*CheckNumbers, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	list := r.field(r.o, "numbers")
	if r.err != nil {
		return nil, r.err
	}
	items, err := list.items("phone numbers or JIDs")
	if err != nil {
		return nil, err
	}
	if len(items) == 0 || len(items) > maxNumbers {
		return nil, pombo.Errorf(pombo.Invalid, `numbers must be an array of 1 to %d phone numbers, as in ["5511999990000"]`, maxNumbers)
	}
	out := &CheckNumbers{}
	for _, item := range items {
		if _, err := CreateJID(item.v.text); err != nil {
			return nil, pombo.Errorf(pombo.Invalid, "%s: %w", item.path, err)
		}
		out.Numbers = append(out.Numbers, item.v.text)
	}
	out.Warnings, err = r.done()
	return out, err
}

// NumbersChecked is the answer to chat/whatsappNumbers, in the order of each
// version's keys.
func NumbersChecked(d Dialect, checks []pombo.NumberCheck) json.RawMessage {
	rows := make([]ordered, len(checks))
	for i, c := range checks {
		row := ordered{{"jid", c.JID}, {"exists", c.Exists}, {"number", c.Number}}
		if d == V1 {
			row = ordered{{"exists", c.Exists}, {"jid", c.JID}, {"number", c.Number}}
		}
		if c.Name != "" {
			row = append(row, member{"name", c.Name})
		}
		if c.LID != "" && d != V1 {
			row = append(row, member{"lid", c.LID})
		}
		rows[i] = row
	}
	return raw(rows)
}

// DecodePicture reads the body of chat/fetchProfilePictureUrl: {"number"}. Errors
// are of kind Invalid.
func DecodePicture(body []byte) (number string, warnings []string, err error) {
	r, err := newChatReader(body)
	if err != nil {
		return "", nil, err
	}
	number = r.number()
	warnings, err = r.done()
	return number, warnings, err
}

// Picture is the answer to chat/fetchProfilePictureUrl; a url of "" is null.
func Picture(jid, url string) json.RawMessage {
	return raw(ordered{{"wuid", jid}, {"profilePictureUrl", nullable(url)}})
}
