package pombo

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestValidateSecret(t *testing.T) {
	of := func(n int) string { return SecretPrefix + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, s := range []string{of(24), of(32), of(64), NewSecret()} {
		if err := ValidateSecret(s); err != nil {
			t.Errorf("%q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"", "whsec_", of(23), of(65), of(24)[len(SecretPrefix):], SecretPrefix + "not base64!", MaskedSecret, of(25)[:len(of(25))-1]} {
		err := ValidateSecret(s)
		if KindOf(err) != Invalid || len(s) > 10 && strings.Contains(err.Error(), s[8:]) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if one, other := NewSecret(), NewSecret(); one == other {
		t.Error("secrets repeat")
	}
}

func TestRotate(t *testing.T) {
	now := time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC)
	day := now.Add(24 * time.Hour)
	keys := func(s []SigningSecret) string {
		var text []string
		for _, k := range s {
			text = append(text, k.Key+" "+strings.TrimPrefix(k.Until.Sub(now).Round(time.Hour).String(), "-"))
		}
		return strings.Join(text, ", ")
	}
	one := Rotate(nil, "a", now)
	if len(one) != 1 || one[0].Key != "a" || !one[0].Until.IsZero() {
		t.Fatalf("first: %+v", one)
	}
	two := Rotate(one, "b", now)
	if len(two) != 2 || two[0].Key != "b" || !two[0].Until.IsZero() || two[1].Key != "a" || !two[1].Until.Equal(day) {
		t.Fatalf("second: %s", keys(two))
	}
	if same := Rotate(two, "b", now.Add(time.Hour)); len(same) != 2 || !same[1].Until.Equal(day) {
		t.Errorf("the same again: %s", keys(same))
	}
	// An old one does not live longer for it, and one that is over is forgotten.
	three := Rotate(two, "c", now.Add(time.Hour))
	if len(three) != 3 || !three[2].Until.Equal(day) || !three[1].Until.Equal(day.Add(time.Hour)) {
		t.Errorf("third: %s", keys(three))
	}
	if late := Rotate(three, "d", day.Add(time.Minute)); len(late) != 3 || late[2].Key != "b" {
		t.Errorf("after a day: %s", keys(late))
	}
	// Going back to one that is still valid keeps it once.
	if back := Rotate(two, "a", now); len(back) != 2 || back[0].Key != "a" || !back[0].Until.IsZero() || back[1].Key != "b" {
		t.Errorf("back: %s", keys(back))
	}
	if Rotate(two, "", now) != nil {
		t.Error("it cannot be removed")
	}
	many := one
	for n := range 20 {
		many = Rotate(many, string(rune('b'+n)), now)
	}
	if len(many) != keptSecrets {
		t.Errorf("%d are kept", len(many))
	}
	if valid := ValidSecrets(two, day); len(valid) != 1 || valid[0].Key != "b" {
		t.Errorf("valid after a day: %s", keys(valid))
	}
}
