package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// vote is the data of a MESSAGES_UPDATE of a vote.
type vote struct {
	KeyID, RemoteJid, Voter string
	FromMe                  bool
	PollUpdates             []struct {
		Name   string
		Voters []string
	}
}

// chosen lists what a vote is for.
func (v vote) chosen() string {
	var names []string
	for _, o := range v.PollUpdates {
		if len(o.Voters) > 0 {
			names = append(names, o.Name)
		}
	}
	return strings.Join(names, " ")
}

const pollMessage = `{"pollCreationMessageV3":{"name":"Almoço?","options":[{"optionName":"Sim"},{"optionName":"Não"},{"optionName":"Talvez 🤔"}],"selectableOptionsCount":2}}`

// Votes are read, with the names of what was chosen: in polls of others and in our
// own, between two and in groups, whether people are named by number or by LID, also
// after a restart.
func TestPollVotes(t *testing.T) {
	k := newTalk(t)
	const friend = "5511966660000"
	group, err := k.network.CreateGroup(t.Context(), sandbox.GroupRequest{From: contact, Subject: "Almoço", Participants: []string{phone, friend}})
	if err != nil {
		t.Fatal(err)
	}
	pnGroup, err := k.network.CreateGroup(t.Context(), sandbox.GroupRequest{From: contact, Subject: "Antigo", Participants: []string{phone, friend}, Addressing: "pn"})
	if err != nil {
		t.Fatal(err)
	}
	polls := map[string]string{}
	for name, r := range map[string]sandbox.SendRequest{
		"theirs":         {From: contact, To: phone},
		"theirs by lid":  {From: contact, To: phone, Addressing: "lid"},
		"ours":           {From: phone, To: contact},
		"group":          {From: contact, To: group.JID},
		"ours, in group": {From: phone, To: group.JID},
		"pn group":       {From: friend, To: pnGroup.JID},
	} {
		r.Message = json.RawMessage(pollMessage)
		polls[name] = k.network.Send(r)
		k.told("messages.upsert", polls[name])
	}
	k.gateway.Stop()
	k.gateway.Start()
	for _, c := range []struct {
		poll, from, voter string
		fromMe            bool // who made the poll
		options           string
	}{
		{"theirs", phone, "me", false, "Sim"},
		{"theirs", contact, chat, false, "Talvez 🤔"},
		{"theirs by lid", phone, "me", false, "Sim Não"},
		{"ours", contact, chat, true, "Não"},
		{"ours", contact, chat, true, ""},
		{"ours", phone, "me", true, "Sim"},
		{"group", phone, "me", false, "Sim"},
		{"group", friend, friend + "@s.whatsapp.net", false, "Não Talvez 🤔"},
		{"group", contact, chat, false, "Sim"},
		{"ours, in group", friend, friend + "@s.whatsapp.net", true, "Não"},
		{"pn group", contact, chat, false, "Não"},
	} {
		r := sandbox.ActionRequest{ID: polls[c.poll], From: c.from, Action: "vote", Options: optionsOf(c.options)}
		if _, err := k.network.Act(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		var got vote
		k.receiver.Wait(t, "messages.update", func(p pombotest.Post) bool {
			got = vote{}
			return json.Unmarshal(p.Data, &got) == nil && got.KeyID == polls[c.poll] && got.Voter == c.voter && got.chosen() == c.options
		})
		if got.FromMe != c.fromMe || len(got.PollUpdates) != 3 || got.RemoteJid == "" {
			t.Errorf("%s, by %s: got %+v", c.poll, c.from, got)
		}
	}
	if n := len(k.receiver.Named("messages.upsert")); n != len(polls) {
		t.Errorf("%d messages were told: a vote is among them", n)
	}
	k.network.CheckRules(t)
}

// Votes are read also in polls from before the instance was linked, which come with the
// history.
func TestVotesInPastPolls(t *testing.T) {
	network := pombotest.NewSandbox(t)
	theirs := network.Send(sandbox.SendRequest{From: contact, To: phone, Message: json.RawMessage(pollMessage)})
	ours := network.Send(sandbox.SendRequest{From: phone, To: contact, Message: json.RawMessage(pollMessage)})
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "late", phone, receiver.URL)
	if _, err := network.SendHistory(t.Context(), sandbox.HistoryRequest{Number: phone}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{theirs, ours} {
		receiver.Wait(t, "messages.set", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), id) })
		if _, err := network.Act(t.Context(), sandbox.ActionRequest{ID: id, From: contact, Action: "vote", Options: []string{"Não"}}); err != nil {
			t.Fatal(err)
		}
		receiver.Wait(t, "messages.update", func(p pombotest.Post) bool {
			var v vote
			return json.Unmarshal(p.Data, &v) == nil && v.KeyID == id && v.Voter == chat && v.chosen() == "Não"
		})
	}
	network.CheckRules(t)
}

func optionsOf(s string) (options []string) {
	for _, name := range []string{"Sim", "Não", "Talvez 🤔"} {
		if strings.Contains(s, name) {
			options = append(options, name)
		}
	}
	return options
}
