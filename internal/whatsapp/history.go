package whatsapp

import (
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waMmsRetry"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// histories fetches the parts of the history that wait in the store, one after the
// other, beside everything else. How far a part is told is kept with the events
// that tell it, so it goes on there after a crash.
type histories struct {
	mu      sync.Mutex
	working bool
	news    chan struct{}                 // capacity 1: look again
	asked   map[string]pombo.HistoryPart  // whose files the phone was asked to upload again
	answers map[string]*events.MediaRetry // what it said
}

const (
	// historiesAtOnce bounds the memory: a part is a file of some megabytes, which is
	// several times as large when it is unpacked. So many are unpacked in a process.
	historiesAtOnce = 3
	// historyLimit is how long the fetching of one may take.
	historyLimit = 10 * time.Minute
	// historyPatience is how long a phone may take to upload again what WhatsApp has
	// deleted.
	historyPatience = 7 * 24 * time.Hour
)

// fetchHistory sees to it that what waits is fetched.
func (l *line) fetchHistory() {
	h := &l.histories
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.news == nil {
		h.news = make(chan struct{}, 1)
		h.asked, h.answers = map[string]pombo.HistoryPart{}, map[string]*events.MediaRetry{}
	}
	if h.working {
		select {
		case h.news <- struct{}{}:
		default: // it is about to look
		}
		return
	}
	if l.enter() {
		h.working = true
		go l.fetchHistories()
	}
}

// rest ends the work, unless there is news.
func (h *histories) rest() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.news:
		return false
	default:
		h.working = false
		return true
	}
}

// fetchHistories works until nothing waits.
func (l *line) fetchHistories() {
	defer l.leave()
	for l.why() == nil {
		l.takeAnswers()
		var part pombo.HistoryPart
		var waits bool
		err := l.insist(l.ctx, "read the queue of histories", func(ctx context.Context) (err error) {
			part, waits, err = l.s.n.o.History.NextHistory(ctx, l.s.id, time.Now())
			return err
		})
		switch {
		case err != nil:
			l.end(err)
			return
		case !waits:
			if l.histories.rest() {
				return
			}
			continue
		}
		if wait := time.Until(part.NextAttempt); wait > 0 {
			select {
			case <-time.After(wait):
			case <-l.histories.news:
			case <-l.over:
			}
			continue
		}
		select {
		case l.s.n.histories <- struct{}{}:
			l.fetchPart(part)
			<-l.s.n.histories
		case <-l.over:
		}
	}
}

// fetchPart fetches one part and tells what has not been told of it.
func (l *line) fetchPart(part pombo.HistoryPart) {
	var note waE2E.HistorySyncNotification
	err := proto.Unmarshal(part.Notification, &note)
	if err != nil {
		l.endHistory(part, fmt.Errorf("its announcement cannot be read: %w", err))
		return
	}
	log := l.log.With("type", note.GetSyncType().String(), "chunk", note.GetChunkOrder(), "progress", note.GetProgress())
	data, err := l.download(&note)
	if l.why() != nil {
		return
	}
	if err == nil {
		err = l.tellPart(&part, data)
	}
	switch {
	case l.why() != nil || pombo.KindOf(err) == pombo.NotFound:
	case err == nil:
		log.Info("a part of the history was told", "elements", part.Told)
		l.endHistory(part, nil)
	default:
		l.historyFailed(part, &note, err)
	}
}

// download fetches and unpacks a part. whatsmeow also keeps what it needs of it:
// push names, the keys of polls and edits, which numbers belong together.
func (l *line) download(note *waE2E.HistorySyncNotification) (h *waHistorySync.HistorySync, err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("reading a part of the history panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	timed, stop := context.WithTimeout(l.s.n.o.Unsynced(l.ctx), historyLimit)
	defer stop()
	ctx, cancel := l.lend(timed)
	defer cancel()
	return l.client.DownloadHistorySync(ctx, note, true)
}

// tellPart appends what is made of a part, an event or two at a time, and counts
// in part what was told.
func (l *line) tellPart(part *pombo.HistoryPart, h *waHistorySync.HistorySync) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("translating a part of the history panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := l.keepPastPolls(h); err != nil {
		l.end(err)
		return err
	}
	scope := l.scope
	scope.Settings = *l.s.settings.Load()
	for step := range scope.History(h, part.ID, part.Told) {
		now := time.Now()
		for i := range step.Events {
			step.Events[i].Time = now
		}
		told := *part
		told.Told = step.Told
		if err := l.tellHistory(told, step.Events...); err != nil {
			return err
		}
		*part = told
	}
	return nil
}

// tellHistory keeps what became of a part.
func (l *line) tellHistory(part pombo.HistoryPart, made ...pombo.Event) error {
	var gone error // nobody waits for it any more
	err := l.insist(l.ctx, "tell history", func(ctx context.Context) error {
		err := l.s.n.o.History.TellHistory(ctx, part, made...)
		if pombo.KindOf(err) == pombo.NotFound {
			gone, err = err, nil
		}
		return err
	})
	if err != nil {
		l.end(err)
		return err
	}
	l.trouble.passed()
	return gone
}

// endHistory takes a part off the queue. why says why it is not told.
func (l *line) endHistory(part pombo.HistoryPart, why error) {
	if why != nil {
		l.log.Error("a part of the history is lost", "id", part.ID, "announced", part.ReceivedAt, "attempts", part.Attempts, "err", why)
	}
	err := l.insist(l.ctx, "end history", func(ctx context.Context) error {
		return l.s.n.o.History.EndHistory(ctx, l.s.id, part.ID)
	})
	if err != nil {
		l.end(err)
	}
}

// unreadable tells whether there is no use in downloading a file again: WhatsApp
// keeps it for some weeks only, or what it has kept is not what the phone sent.
func unreadable(err error) bool {
	for _, known := range []error{
		whatsmeow.ErrMediaDownloadFailedWith403, whatsmeow.ErrMediaDownloadFailedWith404, whatsmeow.ErrMediaDownloadFailedWith410,
		whatsmeow.ErrInvalidMediaHMAC, whatsmeow.ErrInvalidMediaEncSHA256, whatsmeow.ErrInvalidMediaSHA256,
		whatsmeow.ErrFileLengthMismatch, whatsmeow.ErrTooShortFile, zlib.ErrHeader, zlib.ErrChecksum, proto.Error,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// historyFailed lets a part wait, and asks the phone for one whose file is gone.
func (l *line) historyFailed(part pombo.HistoryPart, note *waE2E.HistorySyncNotification, cause error) {
	gone := unreadable(cause)
	if gone && time.Since(part.ReceivedAt) > historyPatience {
		l.endHistory(part, fmt.Errorf("its file is gone, and the phone does not upload it again: %w", cause))
		return
	}
	pause := l.s.n.timing.historyMin
	for range min(part.Attempts, 20) {
		pause = min(2*pause, l.s.n.timing.historyMax)
	}
	part.Attempts++
	part.NextAttempt = time.Now().Add(pause)
	l.log.Warn("fetching a part of the history failed, trying again", "id", part.ID, "attempts", part.Attempts, "pause", pause, "gone", gone, "err", cause)
	if l.tellHistory(part) != nil || !gone {
		return
	}
	l.histories.mu.Lock()
	l.histories.asked[part.ID] = part
	l.histories.mu.Unlock()
	own := l.own.ToNonAD()
	ctx, cancel := l.lendFor(choreLimit)
	defer cancel()
	info := &types.MessageInfo{ID: part.ID, MessageSource: types.MessageSource{Chat: own, Sender: own, IsFromMe: true}}
	if err := l.client.SendMediaRetryReceipt(ctx, info, note.GetMediaKey()); err != nil && l.why() == nil {
		l.log.Warn("asking the phone for a part of the history failed", "err", err)
	}
}

// historyAnswered hears what the phone says to that. It is not kept: if it is
// forgotten, the phone is asked again.
func (l *line) historyAnswered(evt *events.MediaRetry) {
	h := &l.histories
	h.mu.Lock()
	_, asked := h.asked[evt.MessageID]
	if asked {
		h.answers[evt.MessageID] = evt
	}
	h.mu.Unlock()
	if asked {
		l.fetchHistory()
	}
}

// takeAnswers does what the phone's answers mean.
func (l *line) takeAnswers() {
	h := &l.histories
	h.mu.Lock()
	answers, parts := h.answers, map[string]pombo.HistoryPart{}
	for id := range answers {
		parts[id] = h.asked[id]
		delete(h.asked, id)
	}
	h.answers = map[string]*events.MediaRetry{}
	h.mu.Unlock()
	for id, evt := range answers {
		l.takeAnswer(parts[id], evt)
	}
}

func (l *line) takeAnswer(part pombo.HistoryPart, evt *events.MediaRetry) {
	var note waE2E.HistorySyncNotification
	if err := proto.Unmarshal(part.Notification, &note); err != nil {
		return // it could be read when the phone was asked
	}
	answer, err := whatsmeow.DecryptMediaRetryNotification(evt, note.GetMediaKey())
	switch {
	case errors.Is(err, whatsmeow.ErrMediaNotAvailableOnPhone),
		err == nil && answer.GetResult() == waMmsRetry.MediaRetryNotification_NOT_FOUND:
		l.endHistory(part, errors.New("its file is gone, and the phone has not got it any more"))
		return
	case err != nil || answer.GetResult() != waMmsRetry.MediaRetryNotification_SUCCESS || answer.GetDirectPath() == "":
		l.log.Warn("the phone could not upload a part of the history again", "result", answer.GetResult().String(), "err", err)
		return
	}
	note.DirectPath = answer.DirectPath
	if part.Notification, err = proto.Marshal(&note); err != nil {
		l.log.Warn("keeping where a part of the history is", "err", err)
		return
	}
	part.NextAttempt = time.Time{}
	if err := l.tellHistory(part); err != nil && pombo.KindOf(err) != pombo.NotFound {
		l.log.Warn("keeping where a part of the history is", "err", err)
	}
}
