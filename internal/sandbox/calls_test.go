package sandbox_test

import (
	"context"
	"testing"

	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func TestCall(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	for _, addressing := range []string{"lid", "pn"} {
		main, alternative := n.lid(t, contact), pn(contact)
		if addressing == "pn" {
			main, alternative = alternative, main
		}
		call, err := n.Call(ctx, sandbox.CallRequest{From: contact, To: bot, Video: true, Addressing: addressing})
		if err != nil {
			t.Fatal(err)
		}
		offer := wait[*events.CallOffer](c, nil)
		if offer.CallID != call.ID || offer.From != main || offer.CallCreator != main || offer.CallCreatorAlt != alternative ||
			offer.RemotePlatform == "" || offer.Data.GetChildByTag("video").Tag != "video" {
			t.Errorf("%s: got %+v", addressing, offer)
		}
		for _, action := range []string{"ring", "accept", "terminate"} {
			if _, err = n.CallAction(ctx, sandbox.CallActionRequest{ID: call.ID, Action: action}); err != nil {
				t.Fatal(err)
			}
		}
		wait[*events.CallPreAccept](c, nil)
		wait[*events.CallAccept](c, nil)
		if end := wait[*events.CallTerminate](c, nil); end.CallID != call.ID || end.Reason != "timeout" {
			t.Errorf("got %+v", end)
		}
		if _, err = n.CallAction(ctx, sandbox.CallActionRequest{ID: call.ID, Action: "ring"}); sandbox.KindOf(err) != sandbox.Conflict {
			t.Errorf("ringing after the end: %v", err)
		}
	}
	n.mustObey(t)
}

func TestRejectCall(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	one, two := newClient(t, n), newClient(t, n)
	one.pair(n, bot)
	two.pair(n, bot)
	ctx := context.Background()
	call, err := n.Call(ctx, sandbox.CallRequest{From: contact, To: bot})
	if err != nil {
		t.Fatal(err)
	}
	wait[*events.CallOffer](two, nil)
	offer := wait[*events.CallOffer](one, nil)
	if err = one.RejectCall(ctx, offer.From, offer.CallID); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.CallReject](two, nil); evt.CallID != call.ID || evt.From.User != one.Store.LID.User {
		t.Errorf("the other client got %+v", evt)
	}
	one.close()
	two.close()
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	calls, err := n.Calls(ctx)
	if err != nil || len(calls) != 1 || calls[0].State != "rejected" || calls[0].RejectedBy != one.Store.ID.String() {
		t.Errorf("calls %+v, %v", calls, err)
	}
	n.mustObey(t)
}

func TestGroupCallAndPhone(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	call, err := n.Call(ctx, sandbox.CallRequest{From: contact, To: bot, Group: jid.String()})
	if err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.CallOfferNotice](c, nil); evt.GroupJID != jid || evt.Type != "group" || evt.Media != "audio" {
		t.Errorf("got %+v", evt)
	}
	if _, err = n.CallAction(ctx, sandbox.CallActionRequest{ID: call.ID, Action: "accept", Number: bot}); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.CallTerminate](c, nil); evt.Reason != "accepted_elsewhere" {
		t.Errorf("got %+v", evt)
	}
	if _, err = n.CallAction(ctx, sandbox.CallActionRequest{ID: call.ID, Action: "terminate"}); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.CallTerminate](c, nil); evt.Reason != "timeout" {
		t.Errorf("got %+v", evt)
	}
	if err = c.RejectCall(ctx, pn(contact), "NOSUCHCALL"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the wrong rejection is noted", func() bool {
		list, err := n.Violations(ctx)
		return err == nil && len(list) == 1 && list[0].Kind == sandbox.ViolationMalformed
	})
}
