package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

// hidden stands for a secret wherever one is printed.
const hidden = "(hidden)"

// Secret is a string that does not show: printed, logged or put into JSON it
// is "(hidden)", or empty if it is empty. Reveal returns it.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format masks the secret for every verb: without it, a verb that does not fit,
// such as %d, would print the value in its complaint.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt.State offers no way to report it
}

// LogValue masks the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the secret in JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// redactURL returns what of a URL may be shown: scheme, host and path. User,
// password and query can hold secrets; so can anything that is no URL, such as
// "host=db password=x".
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" && strings.ContainsAny(s, "@?#= ") {
		return hidden
	}
	if u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return strconv.Quote(s)
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += "…@"
	}
	shown += u.Host + u.EscapedPath()
	if u.RawQuery != "" || u.Fragment != "" {
		shown += "?…"
	}
	return strconv.Quote(shown)
}
