package evolution

import (
	"regexp"
	"strings"
	"testing"

	"pombo"
)

func TestCreateJID(t *testing.T) {
	tests := []struct{ number, want string }{
		{"5511999990000", "5511999990000@s.whatsapp.net"},       // area 11: keeps the ninth digit
		{"5530999990000", "5530999990000@s.whatsapp.net"},       // the last area that does
		{"5531999990000", "553199990000@s.whatsapp.net"},        // the first that does not
		{"5531969990000", "5531969990000@s.whatsapp.net"},       // after the ninth digit: 6
		{"5531979990000", "553179990000@s.whatsapp.net"},        // after the ninth digit: 7
		{"553199990000", "553199990000@s.whatsapp.net"},         // no ninth digit to drop
		{"+55 (31) 9 9999-0000", "553199990000@s.whatsapp.net"}, // as people write it
		{"5215512345678", "525512345678@s.whatsapp.net"},        // Mexico
		{"525512345678", "525512345678@s.whatsapp.net"},         //
		{"5491123456789", "541123456789@s.whatsapp.net"},        // Argentina
		{"14155550100", "14155550100@s.whatsapp.net"},           //
		{"351 912.345.678", "351912345678@s.whatsapp.net"},      //
		{"5511999990000:12", "5511999990000@s.whatsapp.net"},    //
		{"553199999:0000@c.us", "553199999@s.whatsapp.net"},     //
		{"5531999990000@c.us", "553199990000@s.whatsapp.net"},   // another library's form
		{"5531999990000@s.whatsapp.net", "5531999990000@s.whatsapp.net"},
		{"5531999990000:7@s.whatsapp.net", "5531999990000@s.whatsapp.net"},
		{" 5531999990000@s.whatsapp.net ", "5531999990000@s.whatsapp.net"},
		{"123456789012345@lid", "123456789012345@lid"},
		{"123456789012345:2@lid", "123456789012345@lid"},
		{"120363000000000000@g.us", "120363000000000000@g.us"},
		{"5511999990000-1600000000@g.us", "5511999990000-1600000000@g.us"},
		{"status@broadcast", "status@broadcast"},
		{"120363000000000000", "120363000000000000@g.us"},                   // 18 digits
		{"12036300000000000", "12036300000000000@s.whatsapp.net"},           // 17
		{"5511999990000-1600000000", "5511999990000-1600000000@g.us"},       // 24 characters
		{"551199999000-160000000", "551199999000160000000@g.us"},            // 22, but 21 digits
		{"5511999-0000", "55119990000@s.whatsapp.net"},                      //
		{"(5511999990000-1600000000)", "5511999990000-1600000000@g.us"},     //
		{"5511999990000-1600000000@x", "5511999990000-1600000000@g.us"},     //
		{"55\u00a011\u200b99999\u20280000", "5511999990000@s.whatsapp.net"}, //
	}
	for _, test := range tests {
		got, err := CreateJID(test.number)
		if err != nil || got != test.want {
			t.Errorf("%q: %q, %v, want %q", test.number, got, err, test.want)
		}
	}
}

func TestCreateJIDRefuses(t *testing.T) {
	for number, want := range map[string]string{
		"":                              "no digits",
		"abc":                           "no digits",
		"@s.whatsapp.net":               "not a JID",
		"abc@g.us":                      "not a JID",
		"5511999990000@g.us.evil":       "not a JID",
		"55 11@s.whatsapp.net":          "not a JID",
		"------------------------":      "no digits",
		"120363000000000000@newsletter": "a channel",
		"[remoteJid]":                   "no digits",
		"٥٥١١٩٩٩٩٩٠٠٠٠":                 "no digits",
	} {
		got, err := CreateJID(number)
		if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(errText(err), want) {
			t.Errorf("%q: %q, %v, want an error with %q", number, got, err, want)
		}
	}
}

func FuzzCreateJID(f *testing.F) {
	for _, seed := range []string{"5531999990000", "+55 (31) 9 9999-0000", "120363000000000000@g.us", "1:2@lid", "5511999990000-1600000000", "@", ":", "\xff", "status@broadcast"} {
		f.Add(seed)
	}
	valid := regexp.MustCompile(`^(\d+([.-]\d+)?|[\d-]+|status)@(s\.whatsapp\.net|g\.us|lid|broadcast)$`)
	f.Fuzz(func(t *testing.T, number string) {
		jid, err := CreateJID(number)
		if err != nil {
			if pombo.KindOf(err) != pombo.Invalid {
				t.Fatalf("%q: error %v", number, err)
			}
			return
		}
		if !valid.MatchString(jid) {
			t.Fatalf("%q: %q", number, jid)
		}
		if again, err := CreateJID(jid); err != nil && !strings.Contains(jid, "-") || err == nil && again != jid {
			t.Fatalf("%q: %q, which becomes %q, %v", number, jid, again, err)
		}
	})
}
