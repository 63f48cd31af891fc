package whatsapp

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waMmsRetry"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// How the phone is asked for files.
const (
	askWait  = 5 * time.Second  // for its answer, before the caller gets to do something else
	askEvery = 20 * time.Second // it may have been off
	askKept  = 10 * time.Minute // what it answered
	askMax   = 1000             // files asked for at a time
)

// uploads are the files that the phone was asked to upload again, by message. An
// answer that comes when nobody waits any more is kept for the next try.
type uploads struct {
	mu    sync.Mutex
	asked map[string]*upload
}

type upload struct {
	at       time.Time
	answer   *events.MediaRetry
	answered chan struct{} // closed when there is an answer
}

// begin returns the question about a message, and whether it is to be put to the
// phone now.
func (u *uploads) begin(message string) (q *upload, ask bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if q = u.asked[message]; q != nil && q.answer == nil && now.Sub(q.at) < askEvery {
		return q, false
	}
	if u.asked == nil {
		u.asked = map[string]*upload{}
	}
	for id, old := range u.asked {
		if now.Sub(old.at) > askKept {
			delete(u.asked, id)
		}
	}
	if len(u.asked) >= askMax {
		clear(u.asked)
	}
	q = &upload{at: now, answered: make(chan struct{})}
	u.asked[message] = q
	return q, true
}

// answer takes what the phone says.
func (u *uploads) answer(evt *events.MediaRetry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if q := u.asked[evt.MessageID]; q != nil && q.answer == nil {
		q.answer = evt
		close(q.answered)
	}
}

// result returns the phone's answer to q; ok is false if there is none yet. An
// answer counts once.
func (u *uploads) result(q *upload, m pombo.Media) (path string, ok bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if q == nil || q.answer == nil {
		return "", false, nil
	}
	if u.asked[m.Message] == q {
		delete(u.asked, m.Message)
	}
	answer, err := whatsmeow.DecryptMediaRetryNotification(q.answer, m.Key)
	switch {
	case errors.Is(err, whatsmeow.ErrMediaNotAvailableOnPhone), err == nil && answer.GetResult() == waMmsRetry.MediaRetryNotification_NOT_FOUND:
		return "", true, pombo.Errorf(pombo.NotFound, "neither WhatsApp nor the phone has it any more")
	case err != nil, answer.GetResult() != waMmsRetry.MediaRetryNotification_SUCCESS, answer.GetDirectPath() == "":
		return "", true, pombo.Errorf(pombo.Unavailable, "WhatsApp no longer has it, and the phone could not upload it again")
	}
	return answer.GetDirectPath(), true, nil
}

// take returns where the phone has uploaded m's file, if it was asked and has said
// so since.
func (u *uploads) take(m pombo.Media) (path string, ok bool) {
	u.mu.Lock()
	q := u.asked[m.Message]
	u.mu.Unlock()
	path, ok, err := u.result(q, m)
	return path, ok && err == nil
}

// askPhone asks the phone to upload a file again, and waits a while for its answer.
func (l *line) askPhone(ctx context.Context, m pombo.Media) (path string, err error) {
	q, ask := l.s.uploads.begin(m.Message)
	if ask {
		info, err := infoOf(m)
		if err != nil {
			return "", err
		}
		if err := l.client.SendMediaRetryReceipt(ctx, info, m.Key); err != nil {
			return "", pombo.Errorf(pombo.Unavailable, "WhatsApp no longer has it, and the phone could not be asked")
		}
	}
	wait := time.NewTimer(askWait)
	defer wait.Stop()
	select {
	case <-q.answered:
	case <-wait.C:
	case <-ctx.Done():
	}
	path, ok, err := l.s.uploads.result(q, m)
	if err == nil && !ok {
		err = pombo.Errorf(pombo.Unavailable, "WhatsApp no longer has it, and the phone has not uploaded it again")
	}
	return path, err
}

// infoOf is what whatsmeow needs to know of the message.
func infoOf(m pombo.Media) (*types.MessageInfo, error) {
	info := &types.MessageInfo{ID: m.Message}
	info.IsFromMe, info.IsGroup = m.FromMe, m.Group
	var err error
	if info.Chat, err = types.ParseJID(m.Chat); err != nil || info.Chat.IsEmpty() {
		return nil, pombo.Errorf(pombo.NotFound, "WhatsApp no longer has it, and without its chat the phone cannot be asked")
	}
	if info.Sender, err = types.ParseJID(m.Sender); err != nil {
		info.Sender = types.EmptyJID
	}
	return info, nil
}
