package whatsapp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pombo"
	"pombo/internal/evolution"
)

// event makes an event of the instance as a whole. It happened once, here, so
// its key is made up.
func (s *Session) event(name pombo.EventName, data json.RawMessage) pombo.Event {
	return pombo.Event{
		Instance: s.id, Name: name, Key: rand.Text(), Sender: s.sender(), Time: time.Now(), Data: data,
	}
}

func (s *Session) sender() string {
	jid := s.known().jid
	if jid.IsEmpty() {
		return ""
	}
	return jid.ToNonAD().String()
}

// opened makes the session open: what the account is called and looks like is
// asked, told and shown.
func (r *run) opened(l *line) {
	s := r.s
	name := l.pushName
	picture, asked := r.picture(l)
	a := s.setAccount(func(a *account) {
		if name != "" {
			a.name = name
		}
		if asked {
			a.picture = picture
		}
	})
	r.reportProfile(a)
	r.announce(l)
	r.tell(pombo.StateOpen, 0)
	if r.told != pombo.StateOpen || l.why() != nil {
		return
	}
	s.setSnapshot(snapshot{state: pombo.StateOpen, line: l})
	l.resubscribe()
	s.log.Info("connected to WhatsApp", "jid", l.own.String())
	l.syncState()
	l.fetchHistory()
}

// picture asks WhatsApp for the URL of the account's own picture. asked is false
// if it did not answer.
func (r *run) picture(l *line) (url string, asked bool) {
	ctx, cancel := l.lendFor(r.s.n.timing.profile)
	defer cancel()
	info, err := l.client.GetProfilePictureInfo(ctx, l.own.ToNonAD(), &whatsmeow.GetProfilePictureParams{})
	switch {
	case errors.Is(err, whatsmeow.ErrProfilePictureNotSet), errors.Is(err, whatsmeow.ErrProfilePictureUnauthorized):
		return "", true
	case err != nil || info == nil:
		return "", false
	}
	return info.URL, true
}

func (r *run) reportProfile(a account) {
	if err := r.s.n.o.Registry.Profile(r.ctx, r.s.id, a.name, a.picture); err != nil && r.ctx.Err() == nil {
		r.s.log.Warn("recording the profile failed", "err", err)
	}
}

// announce tells WhatsApp whether we count as online, and our name with it:
// without that contacts see "-". Only an instance that is always online is, as in
// the original (markOnlineOnConnect = alwaysOnline): otherwise the phone would stop
// showing notifications. While we are not online, receipts for what arrives are
// of the kind "inactive": contacts see two ticks when the phone has the message.
func (r *run) announce(l *line) {
	state := types.PresenceUnavailable
	if r.s.settings.Load().AlwaysOnline {
		state = types.PresenceAvailable
	}
	err := l.sendPresence(l.ctx, state)
	if err != nil && !errors.Is(err, whatsmeow.ErrNoPushName) && l.why() == nil {
		r.s.log.Warn("announcing the presence failed", "err", err)
	}
}

// renamed handles the own name as the phone tells it. After pairing it is the first
// that the client has, and it can announce nothing without: so that is done also if
// the name was known from an earlier pairing.
func (r *run) renamed(l *line, name string) {
	if name == "" {
		return
	}
	if name != r.s.known().name {
		r.reportProfile(r.s.setAccount(func(a *account) { a.name = name }))
	}
	r.announce(l)
}

// forget makes the instance one that has no phone: it appends what a logout
// tells, deletes the device, and tells the registry, in that order, so that after
// a crash WhatsApp's refusal of the next login brings the rest. ctx ended leaves
// the rest to be done then.
func (s *Session) forget(ctx context.Context, reason int) {
	a := s.known()
	if a.jid.IsEmpty() {
		return
	}
	at := time.Now()
	d := pombo.Disconnection{Code: reason, Object: evolution.DisconnectionObject(reason, at), At: at}
	closed := evolution.Connection{
		Instance: s.name, State: pombo.StateClose, StatusReason: reason,
		JID: a.jid.String(), ProfileName: a.name, ProfilePictureURL: a.picture,
	}
	made := []pombo.Event{
		s.event(pombo.StatusInstance, evolution.StatusInstance(s.name, evolution.StatusClosed, d)),
		s.event(pombo.LogoutInstance, evolution.LogoutInstance()),
		s.event(pombo.ConnectionUpdate, evolution.ConnectionUpdate(closed)),
	}
	for i := range made {
		// One logout for each pairing, also when it is finished in a second go.
		made[i].Key = fmt.Sprintf("logout|%s|%d", a.jid, a.registration)
	}
	err := s.append(ctx, made...)
	if err == nil {
		err = s.insist(ctx, func() error { return s.n.o.History.ClearHistory(ctx, s.id) })
	}
	if err == nil {
		err = s.deleteDevice(ctx, a.jid)
	}
	if err == nil {
		err = s.insist(ctx, func() error { return s.n.o.Registry.LoggedOut(ctx, s.id, d) })
	}
	if err != nil {
		s.log.Error("forgetting the device was cut short: the next login finishes it", "err", err)
		return
	}
	s.setAccount(func(a *account) { *a = account{} })
	s.log.Info("logged out", "jid", a.jid.String(), "reason", reason)
}

// discard takes back a pairing that failed after its device may have been saved.
func (s *Session) discard(ctx context.Context, jid types.JID) {
	if jid.IsEmpty() {
		return
	}
	err := s.deleteDevice(ctx, jid)
	if err == nil {
		err = s.n.o.Registry.LoggedOut(ctx, s.id, pombo.Disconnection{})
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("taking back a failed pairing", "err", err)
	}
}

func (s *Session) deleteDevice(ctx context.Context, jid types.JID) error {
	return s.insist(ctx, func() error {
		return s.n.o.Devices.DeleteDevice(ctx, &store.Device{ID: &jid})
	})
}

// insist tries until it succeeds, the instance is gone, or ctx ends.
func (s *Session) insist(ctx context.Context, fn func() error) error {
	pause := s.n.timing.retryMin
	for {
		err := fn()
		if err == nil || pombo.KindOf(err) == pombo.NotFound {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		pause = min(2*pause, s.n.timing.retryMax)
	}
}

// How long Logout waits for WhatsApp to unlink the device, and for the store to
// forget it.
const (
	unlinkLimit = 15 * time.Second
	forgetLimit = 15 * time.Second
)

// Logout unlinks the device at WhatsApp, appends STATUS_INSTANCE, LOGOUT_INSTANCE
// and CONNECTION_UPDATE, and deletes the device. A pairing under way is ended.
//
// The device is deleted here also if WhatsApp cannot be told; then the error, of
// the kind Unavailable, says so. It is Invalid if there is nothing to log out.
func (s *Session) Logout(ctx context.Context) error {
	s.control.Lock()
	defer s.control.Unlock()
	if s.known().jid.IsEmpty() {
		if state, _ := s.Snapshot(); state == pombo.StateClose {
			return pombo.Errorf(pombo.Invalid, "The %q instance is not connected", s.name)
		}
		return s.stop(ctx)
	}
	unlinked := s.unlink(ctx)
	// What follows is done even if the caller's time was used up by WhatsApp.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetLimit)
	defer cancel()
	if err := s.stop(ctx); err != nil {
		return err
	}
	s.forget(ctx, 401)
	s.setSnapshot(snapshot{state: pombo.StateClose, err: errNotPaired})
	switch {
	case !s.known().jid.IsEmpty():
		return pombo.Errorf(pombo.Unavailable, "The store does not answer: the instance is not logged out yet, try again")
	case unlinked != nil:
		return pombo.Errorf(pombo.Unavailable, "The instance is logged out here, but WhatsApp could not be told: remove it on the phone under \"Linked devices\": %w", unlinked)
	}
	return nil
}

// unlink tells WhatsApp to remove the device, connecting for it if need be. The
// caller holds s.control.
func (s *Session) unlink(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, unlinkLimit)
	defer cancel()
	if state, _ := s.Snapshot(); state == pombo.StateClose {
		if err := s.stop(ctx); err != nil {
			return err
		}
		if s.known().jid.IsEmpty() {
			return nil // logged out by the phone a moment ago
		}
		s.begin("")
	}
	state, _, err := s.Wait(ctx)
	if s.known().jid.IsEmpty() {
		return nil // logged out by the phone meanwhile
	}
	if err != nil || state != pombo.StateOpen {
		return errors.Join(errors.New("no connection"), err)
	}
	l, err := s.live()
	if err != nil {
		return err
	}
	if err = l.unlink(ctx); err == nil {
		return nil
	}
	// The device may be gone all the same: WhatsApp closes the connection in
	// answer, and the run hears why.
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	select {
	case <-r.done:
	case <-time.After(2 * s.n.timing.grace):
	}
	if s.known().jid.IsEmpty() {
		return nil
	}
	return err
}

// unlink asks WhatsApp to remove this device. It is the first half of whatsmeow's
// Logout; the other, which disconnects and deletes the device, is the session's
// own business.
func (l *line) unlink(ctx context.Context) error {
	if !l.enter() {
		return errOver
	}
	defer l.leave()
	ctx, stop := l.lend(ctx)
	defer stop()
	_, err := l.client.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{ //nolint:staticcheck // there is no other way to it
		Namespace: "md", Type: "set", To: types.ServerJID,
		Content: []waBinary.Node{{
			Tag:   "remove-companion-device",
			Attrs: waBinary.Attrs{"jid": l.own, "reason": "user_initiated"},
		}},
	})
	return err
}
