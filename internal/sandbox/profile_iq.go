package sandbox

import (
	"encoding/base64"
	"encoding/hex"

	"go.mau.fi/whatsmeow/proto/waVnameCert"
	"google.golang.org/protobuf/proto"
)

// handlePicture answers what clients ask about profile pictures, and takes those of their own accounts (whatsmeow
// user.go, GetProfilePictureInfo; group.go, SetGroupPhoto, which is for accounts, too).
func (c *conn) handlePicture(n *node, child node) {
	target := jid(n, "target")
	own := c.device.user
	if str(n, "type") == "get" {
		c.s.update(func(*batch) { c.send(c.pictureOf(n, child)) })
		return
	}
	if !target.IsEmpty() && target.User != own.number && target.User != own.lid {
		c.send(iqError(n, 403, "forbidden"))
		return
	}
	raw := content(child)
	if child.Tag != "picture" || len(raw) == 0 {
		c.s.update(func(t *batch) {
			c.s.removePicture(t, own, c.device)
			t.then(func() { c.send(result(n)) })
		})
		return
	}
	files, err := c.s.keepPicture(raw, own.number)
	switch {
	case KindOf(err) == Invalid:
		c.send(iqError(n, 406, "not-acceptable"))
		return
	case err != nil:
		c.s.log.Error("A picture could not be kept", "error", err)
		c.send(iqError(n, 500, "internal-server-error"))
		return
	}
	c.s.update(func(t *batch) {
		c.s.setUserPicture(t, own, files, c.device)
		answer := result(n, node{Tag: "picture", Attrs: attrs{"id": own.profile.Picture.ID}})
		t.then(func() { c.send(answer) })
	})
}

// pictureOf answers where a picture is. Called with s.mu held.
func (c *conn) pictureOf(n *node, child node) node {
	u := c.device.user
	if target := jid(n, "target"); !target.IsEmpty() {
		u = c.s.find(target)
	}
	if u == nil || u.profile.Picture == nil {
		return iqError(n, 404, "item-not-found")
	}
	if str(&child, "id") == u.profile.Picture.ID { // the client has this one
		return result(n)
	}
	kind, id := "image", u.profile.Picture.Full
	if str(&child, "type") == "preview" {
		kind, id = "preview", u.profile.Picture.Preview
	}
	f := c.s.media.byID[id]
	if f == nil {
		return iqError(n, 404, "item-not-found")
	}
	raw, err := hex.DecodeString(f.Hash)
	if err != nil { // it was made by encoding
		return iqError(n, 500, "internal-server-error")
	}
	return result(n, node{Tag: "picture", Attrs: attrs{
		"id": u.profile.Picture.ID, "type": kind, "url": f.url(), "direct_path": f.path(),
		"hash": base64.StdEncoding.EncodeToString(raw),
	}})
}

// handleStatusText takes what an account says about itself (whatsmeow user.go, SetStatusMessage).
func (c *conn) handleStatusText(n *node, child node) {
	c.s.update(func(t *batch) {
		c.s.setAbout(t, c.device.user, string(content(child)), c.device)
		t.then(func() { c.send(result(n)) })
	})
}

// businessProfile is what GetBusinessProfile asks for (whatsmeow user.go); without a profile in it for people. Called
// with s.mu held.
func (c *conn) businessProfile(query node) node {
	answer := node{Tag: query.Tag, Attrs: attrs{"v": "244"}}
	wanted := query.GetChildByTag("profile")
	u := c.s.find(jid(&wanted, "jid"))
	if u == nil || u.profile.Business == nil {
		return answer
	}
	b := u.profile.Business
	hours := node{Tag: "business_hours", Attrs: attrs{"timezone": b.Timezone}}
	var days []node
	for _, h := range b.Hours {
		day := attrs{"day_of_week": h.Day, "mode": h.Mode}
		if h.Open != "" {
			day["open_time"], day["close_time"] = h.Open, h.Close
		}
		days = append(days, node{Tag: "business_hours_config", Attrs: day})
	}
	hours.Content = days
	answer.Content = []node{{Tag: "profile", Attrs: attrs{"jid": wanted.Attrs["jid"]}, Content: []node{
		{Tag: "address", Content: []byte(b.Address)},
		{Tag: "email", Content: []byte(b.Email)},
		hours,
		{Tag: "categories", Content: []node{{Tag: "category", Attrs: attrs{"id": "1"}, Content: []byte(b.Category)}}},
		{Tag: "profile_options", Content: []node{{Tag: "commerce_experience", Content: []byte("none")}}},
	}}}
	return answer
}

// profileParts adds to an answer about a user what it shows of itself (whatsmeow user.go, GetUserInfo).
func (s *Server) profileParts(u *user, tag string) []node {
	if u == nil {
		return nil
	}
	switch {
	case tag == "status":
		return []node{{Tag: "status", Attrs: attrs{"t": unix(u.profile.AboutAt)}, Content: []byte(u.about())}}
	case tag == "picture" && u.profile.Picture != nil:
		return []node{{Tag: "picture", Attrs: attrs{"id": u.profile.Picture.ID}}}
	case tag == "business" && u.profile.Business != nil:
		return []node{{Tag: "business", Content: []node{{Tag: "verified_name", Attrs: attrs{"v": "1"}, Content: s.verifiedName(u)}}}}
	}
	return nil
}

// verifiedName is the certificate of a business's name.
func (s *Server) verifiedName(u *user) []byte {
	details, err := proto.Marshal(&waVnameCert.VerifiedNameCertificate_Details{
		Serial: proto.Uint64(uint64(u.registrationID)), Issuer: proto.String("smb:wa"), VerifiedName: &u.profile.Business.Name,
	})
	var raw []byte
	if err == nil {
		raw, err = proto.Marshal(&waVnameCert.VerifiedNameCertificate{Details: details, Signature: sign(s.root, details)})
	}
	if err != nil { // plain data
		s.log.Error("A verified name could not be encoded", "error", err)
	}
	return raw
}
