package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// errNotAllowed is returned by the types' UnmarshalText. What is allowed, the
// field's "allowed" tag says.
var errNotAllowed = errors.New("not allowed")

// Host is an address to listen on, without port.
type Host string

// UnmarshalText accepts an IP address, also in brackets, or a host name.
func (h *Host) UnmarshalText(b []byte) error {
	s := strings.TrimSuffix(strings.TrimPrefix(string(b), "["), "]")
	if _, err := netip.ParseAddr(s); err != nil && strings.ContainsAny(s, ":/[] \t@") {
		return errNotAllowed
	}
	*h = Host(s)
	return nil
}

// WebURL is an absolute http or https URL.
type WebURL string

// UnmarshalText checks the URL and takes it as it is.
func (u *WebURL) UnmarshalText(b []byte) error {
	if err := checkWebURL(string(b)); err != nil {
		return err
	}
	*u = WebURL(b)
	return nil
}

func checkWebURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errNotAllowed
	}
	return nil
}

// SandboxURL is the address of a simulated WhatsApp network, ws://HOST:PORT.
type SandboxURL string

// UnmarshalText checks the address and drops a trailing slash.
func (u *SandboxURL) UnmarshalText(b []byte) error {
	s := strings.TrimSuffix(string(b), "/")
	p, err := url.Parse(s)
	if err != nil || p.Scheme != "ws" || p.Hostname() == "" || p.Port() == "" ||
		p.User != nil || p.Path != "" || p.RawQuery != "" || p.Fragment != "" {
		return errNotAllowed
	}
	*u = SandboxURL(s)
	return nil
}

// Loopback tells whether the address is certain to be on this machine.
func (u SandboxURL) Loopback() bool {
	p, err := url.Parse(string(u))
	if err != nil {
		return false
	}
	if p.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(p.Hostname())
	return err == nil && a.IsLoopback()
}

// StatusCodes is a set of HTTP statuses, ascending.
type StatusCodes []int

// UnmarshalText accepts numbers separated by commas.
func (c *StatusCodes) UnmarshalText(b []byte) error {
	var codes StatusCodes
	for _, s := range list(string(b)) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 300 || n > 599 {
			return errNotAllowed
		}
		codes = append(codes, n)
	}
	slices.Sort(codes)
	*c = slices.Compact(codes)
	return nil
}

// Browser is how a linked device shows on the phone.
type Browser string

var browsers = []Browser{"Chrome", "Firefox", "Edge", "Opera", "Safari", "IE", "Desktop"}

// UnmarshalText accepts the browsers that WhatsApp has an icon for, in upper or
// lower case.
func (n *Browser) UnmarshalText(b []byte) error {
	i := slices.IndexFunc(browsers, func(k Browser) bool { return strings.EqualFold(string(k), string(b)) })
	if i < 0 {
		return errNotAllowed
	}
	*n = browsers[i]
	return nil
}

// WebVersion is a version of WhatsApp Web; zero means none is pinned.
type WebVersion [3]uint32

// UnmarshalText accepts three numbers with dots.
func (v *WebVersion) UnmarshalText(b []byte) error {
	parts := strings.Split(string(b), ".")
	if len(parts) != len(v) {
		return errNotAllowed
	}
	var w WebVersion
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return errNotAllowed
		}
		w[i] = uint32(n)
	}
	if w == (WebVersion{}) {
		return errNotAllowed
	}
	*v = w
	return nil
}

// Level is the least level that is logged. It is a slog.Leveler.
type Level slog.Level

// Level returns l as slog has it.
func (l Level) Level() slog.Level { return slog.Level(l) }

func (l Level) String() string { return slog.Level(l).String() }

// levels has the names of slog, of the Evolution API and of its library's log.
var levels = map[string]slog.Level{
	"FATAL": slog.LevelError, "ERROR": slog.LevelError,
	"WARN": slog.LevelWarn, "WARNING": slog.LevelWarn,
	"INFO": slog.LevelInfo, "LOG": slog.LevelInfo, "WEBHOOKS": slog.LevelInfo, "WEBSOCKET": slog.LevelInfo,
	"DEBUG": slog.LevelDebug, "VERBOSE": slog.LevelDebug, "DARK": slog.LevelDebug, "TRACE": slog.LevelDebug,
}

// UnmarshalText accepts one level or a list, of which the most verbose holds.
func (l *Level) UnmarshalText(b []byte) error {
	names := list(string(b))
	if len(names) == 0 {
		return errNotAllowed
	}
	least := slog.LevelError
	for _, name := range names {
		v, ok := levels[strings.ToUpper(name)]
		if !ok {
			return errNotAllowed
		}
		least = min(least, v)
	}
	*l = Level(least)
	return nil
}

// AuthType is what opens an instance.
type AuthType string

// The kinds of keys of instances.
const (
	AuthAPIKey AuthType = "apikey"
	AuthJWT    AuthType = "jwt"
)

// UnmarshalText accepts the kinds in upper or lower case.
func (t *AuthType) UnmarshalText(b []byte) error {
	switch v := AuthType(strings.ToLower(string(b))); v {
	case AuthAPIKey, AuthJWT:
		*t = v
		return nil
	}
	return errNotAllowed
}

// Format is how log lines are written.
type Format string

// The formats of log lines.
const (
	FormatAuto Format = "auto" // text on a terminal, json otherwise
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// UnmarshalText accepts the formats in upper or lower case.
func (f *Format) UnmarshalText(b []byte) error {
	switch v := Format(strings.ToLower(string(b))); v {
	case FormatAuto, FormatText, FormatJSON:
		*f = v
		return nil
	}
	return errNotAllowed
}

// Origins lists web origins ("https://app.example.com"), or is just "*".
type Origins []string

// All tells whether every origin is allowed.
func (o Origins) All() bool { return slices.Contains(o, "*") }

// UnmarshalText accepts "*" or a list of origins. The Evolution API's own
// example lists bare domains, so an entry without a scheme means both.
func (o *Origins) UnmarshalText(b []byte) error {
	var origins Origins
	for _, s := range list(string(b)) {
		if s == "*" {
			*o = Origins{"*"}
			return nil
		}
		s = strings.ToLower(strings.TrimSuffix(s, "/"))
		forms := []string{s}
		if !strings.Contains(s, "://") {
			forms = []string{"https://" + s, "http://" + s}
		}
		for _, f := range forms {
			u, err := url.Parse(f)
			if err != nil || checkWebURL(f) != nil || f != u.Scheme+"://"+u.Host {
				return errNotAllowed
			}
			origins = append(origins, f)
		}
	}
	if len(origins) == 0 {
		return errNotAllowed
	}
	*o = origins
	return nil
}

// Methods lists HTTP methods.
type Methods []string

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// UnmarshalText accepts a list of methods in upper or lower case.
func (m *Methods) UnmarshalText(b []byte) error {
	var ms Methods
	for _, s := range list(strings.ToUpper(string(b))) {
		if !slices.Contains(methods, s) {
			return errNotAllowed
		}
		ms = append(ms, s)
	}
	if len(ms) == 0 {
		return errNotAllowed
	}
	*m = ms
	return nil
}

// Dialect is a major version of the Evolution API, 1 or 2.
type Dialect int

// UnmarshalText accepts 1, 2, v1 and v2.
func (d *Dialect) UnmarshalText(b []byte) error {
	switch strings.ToLower(string(b)) {
	case "1", "v1":
		*d = 1
	case "2", "v2":
		*d = 2
	default:
		return errNotAllowed
	}
	return nil
}

// list splits s at commas and drops blanks and empty entries.
func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
