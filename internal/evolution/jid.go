package evolution

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"

	"pombo"
)

// The servers of JIDs.
const (
	userServer  = "@s.whatsapp.net"
	groupServer = "@g.us"
)

var (
	deviceOf   = regexp.MustCompile(`:\d+`)
	fullJID    = regexp.MustCompile(`^(\d+([.-]\d+)?@(s\.whatsapp\.net|g\.us|lid|broadcast)|status@broadcast)$`)
	notDigit   = regexp.MustCompile(`[^0-9]`)
	notInGroup = regexp.MustCompile(`[^0-9-]`)
	brazilian  = regexp.MustCompile(`^55(\d\d)\d(\d{8})$`)
)

// CreateJID returns the JID that number means, by the rules of the Evolution
// API (createJid in 1.8.2 and 2.3.6):
//
//   - a JID is kept, less its device (":3");
//   - otherwise white space, "+" and parentheses are dropped, as is all from the
//     first ":" or "@" on;
//   - what has a "-" and 24 characters or more, or 18 digits or more, is a group;
//   - of 13 digits that begin with 52 or 54 (Mexico, Argentina) the third is dropped;
//   - a Brazilian mobile number (55, two digits of area, nine more) loses the
//     added ninth digit, save where the area code is below 31 or the number after
//     that digit begins with less than 7.
//
// What the rules turn into no number at all is refused with an Invalid error,
// where the original goes on with an empty name.
func CreateJID(number string) (string, error) {
	original := number
	refuse := func(why string) (string, error) {
		return "", pombo.Errorf(pombo.Invalid, "number %q %s: give a phone number with its country code, such as \"5511999990000\", or a JID such as \"120363000000000000@g.us\"",
			clip(original, 60), why)
	}
	number = strings.TrimSpace(number)
	if loc := deviceOf.FindStringIndex(number); loc != nil {
		number = number[:loc[0]] + number[loc[1]:]
	}
	for _, server := range []string{groupServer, userServer, "@lid", "@broadcast"} {
		if strings.Contains(number, server) {
			if !fullJID.MatchString(number) {
				return refuse("is not a JID")
			}
			return number, nil
		}
	}
	if strings.HasSuffix(number, "@newsletter") {
		return refuse("is a channel, which cannot be written to")
	}
	number = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\uFEFF' || r == '+' || r == '(' || r == ')' {
			return -1
		}
		return r
	}, number)
	number, _, _ = strings.Cut(number, ":")
	number, _, _ = strings.Cut(number, "@")
	if strings.Contains(number, "-") && len(utf16.Encode([]rune(number))) >= 24 {
		if group := notInGroup.ReplaceAllString(number, ""); strings.Trim(group, "-") != "" {
			return group + groupServer, nil
		}
	}
	number = notDigit.ReplaceAllString(number, "")
	switch {
	case number == "":
		return refuse("has no digits")
	case len(number) >= 18:
		return number + groupServer, nil
	}
	return nationalForm(number) + userServer, nil
}

// nationalForm turns a number as people write it into the one that WhatsApp
// knows its owner by, where the two differ.
func nationalForm(n string) string {
	if len(n) != 13 {
		return n
	}
	if n[:2] == "52" || n[:2] == "54" {
		return n[:2] + n[3:]
	}
	if m := brazilian.FindStringSubmatch(n); m != nil {
		area, subscriber := m[1], m[2]
		if subscriber[0] < '7' || area < "31" {
			return n
		}
		return "55" + area + subscriber
	}
	return n
}
