package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waMmsRetry"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"
)

// RetryAnswer is what a phone does when a companion asks it to upload a file again.
type RetryAnswer string

// The answers that phones give.
const (
	RetryUpload   RetryAnswer = "upload"    // uploads the file and tells where: the default
	RetryNotFound RetryAnswer = "not-found" // says that it has not got the file any more
	RetryError    RetryAnswer = "error"     // says that something went wrong
	RetrySilent   RetryAnswer = "none"      // is off, so there is no answer
)

// ExpireRequest lets the media servers forget the file of a message.
type ExpireRequest struct {
	ID     string      `json:"-"`
	Number string      `json:"number,omitempty"` // the phone that received it, if several did
	Code   int         `json:"code,omitempty"`   // the status of downloads from now on; default 410
	Answer RetryAnswer `json:"answer,omitempty"` // of the phone, when it is asked; default upload
}

// ExpireMedia lets the media servers forget the file of a message, or of a part of the history, as the real ones do after some weeks, so that a
// client has to ask its phone for it. Errors: Invalid, NotFound.
func (s *Server) ExpireMedia(ctx context.Context, r ExpireRequest) error {
	if r.Code == 0 {
		r.Code = 410
	}
	if r.Code < 400 || r.Code > 599 {
		return errorf(Invalid, "\"code\" is %d: it is between 400 and 599", r.Code)
	}
	switch r.Answer {
	case "", RetryUpload, RetryNotFound, RetryError, RetrySilent:
	default:
		return errorf(Invalid, "\"answer\" is %q: it is one of upload, not-found, error, none", r.Answer)
	}
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var m *message
		if m, err = s.findMessageOrPeer(r.ID, r.Number); err != nil {
			return
		}
		var body waE2E.Message
		if err = proto.Unmarshal(m.Body, &body); err != nil {
			return
		}
		part := downloadable(&body)
		if part == nil || s.mediaOf(part) == nil {
			err = errorf(NotFound, "Message %s has no file on the media servers", r.ID)
			return
		}
		f := s.mediaOf(part)
		f.Gone, f.Answer = r.Code, r.Answer
		t.put(tableMedia, f.ID, encodeJSON(f))
	})
	if err != nil {
		return err
	}
	return waitErr
}

// mediaRetry lets the phone answer a companion that could not download a file (whatsmeow mediaretry.go): it puts the
// file, if it has it, under a new path.
func (s *Server) mediaRetry(t *batch, d *device, n *node) {
	id := str(n, "id")
	rmr := n.GetChildByTag("rmr")
	answer := node{Tag: "notification", Attrs: attrs{
		"from": d.user.pn(0), "type": "mediaretry", "id": id, "t": unix(now()),
	}}
	about := node{Tag: "rmr", Attrs: attrs{"jid": rmr.Attrs["jid"], "from_me": str(&rmr, "from_me")}}
	if participant, ok := rmr.Attrs["participant"]; ok {
		about.Attrs["participant"] = participant
	}
	part := s.retriedPart(d.user, id)
	if part == nil {
		answer.Content = []node{about, {Tag: "error", Attrs: attrs{"code": 2}}}
		s.enqueue(t, d, d.user.number, answer)
		return
	}
	key := hkdfutil.SHA256(part.GetMediaKey(), nil, []byte("WhatsApp Media Retry Notification"), 32)
	if err := checkRetry(n, key, id); err != nil {
		s.recordViolation(t, ViolationUndecryptable, d.user.pn(d.id).String(), fmt.Sprintf("media retry receipt for %s: %v", id, err))
		return
	}
	result := &waMmsRetry.MediaRetryNotification{StanzaID: &id, Result: waMmsRetry.MediaRetryNotification_SUCCESS.Enum()}
	f := s.mediaOf(part)
	switch {
	case f == nil, f.Answer == RetryNotFound:
		result.Result = waMmsRetry.MediaRetryNotification_NOT_FOUND.Enum()
	case f.Answer == RetryError:
		result.Result = waMmsRetry.MediaRetryNotification_GENERAL_ERROR.Enum()
	case f.Answer == RetrySilent:
		return
	default:
		again := s.addMedia(t, &mediaFile{Hash: f.Hash, Kind: f.Kind, Owner: d.user.number, Size: f.Size})
		result.DirectPath = proto.String(again.path())
	}
	plain, err := proto.Marshal(result)
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	var sealed []byte
	if err == nil {
		sealed, err = gcmutil.Encrypt(key, iv, plain, []byte(id))
	}
	if err != nil {
		s.log.Error("A media retry could not be answered", "id", id, "error", err)
		return
	}
	answer.Content = []node{about, {Tag: "encrypt", Content: []node{{Tag: "enc_p", Content: sealed}, {Tag: "enc_iv", Content: iv}}}}
	s.enqueue(t, d, d.user.number, answer)
}

// findMessageOrPeer also finds what a phone said to its own companions: a part of the history has a file, too.
func (s *Server) findMessageOrPeer(id, number string) (*message, error) {
	m, err := s.findMessage(id, number)
	if err == nil || KindOf(err) != NotFound {
		return m, err
	}
	for _, u := range s.world.users {
		if m := u.sentByID[id]; m != nil && (number == "" || u.number == normalizeNumber(number)) {
			return m, nil
		}
	}
	return nil, err
}

// retriedPart is the part with the file of a message that a phone received or sent, or nil.
func (s *Server) retriedPart(u *user, id string) downloadablePart {
	m, err := s.findMessageOrPeer(id, u.number)
	if err != nil {
		return nil
	}
	var body waE2E.Message
	if err = proto.Unmarshal(m.Body, &body); err != nil {
		return nil
	}
	return downloadable(&body)
}

// checkRetry checks that the client that asks has the file's key.
func checkRetry(n *node, key []byte, id string) error {
	sealed, iv := content(n.GetChildByTag("encrypt", "enc_p")), content(n.GetChildByTag("encrypt", "enc_iv"))
	if len(iv) != 12 {
		return fmt.Errorf("its enc_iv has %d bytes instead of 12", len(iv))
	}
	plain, err := gcmutil.Decrypt(key, iv, sealed, []byte(id))
	if err != nil {
		return err
	}
	var receipt waMmsRetry.ServerErrorReceipt
	if err = proto.Unmarshal(plain, &receipt); err != nil {
		return err
	}
	if receipt.GetStanzaID() != id {
		return fmt.Errorf("it is about %s", receipt.GetStanzaID())
	}
	return nil
}
