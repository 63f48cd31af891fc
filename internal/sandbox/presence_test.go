package sandbox_test

import (
	"context"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func (n *network) show(t *testing.T, r sandbox.PresenceRequest, devices int) {
	t.Helper()
	result, err := n.SendPresence(context.Background(), r)
	if err != nil || result.Devices != devices {
		t.Fatalf("%s: %d devices, %v", r.State, result.Devices, err)
	}
}

// TestPresenceSubscription: presence reaches those alone that subscribed, in the form in which they did.
func TestPresenceSubscription(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	ctx := context.Background()
	n.show(t, sandbox.PresenceRequest{From: contact, State: "available"}, 0)
	if err := c.SubscribePresence(ctx, pn(contact)); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Presence](c, nil); evt.Unavailable || evt.From != pn(contact) {
		t.Errorf("at once: %+v", evt)
	}
	n.show(t, sandbox.PresenceRequest{From: contact, State: "unavailable"}, 1)
	seen := wait[*events.Presence](c, nil)
	if !seen.Unavailable || seen.LastSeen.IsZero() {
		t.Errorf("then: %+v", seen)
	}
	if err := c.SubscribePresence(ctx, n.lid(t, third)); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Presence](c, nil); !evt.Unavailable || !evt.LastSeen.IsZero() || evt.From != n.lid(t, third) {
		t.Errorf("somebody who never was there: %+v", evt)
	}
	n.show(t, sandbox.PresenceRequest{From: third, To: bot, State: "available"}, 1)
	if evt := wait[*events.Presence](c, nil); evt.Unavailable || evt.From != n.lid(t, third) {
		t.Errorf("got %+v", evt)
	}
	c.close()
	n.stop()

	n = startNetwork(t, sandbox.Options{DataDir: dir})
	c.open(n)
	c.connect()
	wait[*events.Connected](c, nil)
	n.show(t, sandbox.PresenceRequest{From: third, State: "available"}, 0) // a subscription ends with its connection
	if err := c.SubscribePresence(ctx, pn(contact)); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Presence](c, nil); !evt.LastSeen.Equal(seen.LastSeen) {
		t.Errorf("last seen %s, before the restart %s", evt.LastSeen, seen.LastSeen)
	}
	n.mustObey(t)
}

func TestChatStateInGroup(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	n.show(t, sandbox.PresenceRequest{From: contact, To: jid.String(), State: "recording"}, 1)
	evt := wait[*events.ChatPresence](c, nil)
	if evt.Chat != jid || evt.Sender != n.lid(t, contact) || evt.SenderAlt != pn(contact) || evt.Media != types.ChatPresenceMediaAudio || !evt.IsGroup {
		t.Errorf("got %+v", evt)
	}
	_, err := n.SendPresence(context.Background(), sandbox.PresenceRequest{From: third, To: jid.String(), State: "composing"})
	if sandbox.KindOf(err) != sandbox.Conflict {
		t.Errorf("from outside: %v", err)
	}
	n.mustObey(t)
}

// TestClientShowsItself: what a client shows reaches other accounts and can be read.
func TestClientShowsItself(t *testing.T) {
	n, one, two := startTwo(t, bot, third)
	ctx := context.Background()
	if err := two.SubscribePresence(ctx, pn(bot)); err != nil {
		t.Fatal(err)
	}
	wait[*events.Presence](two, nil)
	one.Store.PushName = "Bot"
	if err := one.SendPresence(ctx, types.PresenceAvailable); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Presence](two, nil); evt.Unavailable || evt.From != pn(bot) {
		t.Errorf("got %+v", evt)
	}
	if err := one.SendChatPresence(ctx, pn(third), types.ChatPresenceComposing, types.ChatPresenceMediaAudio); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.ChatPresence](two, nil); evt.Sender != pn(bot) || evt.Media != types.ChatPresenceMediaAudio {
		t.Errorf("got %+v", evt)
	}
	shown, err := n.Presences(ctx, bot)
	last := slices.IndexFunc(shown, func(p sandbox.PresenceSeen) bool { return p.State == "recording" && p.To == third })
	if err != nil || last < 0 || !slices.ContainsFunc(shown[:last], func(p sandbox.PresenceSeen) bool { return p.State == "available" && p.To == "" }) {
		t.Errorf("shown %+v, %v", shown, err)
	}
	n.mustObey(t)
}
