package whatsapp

import (
	"runtime"
	"strings"
	"sync"

	waLog "go.mau.fi/whatsmeow/util/log"
)

// peerReceipts holds back the confirmations that whatsmeow sends of the phone's
// own messages (message.go, sendProtocolMessageReceipt): it sends them beside the
// handler, so that the keys of the app state, or a part of the history, would be
// confirmed before they are stored.
type peerReceipts struct {
	mu   sync.Mutex
	kept map[string]chan struct{} // by ID of the message; closed when it is stored
}

// of returns what is closed when a message is stored. The caller holds p.mu.
func (p *peerReceipts) of(id string) chan struct{} {
	if p.kept == nil {
		p.kept = map[string]chan struct{}{}
	}
	if p.kept[id] == nil {
		p.kept[id] = make(chan struct{})
	}
	return p.kept[id]
}

// await returns when a message is stored, or over is closed.
func (p *peerReceipts) await(id string, over <-chan struct{}) {
	p.mu.Lock()
	kept := p.of(id)
	p.mu.Unlock()
	select {
	case <-kept:
	case <-over:
	}
}

// release lets the confirmations of a message go out: it is stored.
func (p *peerReceipts) release(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.of(id)
	select {
	case <-kept: // before
	default:
		close(kept)
	}
}

// lineLogger is whatsmeow's log on one line. whatsmeow logs each stanza right
// before it sends it, on the goroutine that sends it: the only place where a stanza
// that it sends by itself can be held back.
type lineLogger struct {
	waLog.Logger
	l *line
}

func (g lineLogger) Sub(module string) waLog.Logger {
	if module == "Send" {
		return sendLogger{waLog.Noop, g.l}
	}
	return g.Logger.Sub(module)
}

type sendLogger struct {
	waLog.Logger
	l *line
}

// Debugf is given a stanza's XML.
func (g sendLogger) Debugf(_ string, args ...any) {
	if len(args) != 1 {
		return
	}
	xml, _ := args[0].(string)
	if !strings.HasPrefix(xml, "<receipt ") || !strings.Contains(xml, ` type="peer_msg"`) && !strings.Contains(xml, ` type="hist_sync"`) {
		return
	}
	_, id, _ := strings.Cut(xml, ` id="`)
	id, _, _ = strings.Cut(id, `"`)
	if beside() {
		g.l.peerReceipts.await(id, g.l.ctx.Done())
	}
}

// beside tells whether the caller is whatsmeow's goroutine that confirms beside the
// handler. The confirmation that comes after the handler looks the same.
func beside() bool {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".sendProtocolMessageReceipt") {
			return true
		}
		if !more {
			return false
		}
	}
}
