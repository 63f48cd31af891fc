package whatsapp

import (
	"strings"
	"time"

	"go.mau.fi/whatsmeow"

	"pombo"
	"pombo/internal/evolution"
)

// pairing is the show of codes until one is scanned. WhatsApp gives some six per
// connection; the count goes on over connections, to the limit.
type pairing struct {
	number string // wants a pairing code; ""
	count  int

	// Of the line that pairs:
	codes   []string // not shown yet
	code    string   // the pairing code for number
	codeFor string   // which number it is for
	current string   // the QR code that is shown
	timer   *time.Timer
	first   bool
}

func (p *pairing) begin() {
	p.codes, p.code, p.codeFor, p.current, p.timer, p.first = nil, "", "", "", nil, true
}

func (p *pairing) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.codes, p.timer = nil, nil
}

// reset forgets the count: a phone has scanned.
func (p *pairing) reset() {
	p.end()
	p.count, p.current = 0, ""
}

// next fires when the shown code has run out; never while none is shown.
func (p *pairing) next() <-chan time.Time {
	if p.timer == nil {
		return nil
	}
	return p.timer.C
}

// askPairingCode is called by others than the loop, with s.mu held: while codes
// are shown without a pairing code for number, the code is withdrawn until both
// can be shown, so that Wait gives both.
func (r *run) askPairingCode(number string) {
	snap := r.s.snap
	if number == "" || snap.state != pombo.StateConnecting || snap.qr.PairingCode != "" || !r.s.account.jid.IsEmpty() {
		return
	}
	select {
	case r.number <- number:
		r.s.show(snapshot{state: snap.state})
	default: // one is being asked for already
	}
}

// nextCode shows the next QR code. When there is none left on this connection,
// or the limit is reached, it says how to go on.
func (r *run) nextCode(l *line) (verdict, bool) {
	p := &r.pairing
	if p.count >= r.s.n.o.QRLimit {
		r.refuse()
		return verdict{stop: true, reason: 428, err: pombo.Errorf(pombo.Conflict,
			"Nobody scanned any of %d QR codes: connect again for new ones", p.count)}, true
	}
	if len(p.codes) == 0 {
		return verdict{atOnce: true}, true
	}
	p.current, p.codes = p.codes[0], p.codes[1:]
	p.count++
	r.showCode(l)
	timing := r.s.n.timing
	lasts := timing.qrNext
	if p.first {
		lasts, p.first = timing.qrFirst, false
	}
	p.timer = time.NewTimer(lasts)
	return verdict{}, false
}

// showCode appends QRCODE_UPDATED for the current code, with a pairing code if
// one is wanted, and only then shows it.
func (r *run) showCode(l *line) {
	p := &r.pairing
	if p.current == "" {
		return
	}
	if p.number != "" && p.codeFor != p.number {
		p.code, p.codeFor = r.pairingCode(l, p.number), p.number
	}
	qr := pombo.QR{Code: p.current, PairingCode: p.code, Count: p.count}
	data, err := evolution.QRCodeUpdated(r.s.name, qr)
	if err != nil {
		r.s.log.Error("the QR code cannot be drawn", "err", err)
		return
	}
	if r.s.append(r.ctx, r.s.event(pombo.QRCodeUpdated, data)) != nil {
		return
	}
	r.s.setSnapshot(snapshot{state: pombo.StateConnecting, qr: qr})
}

// pairingCode asks WhatsApp for the eight characters that the phone with number
// can type instead of scanning; "" if it gives none. WhatsApp checks the name of
// the client: it must be "Browser (System)" of ones that it knows.
func (r *run) pairingCode(l *line, number string) string {
	ctx, cancel := l.lendFor(r.s.n.timing.pairCode)
	defer cancel()
	code, err := l.client.PairPhone(ctx, number, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		if l.why() == nil {
			r.s.log.Warn("WhatsApp gave no pairing code: the QR code works all the same", "err", err)
		}
		return ""
	}
	return strings.ReplaceAll(code, "-", "")
}

// refuse tells that no further code comes.
func (r *run) refuse() {
	refused := evolution.Connection{Instance: r.s.name, State: evolution.StateRefused, StatusReason: 428}
	err := r.s.append(r.ctx,
		r.s.event(pombo.QRCodeUpdated, evolution.QRCodeLimitReached()),
		r.s.event(pombo.ConnectionUpdate, evolution.ConnectionUpdate(refused)),
	)
	if err == nil {
		r.told = pombo.StateClose
	}
}
