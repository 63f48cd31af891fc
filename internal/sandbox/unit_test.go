package sandbox

import (
	"bytes"
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

func TestOfflineKeepsTheBytes(t *testing.T) {
	sealed := bytes.Repeat([]byte{7, 200}, 500)
	from := types.JID{User: "5511900000002", Device: 3, Server: types.DefaultUserServer}
	data, err := waBinary.Marshal(node{Tag: "message", Attrs: attrs{"id": "X", "from": from}, Content: []node{
		{Tag: "enc", Attrs: attrs{"v": "2"}, Content: sealed},
	}})
	if err != nil {
		t.Fatal(err)
	}
	marked, err := waBinary.Unmarshal(asOffline(data)[1:])
	if err != nil {
		t.Fatal(err)
	}
	if enc := marked.GetChildByTag("enc"); !bytes.Equal(content(enc), sealed) {
		t.Error("the ciphertext changed")
	}
	if str(marked, "offline") == "" || jid(marked, "from") != from || str(marked, "id") != "X" {
		t.Errorf("got %+v", marked.Attrs)
	}
}

func TestPadding(t *testing.T) {
	for range 100 {
		padded := pad([]byte("hello"))
		if len(padded) < 6 || len(padded) > 20 {
			t.Fatalf("padded to %d bytes", len(padded))
		}
		if plain, err := unpad(padded); err != nil || string(plain) != "hello" {
			t.Fatalf("got %q, %v", plain, err)
		}
	}
	for _, bad := range [][]byte{nil, {0}, {9}, {1, 2}, {2, 3, 3}} {
		if _, err := unpad(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"+55 (11) 90000-0001": "5511900000001", "5511900000001@s.whatsapp.net": "5511900000001",
		"5511900000001:3@s.whatsapp.net": "5511900000001", " 1234567 ": "1234567",
	} {
		if got := normalizeNumber(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, bad := range []string{"", "0551190000", "123456", "1234567890123456", "55119000x0001"} {
		if checkNumber("number", bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if lid := lidOf("5511900000001"); len(lid) != 15 || lid != lidOf("5511900000001") || lid == lidOf("5511900000002") {
		t.Errorf("LID %s", lid)
	}
}

// TestOneTimeKeys: each is handed out once, also when the client brings it again.
func TestOneTimeKeys(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.update(func(t2 *batch) {
		d := newDevice(s.ensureUser(t2, "5511900000001"), 1)
		for i := range uint32(8) {
			d.preKeys = append(d.preKeys, publicKey{ID: i})
		}
		for i := range uint32(8) {
			if one := s.takeOne(t2, d); one == nil || one.ID != i || !d.spent[i] {
				t.Errorf("key %d: got %v", i, one)
			}
		}
		if one := s.takeOne(t2, d); one != nil {
			t.Errorf("got %v from nothing", one)
		}
		if len(d.queue) != 1 || d.queue[0].class != "notification" {
			t.Errorf("the client was reminded %d times", len(d.queue))
		}
	})
}

// TestStaleMembers: a client whose list of a group's devices is out of date is told the hash of the right one.
func TestStaleMembers(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.update(func(b *batch) {
		owner, other := s.ensureUser(b, "5511900000001"), s.ensureUser(b, "5511900000002")
		owner.devices[1] = newDevice(owner, 1)
		g, bad := s.createGroup(b, owner, newGroup{subject: "Team", lid: true, participants: []*user{other}})
		if bad != nil {
			t.Fatal(bad)
		}
		right := listHash([]types.JID{owner.lidJID(0), owner.lidJID(1), other.lidJID(0)})
		for claimed, want := range map[string]string{right: "", "2:wrong": right, "": ""} {
			sub := &submission{c: &conn{s: s}, from: owner.devices[1], to: g.jid(), stanza: &node{Attrs: attrs{"phash": claimed}}}
			if got := sub.staleDevices(); got != want {
				t.Errorf("%q: got %q, not %q", claimed, got, want)
			}
		}
	})
}

func TestRooms(t *testing.T) {
	for text, want := range map[string]bool{
		"120363000000000001@g.us": true, " status@broadcast ": true, "120363000000000001@newsletter": true,
		"@g.us": false, "list@broadcast": false, "5511900000001@s.whatsapp.net": false, "5511900000001": false, "": false,
	} {
		if _, ok := parseRoom(text); ok != want {
			t.Errorf("%q is a room: %v", text, ok)
		}
	}
}
