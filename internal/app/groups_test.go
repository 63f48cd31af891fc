package app_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// carla is in the groups of these tests.
const carla = "5511955550000"

// newGroup lets the contact make a group with the phone and carla.
func (k *talk) newGroup(addressing string) string {
	k.Helper()
	g, err := k.network.CreateGroup(k.Context(), sandbox.GroupRequest{
		From: contact, Subject: "Vendas", Participants: []string{phone, carla}, Addressing: addressing,
	})
	if err != nil {
		k.Fatal(err)
	}
	return g.JID
}

// read tells whether the inbox of a number has a message whose JSON has all of these.
func (k *talk) read(number string, parts ...string) bool {
	return slices.ContainsFunc(k.network.Inbox(number), func(m sandbox.Message) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(string(m.Message)+m.ID, part) })
	})
}

// In groups, whose members are named by LID or by number: each message is told once,
// also the first of a sender, which brings its key along; and the chat routes do what
// they do elsewhere.
func TestGroupChats(t *testing.T) {
	for _, addressing := range []string{"lid", "pn"} {
		t.Run(addressing, func(t *testing.T) {
			k := newTalk(t)
			group := k.newGroup(addressing)
			k.receiver.Wait(t, "groups.upsert", nil)
			ids := []string{k.network.Write(carla, group, "um"), k.network.Write(contact, group, "dois"), k.network.Write(carla, group, "três")}
			for _, id := range ids {
				if m, data := k.told("messages.upsert", id); m.Key.RemoteJid != group {
					t.Errorf("got %s", data)
				} else {
					k.has(data, `"participant":"55119`, `"participantAlt":"`, `@lid"`)
				}
			}
			const path = "my%20instance"
			sent := k.gateway.SendText(talking, group, "oi, gente")
			pombotest.Eventually(t, patience, "the members to have it", func() bool { return k.read(contact, sent, "oi, gente") && k.read(carla, sent) })
			own := object{"id": sent, "fromMe": true, "remoteJid": group}
			k.gateway.Must("POST", "/chat/updateMessage/"+path, object{"number": group, "text": "olá, gente", "key": own}, nil)
			k.gateway.Must("DELETE", "/chat/deleteMessageForEveryone/"+path, own, nil)
			k.gateway.Must("POST", "/chat/sendPresence/"+path, object{"number": group, "presence": "composing", "delay": 50}, nil)
			k.gateway.Must("POST", "/chat/markMessageAsRead/"+path, object{"readMessages": []object{
				{"id": ids[0], "fromMe": false, "remoteJid": group, "participant": carla + "@s.whatsapp.net"},
			}}, nil)
			pombotest.Eventually(t, patience, "the members to be told", func() bool {
				shown, err := k.network.Presences(t.Context(), phone)
				return err == nil && slices.ContainsFunc(shown, func(p sandbox.PresenceSeen) bool { return p.To == group && p.State == "composing" }) &&
					k.read(carla, "MESSAGE_EDIT", "olá, gente", sent) && k.read(carla, "REVOKE", sent) && received(t, k.network, carla, ids[0], "read")
			})
			k.told("send.message.update", sent)
			k.receiver.Wait(t, "messages.delete", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), sent) })
			// Others' messages are for admins to delete.
			admin := sandbox.ParticipantsRequest{ID: group, From: contact, Action: "promote", Participants: []string{phone}}
			if _, err := k.network.ChangeParticipants(t.Context(), admin); err != nil {
				t.Fatal(err)
			}
			k.receiver.Wait(t, "group-participants.update", nil)
			k.gateway.Must("DELETE", "/chat/deleteMessageForEveryone/"+path,
				object{"id": ids[2], "fromMe": false, "remoteJid": group, "participant": carla + "@s.whatsapp.net"}, nil)
			pombotest.Eventually(t, patience, "carla's message to be deleted", func() bool { return k.read(contact, "REVOKE", ids[2]) })
			for _, id := range append(ids, sent) {
				n := 0
				for _, p := range k.receiver.Accepted() {
					if (p.Event == "messages.upsert" || p.Event == "send.message") && p.Message().Key.ID == id {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s was told %d times", id, n)
				}
			}
			k.network.CheckRules(t)
		})
	}
}

// What becomes of a group is told: its making, changes, and who comes and goes.
func TestGroupEvents(t *testing.T) {
	k := newTalk(t)
	group := k.newGroup("lid")
	yes, minutes, subject, description := true, 86400, "Compras", "Só às terças"
	change := func(r sandbox.GroupChangeRequest) {
		t.Helper()
		r.ID, r.From = group, contact
		if _, err := k.network.ChangeGroup(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	change(sandbox.GroupChangeRequest{Subject: &subject})
	change(sandbox.GroupChangeRequest{Description: &description})
	change(sandbox.GroupChangeRequest{Announce: &yes})
	change(sandbox.GroupChangeRequest{Locked: &yes})
	change(sandbox.GroupChangeRequest{Ephemeral: &minutes})
	change(sandbox.GroupChangeRequest{RevokeInvite: true})
	change(sandbox.GroupChangeRequest{Picture: &yes})
	members := func(action, number string) {
		t.Helper()
		if _, err := k.network.ChangeParticipants(t.Context(), sandbox.ParticipantsRequest{ID: group, From: contact, Action: action, Participants: []string{number}}); err != nil {
			t.Fatal(err)
		}
	}
	const dora = "5511944440000"
	members("add", dora)
	members("promote", dora)
	members("demote", dora)
	members("remove", dora)
	if _, err := k.network.LeaveGroup(t.Context(), sandbox.LeaveRequest{ID: group, Number: carla}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ event, part string }{
		{"groups.upsert", `"subject":"Vendas"`}, {"groups.update", `"subject":"Compras"`}, {"groups.update", `"desc":"Só às terças"`},
		{"groups.update", `"announce":true`}, {"groups.update", `"restrict":true`}, {"groups.update", `"ephemeralDuration":86400`},
		{"groups.update", `"inviteCode":"`}, {"groups.update", `"imgUrl":"changed"`},
		{"group-participants.update", `"action":"add"`}, {"group-participants.update", `"action":"promote"`},
		{"group-participants.update", `"action":"demote"`}, {"group-participants.update", `"participants":["` + dora + `@s.whatsapp.net"],"action":"remove"`},
		{"group-participants.update", `"participants":["` + carla + `@s.whatsapp.net"],"action":"remove"`},
	} {
		p := k.receiver.Wait(t, c.event, func(p pombotest.Post) bool { return strings.Contains(string(p.Data), c.part) })
		k.has(string(p.Data), `"id":"`+group+`"`)
		if !json.Valid(p.Data) {
			t.Errorf("got %s", p.Data)
		}
	}
	k.network.CheckRules(t)
}
