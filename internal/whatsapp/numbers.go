package whatsapp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// CheckNumbers tells which numbers are on WhatsApp, and which groups the account
// sees. As in the original, broadcast lists come first, then groups, then people.
// Errors: Invalid if the instance is not connected or a number is none; Unavailable.
func (s *Session) CheckNumbers(ctx context.Context, numbers []string) ([]pombo.NumberCheck, error) {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	jids := make([]types.JID, len(numbers))
	for i, number := range numbers {
		if jids[i], err = parseJID("number", number); err != nil {
			return nil, err
		}
	}
	if err := l.lookUpAll(ctx, jids); err != nil {
		return nil, err
	}
	var lists, groups, people []pombo.NumberCheck
	for i, number := range numbers {
		jid := jids[i]
		c := pombo.NumberCheck{Number: number, JID: jid.String(), Exists: true}
		switch jid.Server {
		case types.BroadcastServer:
			lists = append(lists, c)
		case types.GroupServer:
			if err := l.checkGroup(ctx, jid, &c); err != nil {
				return nil, err
			}
			groups = append(groups, c)
		default:
			if err := l.checkPerson(ctx, jid, &c); err != nil {
				return nil, err
			}
			people = append(people, c)
		}
	}
	return slices.Concat(lists, groups, people), nil
}

// numbersAtOnce is how many numbers one question to WhatsApp names.
const numbersAtOnce = 100

// lookUpAll asks for the numbers that no answer is known of, many at a time, and
// remembers the answers.
func (l *line) lookUpAll(ctx context.Context, jids []types.JID) error {
	var open []string
	for _, jid := range jids {
		if _, known := l.s.lookups.get(jid.User); !known && jid.Server == types.DefaultUserServer {
			open = append(open, "+"+jid.User)
		}
	}
	if len(open) < 2 {
		return nil // lookUp asks, and for more
	}
	for part := range slices.Chunk(open, numbersAtOnce) {
		answers, err := l.client.IsOnWhatsApp(ctx, part)
		if err != nil {
			return unavailable("WhatsApp did not say which numbers exist", err)
		}
		var there []types.JID
		for _, a := range answers {
			found := types.EmptyJID
			if a.IsIn {
				found = a.JID.ToNonAD()
				there = append(there, found)
			}
			l.s.lookups.put(strings.TrimPrefix(a.Query, "+"), found)
		}
		if len(there) == 0 {
			continue
		}
		if _, err := l.client.GetUserInfo(ctx, there); err != nil { // as in lookUp
			l.log.Debug("the hidden forms of numbers could not be looked up", "err", err)
		}
	}
	return nil
}

func (l *line) checkGroup(ctx context.Context, jid types.JID, c *pombo.NumberCheck) error {
	info, err := l.client.GetGroupInfo(ctx, jid)
	switch {
	case err == nil:
		c.Name = info.Name
	case errors.Is(err, whatsmeow.ErrGroupNotFound), errors.Is(err, whatsmeow.ErrNotInGroup):
		c.Exists = false
	default:
		return unavailable("WhatsApp did not tell of the group", err)
	}
	return nil
}

func (l *line) checkPerson(ctx context.Context, jid types.JID, c *pombo.NumberCheck) error {
	if jid.Server != types.DefaultUserServer {
		return nil // a hidden form is there, or nobody would know it
	}
	found, err := l.lookUp(ctx, jid)
	if err != nil {
		return err
	}
	if c.Exists = !found.IsEmpty(); !c.Exists {
		return nil
	}
	c.JID = found.String()
	if lid := l.scope.Alt(found); lid.Server == types.HiddenUserServer {
		c.LID = lid.String()
	}
	return nil
}

// Picture returns the URL of somebody's or a group's picture; "" if there is none,
// or none that the account may see. Errors: Invalid if the instance is not
// connected or the number is none; Unavailable.
func (s *Session) Picture(ctx context.Context, number string) (jid, url string, err error) {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return "", "", err
	}
	defer done()
	who, err := parseJID("number", number)
	if err != nil {
		return "", "", err
	}
	info, err := l.client.GetProfilePictureInfo(ctx, who, &whatsmeow.GetProfilePictureParams{})
	switch {
	case errors.Is(err, whatsmeow.ErrProfilePictureNotSet), errors.Is(err, whatsmeow.ErrProfilePictureUnauthorized):
		return who.String(), "", nil
	case err != nil:
		return "", "", unavailable("WhatsApp did not tell of the picture", err)
	case info != nil:
		url = info.URL
	}
	return who.String(), url, nil
}
