package translate

import (
	"fmt"
	"runtime/debug"

	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// Event translates one event of whatsmeow. It returns nothing for events that
// have no payload of their own, and for messages that no user would count as one
// (keys, what the scope leaves out).
//
// A panic inside comes back as an error. After any error the caller stores Raw.
func (s Scope) Event(evt any) (out []pombo.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("translating %T panicked: %v\n%s", evt, p, debug.Stack())
		}
	}()
	if past(evt) {
		return nil, nil
	}
	switch evt := evt.(type) {
	case *events.Message:
		if betweenDevices(evt) {
			return nil, nil
		}
		return s.message(evt)
	case *events.Receipt:
		return s.receipt(evt)
	case *events.UndecryptableMessage:
		return s.undecryptable(evt), nil
	case *events.Presence:
		return s.presence(evt), nil
	case *events.ChatPresence:
		return s.chatPresence(evt), nil
	case *events.JoinedGroup:
		return s.joinedGroup(evt), nil
	case *events.GroupInfo:
		return s.groupInfo(evt), nil
	case *events.HistorySync:
		return s.historySync(evt), nil
	}
	if out := s.call(evt); out != nil {
		return out, nil
	}
	if out := s.contact(evt); out != nil {
		return out, nil
	}
	return s.appState(evt), nil
}
