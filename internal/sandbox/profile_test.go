package sandbox_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// fetch downloads from the network's side.
func (c *client) fetch(url string) (int, []byte) {
	c.t.Helper()
	answer, err := c.http.Get(url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var body bytes.Buffer
	if _, err = body.ReadFrom(answer.Body); err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, body.Bytes()
}

func jpegOf(t *testing.T, pixels int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, pixels, pixels/2)), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPictures(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c, other := newClient(t, n), newClient(t, n)
	c.pair(n, bot)
	other.pair(n, "5511900000003")
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	wait[*events.Message](c, nil)
	ctx := context.Background()
	raw := jpegOf(t, 300)
	var shown sandbox.Profile
	body := fmt.Sprintf(`{"number":%q,"picture":%q}`, contact, base64.StdEncoding.EncodeToString(raw))
	if status := call(t, "POST", n.http.URL+"/sandbox/profile", body, &shown); status != 200 || shown.PictureID == "" {
		t.Fatalf("profile: %d %+v", status, shown)
	}
	if e := wait[*events.Picture](c, nil); e.JID != pn(contact) || e.PictureID != shown.PictureID || e.Remove {
		t.Errorf("got %+v", e)
	}
	info, err := c.GetProfilePictureInfo(ctx, pn(contact), nil)
	if err != nil || info.ID != shown.PictureID || len(info.Hash) != 32 {
		t.Fatalf("got %+v, %v", info, err)
	}
	if status, got := c.fetch(info.URL); status != 200 || !bytes.Equal(got, raw) {
		t.Errorf("the picture: %d, %d bytes", status, len(got))
	}
	preview, err := c.GetProfilePictureInfo(ctx, pn(contact), &whatsmeow.GetProfilePictureParams{Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	_, small := c.fetch(preview.URL)
	if size, err := jpeg.DecodeConfig(bytes.NewReader(small)); err != nil || size.Width != 96 || size.Height != 48 {
		t.Errorf("the preview is %+v, %v", size, err)
	}
	if info, err = c.GetProfilePictureInfo(ctx, pn(contact), &whatsmeow.GetProfilePictureParams{ExistingID: shown.PictureID}); info != nil || err != nil {
		t.Errorf("the same picture: %+v, %v", info, err)
	}
	if users, err := c.GetUserInfo(ctx, []types.JID{pn(contact)}); err != nil || users[pn(contact)].PictureID != shown.PictureID {
		t.Errorf("user info: %+v, %v", users, err)
	}

	// the client changes its own
	id, err := c.SetGroupPhoto(ctx, types.EmptyJID, raw)
	if err != nil || id == "" {
		t.Fatalf("own picture: %q, %v", id, err)
	}
	if _, err = c.SetGroupPhoto(ctx, types.EmptyJID, []byte("no picture")); !errors.Is(err, whatsmeow.ErrInvalidImageFormat) {
		t.Errorf("no picture: %v", err)
	}
	other.close()
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	if got, err := n.ProfilePicture(ctx, bot); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("after a restart: %d bytes, %v", len(got), err)
	}
	if status := call(t, "POST", n.http.URL+"/sandbox/profile", fmt.Sprintf(`{"number":%q,"removePicture":true}`, contact), nil); status != 200 {
		t.Errorf("remove: %d", status)
	}
	c.close()
	c.open(n)
	c.connect()
	wait(c, func(e *events.Picture) bool { return e.JID == pn(contact) && e.Remove })
	if status := call(t, "GET", n.http.URL+"/sandbox/profile/picture?number="+contact, "", nil); status != http.StatusNotFound {
		t.Errorf("a removed picture: %d", status)
	}
	n.mustObey(t)
}

func TestAboutAndBusiness(t *testing.T) {
	n, one, two := startTwo(t, bot, contact)
	ctx := context.Background()
	two.sendText(pn(bot), "hi")
	wait[*events.Message](one, nil)
	if err := two.SetStatusMessage(ctx, "on holiday"); err != nil {
		t.Fatal(err)
	}
	if e := wait[*events.UserAbout](one, nil); e.JID != pn(contact) || e.Status != "on holiday" {
		t.Errorf("got %+v", e)
	}
	if _, err := one.GetBusinessProfile(ctx, pn(contact)); err == nil {
		t.Error("a person has a business profile")
	}
	body := fmt.Sprintf(`{"number":%q,"newPicture":true,"about":"open","business":{"name":"Ana's","address":"Rua 1","email":"ana@example.com",
		"category":"Bakery","timezone":"America/Sao_Paulo","hours":[{"day":"mon","mode":"specific_hours","open":"540","close":"1080"}]}}`, contact)
	if status := call(t, "POST", n.http.URL+"/sandbox/profile", body, nil); status != 200 {
		t.Fatalf("profile: %d", status)
	}
	wait[*events.Picture](one, nil)
	b, err := one.GetBusinessProfile(ctx, pn(contact))
	if err != nil || b.JID != pn(contact) || b.Email != "ana@example.com" || b.Categories[0].Name != "Bakery" || b.BusinessHours[0].OpenTime != "540" {
		t.Errorf("got %+v, %v", b, err)
	}
	info, err := one.GetUserInfo(ctx, []types.JID{pn(contact)})
	if err != nil || info[pn(contact)].Status != "open" {
		t.Errorf("got %+v, %v", info, err)
	}
	found, err := one.IsOnWhatsApp(ctx, []string{"+" + contact})
	if err != nil || found[0].VerifiedName.Details.GetVerifiedName() != "Ana's" {
		t.Errorf("got %+v, %v", found, err)
	}
	for body, status := range map[string]int{
		`{"number":"x"}`: 400,
		fmt.Sprintf(`{"number":%q,"picture":"AAAA"}`, bot):                            400,
		fmt.Sprintf(`{"number":%q,"picture":"!"}`, bot):                               400,
		fmt.Sprintf(`{"number":%q,"newPicture":true,"removePicture":true}`, bot):      400,
		fmt.Sprintf(`{"number":%q,"about":"the shop","newPicture":true}`, "55119000"): 200,
	} {
		if got := call(t, "POST", n.http.URL+"/sandbox/profile", body, nil); got != status {
			t.Errorf("%s: %d, not %d", body, got, status)
		}
	}
	n.mustObey(t)
}
